"""From scores to probabilities, as a layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm._check import Shape
from fastlstm._kernels import activations as kernels
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.stage import Stage
from fastlstm.layers.base import Array, Index, Layer, as_rows
from fastlstm.workspace import Workspace


class Softmax(Layer):
    """y = exp(x) / sum of exp(x) over the last axis: scores of classes to their probabilities.

    It is for models that are to predict probabilities. The loss `softmax_cross_entropy` takes scores, and has a softmax
    in it: train the model without this layer, and put the layer behind it afterwards, as the example does.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> scores = fl.Model([fl.LSTM(3, 8), fl.Last(), fl.Dense(8, 4)], seed=0)  # train this one
    >>> model = fl.Model([*scores.layers, fl.Softmax()])
    >>> model.predict(np.ones((2, 5, 3))).sum(-1).round(5)
    array([1., 1.], dtype=float32)
    """

    input_shape = ("N", "T", "F")

    def as_input(self, x: Any, name: str = "x", shape: Shape | None = None) -> Array:
        if np.ndim(x) == 2 and shape is None:  # a layer without a model takes x with or without steps
            shape = ("N", "F")
        return super().as_input(x, name, shape)

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        y = tape.array("y", x.shape, x.dtype)
        kernels.softmax(as_rows(np.ascontiguousarray(x)), as_rows(y))
        return y

    def _prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array] | None:
        if not x.flags.c_contiguous:
            return None
        y = tape.array("y", x.shape, x.dtype)
        return [kernels.softmax_stage(as_rows(x), as_rows(y))], y

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        if not input_gradient:
            return None
        y = tape.array("y", dy.shape, dy.dtype)
        dx = tape.array("dx", dy.shape, dy.dtype)
        np.multiply(dy, y, out=dx)
        np.subtract(dy, dx.sum(-1, keepdims=True), out=dx)  # dx = y·(dy - Σ dy·y)
        dx *= y
        return dx

    def config(self) -> dict[str, Any]:
        return {}
