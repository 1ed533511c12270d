"""A penalty on the outputs of the layer before."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm._check import Shape
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.stage import Stage
from fastlstm.layers.base import Array, Index, Layer
from fastlstm.regularizers import Regularizer
from fastlstm.workspace import Workspace


class ActivityRegularization(Layer):
    """Passes x on, and adds a penalty on it to the loss while training: the sum over all real steps, divided by N.

    As the layer of this name, and ``activity_regularizer``, in Keras. A `Trainer` adds the penalty to the loss of
    each batch; a loop of one's own adds ``tape.penalty()``. The gradient is part of the backward pass in either case.

    Parameters
    ----------
    regularizer : Regularizer or name
        Such as ``fl.regularizers.L1(1e-3)``, which makes outputs sparse.
    dtype : "float32", "float64" or None
        None takes the model's.
    seed : int, optional
        Not used.

    Raises
    ------
    TypeError
        If regularizer is neither a regularizer nor the name of one.
    ValueError
        If there is no regularizer of this name.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> model = fl.Model([fl.ActivityRegularization(fl.regularizers.L1(0.5))])
    >>> tape = model.tape()
    >>> y = model.forward(np.full((2, 3, 1), -4.0), tape, training=True, lengths=[3, 1])
    >>> tape.penalty()  # of 4 real steps in 2 sequences
    4.0
    """

    input_shape = ("N", "T", "F")
    _penalises = True

    def __init__(self, regularizer: Regularizer | str, *, dtype: Any = None, seed: int | None = None) -> None:
        super().__init__(dtype, seed)
        self.regularizer = Regularizer.of(regularizer, "regularizer")

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        if training:
            ragged = lengths is not None and x.ndim == 3
            real = np.arange(x.shape[1]) < lengths[:, None] if lengths is not None and ragged else ...
            tape.notes["x"], tape.notes["real"] = x, real
            tape.notes["penalty"] = self.regularizer.value(x[real]) / len(x)
        return x

    def _prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array]:
        return [], x

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        if not input_gradient:
            return None
        x, real = tape.notes["x"], tape.notes["real"]
        dx = tape.array("dx", dy.shape, dy.dtype)
        dx[...] = dy
        dx[real] += self.regularizer.gradient(x[real]) * dy.dtype.type(tape.part.weight / len(x))
        return dx

    def config(self) -> dict[str, Any]:
        return {"regularizer": self.regularizer.config()}
