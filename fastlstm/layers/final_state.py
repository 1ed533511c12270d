"""The state that a recurrent layer ends with: of both directions the one that has read everything."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm._check import Shape, describe
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.stage import Stage
from fastlstm._kernels.steps import last_steps, take_steps
from fastlstm.layers.base import Array, Index, Layer, as_rows, clear_empty
from fastlstm.workspace import Workspace


class FinalState(Layer):
    """(N, T, F) to (N, F): what each direction of the recurrent layer below gives when it has read the whole sequence.

    Behind a bidirectional layer, whose outputs are those of both directions side by side, that is the last real step of
    the first half of the features, and the first step of the second half: PyTorch's ``h_n`` of the last layer, and
    ``Bidirectional(LSTM(return_sequences=False))`` of Keras. Of one direction it is `Last`. Zeros for a sequence
    without a step.

    Parameters
    ----------
    bidirectional : bool, default True
        Whether the layer below has two directions. It must keep them side by side, ``merge="concat"``.
    dtype : "float32", "float64" or None
        None takes the model's.
    seed : int, optional
        Not used.

    Raises
    ------
    TypeError
        If bidirectional is not True or False.
    ValueError
        Where it is put into a model, if it gets no sequences, or cannot halve their features.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> lstm, x = fl.LSTM(3, 4, bidirectional=True, seed=0), np.ones((2, 5, 3))
    >>> y, (h, c) = lstm(x)
    >>> np.array_equal(fl.FinalState()(y), np.concatenate(h, axis=-1))
    True
    """

    input_shape = ("N", "T", "F")

    def __init__(self, bidirectional: bool = True, *, dtype: Any = None, seed: int | None = None) -> None:
        super().__init__(dtype, seed)
        self.bidirectional = _check.flag(bidirectional, "bidirectional")

    def as_input(self, x: Any, name: str = "x", shape: Shape | None = None) -> Array:
        array: Array = super().as_input(x, name, shape)
        self.output_shape(array.shape)
        return array

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            raise ValueError(f"FinalState takes sequences (N, T, F), got {describe(shape)}")
        if self.bidirectional and isinstance(shape[2], int) and shape[2] % 2:
            raise ValueError(
                f"bidirectional: expected an even number of features, half of them of each direction, got {shape[2]}; "
                "pass bidirectional=False behind a layer of one direction"
            )
        return (shape[0], shape[2])

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        n, t, features = x.shape
        at = (np.arange(n), np.full(n, t - 1) if lengths is None else lengths - 1)
        tape.notes["shape"], tape.notes["at"], tape.notes["lengths"] = x.shape, at, lengths
        y = tape.array("y", (n, features), x.dtype)
        y[...] = x[at]
        if self.bidirectional:
            y[:, features // 2 :] = x[:, 0, features // 2 :]
        clear_empty(y, lengths)
        return y

    def prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array]:
        if streaming:
            return [], x
        if order is None and not self.bidirectional:
            return [], x[:, -1]
        n, t, features = x.shape
        half = features // 2 if self.bidirectional else features
        y = tape.array("y", (n, features), x.dtype)
        stages: list[Stage] = [last_steps(order or RaggedOrder(n, t), x[..., :half], y[:, :half])]
        if self.bidirectional:
            stages.append(take_steps(as_rows(x)[:, half:], np.arange(n) * t, y[:, half:]))
        return stages, y

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        if not input_gradient:
            return None
        dx = tape.zeros("dx", tape.notes["shape"], dy.dtype)
        half = dy.shape[1] // 2 if self.bidirectional else dy.shape[1]
        dx[..., :half][tape.notes["at"]] = dy[:, :half]
        dx[:, 0, half:] = dy[:, half:]
        clear_empty(dx, tape.notes["lengths"])
        return dx

    def start(self, batch: int, tape: Workspace) -> None:
        if self.bidirectional:
            raise ValueError("FinalState cannot stream behind two directions: it waits for the end of the sequence")

    def step(self, x: Array, tape: Workspace) -> Array:
        return x  # while streaming, each step is the last

    def config(self) -> dict[str, Any]:
        return {"bidirectional": self.bidirectional}
