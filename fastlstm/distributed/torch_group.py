"""Ranks that talk by torch.distributed, as torchrun, Ray Train and Slurm start them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.communicator import Communicator, Pending
from fastlstm.distributed.cores import share_cores
from fastlstm.distributed.mpi import TIMEOUT

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[Any]

BACKENDS = ("gloo", "mpi")
"""Those that send arrays of a CPU."""


def torch(group: Any = None, *, timeout: float = TIMEOUT) -> Communicator:
    """The processes of an initialised ``torch.distributed`` group, for `Trainer`.

    Ranks on the same processors share them, as in `mpi`.

    Parameters
    ----------
    group : ProcessGroup, optional
        By default all processes.
    timeout : float, default 600
        Seconds that a rank waits for the others before it ends itself; the launcher then ends the others.

    Returns
    -------
    Communicator

    Raises
    ------
    ImportError
        If torch is not installed, or has no torch.distributed.
    TypeError
        If timeout is not a number.
    ValueError
        If timeout is below 0.1, the backend of the group is not gloo (or mpi), or this process is not in the group.
    RuntimeError
        If torch.distributed has not been initialised.

    Examples
    --------
    In train.py, which ``torchrun --nproc-per-node 4 train.py`` starts::

        import fastlstm as fl
        import torch.distributed

        torch.distributed.init_process_group("gloo")
        model = fl.Model([fl.LSTM(8, 64), fl.Last(), fl.Dense(64, 1)], seed=0)
        trainer = fl.Trainer(model, "mse", communicator=fl.distributed.torch())
        trainer.fit(x, y, epochs=10, batch_size=128)  # 32 sequences for each rank
    """
    timeout = _check.number(timeout, "timeout", 0.1)
    try:
        from torch import distributed
    except ImportError as error:
        raise ImportError(f"torch() needs PyTorch: pip install torch ({error})") from error
    if not distributed.is_available():
        raise ImportError("torch() needs a build of PyTorch with torch.distributed")
    if not distributed.is_initialized():
        raise RuntimeError("torch.distributed is not initialised: call torch.distributed.init_process_group('gloo')")
    backend = distributed.get_backend(group)
    if backend not in BACKENDS:
        raise ValueError(f"group: expected one with the backend 'gloo', which sends arrays of a CPU, got {backend!r}")
    if distributed.get_rank(group) < 0:
        raise ValueError("group: expected one that this process is in, got another")
    ranks = TorchRanks(group, timeout)
    share_cores(ranks)
    return ranks


class TorchRanks:
    """A group of torch.distributed. See `fastlstm.communicator.Communicator`."""

    def __init__(self, group: Any, timeout: float) -> None:
        from torch import distributed, from_numpy

        self._distributed, self._group, self.timeout = distributed, group, timeout
        self._of: Any = from_numpy
        self.rank, self.size = distributed.get_rank(group), distributed.get_world_size(group)

    def sum(self, array: Array) -> None:
        self._distributed.all_reduce(self._of(array), group=self._group)

    def begin_sum(self, array: Array) -> Pending:
        return TorchSum(self._distributed.all_reduce(self._of(array), group=self._group, async_op=True))

    def gather(self, array: Array) -> Array:
        found = np.empty((self.size, *array.shape), array.dtype)
        parts: list[Tensor] = [self._of(part) for part in found.reshape(self.size, -1)]
        self._distributed.all_gather(parts, self._of(array.reshape(-1)), group=self._group)
        return found

    def exchange(self, array: Array) -> Array:
        found = np.empty_like(array)
        self._distributed.all_to_all_single(self._of(found), self._of(array), group=self._group)
        return found

    def broadcast(self, array: Array) -> None:
        first = 0 if self._group is None else self._distributed.get_global_rank(self._group, 0)
        self._distributed.broadcast(self._of(array), first, group=self._group)

    def abort(self, message: str) -> None:
        print(f"fastlstm: {message}; this rank ends", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(1)  # the launcher ends the others; they may hold this one at its end otherwise

    def __repr__(self) -> str:
        return f"torch(rank {self.rank} of {self.size})"


class TorchSum:
    """See `fastlstm.communicator.Pending`."""

    def __init__(self, work: Any) -> None:
        self._work = work

    def test(self) -> bool:
        return bool(self._work.is_completed())

    def wait(self) -> None:
        self._work.wait()
