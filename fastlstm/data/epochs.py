"""Batches that can be iterated many times."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from fastlstm import _check


class Epochs(ABC):
    """Base of the iterables of batches. Each iteration is an epoch in an order of its own.

    The order depends only on the seed and the number of the epoch, so that ``at(3)`` gives the same batches at any
    time, and a training can go on where it was interrupted.

    Attributes
    ----------
    epoch : int
        Number of the last epoch that ``iter`` has begun, 0 before the first. It may be set.
    """

    epoch: int = 0

    @abstractmethod
    def at(self, epoch: int) -> Iterator[Any]:
        """The batches of an epoch. Epochs are numbered from 1.

        Parameters
        ----------
        epoch : int
            Its number, from 1.

        Returns
        -------
        iterator of batches
            The same ones whenever the epoch is asked for.
        """

    def __iter__(self) -> Iterator[Any]:
        self.epoch += 1
        return self.at(self.epoch)

    def map(self, function: Callable[..., Any]) -> Mapped:
        """The same batches, each after a function of (x, y, ...) that returns a new batch.

        >>> from fastlstm.data import Arrays
        >>> batches = Arrays([[1], [2]], [3, 4], batch_size=2).map(lambda x, y: (x * 0.5, y))
        >>> next(iter(batches))[0].tolist()
        [[0.5], [1.0]]
        """
        if not callable(function):
            raise TypeError(f"function: expected a function of a batch's arrays, got {function!r:.80}")
        return (SizedMapped if hasattr(self, "__len__") else Mapped)(self, function)


class Mapped(Epochs):
    """See `Epochs.map`."""

    def __init__(self, source: Epochs, function: Callable[..., Any]) -> None:
        self._source, self._function = source, function

    def at(self, epoch: int) -> Iterator[Any]:
        for batch in self._source.at(epoch):
            yield self._function(*batch)


class SizedMapped(Mapped):
    """See `Epochs.map`, for a source with a length."""

    def __len__(self) -> int:
        return len(self._source)  # type: ignore[arg-type] # see Epochs.map


class FromGenerator(Epochs):
    """Batches from a function of the number of the epoch.

    Parameters
    ----------
    function : function of an int
        Takes the number of the epoch, from 1, and returns an iterable of batches: (x, y), (x, y, lengths) or
        (x, y, lengths, weight).

    Raises
    ------
    TypeError
        If function cannot be called.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.data import FromGenerator
    >>> def batches(epoch):
    ...     rng = np.random.default_rng([0, epoch])
    ...     for _ in range(100):
    ...         x = rng.normal(size=(32, 20, 1))
    ...         yield x, x.sum(1)
    >>> x, y = next(iter(FromGenerator(batches)))
    >>> x.shape, y.shape
    ((32, 20, 1), (32, 1))
    """

    def __init__(self, function: Callable[[int], Iterable[Any]]) -> None:
        if not callable(function):
            raise TypeError(f"function: expected a function of the number of the epoch, got {function!r}")
        self._function = function

    def at(self, epoch: int) -> Iterator[Any]:
        return iter(self._function(epoch))


def rng_of(seed: int, epoch: int) -> np.random.Generator:
    """The generator of one epoch; it depends only on the seed and the number of the epoch."""
    if isinstance(epoch, bool) or not isinstance(epoch, int | np.integer) or epoch < 0:
        raise ValueError(f"epoch: expected a whole number of at least 0, got {epoch!r}")
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(epoch),)))


def seed_of(seed: int | None) -> int:
    """The seed for all epochs. None draws one from the operating system."""
    checked = _check.seed_of(seed)
    return int(np.random.SeedSequence().generate_state(1)[0]) if checked is None else checked
