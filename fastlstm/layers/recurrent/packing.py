"""The order in which the LSTM kernel walks a batch: step after step, the longest sequence first, without padding."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from fastlstm._kernels import rows
from fastlstm.layers.base import Array, Index


class Packing:
    """Layout of N sequences of up to T steps as S rows, S the sum of their lengths.

    Attributes
    ----------
    alive : (T',) rows at each step, T' the longest length
    order : (N,) place in the batch of each packed sequence, or None where they stay as they are
    before : (T' + 1,) rows of all steps before each
    ends : (N,) packed row of each packed sequence's last step
    lengths : (N,) steps of each packed sequence
    full : whether every sequence has T steps
    size : S
    """

    def __init__(self, n: int, t: int, lengths: Index | None) -> None:
        self.n, self.t = n, t
        self.full = lengths is None
        self.order: Index | None = None
        if lengths is None:
            self.lengths = np.full(n, t, np.intp)
            self.alive = np.full(t, n, np.intp)
        else:
            self.order = np.argsort(-lengths, kind="stable")
            self.lengths = lengths[self.order]
            self.alive = np.searchsorted(-self.lengths, -np.arange(self.lengths[0])).astype(np.intp)
        self.before = np.concatenate([[0], np.cumsum(self.alive)])
        self.size = int(self.before[-1])
        self.ends = self.before[self.lengths - 1] + np.arange(n)

    @cached_property
    def _places(self) -> tuple[Index, Index]:
        """Step and packed sequence of each packed row, where not all sequences are full."""
        steps, sequences = np.nonzero(self.lengths > np.arange(self.lengths[0])[:, None])
        return steps, sequences

    @cached_property
    def _index(self) -> Index:
        """Row of (N·T) of each packed row, likewise."""
        steps, sequences = self._places
        assert self.order is not None
        return self.order[sequences] * self.t + steps

    @cached_property
    def reverse(self) -> Index:
        """Packed row of the mirrored step of the same sequence: each sequence turned round within its own length."""
        if self.full:
            return np.ascontiguousarray(np.arange(self.size, dtype=np.intp).reshape(self.t, self.n)[::-1]).reshape(-1)
        steps, sequences = self._places
        return np.ascontiguousarray(self.before[self.lengths[sequences] - 1 - steps] + sequences)

    def pack(self, x: Array, out: Array) -> Array:
        """(N, T, F) to (S, F)."""
        if not self.full:
            rows.gather(x.reshape(-1, x.shape[2]), self._index, out)
        else:
            np.copyto(out.reshape(self.t, self.n, -1), x.transpose(1, 0, 2))
        return out

    def unpack(self, packed: Array, out: Array) -> Array:
        """(S, F) to (N, T, F), zeros beyond each sequence's end."""
        if not self.full:
            place = np.full(self.n * self.t, -1, np.intp)
            place[self._index] = np.arange(self.size)
            rows.gather(packed, place, out.reshape(-1, out.shape[2]))
        else:
            np.copyto(out, packed.reshape(self.t, self.n, -1).transpose(1, 0, 2))
        return out

    def clear_beyond(self, x: Array) -> None:
        """Set what of x (N, T, F) lies beyond each sequence's end to zero."""
        if self.order is not None:
            for place, length in zip(self.order.tolist(), self.lengths.tolist(), strict=True):
                x[place, length:] = 0

    def pack_batch(self, state: Array) -> Array:
        """(N, H) in the batch's order to the packed one."""
        return state if self.order is None else state[self.order]

    def unpack_batch(self, packed: Array, out: Array) -> None:
        """(N, H) in the packed order to the batch's, into out."""
        out[slice(None) if self.order is None else self.order] = packed
