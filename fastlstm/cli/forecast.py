"""``fastlstm demo`` and ``fastlstm forecast``: learn from a series, and forecast the next values."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import datasets, plot
from fastlstm.cli.options import MODEL, Commands, UsageError, add_max_megabytes, add_output, add_resume, count, source
from fastlstm.cli.output import Output
from fastlstm.cli.report import Report
from fastlstm.files import write_atomically
from fastlstm.forecasting import report
from fastlstm.forecasting.backtest import Backtest, Forecast
from fastlstm.forecasting.columns import Columns, columns_of
from fastlstm.forecasting.dates import find_step
from fastlstm.forecasting.forecaster import Forecaster
from fastlstm.forecasting.series import Series, read_series
from fastlstm.separated import MOST

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEMO, TABLE = "fastlstm-demo", "forecast.csv"

LOAD = "in Python, by fastlstm.forecasting.Forecaster.load"
"""How the file of an interrupted training can be used."""

FORECAST = """Learn from a column of a CSV file, or from several, and forecast the next values.

The last part of the series is held out first and forecast from the values before it, to measure the error beside that
of two naive forecasts: that the last value stays, and that the last season repeats. Then the coming steps are forecast.
Written to the output folder: forecast.csv, forecast.png (one for each target) and model.safetensors. What is there
already is replaced only with --force. Ctrl-C ends the training and leaves it as it was; with --resume the training goes
on later to the same end as without a pause."""

FORECAST_EXAMPLES = """what happens to the file:
  sheets        of an .xlsx file the first is read (pip install openpyxl); Parquet takes pyarrow
  compressed    .gz, .bz2 and .xz are read, within --max-megabytes
  separator     , ; tab or | is found out
  numbers       10,069.12 10.069,12 1 234,5 $1,200 12 % and (1,234) for a negative one are read where the whole column
                agrees; where 1,234 may be one or the other, --decimal says what is meant
  header        without one, columns are numbered: --target 1
  dates         the column is found by its name or looks; rows are sorted by date; --date-format says what 02/03/2020 or
                1-01 mean; offsets from UTC are kept
  missing       empty cells, NA, nan, ? and left-out dates are counted for you; the network reads the value of a season
                before or the last one instead, and errors and the band are those of measured values alone

examples:
  fastlstm forecast sales.csv --target sales --horizon 12
  fastlstm forecast sales.csv --target sales --horizon 12 --log          swings that grow with the level
  fastlstm forecast load.csv --target 8 --date 1 --horizon 24 --season 24 --window 96
  fastlstm forecast load.csv --target OT --inputs HUFL HULL --horizon 24         reads other columns too
  fastlstm forecast load.csv --target OT --target HUFL --horizon 24 --patch 24   several at once, a day at a step
"""


def add(commands: Commands) -> None:
    """Add the commands ``demo`` and ``forecast``."""
    demo_parser = commands.add_parser(
        "demo",
        help="train on a series that comes with fastlstm, and forecast a held-out stretch",
        description="Train on carbon dioxide at Mauna Loa, and forecast the last five years of the data. The default "
        f"folder, {DEMO}, is the demo's own, and written to again.",
    )
    demo_parser.set_defaults(run=demo)
    parser = commands.add_parser(
        "forecast",
        help="forecast a column of your own CSV file",
        description=FORECAST,
        epilog=FORECAST_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=forecast, trains=True)
    add = parser.add_argument
    add("file", type=source, metavar="FILE", help="a CSV file, compressed (.gz, .bz2, .xz) or not, .xlsx or Parquet")
    add(
        "--target",
        required=True,
        action="append",
        metavar="COLUMN",
        help="the column to forecast, by name or by number from 1; may be given again, for several by one network",
    )
    add("--inputs", nargs="+", default=[], metavar="COLUMN", help="more columns for the network to read")
    add("--horizon", required=True, type=count, metavar="N", help="number of steps to forecast")
    add("--date", metavar="COLUMN", help="the column of dates, or none for equal steps (default: looked for)")
    add(
        "--date-format",
        metavar="CODES",
        help="how dates are written, such as %%d/%%m/%%Y or %%y-%%m (default: found out)",
    )
    add("--decimal", choices=[".", ","], help="the decimal mark (default: found out for each column)")
    add("--season", type=count, metavar="N", help="steps of a season, 1 for none (default: from the dates)")
    add("--holdout", type=count, metavar="N", help="last steps to test on (default: about a fifth)")
    add(
        "--log", action="store_true", help="work on the logarithm: for positive values whose swings grow with the level"
    )
    add_max_megabytes(parser, "what the file", MOST)
    model = parser.add_argument_group("network and training")
    model.add_argument("--window", type=count, metavar="N", help="steps that the network sees (default: two seasons)")
    model.add_argument("--patch", type=count, default=1, metavar="N", help="values that a step reads, such as a day's")
    model.add_argument("--hidden", type=count, default=32, metavar="N", help="LSTM units (default: %(default)s)")
    model.add_argument("--epochs", type=count, default=100, metavar="N", help="at most (default: %(default)s)")
    for each, folder in ((demo_parser, DEMO), (parser, "fastlstm-forecast")):
        add_output(each, folder)
        add_resume(each)


def demo(options: argparse.Namespace) -> int:
    """Train on the CO2 series; the exit status is 0 if both naive forecasts are beaten."""
    options.force = options.force or options.output == Path(DEMO)
    plot.new_figure()  # fail now, not after the training, if matplotlib is missing
    output = Output(options, [MODEL, *pictures(1)])
    began = time.perf_counter()
    months, ppm = datasets.co2()
    dates = months.astype("M8[s]")
    note = f"Months without a measurement: {np.isnan(ppm).sum()} of {len(ppm)}."
    series = Series("CO2", ppm, dates, find_step(dates), [note])
    print(f"Carbon dioxide in the air at Mauna Loa, monthly, {series.span(0, len(ppm))}.")
    forecaster = Forecaster(12, season=12, window=36, epochs=300, patience=80, seed=options.seed)
    series, columns = columns_of(series, 1, forecaster.season)
    backtest = learn(series, forecaster, columns, 60, output)
    if backtest is None:
        return output.stopped(forecaster.save, LOAD) if forecaster.interrupted else 0
    names = naive_names(series, forecaster.season)
    report_errors(series, forecaster, backtest, names, "ppm")
    figure = plot.forecast_figure(
        series.values,
        backtest,
        dates=dates,
        coverage=forecaster.coverage,
        title="Carbon dioxide at Mauna Loa: five held-out years, forecast twelve months at a time",
        label="CO₂ (ppm)",
        names=names,
    )
    write(output, forecaster, [figure])
    print(f"All in {time.perf_counter() - began:.1f} s.")
    return 0 if backtest.beats_naive else 1


def forecast(options: argparse.Namespace) -> int:
    """Backtest on a file, then forecast the values after its end."""
    began = time.perf_counter()
    plot.new_figure()
    if options.window and options.window % options.patch:
        raise UsageError(f"window: expected a multiple of patch={options.patch}, got {options.window}")
    targets = list(dict.fromkeys(options.target))
    output = Output(options, [MODEL, *pictures(len(targets)), TABLE])
    series = read_series(
        options.file,
        targets[0],
        options.date,
        [*targets[1:], *options.inputs],
        date_format=options.date_format,
        decimal=options.decimal,
        max_bytes=options.max_bytes,
    )
    series, columns = columns_of(series, len(targets), options.season or series.season)
    length = len(series.values)
    print(f"{options.file}: {', '.join(columns.names)}, {length} values, {series.span(0, length)}.")
    forecaster = forecaster_of(options, series)
    holdout = options.holdout or default_holdout(length, options.horizon)
    if holdout >= length:
        name = "holdout" if options.holdout else "horizon"
        raise ValueError(f"{name}: expected less than the {length} values of the series, got {holdout}")
    backtest = learn(series, forecaster, columns, holdout, output)
    if backtest is None:
        return output.stopped(forecaster.save, LOAD) if forecaster.interrupted else 0
    names = naive_names(series, forecaster.season)
    coming = columns.each(forecaster.forecast(columns.values, columns.inputs))
    labels = series.future(options.horizon)
    figures = []
    for place, (name, test) in enumerate(columns.each(backtest).items()):
        if len(columns.names) > 1:
            print(f"\n{name}")
        report_errors(series, forecaster, test, names, "")
        print(f"\nThe next {options.horizon} steps, with the {forecaster.coverage:.0%} band:\n")
        print(report.forecast_table(labels, coming[name]))
        shown = columns.values if columns.measured is None else np.where(columns.measured, columns.values, np.nan)
        values = shown if shown.ndim == 1 else shown[:, place]
        figures.append(picture(series, name, values, test, coming[name], names, forecaster))
    print()
    write(output, forecaster, figures, report.forecast_csv(labels, coming))
    print(f"All in {time.perf_counter() - began:.1f} s.")
    return 0


def forecaster_of(options: argparse.Namespace, series: Series) -> Forecaster:
    return Forecaster(
        options.horizon,
        season=options.season or series.season,
        window=options.window,
        patch=options.patch,
        hidden_size=options.hidden,
        epochs=options.epochs,
        log=options.log,
        seed=options.seed,
    )


def picture(
    series: Series,
    name: str,
    values: NDArray[np.float64],
    backtest: Backtest,
    coming: Forecast,
    names: dict[str, str],
    forecaster: Forecaster,
) -> Figure:
    horizon = forecaster.horizon
    shown = max(400, 2 * horizon)
    last = f"the last {shown} " if len(backtest.truth) > shown else ""
    return plot.forecast_figure(
        values,
        backtest,
        coming,
        dates=axis(series, coming),
        coverage=forecaster.coverage,
        title=f"{name}: {last}held-out values and the coming {horizon} steps",
        label=name,
        names=names,
        most=shown,
    )


def default_holdout(length: int, horizon: int) -> int:
    """About a fifth of the series, in whole horizons."""
    return max(1, round(0.2 * length / horizon)) * horizon


def axis(series: Series, coming: Forecast) -> NDArray[Any] | None:
    """The dates of the series and of the coming steps; None if they are not evenly spaced."""
    if series.step is None or series.dates is None:
        return None
    last = series.step.ordinals(series.dates[-1:])
    return np.concatenate([series.dates, series.step.dates(last + np.arange(1, len(coming.mean) + 1))])


def naive_names(series: Series, season: int) -> dict[str, str]:
    """The name of the forecast that repeats the last season."""
    usual = series.step is not None and season == series.season
    return {"last season": series.step.season_name if usual and series.step else f"value {season} steps before"}


def learn(series: Series, forecaster: Forecaster, columns: Columns, holdout: int, output: Output) -> Backtest | None:
    """Train without the held-out values, and forecast them; None after Ctrl-C, and on ranks that are done."""
    print(*series.notes, sep="\n")
    print(f"Season: {forecaster.season} steps." if forecaster.season > 1 else "Season: none.")
    train = columns.values[:-holdout]
    inputs = None if columns.inputs is None else columns.inputs[:-holdout]
    try:
        split = forecaster.split(len(train))
    except ValueError as error:
        raise ValueError(f"{error} ({holdout} of {len(series.values)} are held out)") from None
    print(
        f"Training on {series.span(0, len(train))}: {split.train_windows} windows of "
        f"{split.window} steps, the next {forecaster.horizon} to be forecast."
    )
    if split.stride > 1:
        print(f"To keep it short, the windows start {split.stride} steps apart.")
    began = time.perf_counter()
    output.begin()
    callbacks = [Report(), output.checkpoint()]
    communicator = output.communicator
    measured = None if columns.measured is None else columns.measured[:-holdout]
    epochs = forecaster.fit(
        train, inputs, measured=measured, callbacks=callbacks, resume=output.state, communicator=communicator
    ).epochs
    if forecaster.interrupted or output.done_here():
        return None
    print(f"{epochs} epochs in {time.perf_counter() - began:.1f} s.")
    return forecaster.backtest(columns.values, holdout, columns.inputs, measured=columns.measured)


def report_errors(series: Series, forecaster: Forecaster, backtest: Backtest, names: dict[str, str], unit: str) -> None:
    count = int(backtest.measured.sum())
    of = "" if count == len(backtest.truth) else f"{count} measured ones of the "
    print(
        f"\nErrors on the {of}{len(backtest.truth)} held-out values, "
        f"{series.span(backtest.start, len(series.values))}, forecast {forecaster.horizon} steps at a time:\n"
    )
    print(report.score_table(backtest, names, unit))
    print(f"\n{report.verdict(backtest, names)}\n{report.skill_line(backtest, forecaster.horizon)}")
    print(report.coverage_line(backtest, forecaster.coverage))


def pictures(targets: int) -> list[str]:
    """The names of the pictures, one for each target."""
    return ["forecast.png"] if targets == 1 else [f"forecast-{k}.png" for k in range(1, targets + 1)]


def write(output: Output, forecaster: Forecaster, figures: list[Figure], table: str | None = None) -> None:
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
