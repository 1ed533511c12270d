"""Ranks that talk by MPI."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.communicator import Communicator, Pending
from fastlstm.distributed.cores import share_cores

Array = NDArray[Any]

TIMEOUT = 600.0
"""Seconds that a rank waits for the others, by default."""

LAUNCHED = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
"""Variables in which launchers say how many processes they have started: Open MPI; MPICH, Intel MPI, Slurm; MVAPICH."""


def launched() -> int:
    """How many processes mpiexec has started this one with; 1 if it was started without."""
    for name in LAUNCHED:
        text = os.environ.get(name, "")
        if text.isdecimal() and len(text) < 10:
            return int(text)
    return 1


def mpi(comm: Any = None, *, timeout: float = TIMEOUT) -> Communicator:
    """The processes that mpiexec has started, for `Trainer`.

    An error that nobody catches, on any rank, from now on ends all ranks. After ``sys.exit`` on one rank the others
    wait for it until the time limit. Ranks on the same processors share them: each sets its number of threads to its
    part, unless FASTLSTM_NUM_THREADS or `set_num_threads` has set one.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm, optional
        The ranks that train; by default all, ``MPI.COMM_WORLD``. All ranks of it must call this function.
    timeout : float, default 600
        Seconds that a rank waits for the others before it ends all of them.

    Returns
    -------
    Communicator

    Raises
    ------
    ImportError
        If mpi4py is not installed, or finds no MPI library.
    TypeError
        If comm is no communicator of mpi4py, or timeout is not a number.
    ValueError
        If timeout is below 0.1.
    RuntimeError
        If mpiexec has started several processes, but each sees only itself, as the MPI libraries of mpiexec and of
        mpi4py are not the same.

    Examples
    --------
    In train.py, which ``mpiexec -n 4 python train.py`` starts::

        import fastlstm as fl

        model = fl.Model([fl.LSTM(8, 64), fl.Last(), fl.Dense(64, 1)], seed=0)
        trainer = fl.Trainer(model, "mse", communicator=fl.distributed.mpi())
        trainer.fit(x, y, epochs=10, batch_size=128)  # 32 sequences for each rank
    """
    timeout = _check.number(timeout, "timeout", 0.1)
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise ImportError(f"mpi() needs mpi4py and an MPI library: pip install 'fastlstm[mpi]' ({error})") from error
    if comm is None:
        comm = MPI.COMM_WORLD
        if launched() > 1 and comm.size == 1:
            raise RuntimeError(
                f"mpiexec has started {launched()} processes, but each sees only itself: mpi4py uses "
                f"{MPI.Get_library_version().splitlines()[0]!r}, and mpiexec is of another MPI library"
            )
    if not isinstance(comm, MPI.Intracomm):
        raise TypeError(f"comm: expected a communicator of mpi4py, got {comm!r}")
    ranks = MPIRanks(comm.Dup(), timeout)
    if ranks.size > 1:
        end_all_at_an_error(ranks)
        share_cores(ranks)
    return ranks


class MPIRanks:
    """A communicator of mpi4py. See `fastlstm.communicator.Communicator`."""

    def __init__(self, comm: Any, timeout: float) -> None:
        from mpi4py import MPI

        self._comm, self._here = comm, MPI.IN_PLACE
        self.rank, self.size, self.timeout = comm.rank, comm.size, timeout

    def sum(self, array: Array) -> None:
        self._comm.Allreduce(self._here, array)

    def begin_sum(self, array: Array) -> Pending:
        return MPISum(self._comm.Iallreduce(self._here, array))

    def gather(self, array: Array) -> Array:
        found = np.empty((self.size, *array.shape), array.dtype)
        self._comm.Allgather(np.ascontiguousarray(array), found)
        return found

    def exchange(self, array: Array) -> Array:
        found = np.empty_like(array)
        self._comm.Alltoall(np.ascontiguousarray(array), found)
        return found

    def broadcast(self, array: Array) -> None:
        self._comm.Bcast(array, 0)

    def abort(self, message: str) -> None:
        print(f"fastlstm: {message}; all ranks end", file=sys.stderr, flush=True)
        self._comm.Abort(1)

    def __repr__(self) -> str:
        return f"mpi(rank {self.rank} of {self.size})"


class MPISum:
    """See `fastlstm.communicator.Pending`."""

    def __init__(self, request: Any) -> None:
        self._request = request

    def test(self) -> bool:
        return bool(self._request.Test())

    def wait(self) -> None:
        self._request.Wait()


def end_all_at_an_error(ranks: Communicator) -> None:
    """Let an error that nobody catches end all ranks: the others would wait for this one."""
    show = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if getattr(error, "told_elsewhere", False):
            time.sleep(2)  # the rank that tells of it ends all meanwhile
        show(kind, error, trace)
        ranks.abort(f"rank {ranks.rank} of {ranks.size} has failed: {kind.__name__}: {error}")

    sys.excepthook = hook
