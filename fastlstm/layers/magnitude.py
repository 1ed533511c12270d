"""The magnitude of complex numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm._check import Shape
from fastlstm._kernels.activations import magnitude_stage
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.stage import Stage
from fastlstm.layers.base import Array, Index, Layer, as_rows
from fastlstm.workspace import Workspace


class Magnitude(Layer):
    """y = sqrt(a² + b²), where a is the first half of the features and b the second one.

    That is the magnitude of complex numbers: of a spectrum whose real parts are a and whose imaginary parts are b, as a
    `Conv1d` gives them that multiplies with cosines and sines. Where both are 0, the gradient is 0.

    Parameters
    ----------
    dtype : "float32", "float64" or None
        None takes the model's.
    seed : int, optional
        Not used.

    Raises
    ------
    ValueError
        Where it is put into a model, if the number of features is odd.

    Examples
    --------
    >>> import fastlstm as fl
    >>> fl.Magnitude()([[[3.0, 1.0, 4.0, 0.0]]])
    array([[[5., 1.]]], dtype=float32)
    """

    input_shape = ("N", "T", "F")

    def __init__(self, *, dtype: Any = None, seed: int | None = None) -> None:
        super().__init__(dtype, seed)

    def as_input(self, x: Any, name: str = "x", shape: Shape | None = None) -> Array:
        if np.ndim(x) == 2 and shape is None:  # a layer without a model takes x with or without steps
            shape = ("N", "F")
        array: Array = super().as_input(x, name, shape)
        self.output_shape(array.shape)
        return array

    def output_shape(self, shape: Shape) -> Shape:
        if isinstance(shape[-1], str):
            return (*shape[:-1], shape[-1] + "/2")
        if shape[-1] % 2:
            raise ValueError(f"Magnitude takes an even number of features, half of them real parts, got {shape[-1]}")
        return (*shape[:-1], shape[-1] // 2)

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        x = np.ascontiguousarray(x)
        stages, y = self._stages(x, tape)
        for stage in stages:
            stage.go()
        tape.notes["x"] = x
        return y

    def _stages(self, x: Array, tape: Workspace) -> tuple[list[Stage], Array]:
        y = tape.array("y", (*x.shape[:-1], x.shape[-1] // 2), x.dtype)
        return [magnitude_stage(as_rows(x), as_rows(y))] if y.size else [], y

    def _prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array] | None:
        return self._stages(x, tape) if x.flags.c_contiguous else None

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        if not input_gradient:
            return None
        x, y = tape.notes["x"], tape.array("y", dy.shape, dy.dtype)
        dx, factor = tape.array("dx", x.shape, dy.dtype), tape.zeros("factor", dy.shape, dy.dtype)
        np.divide(dy, y, out=factor, where=y > 0)  # dx = x dy / y
        size = dy.shape[-1]
        np.multiply(x[..., :size], factor, out=dx[..., :size])
        np.multiply(x[..., size:], factor, out=dx[..., size:])
        return dx

    def config(self) -> dict[str, Any]:
        return {}
