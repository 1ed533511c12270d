"""Mini-batches from outside: from a generator, from files, or from a data set larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, Protocol, runtime_checkable

from fastlstm import _check
from fastlstm.model import Model
from fastlstm.training.batch import Batch
from fastlstm.training.checked import as_data
from fastlstm.training.shares import WHOLE, Share


@runtime_checkable
class Epochs(Protocol):
    """A source that gives the batches of an epoch by its number, counted from 1."""

    def at(self, epoch: int) -> Iterator[Any]: ...


class Feed:
    """Batches (x, y), (x, y, lengths) or (x, y, lengths, weight) from a source. Each batch is checked when it comes.

    A batch of empty sequences alone counts for nothing. An epoch needs one that counts, or its loss would be no number.

    Parameters
    ----------
    model : Model
    loss : Loss or function
    source : iterable, function, or object with a method ``at(epoch)``
        A function or a method returns the batches of an epoch. An iterable gives the batches of every epoch, but an
        iterator is not restarted: it continues from epoch to epoch.
    per_epoch : int, optional
        Number of batches in an epoch; by default all batches.
    name : str, default "batches"
        Name of the argument in error messages.

    Raises
    ------
    TypeError
        If source is none of these, or per_epoch is not a whole number.
    ValueError
        If per_epoch is below 1.
    """

    unit = "sequences"
    size = None

    def __init__(
        self,
        model: Model,
        loss: Any,
        source: Iterable[Any] | Callable[[int], Iterable[Any]],
        per_epoch: int | None = None,
        name: str = "batches",
    ) -> None:
        if not isinstance(source, Epochs | Iterable) and not callable(source):
            raise TypeError(f"{name}: expected an iterable of (x, y), or a function of the epoch, got {source!r}")
        self._model, self._loss, self._source, self._name = model, loss, source, name
        self._endless = isinstance(source, Iterator)
        self._position = 0
        if per_epoch is None and isinstance(source, Sized):
            per_epoch = len(source)
        self.count = None if per_epoch is None else _check.positive_int(per_epoch, "batches_per_epoch")

    def at(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch after the first `start`. Epochs are counted from 1."""
        count = None if self.count is None else self.count - start
        found, counts = 0, start > 0  # what came before a resumed training was checked then
        for item in islice(self._items(epoch, start), count):
            found += 1
            batch = self._batch(item, start + found)
            counts = counts or batch.counts
            yield batch
        if start + found == 0:
            hint = "; an iterator ends once: give a list, or a function of the epoch" if self._endless else ""
            raise ValueError(f"{self._name}: expected at least one batch in epoch {epoch}, got none{hint}")
        if not counts:
            raise ValueError(
                f"{self._name}: expected at least one real step with a weight above 0 in epoch {epoch}, got none"
            )

    def parts(self, epoch: int, start: int = 0, shares: Sequence[Share] = WHOLE) -> Iterator[list[Batch]]:
        """These parts of the batches of an epoch after the first `start`."""
        for batch in self.at(epoch, start):
            yield [batch.part(share) for share in shares]

    def _items(self, epoch: int, start: int) -> Iterator[Any]:
        source: Any = self._source
        if self._endless:
            behind = start if self.count is None else (epoch - 1) * self.count + start - self._position
            for _ in islice(self._count(source), max(0, behind)):
                pass
            return self._count(source)
        items = iter(source.at(epoch) if isinstance(source, Epochs) else source(epoch) if callable(source) else source)
        return islice(items, start, None)

    def _count(self, items: Iterator[Any]) -> Iterator[Any]:
        """The items. Counts how many were taken."""
        for item in items:
            self._position += 1
            yield item

    def _batch(self, item: Any, number: int) -> Batch:
        if not isinstance(item, tuple | list) or not 2 <= len(item) <= 4:
            got = f"{type(item).__name__} of {len(item)}" if isinstance(item, tuple | list) else type(item).__name__
            raise TypeError(f"{self._name}: expected (x, y[, lengths[, weight]]), got {got} at batch {number}")
        try:
            return as_data(self._model, self._loss, *item, *[None] * (4 - len(item)), may_be_empty=True)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{self._name}: batch {number}: {error}") from error
