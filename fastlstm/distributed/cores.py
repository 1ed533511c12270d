"""How many threads each rank may use, where ranks share processors."""

from __future__ import annotations

import os
import socket
import zlib

import numpy as np

from fastlstm import threads
from fastlstm.communicator import Communicator


def share_cores(ranks: Communicator) -> None:
    """Set the number of threads to this rank's share of the processors that several ranks may run on.

    It does nothing if FASTLSTM_NUM_THREADS or `set_num_threads` has set another number than the default. All ranks must
    call it.
    """
    everywhere = ranks.gather(np.array([float(place())]))
    beside = int((everywhere == everywhere[ranks.rank]).sum())
    own, default = threads.get_num_threads(), threads.default_num_threads()
    if beside > 1 and own == default and not os.environ.get("FASTLSTM_NUM_THREADS"):
        threads.set_num_threads(max(1, default // beside))


def place() -> int:
    """A number for this machine and the processors of it that this process may run on."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return zlib.crc32(repr((socket.gethostname(), cores)).encode())
