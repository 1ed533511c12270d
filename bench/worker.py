"""One process of one contender: measures every case of a suite and writes the figures as JSON and the results as .npz.

    python -m bench.worker CONTENDER SUITE DTYPE THREADS SECONDS RESULTS.npz FIGURES.json

The process sees as many processors as it may use threads, whatever its libraries think of it. The contender "machine"
measures the machine itself.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench import machine
from bench.cases import MODES, SUITES
from bench.contenders import prepare

SLOW = 1.0
"""Seconds; a call that takes longer is timed three times and no more."""


def measure(call: Callable[[], Any], seconds: float) -> list[float]:
    """Times in microseconds of calls after a warm-up, for so many seconds and at least five times, three if slow."""
    call()  # compiles, allocates
    first = timed(call)
    if first > SLOW:
        return [1e6 * first, *(1e6 * timed(call) for _ in range(2))]
    together = max(1, int(2e-5 / max(first, 1e-9)))  # calls of a microsecond are timed some at once
    until = time.perf_counter() + seconds / 3
    while time.perf_counter() < until:
        call()
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < until:
        times.append(1e6 * timed(call, together) / together)
    return times


def timed(call: Callable[[], Any], together: int = 1) -> float:
    start = time.perf_counter()
    for _ in range(together):
        call()
    return time.perf_counter() - start


def main(contender: str, suite: str, dtype: str, threads: int, seconds: float, results_path: str) -> dict[str, Any]:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    if contender == "machine":
        return machine.speed(threads, dtype)
    figures: dict[str, Any] = {}
    results: dict[str, Any] = {}
    for case in SUITES[suite]:
        try:
            made = prepare(contender, case, dtype, MODES[suite], threads)
        except LookupError as reason:
            print(f"{contender}, {case}: {reason}", file=sys.stderr)
            continue
        times = np.array(measure(made.call, seconds)) / made.steps
        figures[str(case)] = {"median": float(np.median(times)), "least": times.min(), "calls": len(times)}
        results.update({f"{case}/{k}": np.array(array) for k, array in enumerate(made.results())})
    np.savez(results_path, **results)
    return figures


if __name__ == "__main__":
    name, suite, dtype, threads, seconds, results_path, figures_path = sys.argv[1:]
    figures = main(name, suite, dtype, int(threads), float(seconds), results_path)
    Path(figures_path).write_text(json.dumps(figures), encoding="utf-8")
