"""One process of one contender: forecasts the cases of a folder that it has not forecast yet.

python -m bench.forecasting.worker CONTENDER FOLDER THREADS
"""

from __future__ import annotations

import os
import sys
import time
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.forecasting import kept
from bench.forecasting.contenders import CONTENDERS, Fit
from bench.forecasting.data import Case


def main(name: str, folder: Path, threads: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    contender = CONTENDERS[name]
    cases, current = kept.load_cases(folder), kept.version_of(name)
    done = kept.lines_of(folder, name, cases, current)
    fit = contender.fit(name)
    for batch in batches(cases, contender.panel):
        if not all(case.key in done for case in batch):
            for told in run(fit, batch):
                kept.add_line(folder, name, {**told, "version": current})


def batches(cases: list[Case], panel: bool) -> list[list[Case]]:
    """What is learned from together: one case, or all of one half, frequency and origin."""

    def together(case: Case) -> tuple[Any, ...]:
        return (case.half, case.frequency, case.origin) if panel else (case.key,)

    return [list(group) for _, group in groupby(sorted(cases, key=together), key=together)]


def run(fit: Fit, cases: list[Case]) -> list[dict[str, Any]]:
    """A line for each case, with its share of the seconds; the reason in place of a forecast that failed."""
    start = time.perf_counter()
    found: list[dict[str, Any]]
    try:
        predict = fit(cases)
        fitted = time.perf_counter()
        forecasts = predict()
        times = {"fit": fitted - start, "predict": time.perf_counter() - fitted}
        found = [{"forecast": forecast.as_dict()} for forecast in forecasts]
    except Exception as reason:
        times = {"fit": time.perf_counter() - start, "predict": 0.0}
        found = [{"forecast": None, "reason": f"{type(reason).__name__}: {reason}"} for _ in cases]
    seconds = {part: seconds / len(cases) for part, seconds in times.items()}
    return [
        {"case": case.key, "values": case.fingerprint(), "seconds": seconds, **told}
        for case, told in zip(cases, found, strict=True)
    ]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
