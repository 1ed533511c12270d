"""The absolute values of complex numbers, such as those of a spectrum."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm._check import Shape
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.stage import Call, Stage
from fastlstm.layers.base import Array, Index, Layer
from fastlstm.workspace import Workspace


class Magnitude(Layer):
    """y = √(re² + im²): absolute values of complex numbers, (..., 2F) to (..., F).

    The first half of the features are the real parts, the second half the imaginary parts, as a `Conv1d` or `Dense`
    gives them whose matrix is that of a Fourier transform. Where a number is 0, the gradient is 0, too.

    Parameters
    ----------
    dtype : "float32", "float64" or None
        None takes the model's.
    seed : int, optional
        Not used.

    Raises
    ------
    ValueError
        Where it is put into a model, or from a call, if the number of features is odd.

    Examples
    --------
    >>> import fastlstm as fl
    >>> fl.Magnitude()([[[3.0, 0.0, 4.0, 2.0]]])
    array([[[5., 2.]]], dtype=float32)
    """

    input_shape = ("N", "T", "F")

    def as_input(self, x: Any, name: str = "x", shape: Shape | None = None) -> Array:
        if np.ndim(x) == 2 and shape is None:  # a layer without a model takes x with or without steps
            shape = ("N", "F")
        array: Array = super().as_input(x, name, shape)
        self.output_shape(array.shape)
        return array

    def output_shape(self, shape: Shape) -> Shape:
        features = shape[-1]
        if isinstance(features, str):
            return (*shape[:-1], features + "/2")
        if features % 2:
            raise ValueError(
                "Magnitude takes an even number of features, half of them real parts and half imaginary ones, got "
                f"{features}"
            )
        return (*shape[:-1], features // 2)

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        tape.notes["x"] = x
        return self._magnitude(x, tape)

    def _magnitude(self, x: Array, tape: Workspace) -> Array:
        half = x.shape[-1] // 2
        y, square = (tape.array(name, (*x.shape[:-1], half), x.dtype) for name in ("y", "square"))
        np.square(x[..., :half], out=y)
        y += np.square(x[..., half:], out=square)
        return np.asarray(np.sqrt(y, out=y))

    def prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array] | None:
        y = tape.array("y", (*x.shape[:-1], x.shape[-1] // 2), x.dtype)
        return [Call(lambda x: self._magnitude(x, tape), x, y, "Magnitude")], y

    keeps_x = True

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        if not input_gradient:
            return None
        x, y = tape.notes["x"], tape.array("y", dy.shape, dy.dtype)
        dx, slope = tape.array("dx", x.shape, dy.dtype), tape.zeros("slope", dy.shape, dy.dtype)
        np.divide(dy, y, out=slope, where=y > 0)  # dre = dy·re/y, dim = dy·im/y
        half = dy.shape[-1]
        np.multiply(x[..., :half], slope, out=dx[..., :half])
        np.multiply(x[..., half:], slope, out=dx[..., half:])
        return dx

    def config(self) -> dict[str, Any]:
        return {}
