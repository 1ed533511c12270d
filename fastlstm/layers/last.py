"""The last step of each sequence."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm._check import Shape, describe
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.stage import Stage
from fastlstm._kernels.steps import last_steps, to_last
from fastlstm.layers.base import Array, Index, Layer, clear_empty
from fastlstm.layers.replay import Backward, Calls
from fastlstm.workspace import Workspace


class Last(Layer):
    """(N, T, F) to (N, F): the last real step of each sequence, which is step ``lengths[n] - 1``; zeros without one.

    After a bidirectional LSTM, the reverse half of this step has read only one input. Both halves of the state ``h``
    that the LSTM returns have read all inputs.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> fl.Last()(np.arange(6).reshape(1, 3, 2))
    array([[4., 5.]], dtype=float32)
    """

    input_shape = ("N", "T", "F")

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            raise ValueError(f"Last takes sequences (N, T, F), got {describe(shape)}")
        return (shape[0], shape[2])

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        n, t, features = x.shape
        at = (np.arange(n), np.full(n, t - 1) if lengths is None else lengths - 1)
        tape.notes["shape"], tape.notes["at"], tape.notes["lengths"] = x.shape, at, lengths
        y = tape.array("y", (n, features), x.dtype)
        y[...] = x[at]
        clear_empty(y, lengths)
        return y

    def _prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array]:
        if streaming:
            return [], x
        if order is None:
            return [], x[:, -1]
        y = tape.array("y", (x.shape[0], x.shape[2]), x.dtype)
        return [last_steps(order, x, y)], y

    def _replay(self, x: Array, tape: Workspace) -> tuple[Calls, Array, Backward]:
        y = tape.array("y", (x.shape[0], x.shape[2]), x.dtype)

        def backward(dy: Array, wanted: bool) -> tuple[Calls, Array]:
            dx = tape.array("dx", x.shape, dy.dtype)
            return [to_last(dy, dx).go], dx

        return [last_steps(RaggedOrder(x.shape[0], x.shape[1]), x, y).go], y, backward

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array:
        dx = tape.zeros("dx", tape.notes["shape"], dy.dtype)
        dx[tape.notes["at"]] = dy
        clear_empty(dx, tape.notes["lengths"])
        return dx

    def step(self, x: Array, tape: Workspace) -> Array:
        return x  # while streaming, each step is the last

    def config(self) -> dict[str, Any]:
        return {}
