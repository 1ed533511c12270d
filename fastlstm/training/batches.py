"""The data of a training, in mini-batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from fastlstm.training.batch import Array, Batch, Index, Whole, buffer
from fastlstm.training.checked import Lazy, digest
from fastlstm.training.shares import WHOLE, Share
from fastlstm.workspace import Workspace

POOL = 50
"""Number of batches whose sequences are sorted by length together. A small number keeps the order nearly random."""


class Batches:
    """The data in mini-batches. An epoch contains every sequence once.

    All batches use the same buffers: each batch overwrites the one before.

    Parameters
    ----------
    data : Batch
        All sequences.
    batch_size : int
        Number of sequences in a batch. One batch of an epoch may have fewer.
    seed : int, optional
        Seed of the order, which is new in each epoch. None keeps the order of the data.
    bucket : bool, default False
        Whether sequences of similar lengths share a batch. Without lengths it has no effect.
    trim : bool, default True
        Whether each batch is cut to its longest sequence. Without lengths it has no effect.
    per_step : bool, default True
        Whether a target axis of length T is the time axis and is cut with x.
    """

    unit = "sequences"

    def __init__(
        self,
        data: Batch,
        batch_size: int,
        *,
        seed: int | None = None,
        bucket: bool = False,
        trim: bool = True,
        per_step: bool = True,
    ) -> None:
        self._data, self._batch_size, self._seed = data, batch_size, seed
        self._bucket = bucket and data.lengths is not None
        self._steps = data.x.shape[1]
        self._trim = trim and data.lengths is not None
        self._per_step = data.weights.ndim == 2
        self._cut_y = per_step and self._per_step
        self._even = bool((data.weights == 1).all())
        self._rooms: defaultdict[int, Workspace] = defaultdict(Workspace)  # buffers of each part
        self.size = len(data.x)

    @property
    def count(self) -> int:
        """Number of batches in an epoch."""
        return -(-self.size // self._batch_size)

    @property
    def fingerprint(self) -> str:
        """A word that differs for other data; see `digest`."""
        data = self._data
        return digest(data.x, data.y, data.weights, *([] if data.lengths is None else [data.lengths]))

    def at(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch after the first `start`. Epochs are counted from 1."""
        for (batch,) in self.parts(epoch, start):
            yield batch

    def parts(self, epoch: int, start: int = 0, shares: Sequence[Share] = WHOLE) -> Iterator[list[Batch]]:
        """These parts of the batches of an epoch after the first `start`. Only their own rows are read."""
        for chosen in self.plan(epoch)[start:]:
            yield [self._part(chosen, share) for share in shares]

    def plan(self, epoch: int) -> list[Index]:
        """The indices of the sequences in each batch of an epoch."""
        n, size, lengths = self.size, self._batch_size, self._data.lengths
        # a spawn key, so that the order does not use the random numbers of masks and starting values of the same seed
        seeds = None if self._seed is None else np.random.SeedSequence(self._seed, spawn_key=(2, epoch))
        rng = None if seeds is None else np.random.default_rng(seeds)
        order = np.arange(n) if rng is None else rng.permutation(n)
        if self._bucket and lengths is not None:
            for start in range(0, n, POOL * size):
                pool = order[start : start + POOL * size]
                pool[...] = pool[np.argsort(lengths[pool], kind="stable")]
        chosen = [order[start : start + size] for start in range(0, n, size)]
        if self._bucket and rng is not None:
            chosen = [chosen[k] for k in rng.permutation(len(chosen))]
        return chosen

    def _part(self, whole: Index, share: Share) -> Batch:
        """A part of the batch of these sequences. It is as long as the longest sequence of the whole batch."""
        lengths = None if self._data.lengths is None else self._data.lengths[whole]
        steps = max(1, int(lengths.max())) if lengths is not None and self._trim else self._steps
        room = self._rooms[share.index]
        if share.of == 1:
            return self._batch(whole, lengths, steps, room)
        rows, spare = share.cut(len(whole))
        batch = self._batch(whole[rows], None if lengths is None else lengths[rows], steps, room)
        batch.whole = Whole(len(whole), self._even or bool(self._data.weights[whole].any()))
        batch.first, batch.spare = rows.start, spare
        if spare:
            batch.even = False
            batch.weights[...] = 0
        return batch

    def _batch(self, chosen: Index, lengths: Index | None, steps: int, room: Workspace) -> Batch:
        """A batch of these sequences, cut to so many steps."""
        data = self._data
        if lengths is not None and (lengths == steps).all():
            lengths = None
        with_y = self._cut_y and data.y.ndim > 1 and data.y.shape[1] == self._steps
        return Batch(
            self._take("x", data.x, chosen, steps, room),
            self._take("y", data.y, chosen, steps if with_y else None, room),
            lengths,
            self._weights(chosen, steps, room),
            even=self._even,
        )

    def _weights(self, chosen: Index, steps: int, room: Workspace) -> Array:
        weights = self._data.weights
        if not self._even:
            return self._take("weights", weights, chosen, steps if self._per_step else None, room)
        whole = weights.shape[1:]
        shape = (len(chosen), *((steps,) if self._per_step and steps < self._steps else whole))
        ones = room.array("ones", shape, weights.dtype)
        ones.fill(1)  # a loss of the user may have changed them
        return ones

    def _take(self, name: str, source: Array | Lazy, chosen: Index, steps: int | None, room: Workspace) -> Array:
        """The chosen rows of `source` in a buffer, cut to `steps` steps if these are fewer than T."""
        cut = steps is not None and steps < self._steps
        shape = source.shape[1:] if not cut else (steps, *source.shape[2:])
        out = buffer(room, name, (len(chosen), *shape), source.dtype)
        if isinstance(source, Lazy):
            rows = source.array[chosen, :steps] if cut else source.array[chosen]
            np.copyto(out, rows, casting="unsafe")
            return out
        if not cut:
            # no index is out of range, but with the default mode NumPy would write to a temporary buffer first
            return source.take(chosen, axis=0, out=out, mode="clip")
        for row, k in enumerate(chosen):
            out[row] = source[k, :steps]
        return out
