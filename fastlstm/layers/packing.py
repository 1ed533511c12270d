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
    ends : (N,) packed row of each packed sequence's last step
    lengths : (N,) steps of each packed sequence
    full : whether every sequence has T steps
    size : S
    """

    def __init__(self, n: int, t: int, lengths: Index | None) -> None:
        self.n, self.t = n, t
        self.order: Index | None = None
        self._index: Index | None = None
        self.full = lengths is None
        if lengths is None:
            self.lengths = np.full(n, t, np.intp)
            self.alive = np.full(t, n, np.intp)
            self.ends = np.arange((t - 1) * n, t * n, dtype=np.intp)
            self.size = n * t
        else:
            self.order = np.argsort(-lengths, kind="stable")
            sorted_lengths = self.lengths = lengths[self.order]
            has_step = sorted_lengths > np.arange(sorted_lengths[0])[:, None]
            self.alive = has_step.sum(1, dtype=np.intp)
            self._offsets = np.cumsum(self.alive) - self.alive
            self._steps, self._sequences = np.nonzero(has_step)
            self._index = self.order[self._sequences] * t + self._steps
            self.ends = self._offsets[sorted_lengths - 1] + np.arange(n)
            self.size = len(self._index)

    @cached_property
    def reverse(self) -> Index:
        """Packed row of the mirrored step of the same sequence: each sequence turned round within its own length."""
        if self.full:
            return np.ascontiguousarray(np.arange(self.size, dtype=np.intp).reshape(self.t, self.n)[::-1]).reshape(-1)
        mirrored = self.lengths[self._sequences] - 1 - self._steps
        return np.ascontiguousarray(self._offsets[mirrored] + self._sequences)

    def pack(self, x: Array, out: Array) -> Array:
        """(N, T, F) to (S, F)."""
        if self._index is not None:
            rows.gather(x.reshape(-1, x.shape[2]), self._index, out)
        else:
            np.copyto(out.reshape(self.t, self.n, -1), x.transpose(1, 0, 2))
        return out

    def unpack(self, packed: Array, out: Array) -> Array:
        """(S, F) to (N, T, F), zeros beyond each sequence's end."""
        if self._index is not None:
            place = np.full(self.n * self.t, -1, np.intp)
            place[self._index] = np.arange(self.size)
            rows.gather(packed, place, out.reshape(-1, out.shape[2]))
        else:
            np.copyto(out, packed.reshape(self.t, self.n, -1).transpose(1, 0, 2))
        return out

    def pack_batch(self, state: Array) -> Array:
        """(N, H) in the batch's order to the packed one."""
        return state if self.order is None else state[self.order]

    def unpack_batch(self, packed: Array, out: Array) -> None:
        """(N, H) in the packed order to the batch's, into out."""
        out[slice(None) if self.order is None else self.order] = packed
