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
    merge : "concat", "sum", "mul" or "ave", default "concat"
        How both come together: side by side, added, multiplied, or their mean.
    go_backwards : bool, default False
        Whether the layer below reads its sequences from their ends, and ends with their first step.
    dtype : "float32", "float64" or None
        None takes the model's.
    seed : int, optional
        Not used.

    Raises
    ------
    TypeError
        If bidirectional or go_backwards is not True or False.
    ValueError
        If merge is none of these, or merge or go_backwards do not go with the directions; where it is put into a model,
        if it gets no sequences, or cannot halve their features.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> lstm, x = fl.LSTM(3, 4, bidirectional=True, seed=0), np.ones((2, 5, 3))
    >>> y, (h, c) = lstm(x)
    >>> np.array_equal(fl.FinalState()(y), np.concatenate(h, axis=-1))
    True
    """

    input_shape = ("N", "T", "F")

    def __init__(
        self,
        bidirectional: bool = True,
        *,
        merge: str = "concat",
        go_backwards: bool = False,
        dtype: Any = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(dtype, seed)
        self.bidirectional = _check.flag(bidirectional, "bidirectional")
        self.merge, self.go_backwards = merge, _check.flag(go_backwards, "go_backwards")
        if not isinstance(merge, str) or merge not in ("concat", "sum", "mul", "ave"):
            raise ValueError(f"merge: expected 'concat', 'sum', 'mul' or 'ave', got {merge!r:.80}")
        if merge != "concat" and not bidirectional:
            raise ValueError(f"merge: expected 'concat' behind a layer of one direction, got {merge!r}")
        if go_backwards and bidirectional:
            raise ValueError("go_backwards: expected False behind two directions, got True; pass bidirectional=False")

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
        halved = self.merge != "concat" and isinstance(shape[2], int)
        return (shape[0], int(shape[2]) // 2 if halved else shape[2])

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        n, t, features = x.shape
        at = (np.arange(n), np.full(n, t - 1) if lengths is None else lengths - 1)
        tape.notes["shape"], tape.notes["at"], tape.notes["lengths"] = x.shape, at, lengths
        y = tape.array("y", (n, features), x.dtype)
        y[...] = x[:, 0] if self.go_backwards else x[at]
        if self.bidirectional:
            y[:, features // 2 :] = x[:, 0, features // 2 :]
        clear_empty(y, lengths)
        return y if self.merge == "concat" else self._merged(y, tape)

    def _merged(self, y: Array, tape: Workspace) -> Array:
        """What becomes of both halves."""
        half = y.shape[1] // 2
        merged = tape.array("merged", (len(y), half), y.dtype)
        (np.multiply if self.merge == "mul" else np.add)(y[:, :half], y[:, half:], out=merged)
        if self.merge == "ave":
            merged *= 0.5
        return merged

    def _halves(self, dy: Array, tape: Workspace) -> Array:
        """The gradient by both halves, (N, F), from that by what becomes of them."""
        n, _, features = tape.notes["shape"]
        y, both = tape.array("y", (n, features), dy.dtype), tape.array("dy", (n, features), dy.dtype)
        half = features // 2
        both[:, :half] = both[:, half:] = dy if self.merge != "ave" else 0.5 * dy
        if self.merge == "mul":
            both[:, :half] *= y[:, half:]
            both[:, half:] *= y[:, :half]
        return both

    def _prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array] | None:
        if streaming:
            return [], x
        if self.merge != "concat":
            return None
        if self.go_backwards and order is None:
            return [], x[:, 0]
        if self.go_backwards:
            return None
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
        if self.merge != "concat":
            dy = self._halves(dy, tape)
        half = dy.shape[1] // 2 if self.bidirectional else dy.shape[1] * (not self.go_backwards)
        dx[..., :half][tape.notes["at"]] = dy[:, :half]
        dx[:, 0, half:] = dy[:, half:]
        clear_empty(dx, tape.notes["lengths"])
        return dx

    def start(self, batch: int, tape: Workspace) -> None:
        if self.bidirectional or self.go_backwards:
            behind = "two directions" if self.bidirectional else "a layer that reads backwards"
            raise ValueError(f"FinalState cannot stream behind {behind}: it waits for the end of the sequence")

    def step(self, x: Array, tape: Workspace) -> Array:
        return x  # while streaming, each step is the last

    def config(self) -> dict[str, Any]:
        merge = {} if self.merge == "concat" else {"merge": self.merge}
        backwards = {"go_backwards": True} if self.go_backwards else {}
        return {"bidirectional": self.bidirectional, **merge, **backwards}
