"""One process of one contender: measures every case of a suite and writes the figures as JSON and the results as .npz.

    python -m bench.worker CONTENDER SUITE DTYPE THREADS SECONDS RESULTS.npz

The process sees as many processors as it may use threads, whatever its libraries think of it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.cases import SUITES
from bench.contenders import CONTENDERS, make_problem


def measure(call: Callable[[], Any], seconds: float) -> list[float]:
    """Times in microseconds of calls after a warm-up, for so many seconds and at least five times."""
    until = time.perf_counter() + seconds / 3
    call()
    while time.perf_counter() < until:
        call()
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < until:
        start = time.perf_counter()
        call()
        times.append(1e6 * (time.perf_counter() - start))
    return times


def main(contender: str, suite: str, dtype: str, threads: int, seconds: float, path: str) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    mode = "training" if suite == "training" else "inference"
    figures, results = {}, {}
    for case in SUITES[suite]:
        weights, x = make_problem(case, dtype)
        try:
            call, found = CONTENDERS[contender](case, mode, weights, x, dtype, threads)
        except LookupError:
            continue
        times = measure(call, seconds)
        figures[str(case)] = {"median": float(np.median(times)), "least": min(times), "calls": len(times)}
        results.update({f"{case}/{k}": np.array(array) for k, array in enumerate(found())})
    np.savez(path, **results)
    print(json.dumps(figures))


if __name__ == "__main__":
    name, suite, dtype, threads, seconds, path = sys.argv[1:]
    main(name, suite, dtype, int(threads), float(seconds), path)
