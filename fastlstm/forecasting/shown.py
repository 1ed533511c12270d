"""What pictures and notebooks show of forecasts: the last values of a few series, and what was forecast of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check, html
from fastlstm.forecasting.data import Data
from fastlstm.forecasting.earlier import Earlier
from fastlstm.forecasting.grid import Grid
from fastlstm.forecasting.outlook import ends_of, undone
from fastlstm.forecasting.panel import Panel

if TYPE_CHECKING:
    from fastlstm.forecasting.backtest import Backtest
    from fastlstm.forecasting.lstm_forecaster import LSTMForecaster

Floats = NDArray[np.float64]

MOST_SERIES = 6
"""Series that are shown unless others are asked for."""

MOST_VALUES = 3000
"""Values of all series up to which a notebook forecasts them: a forecast takes some 0.1 ms a step."""


@dataclass(frozen=True)
class Stretch:
    """A forecast.

    Attributes
    ----------
    begin : int
        The place of its first step among the moments.
    forecast, lower, upper : (H,)
    """

    begin: int
    forecast: Floats
    lower: Floats
    upper: Floats


@dataclass(frozen=True)
class Shown:
    """The end of a series, and its forecasts.

    Attributes
    ----------
    name : str
        Empty if the series has none.
    moments : (n,) datetime64, or numbers of steps
    values : (n,)
        NaN where nothing was measured or all is still to come.
    stretches : list of Stretch
    """

    name: str
    moments: NDArray[Any]
    values: Floats
    stretches: list[Stretch]


def ahead_of(
    forecaster: LSTMForecaster, fh: int | None, X: Any, coverage: float, series: Any, before: int | None
) -> list[Shown]:
    """What comes, behind the last `before` values of these series."""
    outlook, steps = forecaster._ahead(fh, X)
    panel, scaling = forecaster._panel, forecaster.scaling
    point, ends = outlook.point(), outlook.quantiles(ends_of(coverage))
    before = _before(before, steps)
    shown = []
    for row in _rows(panel, series):
        values = undone(panel.values[row], scaling)[-before:]
        moments = moments_of(panel.grid, panel.ends[row] - len(values), len(values) + steps)
        stretch = Stretch(len(values), point[row, :steps], ends[row, :steps, 0], ends[row, :steps, 1])
        whole = np.concatenate([values, np.full(steps, np.nan)])
        shown.append(Shown(_name(panel, row), moments, whole, [stretch]))
    return shown


def judged_of(backtest: Backtest, series: Any, before: int | None) -> list[Shown]:
    """The forecasts of all origins, and the values from `before` the first of them on."""
    panel, steps = backtest.panel, backtest.truth.shape[2]
    before, shown = _before(before, steps), []
    for row in _rows(panel, series):
        own = panel.values[row]
        first = max(0, int(backtest.origins[0, row]) - before)
        stretches = [
            Stretch(int(origin) - first, backtest.forecast[at, row], backtest.lower[at, row], backtest.upper[at, row])
            for at, origin in enumerate(backtest.origins[:, row])
            if origin < len(own)  # the series has not ended yet
        ]
        count = max([len(own) - first, *(stretch.begin + steps for stretch in stretches)])
        values = np.full(count, np.nan)
        values[: len(own) - first] = own[first:]
        moments = moments_of(panel.grid, panel.starts[row] + first, count)
        shown.append(Shown(_name(panel, row), moments, values, stretches))
    return shown


def moments_of(grid: Grid, start: int, count: int) -> NDArray[Any]:
    """The moments from a position on, as an axis shows them: by the clock of their zone, periods by their start."""
    if not grid.dated:
        return np.asarray(grid.first + grid.step * np.arange(start, start + count))
    index = grid.index(start, count)
    index = index.to_timestamp() if hasattr(index, "to_timestamp") else index.tz_localize(None)
    return np.asarray(index.to_numpy())


def _rows(panel: Panel, series: Any) -> list[int]:
    """The rows of these series; by default of the first few."""
    if series is None:
        return list(range(min(len(panel), MOST_SERIES)))
    wanted = _check.items(series, "series", "names of series")
    places = {label: row for row, label in enumerate(panel.ids)}
    for label in wanted:
        if label not in places:
            known = ", ".join(map(repr, panel.ids[:MOST_SERIES])) + (", ..." if len(panel) > MOST_SERIES else "")
            raise ValueError(f"series: expected some of {known}, got {label!r}")
    if not wanted:
        raise ValueError("series: expected at least one, got none")
    return [places[label] for label in wanted]


def _before(before: int | None, horizon: int) -> int:
    return max(24, 3 * horizon) if before is None else _check.positive_int(before, "before")


def _name(panel: Panel, row: int) -> str:
    if panel.layout in ("array", "series"):
        return "" if panel.name is None else str(panel.name)
    return str(panel.ids[row])


def html_of_forecaster(forecaster: LSTMForecaster) -> str:
    """What a forecaster has learned from, and how: tables, the losses, and what comes of the first few series.

    It is forecast here only where that is cheap, and needs no columns of the steps to come.
    """
    learned, data = forecaster._learned_parts, forecaster._data
    if learned is None:
        rows = list(forecaster.get_params().items())
        return html.table(("parameter", "value"), rows, "LSTMForecaster, which has learned nothing yet")
    facts = [] if data is None else _facts(data)  # a file of an earlier version has no series
    sizes = learned if isinstance(learned, Earlier) else learned.reader
    facts += [(name, getattr(sizes, name)) for name in ("horizon", "season", "window")]
    facts += [("parameters of the network", learned.model.num_parameters)]
    pictures = ""
    history = getattr(forecaster, "history_", None)  # a file does not have it
    if history is not None:
        pictures = html.line(dict(history), title=f"{history.epochs} epochs:")
    if not isinstance(learned, Earlier) and data is not None:
        facts += [("believed of what it says (share_)", learned.share)]
        if sum(data.lengths) <= MOST_VALUES and not learned.reader.covariates.known.any():
            pictures += "".join(map(_picture, ahead_of(forecaster, None, None, 0.9, None, None)))
    return html.table(("learned", ""), facts, repr(forecaster)) + pictures


def _facts(data: Data) -> list[tuple[str, object]]:
    """What stands in series."""
    panel = data.panel
    return [
        ("series", len(panel)),
        ("values", int(sum(data.lengths))),
        ("of them missing", int(sum(np.isnan(values).sum() for values in panel.values))),
        ("from", _moment(panel, min(panel.starts))),
        ("to", _moment(panel, max(panel.ends) - 1)),
        ("columns beside them", ", ".join(map(str, data.names)) or "none"),
    ]


def html_of_backtest(backtest: Backtest) -> str:
    """The errors beside those of naive forecasts, and the forecasts of the first few series."""
    origins, series, steps = backtest.truth.shape
    caption = f"Backtest of {series} series from {origins} origins, {steps} steps each"
    scaled = dict.fromkeys(backtest.scores, np.nan)
    if backtest.measured.any():
        caption += f"; {backtest.coverage:.1%} of the values are within the intervals"
        scaled = {name: backtest._scaled(values) for name, values in backtest._forecasts.items()}
    rows = [(name, score.mae, score.rmse, scaled[name]) for name, score in backtest.scores.items()]
    pictures = "".join(map(_picture, judged_of(backtest, None, None)))
    return html.table(("forecast", "MAE", "RMSE", "MASE"), rows, caption) + pictures


def _moment(panel: Panel, position: int) -> str:
    """A moment in words; a step of an array by its number."""
    moment = moments_of(panel.grid, position, 1)[0]
    return str(moment.astype("datetime64[s]")).replace("T00:00:00", "") if panel.grid.dated else str(moment)


def _picture(shown: Shown) -> str:
    """Where stretches overlap, the latest one is shown."""
    parts = np.full((3, len(shown.values)), np.nan)
    for stretch in shown.stretches:
        end = stretch.begin + len(stretch.forecast)
        parts[:, stretch.begin : end] = stretch.forecast, stretch.lower, stretch.upper
    forecast, lower, upper = parts
    title = f"{shown.name}:" if shown.name else ""
    return html.line({"forecast": forecast, "values": shown.values}, band=(lower, upper), title=title)
