"""The threads of torch, on which the kernels run in its process, too."""

from __future__ import annotations

import ctypes

import torch

from fastlstm._kernels import cpu

FUNCTIONS = "GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads"


def borrow_threads() -> None:
    """Let the kernels run on torch's threads of OpenMP.

    These spin for milliseconds after each of torch's own operations: other threads beside them would get half of a
    processor. Where torch has no OpenMP with these functions, such as on macOS, the kernels keep their own.
    """
    try:
        library = ctypes.CDLL(torch._C.__file__)  # what it depends on is looked through, too
        found = [ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0 for name in FUNCTIONS]
    except (OSError, AttributeError):
        return
    cpu.borrow(*found)
