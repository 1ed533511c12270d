"""Ranks that are threads of this process, for tests of what several processes do together."""

import threading

import numpy as np


class Ended(BaseException):
    """A rank has ended all others."""


class Group:
    """What the ranks share."""

    def __init__(self, size):
        self.size, self.barrier = size, threading.Barrier(size, timeout=20)
        self.arrays, self.aborted = [None] * size, None


class Threads:
    """A communicator between threads."""

    def __init__(self, group, rank, timeout=60.0):
        self.rank, self.size, self.timeout, self._group = rank, group.size, timeout, group
        self.calls = []

    def _all(self, array, call):
        """Copies of the arrays of all ranks."""
        group = self._group
        group.arrays[self.rank] = (call, array.shape, array.dtype, array)
        self._meet()
        assert len({each[:3] for each in group.arrays}) == 1, [each[:3] for each in group.arrays]
        found = [each[3].copy() for each in group.arrays]
        self._meet()
        self.calls.append((call, array.nbytes))
        return found

    def _meet(self):
        try:
            self._group.barrier.wait()
        except threading.BrokenBarrierError:
            raise Ended(self._group.aborted) from None

    def sum(self, array):
        assert array.flags.c_contiguous and array.dtype.kind == "f"
        array[...] = np.sum(self._all(array, "sum"), axis=0)

    def begin_sum(self, array):
        return Later(self, array)

    def gather(self, array):
        return np.stack(self._all(array, "gather"))

    def exchange(self, array):
        return np.stack([each[self.rank] for each in self._all(array, "exchange")])

    def broadcast(self, array):
        array[...] = self._all(array, "broadcast")[0]

    def abort(self, message):
        self._group.aborted = self._group.aborted or message
        self._group.barrier.abort()


class Later:
    """A sum that is made when it is waited for."""

    def __init__(self, communicator, array):
        self._communicator, self._array = communicator, array

    def test(self):
        return False

    def wait(self):
        self._communicator.sum(self._array)


def on_ranks(size, act, timeout=60.0):
    """What act(communicator) returns on each rank; an error of the first rank that has one is raised."""
    group, found, errors = Group(size), [None] * size, [None] * size

    def run(rank):
        try:
            found[rank] = act(Threads(group, rank, timeout))
        except BaseException as error:  # noqa: BLE001
            errors[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    on_ranks.errors, on_ranks.aborted = errors, group.aborted
    real = [error for error in errors if error is not None and not isinstance(error, Ended)]
    if real or any(errors):
        raise (real or [error for error in errors if error])[0]
    return found
