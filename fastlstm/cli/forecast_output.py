"""What ``fastlstm demo`` and ``fastlstm forecast`` print, draw and write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import plot
from fastlstm.cli.forecast_options import TABLE
from fastlstm.cli.output import Output
from fastlstm.files import write_atomically
from fastlstm.forecasting import report
from fastlstm.forecasting.backtest import LAST_SEASON, Backtest, Forecast
from fastlstm.forecasting.frames import Frames
from fastlstm.forecasting.lstm_forecaster import LSTMForecaster
from fastlstm.forecasting.series import Series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_SHOWN = 6
"""Series that are shown one by one; of more there are the figures of all together, and pictures of the first."""

MOST_LETTERS = 60
"""Letters of a name in a picture."""

PICTURE_STEPS = 400
"""Held-out steps that a picture shows at most, unless two horizons are more."""


@dataclass(frozen=True)
class Task:
    """What is forecast, and how."""

    frames: Frames
    forecaster: LSTMForecaster
    horizon: int
    holdout: int
    coverage: float

    def held_out(self, series: Series) -> int:
        """How many of the last values of a series are held out: none of one that is too short."""
        return self.holdout if len(series.values) > self.holdout else 0

    @property
    def season_names(self) -> dict[str, str]:
        """The name of the forecast that repeats the last season."""
        step, season = self.frames.series[0].step, self.forecaster.season_
        usual = step is not None and season == step.season
        return {LAST_SEASON: step.season_name if usual and step else f"value {season} steps before"}


def show(task: Task, backtest: Backtest, coming: dict[str, Forecast], labels: list[list[str]]) -> list[Figure]:
    """Print the errors and the next values, and draw the first series."""
    frames, shown = task.frames, len(task.frames.ids) <= MOST_SHOWN
    if not shown:
        report_errors(task, backtest, None)
        print(report.mase_line(backtest))
    figures = []
    for name, series, steps in list(zip(frames.ids, frames.series, labels, strict=True))[:MOST_SHOWN]:
        one = backtest.of(name)
        if shown:
            if len(frames.ids) > 1:
                print(f"\n{name}")
            report_errors(task, one, series)
            print(f"\nThe next {task.horizon} steps, with the {task.coverage:.0%} band:\n")
            print(report.forecast_table(steps, coming[name]))
        figures.append(picture(task, name, series, one, coming[name]))
    return figures


def picture(task: Task, name: str, series: Series, backtest: Backtest, coming: Forecast) -> Figure:
    most = max(PICTURE_STEPS, 2 * task.horizon)
    name = name if len(name) <= MOST_LETTERS else name[: MOST_LETTERS - 1] + "…"
    last = f"the last {most} " if task.holdout > most else ""
    return plot.forecast_figure(
        backtest,
        coming,
        dates=axis(series, task.horizon),
        coverage=task.coverage,
        title=f"{name}: {last}held-out values and the coming {task.horizon} steps",
        label=name,
        names=task.season_names,
        most=most,
    )


def axis(series: Series, horizon: int) -> NDArray[Any] | None:
    """The dates of the series and of the coming steps; None if they are not evenly spaced."""
    if series.step is None or series.dates is None:
        return None
    last = series.step.ordinals(series.dates[-1:])
    return np.concatenate([series.dates, series.step.dates(last + np.arange(1, horizon + 1))])


def report_errors(task: Task, backtest: Backtest, series: Series | None, unit: str = "") -> None:
    """Print the errors of one series, or of all together."""
    held_out = sum(map(task.held_out, [series] if series else task.frames.series))
    measured = int(backtest.measured.sum())
    if not held_out:
        print("\nThe series is too short to hold values out: how good the forecast is nobody can say.")
        return
    of = "" if measured == held_out else f"{measured:,} measured ones of the "
    where = f", {series.span(len(series.values) - task.holdout, len(series.values))}" if series else ""
    if not measured:
        print(
            f"\nNone of the {held_out:,} held-out values{where}, was measured: how good the forecast is nobody can say."
        )
        return
    print(f"\nErrors on the {of}{held_out:,} held-out values{where}, forecast {task.horizon} steps at a time:\n")
    print(report.score_table(backtest, task.season_names, unit))
    print(f"\n{report.verdict(backtest, task.season_names)}\n{report.skill_line(backtest)}")
    print(report.coverage_line(backtest, task.coverage, held_out))


def pictures(count: int) -> list[str]:
    """The names of the pictures, one for each series that is drawn."""
    return ["forecast.png"] if count == 1 else [f"forecast-{k}.png" for k in range(1, count + 1)]


def write(output: Output, forecaster: LSTMForecaster, figures: list[Figure], table: str | None = None) -> None:
    """Write the model, the pictures and, if there is one, the table of the coming steps."""
    output.folder.mkdir(parents=True, exist_ok=True)
    paths = [output.model, *(output.folder / name for name in pictures(len(figures)))]
    forecaster.save(paths[0])
    for figure, path in zip(figures, paths[1:], strict=True):
        plot.save_figure(figure, path)
    if table is not None:
        paths.insert(0, output.folder / TABLE)
        write_atomically(paths[0], table.encode())
    output.clear()
    print("Wrote " + ", ".join(map(str, paths[:-1])) + f" and {paths[-1]}.")
