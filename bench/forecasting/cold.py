"""Series of one to ten values in a panel of long ones.

python -m bench.forecasting.cold FOLDER    prints the figures of the cases of a folder as JSON
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.forecasting import kept
from bench.forecasting.contenders import CONTENDERS, Fit, in_sample
from bench.forecasting.data import Case
from bench.forecasting.protocol import measures, repeated

LENGTHS = range(1, 11)
FREQUENCIES = ("quarterly", "monthly")


def measured(cases: list[Case], lengths: Any = LENGTHS) -> dict[str, Any]:
    """Mean figures by the number of values, of all series that were cut.

    Half of the series of a frequency are cut to their last values, and learned from together with the other half, which
    stay as they are; then the other way round.
    """
    fit = CONTENDERS["lstm_forecaster_panel"].fit("lstm_forecaster_panel")
    found: dict[str, Any] = {}
    for frequency in FREQUENCIES:
        whole = [case for case in cases if in_sample(case) and case.frequency == frequency]
        if len(whole) > 1:
            found[frequency] = {str(count): figures(fit, whole, count) for count in lengths}
    return found


def figures(fit: Fit, whole: list[Case], count: int) -> dict[str, float]:
    rows = []
    for first in (0, 1):
        panel = [cut(case, count) if at % 2 == first else case for at, case in enumerate(whole)]
        forecasts = fit(panel)()
        for at in range(first, len(whole), 2):
            # By the scale of the whole series, which the forecaster did not know
            ours, naive = (measures(whole[at], one) for one in (forecasts[at], repeated(panel[at])))
            rows.append([ours["mase"], naive["mase"], ours["coverage"]])
    mase, naive_mase, coverage = np.mean(rows, 0).tolist()
    return {"mase": mase, "naive": naive_mase, "coverage": coverage, "series": len(rows)}


def cut(case: Case, count: int) -> Case:
    """Its last values only; the moment that it begins at goes with them."""
    return replace(case, train=case.train[-count:], start=str(case.dates()[-count].date()))


def table(found: dict[str, Any]) -> str:
    from bench.forecasting.report import table

    frequencies = list(found)
    head = ["values"]
    for frequency in frequencies:
        head += [f"{frequency}: LSTMForecaster", "last value or season", "coverage, per cent"]
    rows = []
    for count in found[frequencies[0]]:
        row = [count]
        for own in (found[frequency][count] for frequency in frequencies):
            row += [f"{own['mase']:.2f}", f"{own['naive']:.2f}", f"{100 * own['coverage']:.0f}"]
        rows.append(row)
    return table(head, rows)


if __name__ == "__main__":
    print(json.dumps(measured(kept.load_cases(Path(sys.argv[1])))))
