"""Batches of arrays that may be larger than memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.data.epochs import Epochs, rng_of, seed_of
from fastlstm.unpack import whole

Array = NDArray[Any]


class Arrays(Epochs):
    """Batches of sequences, in a new order in each epoch. Of arrays on disk each batch reads only its own part.

    Parameters
    ----------
    x, y : (N, ...) arrays, or paths of .npy files
        Files are mapped into memory, not loaded; so are views of them, such as
        ``windows(np.load(path, mmap_mode="r"), ...)``. Any object with a shape that takes a rising array of indices
        will do, such as a dataset of h5py.
    batch_size : int, default 32
        The last batch of an epoch may be smaller.
    lengths : (N,) ints from 0 to T, optional
        Number of real steps of each sequence.
    weight : (N,) or (N, T), optional
        What each sequence or step counts.
    shuffle : bool, default True
        Whether each epoch has an order of its own. Within a batch the sequences keep the order of the data.
    block : int, optional
        Number of neighbouring sequences that stay together: the blocks come in random order, and sequences are shuffled
        within their block only. This helps on disks that are slow at scattered reads; about ten batches are a good
        block. By default all sequences are shuffled together.
    trim : bool, default False
        Whether a batch is read only to the end of its longest sequence. This cuts x, and y and weight if their second
        axis is T.
    seed : int or None, default 0
        Seed of the order; None draws one.

    Yields
    ------
    (x, y), with lengths (x, y, lengths), or with weight (x, y, lengths or None, weight)
        The arrays are copies and may be kept.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If there is no sequence, y, lengths or weight do not fit to x, a number is outside its range, or a file is no
        .npy file.
    OSError
        If a file cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.data import Arrays
    >>> np.save("x.npy", np.zeros((100, 20, 3), "float32"))
    >>> batches = Arrays("x.npy", np.arange(100), batch_size=32)
    >>> [x.shape for x, y in batches]
    [(32, 20, 3), (32, 20, 3), (32, 20, 3), (4, 20, 3)]
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        batch_size: int = 32,
        *,
        lengths: Any = None,
        weight: Any = None,
        shuffle: bool = True,
        block: int | None = None,
        trim: bool = False,
        seed: int | None = 0,
    ) -> None:
        self._x, self._y = _opened(x, "x"), _opened(y, "y")
        self.size = len(self._x)
        if not self.size:
            raise ValueError("x: expected at least one sequence, got none")
        if len(self._y) != self.size:
            raise ValueError(f"y: expected {self.size} targets, one for each sequence of x, got {len(self._y)}")
        self._batch_size = _check.positive_int(batch_size, "batch_size")
        self._block = self.size if block is None else _check.positive_int(block, "block")
        self._trim = _check.flag(trim, "trim")
        self._shuffle, self._seed = _check.flag(shuffle, "shuffle"), seed_of(seed)
        self._lengths = None
        if lengths is not None:
            if len(self._x.shape) < 2:
                raise ValueError(f"x: expected shape (N, T, ...) with lengths, got {_check.describe(self._x.shape)}")
            self._lengths = _check.int_array(lengths, "lengths", (self.size,), 0, self._x.shape[1])
        self._weight = None if weight is None else _opened(weight, "weight")
        if self._weight is not None and len(self._weight) != self.size:
            raise ValueError(f"weight: expected {self.size}, one for each sequence of x, got {len(self._weight)}")

    def __len__(self) -> int:
        return -(-self.size // self._batch_size)

    def at(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        order = self._order(rng_of(self._seed, epoch))
        return (self._batch(np.sort(order[k : k + self._batch_size])) for k in range(0, self.size, self._batch_size))

    def _order(self, rng: np.random.Generator) -> NDArray[np.intp]:
        order = np.arange(self.size)
        if not self._shuffle:
            return order
        blocks = [order[k : k + self._block] for k in range(0, self.size, self._block)]
        for block in blocks:
            rng.shuffle(block)
        return np.concatenate([blocks[k] for k in rng.permutation(len(blocks))])

    def _batch(self, chosen: NDArray[np.intp]) -> tuple[Any, ...]:
        lengths = None if self._lengths is None else self._lengths[chosen]
        x, y, weight = (
            None if source is None else self._read(source, chosen, lengths)
            for source in (self._x, self._y, self._weight)
        )
        if weight is not None:
            return x, y, lengths, weight
        return (x, y) if lengths is None else (x, y, lengths)

    def _read(self, source: Any, chosen: NDArray[np.intp], lengths: NDArray[np.intp] | None) -> Array:
        """A copy of the chosen rows."""
        if self._trim and lengths is not None and source.shape[1:2] == self._x.shape[1:2]:
            return _check.as_array(source[chosen, : max(1, int(lengths.max()))], "source")
        return _check.as_array(source[chosen], "source")


def _opened(source: Any, name: str) -> Any:
    """An array; a file is mapped into memory."""
    if isinstance(source, str | os.PathLike):
        if os.fspath(source).endswith(".npz"):
            raise ValueError(f"{name}: expected a .npy file, which can be mapped, got {os.fspath(source)!r}")
        with whole(f"{name}: {os.fspath(source)}", "a .npy file"):
            source = np.lib.format.open_memmap(source, mode="r")
    elif not (hasattr(source, "shape") and hasattr(source, "__getitem__")) or hasattr(source, "iloc"):
        source = _check.as_array(source, name)
    if not source.shape:
        raise ValueError(f"{name}: expected an array of N sequences, got a single number")
    return source
