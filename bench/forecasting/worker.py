"""One process of one contender: forecasts the cases of a folder that it has not forecast yet.

python -m bench.forecasting.worker CONTENDER FOLDER [HALF]
"""

from __future__ import annotations

import sys
import time
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from bench.forecasting import kept
from bench.forecasting.contenders import CONTENDERS, Fit
from bench.forecasting.data import FREQUENCIES, Case

LONG = 12
"""Steps of a season at most that come first."""


def main(name: str, folder: Path, half: str | None = None) -> None:
    contender = CONTENDERS[name]
    cases = [case for case in contender.asked(kept.load_cases(folder)) if half in (None, case.half)]
    current = kept.version_of(name)
    done = kept.lines_of(folder, name, cases, current)
    fit = contender.fit(name)
    for batch in batches(cases, contender.panel):
        if not all(case.key in done for case in batch):
            for told in run(fit, batch):
                kept.add_line(folder, name, {**told, "version": current})


def batches(cases: list[Case], panel: bool) -> list[list[Case]]:
    """What is learned from together: one case, or all of one half, frequency and origin.

    Long seasons come last, which take some contenders longest, and before that the last moments of the half of the
    report first, so that a run that is ended early is of most use.
    """
    order = list(FREQUENCIES)

    def together(case: Case) -> tuple[Any, ...]:
        return (case.season > LONG, case.origin, case.half, order.index(case.frequency), "" if panel else case.key)

    return [list(group) for _, group in groupby(sorted(cases, key=together), key=together)]


def clock() -> tuple[float, float]:
    """Wall seconds, and seconds of processors that this process and all its threads have taken."""
    return time.perf_counter(), time.process_time()


def run(fit: Fit, cases: list[Case]) -> list[dict[str, Any]]:
    """A line for each case, with its share of the seconds; the reason in place of a forecast that failed."""
    moments = [clock()]
    found: list[dict[str, Any]]
    try:
        predict = fit(cases)
        moments.append(clock())
        found = [{"forecast": forecast.as_dict()} for forecast in predict()]
    except Exception as reason:
        found = [{"forecast": None, "reason": f"{type(reason).__name__}: {reason}"} for _ in cases]
    moments.append(clock())
    shares = {
        kind: [(after[at] - before[at]) / len(cases) for before, after in pairwise(moments)]
        for at, kind in enumerate(("wall", "cpu"))
    }
    return [
        {"case": case.key, "values": case.fingerprint(), "seconds": shares, **told}
        for case, told in zip(cases, found, strict=True)
    ]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
