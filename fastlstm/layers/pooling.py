"""Pooling: all steps of a sequence in one vector, by their mean or their maximum."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from fastlstm._check import Shape, describe
from fastlstm.layers.base import Array, Index, Layer, clear_empty
from fastlstm.workspace import Workspace


class Pooling(Layer, abstract=True):
    """Base of the layers from (N, T, F) to (N, F) that use every real step, and no padding.

    They give zeros for a sequence without a step.

    In a stream, each step gives the pool of all steps so far. A subclass writes `_begin` and `_advance` for this, and
    gives the names of the parts of the state.
    """

    input_shape: Shape = ("N", "T", "F")
    _parts: ClassVar[tuple[str, ...]] = ()

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            raise ValueError(f"{type(self).__name__} takes sequences (N, T, F), got {describe(shape)}")
        return (shape[0], shape[2])

    def _begin(self, n: int, features: int) -> tuple[Array, ...]:
        """The running state of n streams before their first step. The first axis of each array is N."""
        raise NotImplementedError(f"{type(self).__name__} must write begin")

    def _advance(self, x: Array, *state: Array) -> Array:
        """Add a step (N, F) to the state in place; returns the pool of all steps so far."""
        raise NotImplementedError(f"{type(self).__name__} must write advance")

    def start(self, batch: int, tape: Workspace) -> None:
        self.build()
        tape.notes["stream"] = None  # the number of features is known at the first step

    def step(self, x: Array, tape: Workspace) -> Array:
        n, t, features = x.shape
        if tape.notes["stream"] is None:
            tape.notes["stream"] = self._begin(n, features)
        known = tape.notes["stream"][0].shape[-1]
        if known != features:
            raise ValueError(f"x: expected {known} features, as the state of the stream has, got {features}")
        y = tape.array("y", x.shape, x.dtype)
        for k in range(t):
            y[:, k] = self._advance(x[:, k], *tape.notes["stream"])
        return y

    def reset(self, rows: Any, tape: Workspace) -> None:
        state = tape.notes["stream"]
        if state is not None:
            for old, new in zip(state, self._begin(len(state[0]), state[0].shape[-1]), strict=True):
                old[rows] = new[rows]

    def running_kinds(self, batch: int, shape: Shape) -> dict[str, tuple[Shape, Any]]:
        self.build()
        known = isinstance(shape[-1], int)
        state = self._begin(batch, shape[-1] if isinstance(shape[-1], int) else 2)  # 2, which is no size of a count
        return {
            name: ((batch, part.shape[1] if known or part.shape[1] == 1 else shape[-1]), part.dtype)
            for name, part in zip(self._parts, state, strict=True)
        }

    def running(self, tape: Workspace) -> dict[str, Array]:
        state = tape.notes["stream"]
        return {} if state is None else {name: part.copy() for name, part in zip(self._parts, state, strict=True)}

    def go_on(self, state: dict[str, Array], tape: Workspace) -> None:
        tape.notes["stream"] = tuple(state[name].copy() for name in self._parts) if state else None

    def carry(self, index: Index, tape: Workspace) -> None:
        raise ValueError(f"{type(self).__name__} cannot carry a state: it gives one output for a whole sequence")

    def config(self) -> dict[str, Any]:
        return {}


class MeanPool(Pooling):
    """(N, T, F) to (N, F): the mean over the real steps of each sequence.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> model = fl.Model([fl.MeanPool()])
    >>> model.predict([[[1], [3], [8]], [[1], [3], [8]]], lengths=[3, 2])
    array([[4.],
           [2.]], dtype=float32)
    """

    _parts = ("total", "count")

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        tape.notes["shape"], tape.notes["lengths"] = x.shape, lengths
        y = tape.array("y", (x.shape[0], x.shape[2]), x.dtype)
        clear_empty(y, lengths)
        for rows, length in pieces(x.shape, lengths):
            np.mean(x[rows, :length], axis=1, out=y[rows])
        return y

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        if not input_gradient:
            return None
        shape = tape.notes["shape"]
        dx = tape.array("dx", shape, dy.dtype)
        clear_empty(dx, tape.notes["lengths"])
        for rows, length in pieces(shape, tape.notes["lengths"]):
            dx[rows, :length] = (dy[rows] / dy.dtype.type(length))[:, None]
            dx[rows, length:] = 0
        return dx

    def _begin(self, n: int, features: int) -> tuple[Array, ...]:
        return np.zeros((n, features)), np.zeros((n, 1))

    def _advance(self, x: Array, *state: Array) -> Array:
        total, count = state
        total += x
        count += 1
        return total / count


class MaxPool(Pooling):
    """(N, T, F) to (N, F): the largest value of each feature over the real steps of each sequence.

    If several steps have this value, the gradient goes to the first of them.

    Examples
    --------
    >>> import fastlstm as fl
    >>> fl.MaxPool()([[[1, 5], [3, 2]]])
    array([[3., 5.]], dtype=float32)
    """

    _parts = ("largest",)

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        n, _, features = tape.notes["shape"] = x.shape
        tape.notes["lengths"] = lengths
        y = tape.array("y", (n, features), x.dtype)
        at = tape.array("at", (n, features), np.intp)
        clear_empty(y, lengths)
        clear_empty(at, lengths)
        for rows, length in pieces(x.shape, lengths):
            np.max(x[rows, :length], axis=1, out=y[rows])
            if training:
                np.argmax(x[rows, :length], axis=1, out=at[rows])
        return y

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        if not input_gradient:
            return None
        dx = tape.zeros("dx", tape.notes["shape"], dy.dtype)
        at = tape.array("at", dy.shape, np.intp)
        np.put_along_axis(dx, at[:, None], dy[:, None], axis=1)
        clear_empty(dx, tape.notes["lengths"])
        return dx

    def _begin(self, n: int, features: int) -> tuple[Array, ...]:
        assert self.dtype is not None
        return (np.full((n, features), np.finfo(self.dtype).min, self.dtype),)

    def _advance(self, x: Array, *state: Array) -> Array:
        (largest,) = state
        return np.maximum(largest, x, out=largest)


def pieces(shape: tuple[int, ...], lengths: Index | None) -> Iterator[tuple[slice, int]]:
    """Rows of a batch (N, T, ...) with the same number of real steps, and this number: all at once, or one by one.

    Rows without a step are left out.
    """
    if lengths is None:
        yield slice(None), shape[1]
    else:
        for row, length in enumerate(lengths.tolist()):
            if length:
                yield slice(row, row + 1), length
