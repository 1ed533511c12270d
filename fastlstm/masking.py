"""Which steps of a batch are real: lengths, or a mask with holes.

A masked step keeps the state. So a sequence with holes is that of its real steps: these are moved to the front, what is
computed sees lengths alone, and outputs are moved back.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check

Array = NDArray[Any]
Index = NDArray[np.intp]
Room = Callable[[tuple[int, ...], Any], Array]


MOVED_BYTES = 1 << 16
"""About how many bytes are moved at a time in place: they stay in a core's cache."""


class Steps:
    """The real steps of N sequences of up to T steps.

    Parameters
    ----------
    lengths : (N,) ints from 0 to T, optional
        Number of real steps of each sequence, from the first one on.
    mask : (N, T) bools, or ints 0 and 1, optional
        Which steps are real. Only one of both may be given; without both, all steps are.
    n, t : int
        N and T.

    Attributes
    ----------
    lengths : (N,) ints, or None
        Number of real steps of each sequence; None if it is T for all.
    holes : bool
        Whether a sequence has a real step behind one that is not, so that `gather` moves steps.
    """

    def __init__(self, lengths: Any, mask: Any, n: int, t: int) -> None:
        self._shape, self.holes = (n, t), False
        if mask is None:
            self.lengths = _check.lengths_of(lengths, n, t)
            return
        if lengths is not None:
            raise ValueError("mask: expected either lengths or a mask, got both")
        self.real = _check.mask_of(mask, n, t)
        self.holes = bool((self.real[:, 1:] > self.real[:, :-1]).any())
        self.lengths = _check.lengths_of(self.real.sum(1), n, t)

    @cached_property
    def real(self) -> NDArray[np.bool_]:
        """Which steps are real, (N, T)."""
        n, t = self._shape
        if self.lengths is None:
            return np.ones((n, t), bool)
        found: NDArray[np.bool_] = np.arange(t) < self.lengths[:, None]
        return found

    def gather(self, x: Array, out: Room | None = None) -> Array:
        """A batch (N, T, ...) with the real steps of each sequence first; x itself if they are.

        It lies in an array that `out` gives for its shape and dtype, by default in a new one.
        """
        return x if not self.holes else self._taken(x, self._source, out)

    def back(self, y: Array, out: Room) -> Array:
        """The steps of (N, T, ...) where `gather` has taken them from, in an array that `out` gives; or y itself."""
        return y if not self.holes else self._taken(y, self._back, out)

    def scatter(self, y: Array, fill: str = "zero", *, own: bool = False) -> Array:
        """The steps of (N, T, ...) where `gather` has taken them from.

        Steps that are not real get what lies behind the real ones, or, if `fill` is "last", what the last real step
        before them has, and zeros before the first one. An array of one's `own`, which nobody else reads, is written
        over: a new one of its size may take longer to get from the system than to fill.
        """
        taken = self._moved if own and y.flags.c_contiguous and y.flags.writeable else self._taken
        if fill == "zero":
            return y if not self.holes else taken(y, self._back)
        if self.lengths is None:
            return y
        first = np.arange(self._shape[0])[:, None] * self._shape[1]
        out = taken(y, first + np.maximum(self._count - 1, 0))
        out[self._count == 0] = 0
        return out

    @cached_property
    def _count(self) -> Index:
        """The number of real steps up to each step, (N, T)."""
        return np.cumsum(self.real, axis=1)

    @cached_property
    def _back(self) -> Index:
        """The row of a gathered batch at which each step lies, (N, T)."""
        (n, t), count = self._shape, self._count
        place = np.where(self.real, count - 1, count[:, -1:] + np.arange(t) - count)
        return place + np.arange(n)[:, None] * t

    @cached_property
    def _source(self) -> Index:
        """The row of a batch from which each step of a gathered one comes, (N, T)."""
        source = np.empty(self._back.size, np.intp)
        source[self._back.reshape(-1)] = np.arange(source.size)
        return source

    @staticmethod
    def _taken(x: Array, rows: Index, out: Room | None = None) -> Array:
        """These rows of (N, T, ...), in the same shape."""
        found = np.empty(x.shape, x.dtype) if out is None else out(x.shape, x.dtype)
        # rows are in range; to raise an error if not, take would copy once more
        x.reshape(-1, *x.shape[2:]).take(rows.reshape(-1), 0, found.reshape(-1, *x.shape[2:]), "clip")
        return found

    @staticmethod
    def _moved(x: Array, rows: Index) -> Array:
        """The same in place, some sequences at a time: what is taken lies in the same sequence."""
        flat, (n, t) = x.reshape(-1, *x.shape[2:]), x.shape[:2]
        some = max(1, MOVED_BYTES * n // max(1, x.nbytes))
        room = np.empty((min(some, n) * t, *x.shape[2:]), x.dtype)
        for first in range(0, n, some):
            part = flat[first * t : (first + some) * t]
            part[...] = flat.take(rows[first : first + some].reshape(-1), 0, room[: len(part)], "clip")
        return x


def padded(x: Any, name: str = "x") -> tuple[Any, Index | None]:
    """A list of sequences of different lengths as one array (N, T, ...) with zeros behind them, and the lengths.

    Anything else is returned as it is, with None.
    """
    if not isinstance(x, list | tuple) or len({_steps_of(one) for one in x}) < 2:
        return x, None
    parts = [_check.as_array(one, f"{name} {k}") for k, one in enumerate(x)]
    real = [part for part in parts if part.size] or parts
    shapes = sorted({part.shape[1:] for part in real if part.ndim})
    if len(shapes) != 1 or any(part.ndim == 0 for part in parts):
        got = " and ".join(_check.describe(shape) for shape in sorted({part.shape for part in parts})[:3])
        raise ValueError(f"{name}: expected a list of sequences with the same features, got shapes {got}")
    lengths = np.array([len(part) for part in parts], np.intp)
    out = np.zeros((len(parts), int(lengths.max()), *shapes[0]), np.result_type(*real))
    for row, part in zip(out, parts, strict=True):
        row[: len(part)] = part.reshape(-1, *shapes[0])
    return out, lengths


def _steps_of(sequence: Any) -> int | None:
    """The number of steps of a sequence; None if it is none."""
    try:
        return len(sequence)
    except TypeError:
        return None


def fill_of(fill: Any) -> str:
    """What outputs at steps that are not real hold, checked."""
    if not (isinstance(fill, str) and fill in ("zero", "last")):
        raise ValueError(f"fill: expected 'zero' or 'last', got {fill!r:.80}")
    return fill
