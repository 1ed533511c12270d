"""The options of ``fastlstm forecast``."""

from __future__ import annotations

import argparse

from fastlstm.cli.options import Commands, add_max_megabytes, add_output, add_resume, at_most, count, source
from fastlstm.forecasting.distributions import DISTRIBUTIONS
from fastlstm.forecasting.parameters import MOST_PATCH, MOST_STEPS, STRATEGIES
from fastlstm.separated import MOST

DEMO, TABLE = "fastlstm-demo", "forecast.csv"

FORECAST = """Learn from a column of a file, or from several, and forecast the next values.

The last part of each series is held out first and forecast from the values before it, to measure the error beside that
of two naive forecasts: that the last value stays, and that the last season repeats. Then the coming steps are
forecast. Written to the output folder: forecast.csv, forecast.png (one for each series, of many for the first) and
model.safetensors. What is there already is replaced only with --force. Ctrl-C ends the training and leaves it as it
was; with --resume the training goes on later to the same end as without a pause."""

FORECAST_EXAMPLES = """what happens to the file:
  sheets        of an .xlsx file the first is read (pip install openpyxl); Parquet takes pyarrow
  compressed    .gz, .bz2 and .xz are read, within --max-megabytes
  separator     , ; tab or | is found out
  numbers       10,069.12 10.069,12 1 234,5 $1,200 12 % and (1,234) for a negative one are read where the whole column
                agrees; where 1,234 may be one or the other, --decimal says what is meant
  header        without one, columns are numbered: --target 1
  dates         the column is found by its name or looks; rows are sorted by date; --date-format says what 02/03/2020 or
                1-01 mean; offsets from UTC are kept
  missing       empty cells, NA, nan, ? and left-out dates are counted for you; nothing is learned from them, and errors
                and the band are those of measured values alone

examples:
  fastlstm forecast sales.csv --target sales --horizon 12
  fastlstm forecast sales.csv --target sales --horizon 12 --log                 swings that grow with the level
  fastlstm forecast load.csv --target 8 --date 1 --horizon 24 --season 24 --window 96
  fastlstm forecast load.csv --target OT --inputs HUFL HULL --horizon 24        reads other columns too
  fastlstm forecast load.csv --target OT --target HUFL --horizon 24 --patch 24  several at once, a day at a step
  fastlstm forecast shops.parquet --target sales --group shop --horizon 12      a series for each shop
  fastlstm forecast shops.parquet --target sales --group shop --static region size --horizon 12
  fastlstm forecast shops.xlsx --target sales --group shop --known promotion --horizon 12 --quantiles 0.1 0.5 0.9
                                                   promotion is known: rows behind the last value have it, without sales
"""


def add_forecast(commands: Commands) -> argparse.ArgumentParser:
    """Add the command ``forecast``."""
    parser = commands.add_parser(
        "forecast",
        help="forecast a column of your own CSV, Excel or Parquet file",
        description=FORECAST,
        epilog=FORECAST_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_columns(parser)
    _add_forecasts(parser)
    add_max_megabytes(parser, "what the file", MOST)
    model = parser.add_argument_group("network and training")
    model.add_argument(
        "--window",
        type=at_most(MOST_STEPS),
        metavar="N",
        help="steps that the network sees (default: two seasons, but from 24 to 168, or 14 patches)",
    )
    model.add_argument(
        "--patch", type=at_most(MOST_PATCH), default=1, metavar="N", help="values that a step reads, such as a day's"
    )
    model.add_argument("--hidden", type=count, default=32, metavar="N", help="LSTM units (default: %(default)s)")
    model.add_argument("--epochs", type=count, default=40, metavar="N", help="at most (default: %(default)s)")
    add_output(parser, "fastlstm-forecast")
    add_resume(parser)
    return parser


def _add_columns(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", type=source, metavar="FILE", help="a CSV file, compressed (.gz, .bz2, .xz) or not, .xlsx or Parquet")
    add(
        "--target",
        required=True,
        action="append",
        metavar="COLUMN",
        help="the column to forecast, by name or by number from 1; may be given again, for several by one network",
    )
    add(
        "--group",
        action="append",
        default=[],
        metavar="COLUMN",
        help="the column that says to which series a row belongs; may be given again",
    )
    add("--inputs", nargs="+", default=[], metavar="COLUMN", help="columns to read that nobody knows ahead")
    add("--known", nargs="+", default=[], metavar="COLUMN", help="columns that are known for the steps to come, too")
    add("--static", nargs="+", default=[], metavar="COLUMN", help="columns with one number or word for each group")
    add("--date", metavar="COLUMN", help="the column of dates, or none for equal steps (default: looked for)")
    add(
        "--date-format",
        metavar="CODES",
        help="how dates are written, such as %%d/%%m/%%Y or %%y-%%m (default: found out)",
    )
    add("--decimal", choices=[".", ","], help="the decimal mark (default: found out for each column)")


def _add_forecasts(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--horizon", required=True, type=at_most(MOST_STEPS), metavar="N", help="number of steps to forecast")
    add(
        "--season",
        type=at_most(MOST_STEPS),
        metavar="N",
        help="steps of a season, 1 for none (default: from the dates, or else found out)",
    )
    add("--holdout", type=count, metavar="N", help="last steps to test on (default: about a fifth)")
    add("--coverage", type=share, default=0.9, metavar="SHARE", help="of the band (default: %(default)s)")
    add("--quantiles", type=share, nargs="+", default=[], metavar="LEVEL", help="more columns of forecast.csv")
    add(
        "--distribution",
        choices=list(DISTRIBUTIONS),
        default="point",
        help="what the network learns; the last three are for counts and demand that often is zero (default: point)",
    )
    add(
        "--strategy",
        choices=STRATEGIES,
        default="direct",
        help="all steps at once, or one after the other (default: direct)",
    )
    add("--holidays", metavar="COUNTRY", help="read its public holidays, such as DE or US-CA (pip install holidays)")
    add(
        "--log", action="store_true", help="work on the logarithm: for positive values whose swings grow with the level"
    )


def share(text: str) -> float:
    """A number above 0 and below 1."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0 and below 1, got {text!r:.40}")
    return value
