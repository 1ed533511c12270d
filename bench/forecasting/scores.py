"""How good the forecasts that are kept were."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.forecasting import kept
from bench.forecasting.contenders import CONTENDERS
from bench.forecasting.data import Case
from bench.forecasting.protocol import Forecast, measures, repeated


@dataclass(frozen=True)
class Score:
    """Of one forecast.

    Parameters
    ----------
    measures : dict
        See `protocol.measures`.
    seconds : dict
        Those of the fit and of the prediction, by "wall" and "cpu".
    reason : str or None
        Why it failed; then the last season again counts in its place.
    """

    measures: dict[str, float]
    seconds: dict[str, list[float]]
    reason: str | None = None


Scores = dict[str, dict[str, Score]]
"""Of each contender, by the key of the case."""


def scores_of(folder: Path, cases: list[Case]) -> Scores:
    """The scores of all contenders that have forecast something."""
    found: Scores = {}
    for name in CONTENDERS:
        lines = kept.lines_of(folder, name, cases)
        own = {case.key: _score(case, lines[case.key]) for case in cases if case.key in lines}
        if own:
            found[name] = own
    return found


def _score(case: Case, line: kept.Line) -> Score:
    failed = line["forecast"] is None
    forecast = repeated(case) if failed else Forecast.from_dict(line["forecast"])
    return Score(measures(case, forecast), line["seconds"], line.get("reason"))
