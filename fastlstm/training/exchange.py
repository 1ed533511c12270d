"""What the ranks of a training tell each other, within a time limit."""

from __future__ import annotations

import json
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastlstm.communicator import Communicator, Pending
from fastlstm.snapshot import State, from_bytes, to_bytes

Array = NDArray[Any]


class RankError(RuntimeError):
    """Another rank has failed, or is at work on something else."""


class Exchange:
    """Sums, and what else the ranks of a training tell each other. A context within which time is limited.

    Parameters
    ----------
    communicator : Communicator
    """

    def __init__(self, communicator: Communicator) -> None:
        self._communicator = communicator
        self.rank, self.size = communicator.rank, communicator.size
        self._waits: tuple[float, str] | None = None  # since when it waits, and for what
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self._over = threading.Event()
        threading.Thread(target=self._watch, args=(self._over,), name="fastlstm-time-limit", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()

    def _watch(self, over: threading.Event) -> None:
        """End all ranks when this one has waited for too long."""
        limit = self._communicator.timeout
        while not over.wait(min(1.0, limit / 4)):
            waits = self._waits
            if waits is not None and time.monotonic() - waits[0] > limit:
                self._communicator.abort(
                    f"{self} has waited {limit:g} s for the other ranks: {waits[1]}. Every rank must make the same "
                    "calls; timeout= of the communicator sets the limit"
                )

    def __str__(self) -> str:
        return f"rank {self.rank} of {self.size}"

    @contextmanager
    def _waiting(self, what: str) -> Iterator[None]:
        self._waits = (time.monotonic(), what)
        try:
            yield
        finally:
            self._waits = None

    def sum(self, array: Array, what: str = "a sum") -> None:
        """Replace a contiguous array by the sum over all ranks."""
        with self._waiting(what):
            self._communicator.sum(array)

    def begin_sum(self, array: Array) -> Pending:
        return self._communicator.begin_sum(array)

    def finish(self, pending: Pending, what: str) -> None:
        with self._waiting(what):
            pending.wait()

    def exchange(self, array: Array, what: str) -> Array:
        """Part k of the array (size, ...) goes to rank k; returns the parts (size, ...) that come from the ranks."""
        with self._waiting(what):
            return self._communicator.exchange(array)

    def gather(self, array: Array, what: str) -> Array:
        """The arrays of all ranks, (size, ...). They have the same shape."""
        with self._waiting(what):
            return self._communicator.gather(array)

    def gather_states(self, state: State, what: str) -> list[State]:
        """What each rank has: dicts and lists of numbers, words, None and arrays, no pickles."""
        own = np.frombuffer(to_bytes(state), np.uint8)
        sizes = self.gather(np.array([float(len(own))]), what).astype(int)[:, 0]
        padded = np.zeros(int(sizes.max()), np.uint8)
        padded[: len(own)] = own
        found = self.gather(padded, what)
        return [from_bytes(row[:size].tobytes()) for row, size in zip(found, sizes, strict=True)]

    def share(self, state: State | None, what: str) -> State | None:
        """The state of rank 0, on every rank."""
        own = np.frombuffer(to_bytes({"state": state}), np.uint8) if self.rank == 0 else np.empty(0, np.uint8)
        size = np.array([float(len(own))])
        with self._waiting(what):
            self._communicator.broadcast(size)
            content = np.empty(int(size[0]), np.uint8)
            content[: len(own)] = own
            self._communicator.broadcast(content)
        found: State | None = from_bytes(content.tobytes())["state"]
        return found

    @contextmanager
    def together(self, what: str) -> Iterator[None]:
        """Raise on every rank if one rank has an error within this context, in which ranks tell each other nothing."""
        error: Exception | None = None
        try:
            yield
        except Exception as found:
            error = found
        said = "" if error is None else f"{type(error).__name__}: {error}"
        others = [state["error"] for state in self.gather_states({"error": said}, what)]
        first = next((rank for rank, other in enumerate(others) if other), None)
        if error is not None:
            raise of_all_ranks(error, told=first != self.rank)
        if first is not None:
            raise of_all_ranks(
                RankError(f"rank {first} of {self.size} has failed at {what}: {others[first]}"), told=True
            )

    def require_same(self, what: str, found: State) -> None:
        """Raise on every rank if what a rank has is not what rank 0 has."""
        first, *others = self.gather_states(found, what)
        for rank, other in enumerate(others, 1):
            for name, value in first.items():
                if not same(other.get(name), value):
                    message = (
                        f"{name}: expected the same on every rank, got {shown(value)} on rank 0 and "
                        f"{shown(other.get(name))} on rank {rank}, at {what}{HINTS.get(name, '')}"
                    )
                    raise self.agreed(RankError(message))

    def agreed(self, error: Exception) -> Exception:
        """An error that every rank raises now. It does not end the others, and rank 0 tells of it."""
        return of_all_ranks(error, told=self.rank > 0)

    def fail(self, error: BaseException) -> None:
        """End all ranks, with the error of this one, unless all have it."""
        if not hasattr(error, "told_elsewhere"):
            if self.rank:
                time.sleep(1)  # rank 0 may have the same error: then it tells of it, and ends all
            traceback.print_exception(error, file=sys.stderr)
            self._communicator.abort(f"{self} has failed: {type(error).__name__}: {error}")


HINTS = {
    "data": "; each rank must get all of the data, of which it takes its own share",
    "parameters": "; give the model a seed, or load it from one file",
    "parameters now": "; they were the same before: something, such as a callback, has changed them on one rank alone",
}
"""What to do about a difference between the ranks, by its name."""


def of_all_ranks(error: Exception, *, told: bool) -> Exception:
    """Note in an error that every rank raises one now, and whether another rank tells the user of it."""
    error.told_elsewhere = told  # type: ignore[attr-defined]
    return error


def same(a: Any, b: Any) -> bool:
    """Whether two values are the same, NaN included."""
    return json.dumps(a) == json.dumps(b)


def shown(value: Any) -> str:
    return f"{value!r:.60}"
