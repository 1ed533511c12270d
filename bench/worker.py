"""One process of one contender: measures every case of a suite and writes the figures as JSON and the results as .npz.

    python -m bench.worker CONTENDER SUITE CELL DTYPE THREADS SECONDS RESULTS.npz FIGURES.json

The process sees as many processors as it may use threads, whatever its libraries think of it. The contender "machine"
measures the machine itself.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bench import machine
from bench.cases import Case, StepCase, cases_of
from bench.contenders import Call, prepare
from bench.timing import beyond, measure


def main(
    contender: str, suite: str, cell: str, dtype: str, threads: int, seconds: float, results_path: str
) -> dict[str, Any]:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    if contender == "machine":
        return machine.speed(threads, dtype)
    figures: dict[str, Any] = {}
    results: dict[str, Any] = {}
    for mode, case in cases_of(suite, cell):
        try:
            made = prepare(contender, case, dtype, mode, threads)
        except LookupError as reason:
            print(f"{contender}, {case}: {reason}", file=sys.stderr)
            continue
        figures[str(case)] = figure(made, case, seconds)
        results.update({f"{case}/{k}": np.array(array) for k, array in enumerate(made.results())})
    np.savez(results_path, **results)
    return figures


def figure(made: Call, case: Case | StepCase, seconds: float) -> dict[str, Any]:
    """Microseconds of a step: median and least, CPU time, and what it takes beyond its core if it says what that is."""
    times = measure(made.call, seconds, case.pause / 1000)
    found = {
        "median": times.median / made.steps,
        "least": min(times.calls) / made.steps,
        "cpu": times.cpu / made.steps,
        "calls": len(times.calls),
    }
    if made.core is not None and not case.pause:
        found["beyond"] = beyond(made.call, made.core, seconds) / made.steps
    return found


if __name__ == "__main__":
    name, suite, cell, dtype, threads, seconds, results_path, figures_path = sys.argv[1:]
    figures = main(name, suite, cell, dtype, int(threads), float(seconds), results_path)
    Path(figures_path).write_text(json.dumps(figures), encoding="utf-8")
