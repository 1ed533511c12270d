"""Text that the command line prints about a forecast."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence

import numpy as np

from fastlstm.forecasting.backtest import Backtest, Floats, Forecast


def score_table(backtest: Backtest, names: Mapping[str, str], unit: str = "") -> str:
    """A table of errors: the forecaster's first, then those of each naive forecast by its name, or that in `names`."""
    scores = {names.get(name, name): score for name, score in backtest.scores.items()}
    width = max(map(len, scores))
    own = next(iter(scores.values()))
    places = decimals(np.array([own.mae, own.rmse]))
    lines = [f"  {'':{width}} {'MAE':>8} {'RMSE':>8}{f'   ({unit})' if unit else ''}"]
    for name, score in scores.items():
        lines.append(f"  {name:{width}} {score.mae:8.{places}f} {score.rmse:8.{places}f}")
    return "\n".join(lines)


def verdict(backtest: Backtest, names: Mapping[str, str]) -> str:
    """A sentence that says whether the naive forecasts are beaten, and by how much."""
    own, *others = backtest.scores.values()
    named = [names.get(name, name) for name in backtest.naive]
    if backtest.beats_naive:
        share = 1 - own.mae / min(other.mae for other in others)
        which, whose = ("both naive forecasts", "the better") if len(named) == 2 else ("the naive forecast", "that")
        return f"fastlstm beats {which}: its mean absolute error is {share:.0%} below {whose} one's."
    better = [name for name, other in zip(named, others, strict=True) if other.mae <= own.mae or other.rmse <= own.rmse]
    return f"fastlstm does not beat: {' and '.join(better)}. Rely on the simpler forecast here."


def skill_line(backtest: Backtest) -> str:
    """A sentence on the skill over the last value, with its interval."""
    skill = backtest.skill()
    said = f"Skill over the last value, 1 - MSE / MSE of the last value: {skill.value:.2f}"
    if math.isnan(skill.low):
        return f"{said}; the held-out values are too few to say how sure that is."
    return f"{said}, from {skill.low:.2f} to {skill.high:.2f} with a confidence of 90%."


def coverage_line(backtest: Backtest, coverage: float, held_out: int) -> str:
    """A sentence on how many of so many held-out values were within the band."""
    count = int(backtest.measured.sum())
    inside = round(backtest.coverage * count)
    which = "" if count == held_out else " that were measured"
    return f"The {coverage:.0%} band held {inside:,} of the {count:,} held-out values{which} ({backtest.coverage:.0%})."


def mase_line(backtest: Backtest) -> str:
    """A sentence on the mean absolute scaled error over many series."""
    return (
        f"Mean absolute scaled error over {len(backtest.panel):,} series: {backtest.mase:.3f}; of the naive forecast "
        f"{backtest.naive_mase:.3f}."
    )


def forecast_table(labels: Sequence[str], forecast: Forecast, most: int = 12) -> str:
    """A table of the first steps of a forecast, with as many decimals as the width of the band calls for."""
    columns = [forecast.mean, forecast.low, forecast.high]
    places = decimals(np.concatenate([forecast.mean - forecast.low, forecast.high - forecast.mean]))
    rows = [
        (label, *(f"{value:.{places}f}" for value in values)) for label, *values in zip(labels, *columns, strict=True)
    ]
    shown = [("step", "forecast", "low", "high"), *rows[:most]]
    widths = [max(len(row[k]) for row in shown) for k in range(4)]
    lines = ["  " + "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in shown]
    if len(rows) > most:
        lines.append(f"  ... and {len(rows) - most} more")
    return "\n".join(lines)


def forecast_csv(labels: Sequence[Sequence[str]], forecasts: Mapping[str, Forecast]) -> str:
    """All steps as the text of a CSV file: step, forecast, low, high, quantiles; before them the series, if several."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    several = len(forecasts) > 1
    first = next(iter(forecasts.values()))
    writer.writerow((*(["series"] if several else []), "step", "forecast", "low", "high", *map(str, first.quantiles)))
    for steps, (name, each) in zip(labels, forecasts.items(), strict=True):
        columns = each.mean, each.low, each.high, *each.quantiles.values()
        for label, *values in zip(steps, *columns, strict=True):
            writer.writerow((*([name] if several else []), label, *(f"{value:.10g}" for value in values)))
    return text.getvalue()


def decimals(sizes: Floats) -> int:
    """Number of decimals that show two or three digits of the median size; 2 if all sizes are zero."""
    nonzero = np.abs(sizes[sizes != 0])
    return max(0, 2 - math.floor(math.log10(np.median(nonzero)))) if len(nonzero) else 2
