"""Ragged batches: sequences of different lengths as rows in ragged order, without padding."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from fastlstm._kernels import rows
from fastlstm._kernels.layout import RaggedOrder
from fastlstm.layers.base import Array, Index


class RaggedBatch(RaggedOrder):
    """The ragged order of a batch (N, T, F), and its S rows in that order, S being the sum of the lengths.

    The rows are those of step 0, then those of step 1, and so on; at each step the longest sequence comes first. The
    plain path copies batches into this order. The kernels read and write them where they lie.

    Parameters
    ----------
    n, t : int
        N and T.
    lengths : (N,) ints from 0 to T, optional
        Steps of each sequence; T by default. The order has a step of an empty sequence, because kernels run one.
    time_first : bool, default False
        Whether arrays of the batch lie as (T, N, F). All its sequences are full then.

    Attributes
    ----------
    full : bool
        Whether every sequence has T steps. The order of the sequences is then that of the batch.
    offset : (longest + 1,)
        The number of rows of all steps before each step.
    size : int
        S.
    ends : (N,)
        The row of each sequence's last step, the longest sequence first.
    empty : (K,), or None
        The sequences without a step, if there are some. What kernels make of them counts for nothing.
    """

    def __init__(self, n: int, t: int, lengths: Index | None = None, *, time_first: bool = False) -> None:
        self.empty, self.time_first = None, time_first
        if lengths is not None and not lengths.all():
            self.empty, lengths = np.flatnonzero(lengths == 0), np.maximum(lengths, 1)
        super().__init__(n, t, lengths)
        self.full = lengths is None or int(self.lengths[-1]) == t
        self.offset = np.concatenate([[0], np.cumsum(self.alive[: self.longest])])
        self.size = int(self.offset[-1])
        self.ends = self.offset[self.lengths - 1] + np.arange(n)

    def shape(self, width: int) -> tuple[int, int, int]:
        """The shape of an array of the batch with so many numbers a row."""
        return (self.T, self.N, width) if self.time_first else (self.N, self.T, width)

    @property
    def strides(self) -> tuple[int, int]:
        """The rows from a sequence to the next one, and from a step to the next one."""
        return (1, self.N) if self.time_first else (self.T, 1)

    @cached_property
    def _places(self) -> tuple[Index, Index]:
        """The step and the sequence of each row, where not all sequences are full."""
        steps, sequences = np.nonzero(self.lengths > np.arange(self.longest)[:, None])
        return steps, sequences

    @cached_property
    def source(self) -> Index:
        """The row of (N·T) that each row comes from."""
        if self.full:
            of_sequence, of_step = self.strides
            return (np.arange(self.T)[:, None] * of_step + np.arange(self.N) * of_sequence).reshape(-1)
        steps, sequences = self._places
        found: Index = self.index[sequences] * self.T + steps
        return found

    @cached_property
    def reversed(self) -> Index:
        """For each row, the row that takes its place when each sequence is reversed within its own length."""
        if self.full:
            rows_of_steps = np.arange(self.size, dtype=np.intp).reshape(self.T, self.N)
            return np.ascontiguousarray(rows_of_steps[::-1]).reshape(-1)
        steps, sequences = self._places
        return np.ascontiguousarray(self.offset[self.lengths[sequences] - 1 - steps] + sequences)

    def gather(self, x: Array, out: Array) -> Array:
        """Copy a batch (N, T, F) to rows (S, F)."""
        if not self.full:
            rows.gather(x.reshape(-1, x.shape[2]), self.source, out)
        else:
            np.copyto(out.reshape(self.T, self.N, -1), x if self.time_first else x.transpose(1, 0, 2))
        return out

    def scatter(self, x: Array, out: Array) -> Array:
        """Copy rows (S, F) to a batch (N, T, F), with zeros beyond each sequence's end."""
        if not self.full:
            place = np.full(self.N * self.T, -1, np.intp)
            place[self.source] = np.arange(self.size)
            rows.gather(x, place, out.reshape(-1, out.shape[2]))
        else:
            steps = x.reshape(self.T, self.N, -1)
            np.copyto(out, steps if self.time_first else steps.transpose(1, 0, 2))
        return out

    def clear_padding(self, x: Array) -> None:
        """Write zeros into a batch (N, T, F) beyond each sequence's end."""
        if not self.full:
            for sequence, length in zip(self.index.tolist(), self.lengths.tolist(), strict=True):
                x[sequence, length:] = 0

    def without_empty(self, x: Array) -> Array:
        """A batch (N, ...) with zeros for the sequences without a step: a copy, or x itself if there are none."""
        if self.empty is None:
            return x
        out = x.copy()
        out[self.empty] = 0
        return out

    def keep_empty(self, after: tuple[Array, ...], before: tuple[Array, ...] | None) -> None:
        """Give the sequences without a step the state that they had before, zeros for None. Parts are (..., N, H)."""
        if self.empty is not None:
            for k, part in enumerate(after):
                part[:, self.empty] = 0 if before is None else before[k][:, self.empty]

    def gather_states(self, state: Array) -> Array:
        """States (N, H) with the longest sequence first, from those in the order of the batch."""
        return state if self.full else state[self.index]

    def scatter_states(self, state: Array, out: Array) -> None:
        """Copy states (N, H) with the longest sequence first to `out`, in the order of the batch."""
        out[slice(None) if self.full else self.index] = state
