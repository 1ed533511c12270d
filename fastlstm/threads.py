"""How many threads the kernels may use."""

from __future__ import annotations

import os
from pathlib import Path

from fastlstm import _check
from fastlstm._kernels import cpu

MOST = 256
"""Threads that the pool has room for: its workers (MAX_WORKERS in simd/pool.c) and the caller."""

SMALL = 20
"""Microseconds of work below which a second thread is not worth waking."""


def set_num_threads(n: int | None) -> None:
    """Let the kernels use up to n threads, 1 to 256; None goes back to the default.

    Small work is never spread, and no number of threads changes a bit of a result. The default is FASTLSTM_NUM_THREADS,
    or else the number of processors that this process may run on, by its affinity and its control group's quota. (On
    the plain path, FASTLSTM_ISA=plain, all runs on SciPy's BLAS, and OPENBLAS_NUM_THREADS sets its threads.)

    Examples
    --------
    >>> import fastlstm as fl
    >>> fl.set_num_threads(2)
    >>> fl.get_num_threads()
    2
    >>> fl.set_num_threads(None)
    """
    global _chosen
    if n is not None and _check.positive_int(n, "n") > MOST:
        raise ValueError(f"n: expected at most {MOST} threads, got {n}")
    chosen = _default() if n is None else int(n)
    cpu.allow(chosen)
    _chosen = chosen


def get_num_threads() -> int:
    """The largest number of threads that a call may use."""
    return _chosen


def _default() -> int:
    text = os.environ.get("FASTLSTM_NUM_THREADS", "")
    if text:
        number = int(text) if text.isdecimal() and len(text) < 10 else 0
        if not 1 <= number <= MOST:
            raise ValueError(f"FASTLSTM_NUM_THREADS: expected a number from 1 to {MOST}, got {text!r:.40}")
        return number
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    else:
        processors = os.cpu_count() or 1
    return max(1, min(processors, MOST, _quota(Path("/sys/fs/cgroup/cpu.max"))))


def _quota(path: Path) -> int:
    """Whole processors that a control group (version 2) allows, a large number where it sets no limit."""
    try:
        allowed, period = path.read_text(encoding="ascii").split()
        return 1 << 16 if allowed == "max" else int(allowed) // int(period)
    except (OSError, ValueError):
        return 1 << 16


_chosen = _default()
cpu.allow(_chosen)
