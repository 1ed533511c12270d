"""``fastlstm demo`` and ``fastlstm forecast``: learn from series, and forecast the next values."""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import datasets, plot
from fastlstm.cli.forecast_options import DEMO, TABLE, add_forecast
from fastlstm.cli.forecast_output import MOST_SHOWN, Task, pictures, report_errors, show, write
from fastlstm.cli.options import MODEL, Commands, add_output, add_resume, usage
from fastlstm.cli.output import Output
from fastlstm.cli.report import Report
from fastlstm.forecasting import report
from fastlstm.forecasting.backtest import Backtest, Forecast
from fastlstm.forecasting.dates import find_step
from fastlstm.forecasting.frames import Frames
from fastlstm.forecasting.lstm_forecaster import LSTMForecaster
from fastlstm.forecasting.read_series import read_groups
from fastlstm.forecasting.series import Series

if TYPE_CHECKING:
    pass

LOAD = "in Python, by fastlstm.forecasting.LSTMForecaster.load"
"""How the file of an interrupted training can be used."""


def add(commands: Commands) -> None:
    """Add the commands ``demo`` and ``forecast``."""
    demo_parser = commands.add_parser(
        "demo",
        help="train on a series that comes with fastlstm, and forecast a held-out stretch",
        description="Train on carbon dioxide at Mauna Loa, and forecast the last five years of the data. The default "
        f"folder, {DEMO}, is the demo's own, and written to again.",
    )
    demo_parser.set_defaults(run=demo)
    add_output(demo_parser, DEMO)
    add_resume(demo_parser)
    add_forecast(commands).set_defaults(run=forecast, trains=True)


def demo(options: argparse.Namespace) -> int:
    """Train on the CO2 series; the exit status is 0 if both naive forecasts are beaten."""
    options.force = options.force or options.output == Path(DEMO)
    plot.new_figure()  # fail now, not after the training, if matplotlib is missing
    output = Output(options, [MODEL, *pictures(1)])
    began = time.perf_counter()
    months, ppm = datasets.co2()
    dates = months.astype("M8[s]")
    series = Series("CO2", ppm, dates, find_step(dates), [])
    print(f"Carbon dioxide in the air at Mauna Loa, monthly, {series.span(0, len(ppm))}.")
    print(f"Months without a measurement: {np.isnan(ppm).sum()} of {len(ppm)}.")
    task = Task(Frames.of([series], 1), LSTMForecaster(12, random_state=options.seed), 12, 60, 0.9)
    backtest = learn(task, output)
    if backtest is None:
        return output.stopped(task.forecaster.save, LOAD) if task.forecaster.interrupted else 0
    report_errors(task, backtest, series, "ppm")
    figure = plot.forecast_figure(
        backtest,
        dates=dates,
        coverage=task.coverage,
        title="Carbon dioxide at Mauna Loa: five held-out years, forecast twelve months at a time",
        label="CO₂ (ppm)",
        names=task.season_names,
    )
    write(output, task.forecaster, [figure])
    print(f"All in {time.perf_counter() - began:.1f} s.")
    return 0 if backtest.beats_naive else 1


def forecast(options: argparse.Namespace) -> int:
    """Backtest on a file, then forecast the values after its end."""
    began = time.perf_counter()
    plot.new_figure()
    targets = list(dict.fromkeys(options.target))
    forecaster = forecaster_of(options)
    read, notes = read_groups(
        options.file,
        targets,
        options.group,
        options.date,
        options.inputs,
        known=options.known,
        static=options.static,
        date_format=options.date_format,
        decimal=options.decimal,
        max_bytes=options.max_bytes,
    )
    frames = Frames.of(read, len(targets))
    forecaster.set_params(past_covariates=frames.columns[: len(options.inputs)], freq=frames.freq)
    output = Output(options, [MODEL, *pictures(min(len(frames.ids), MOST_SHOWN)), TABLE])
    task = task_of(options, frames, forecaster)
    first = frames.series[0]
    what = f"{len(frames.ids):,} series" if len(read) > 1 else ", ".join(frames.ids)
    span = f", {first.span(0, len(first.values))}" if len(read) == 1 else ""
    print(f"{options.file}: {what}, {sum(len(one.values) for one in read):,} values{span}.")
    print(*notes, sep="\n")
    backtest = learn(task, output)
    if backtest is None:
        return output.stopped(forecaster.save, LOAD) if forecaster.interrupted else 0
    coming = ahead(task, sorted(set(options.quantiles)))
    labels = [one.future(task.horizon) for one in frames.series]
    figures = show(task, backtest, coming, labels)
    print()
    write(output, forecaster, figures, report.forecast_csv(labels, coming))
    print(f"All in {time.perf_counter() - began:.1f} s.")
    return 0


def forecaster_of(options: argparse.Namespace) -> LSTMForecaster:
    with usage():
        return LSTMForecaster(
            options.season,
            window=options.window,
            patch=options.patch,
            strategy=options.strategy,
            distribution=options.distribution,
            scaling="log" if options.log else "instance",
            holidays=options.holidays,
            hidden_size=options.hidden,
            epochs=options.epochs,
            random_state=options.seed,
        )


def task_of(options: argparse.Namespace, frames: Frames, forecaster: LSTMForecaster) -> Task:
    """The task, with a number of held-out steps."""
    lengths = [len(one.values) for one in frames.series]
    holdout = options.holdout or default_holdout(round(statistics.median(lengths)), options.horizon)
    if holdout >= max(lengths):
        name = "holdout" if options.holdout else "horizon"
        which = "the series" if len(frames.ids) == 1 else "the longest series"
        hint = "" if options.holdout or max(lengths) == 1 else "; --holdout takes fewer to test on"
        raise ValueError(f"{name}: expected less than the {max(lengths)} values of {which}, got {holdout}{hint}")
    short = sum(length <= holdout for length in lengths)
    if short:
        print(f"Series of {holdout} values or fewer, of which none is held out: {short}.")
    if options.horizon >= max(lengths):
        raise ValueError(
            f"horizon: expected less than the {max(lengths)} values of the longest series, got {options.horizon}"
        )
    for at, name in enumerate(options.known, start=-len(options.known)):
        rows = min(filled_in(one.coming[:, at]) for one in frames.series)
        if rows < options.horizon:
            raise ValueError(
                f"known: expected {options.horizon} rows behind the last value of each series, in which {name!r} is "
                f"filled in, got {rows}; --inputs takes columns that nobody knows yet"
            )
    return Task(frames, forecaster, options.horizon, holdout, options.coverage)


def filled_in(coming: NDArray[np.float64]) -> int:
    """How many of the steps to come a column has, up to the last that is filled in."""
    return int(np.flatnonzero(~np.isnan(coming)).max(initial=-1)) + 1


def default_holdout(length: int, horizon: int) -> int:
    """About a fifth of the series, in whole horizons."""
    return max(1, round(0.2 * length / horizon)) * horizon


def learn(task: Task, output: Output) -> Backtest | None:
    """Train without the held-out values, and forecast them; None after Ctrl-C, and on ranks that are done."""
    forecaster, frames, one = task.forecaster, task.frames, task.frames.series[0]
    which = one.span(0, len(one.values) - task.holdout) if len(frames.ids) == 1 else f"all but the last {task.holdout}"
    print(f"Training on {which}, the next {task.horizon} to be forecast.")
    began = time.perf_counter()
    output.begin()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of missing values, which have been told already
        forecaster.fit(
            frames.before(task.holdout),
            frames.X,
            fh=task.horizon,
            static=frames.static,
            callbacks=[Report(), output.checkpoint()],
            resume=output.state,
            communicator=output.communicator,
        )
    if forecaster.interrupted or output.done_here():
        return None
    print(f"Season: {forecaster.season_} steps." if forecaster.season_ > 1 else "Season: none.")
    print(_trained(forecaster, time.perf_counter() - began))
    return forecaster.evaluate(frames.y, frames.X, coverage=task.coverage)


def _trained(forecaster: LSTMForecaster, seconds: float) -> str:
    """A sentence on the training, and on what it was good for."""
    if not forecaster.history_.epochs:
        return "The values are too few to train a network: the forecast is the classical one."
    said = f"{forecaster.history_.epochs} epochs in {seconds:.1f} s."
    if not forecaster.share_:
        return f"{said} Held-out values say that the network adds nothing: the forecast is the classical one."
    return f"{said} Held-out values say that {forecaster.share_:.0%} of the network's correction is to be believed."


def ahead(task: Task, levels: list[float]) -> dict[str, Forecast]:
    """What comes of each series; the classical half is fitted to all values first."""
    forecaster, X = task.forecaster, task.frames.X
    forecaster.update(task.frames.y, X, refit=True)

    def rows(frame: Any, column: Any) -> dict[str, NDArray[np.float64]]:
        values = frame[column].to_numpy().reshape(-1, task.horizon)
        return dict(zip(frame["unique_id"].to_numpy()[:: task.horizon], values, strict=True))

    mean, ends = forecaster.predict(X=X), forecaster.predict_interval(X=X, coverage=task.coverage)
    means, lows, highs = rows(mean, "y"), rows(ends, "lower"), rows(ends, "upper")
    quantiles = forecaster.predict_quantiles(levels, X=X) if levels else None
    more = {level: rows(quantiles, level) for level in levels}
    return {
        name: Forecast(means[name], lows[name], highs[name], {level: each[name] for level, each in more.items()})
        for name in task.frames.ids
    }
