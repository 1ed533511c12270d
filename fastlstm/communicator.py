"""What processes that train one model together need to tell each other."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

Array = NDArray[Any]


class Pending(Protocol):
    """A sum that is on its way."""

    def test(self) -> bool:
        """Move it on, if the processor has to; whether it has arrived."""

    def wait(self) -> None:
        """Wait until it has arrived."""


@runtime_checkable
class Communicator(Protocol):
    """A group of processes. Every process, a rank, makes the same calls in the same order.

    `fastlstm.distributed.mpi` and `fastlstm.distributed.torch` make one. One of your own needs these attributes and
    methods; its arrays are contiguous, of uint8, float32 or float64, and of the same shape on all ranks.

    Attributes
    ----------
    rank : int
        The number of this process, from 0.
    size : int
        How many processes there are.
    timeout : float
        Seconds that one process waits for the others before all are ended.
    """

    rank: int
    size: int
    timeout: float

    def sum(self, array: Array) -> None:
        """Replace the array by the sum over all ranks. All ranks get the same bits.

        Parameters
        ----------
        array : contiguous array
            Of the same shape and dtype on all ranks.
        """

    def begin_sum(self, array: Array) -> Pending:
        """Begin `sum`. The array must be left alone until the sum has arrived.

        Parameters
        ----------
        array : contiguous array
            Of the same shape and dtype on all ranks.

        Returns
        -------
        Pending
            Its ``wait`` returns when the sum is there.
        """

    def gather(self, array: Array) -> Array:
        """The arrays of all ranks, (size, ...), on each rank.

        Parameters
        ----------
        array : contiguous array
            Of the same shape and dtype on all ranks.

        Returns
        -------
        (size, ...) array
        """

    def exchange(self, array: Array) -> Array:
        """From an array (size, ...) whose part k is for rank k: the parts (size, ...) that are for this rank.

        Parameters
        ----------
        array : (size, ...)
            Of the same shape and dtype on all ranks; part k is for rank k.

        Returns
        -------
        (size, ...) array
            Part k is from rank k.
        """

    def broadcast(self, array: Array) -> None:
        """Replace the array by that of rank 0.

        Parameters
        ----------
        array : contiguous array
            Of the same shape and dtype on all ranks.
        """

    def abort(self, message: str) -> None:
        """Print the message and end all processes.

        Parameters
        ----------
        message : str
        """
