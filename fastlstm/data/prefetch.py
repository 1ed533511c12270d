"""Reading batches ahead in a thread."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fastlstm import _check


class Prefetched:
    """See `prefetch`."""

    def __init__(self, source: Any, ahead: int) -> None:
        self._source, self._ahead = source, ahead

    def __iter__(self) -> Iterator[Any]:
        return _read(lambda: iter(self._source), self._ahead)


class _Sized(Prefetched):
    def __len__(self) -> int:
        return len(self._source)


class _Numbered(Prefetched):
    def __iter__(self) -> Iterator[Any]:
        epoch = iter(self._source)  # now, and not in the thread: it counts the epoch
        return _read(lambda: epoch, self._ahead)

    def at(self, epoch: int) -> Iterator[Any]:
        """The batches of an epoch."""
        batches = self._source.at(epoch)
        return _read(lambda: batches, self._ahead)


class _SizedNumbered(_Sized, _Numbered):
    pass


def prefetch(iterable: Iterable[Any], ahead: int = 2) -> Any:
    """Read the next batches in a thread while the model computes on the present one.

    The batches and their order stay the same. An error of the iterable is raised in place of its batch. If a loop is
    left early, the thread ends after the batch that it is reading.

    Parameters
    ----------
    iterable : iterable of batches
        It must not change a batch that it has given.
    ahead : int, default 2
        Number of batches that are kept ready at most.

    Returns
    -------
    iterable of the same batches
        It has ``at(epoch)`` and a length if the first one has them.

    Raises
    ------
    TypeError
        If iterable is none, or ahead is not a whole number.
    ValueError
        If ahead is below 1.

    Examples
    --------
    >>> from fastlstm.data import Arrays, prefetch
    >>> batches = prefetch(Arrays([[1], [2], [3]], [1, 2, 3], batch_size=2, shuffle=False))
    >>> [x.tolist() for x, y in batches], len(batches)
    ([[[1], [2]], [[3]]], 2)
    """
    ahead = _check.positive_int(ahead, "ahead")
    if not hasattr(iterable, "__iter__"):
        raise TypeError(f"iterable: expected an iterable of batches, got {iterable!r}")
    sized, numbered = hasattr(iterable, "__len__"), hasattr(iterable, "at")
    kind = {(0, 0): Prefetched, (1, 0): _Sized, (0, 1): _Numbered, (1, 1): _SizedNumbered}[sized, numbered]
    return kind(iterable, ahead)


def _read(begin: Callable[[], Iterator[Any]], ahead: int) -> Iterator[Any]:
    """The items of an iterator, read by a thread that ends with this generator."""
    channel = _Channel(ahead)
    thread = threading.Thread(target=_fill, args=(begin, channel), name="fastlstm-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error, end = channel.get()
            if error is not None:
                raise error
            if end:
                return
            yield item
    finally:
        if not sys.is_finalizing():  # then threads no longer run, and a lock may never be released
            channel.close()
            if thread is not threading.current_thread():  # a garbage collection may run this in any thread
                thread.join()


def _fill(begin: Callable[[], Iterator[Any]], channel: _Channel) -> None:
    source: Iterator[Any] = iter(())
    try:
        source = begin()
        for item in source:
            if not channel.put((item, None, False)):
                break
        channel.put((None, None, True))
    except BaseException as error:  # the consumer gets any error
        channel.put((None, error, False))
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()


class _Channel:
    """A queue of limited size. Either side can leave it, and the other does not wait for ever."""

    def __init__(self, limit: int) -> None:
        self._items: deque[Any] = deque()
        self._limit, self._closed = limit, False
        self._changed = threading.Condition()

    def put(self, item: Any) -> bool:
        """Wait for room and add an item; False if the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._limit)
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()
            return not self._closed

    def get(self) -> Any:
        """Wait for an item and take it."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items))
            self._changed.notify_all()
            return self._items.popleft()

    def close(self) -> None:
        """Take no more items, and drop those that are there."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()
