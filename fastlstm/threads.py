"""The number of threads that the kernels may use."""

from __future__ import annotations

import os
from pathlib import Path

from fastlstm import _check
from fastlstm._kernels import cpu

MOST_THREADS = cpu.MOST_THREADS


def set_num_threads(n: int | None) -> None:
    """Let the kernels use up to n threads.

    Small work runs on one thread. The number of threads changes no bit of a result. On the plain path
    (FASTLSTM_ISA=plain) SciPy's BLAS does the work, and OPENBLAS_NUM_THREADS sets its threads.

    Parameters
    ----------
    n : int or None
        From 1 to 256. None sets the default: the environment variable FASTLSTM_NUM_THREADS, or else the number of
        processors that this process may use by its affinity and the quota of its control group, and by
        OMP_NUM_THREADS where that is set: engines tell their workers so how many are theirs.

    Raises
    ------
    TypeError
        If n is not a whole number.
    ValueError
        If n is not from 1 to 256.

    Examples
    --------
    >>> import fastlstm as fl
    >>> fl.set_num_threads(2)
    >>> fl.get_num_threads()
    2
    >>> fl.set_num_threads(None)
    """
    global _chosen, _is_default
    if n is not None and _check.positive_int(n, "n") > MOST_THREADS:
        raise ValueError(f"n: expected at most {MOST_THREADS} threads, got {n}")
    chosen = default_num_threads() if n is None else int(n)
    cpu.allow(chosen)
    _chosen, _is_default = chosen, n is None


def get_num_threads() -> int:
    """The largest number of threads that a call may use."""
    return _chosen


def renew_default() -> None:
    """Follow an environment that has changed, unless somebody has chosen a number."""
    if _is_default and default_num_threads() != _chosen:
        set_num_threads(None)


def default_num_threads() -> int:
    """The number that ``set_num_threads(None)`` sets."""
    text = os.environ.get("FASTLSTM_NUM_THREADS", "")
    if text:
        number = int(text) if text.isdecimal() and len(text) < 10 else 0
        if not 1 <= number <= MOST_THREADS:
            raise ValueError(f"FASTLSTM_NUM_THREADS: expected a number from 1 to {MOST_THREADS}, got {text!r:.40}")
        return number
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    else:
        processors = os.cpu_count() or 1
    return max(1, min(processors, MOST_THREADS, _quota(Path("/sys/fs/cgroup/cpu.max")), _openmp()))


def _openmp() -> int:
    """What OMP_NUM_THREADS says: a number, or one for each level of nesting; a large number if it says nothing.

    It is meant for others, too, so that nonsense in it is no error here.
    """
    text = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
    return number or 1 << 16


def _quota(path: Path) -> int:
    """Number of whole processors that a control group (version 2) allows; a large number if it sets no limit."""
    try:
        allowed, period = path.read_text(encoding="ascii").split()
        return 1 << 16 if allowed == "max" else int(allowed) // int(period)
    except (OSError, ValueError):
        return 1 << 16


_chosen, _is_default = default_num_threads(), True
cpu.allow(_chosen)
