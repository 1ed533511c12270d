"""The parts of a forecaster as JSON can hold them, and back; each is checked when it is read."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.forecasting.band import Band
from fastlstm.forecasting.calendar import calendar_features
from fastlstm.forecasting.classical import Classical
from fastlstm.forecasting.covariates import Covariates
from fastlstm.forecasting.data import Data
from fastlstm.forecasting.distributions import head_of
from fastlstm.forecasting.grid import Grid
from fastlstm.forecasting.learning import Learned
from fastlstm.forecasting.network import layers_of
from fastlstm.forecasting.panel import Panel
from fastlstm.forecasting.parameters import MOST_STEPS, Parameters
from fastlstm.forecasting.reader import Reader
from fastlstm.forecasting.reading import OWN
from fastlstm.forecasting.regression import Regression
from fastlstm.forecasting.static import Static
from fastlstm.model import Model

Floats = NDArray[np.float64]

MOST_ROOM = 50
"""Moments of a grid for each value, at most, beyond a million."""

LAYOUTS = ("array", "arrays", "series", "wide", "long")


def packed(array: Floats) -> dict[str, Any]:
    """An array as text: NaN included, every bit kept."""
    return {"shape": list(array.shape), "float64": base64.b64encode(array.astype("<f8").tobytes()).decode()}


def unpacked(value: dict[str, Any], name: str, shape: tuple[int | None, ...]) -> Floats:
    """The array of a text; ValueError if it is not of this shape, in which None stands for any size."""
    array = np.frombuffer(base64.b64decode(value["float64"], validate=True), "<f8").astype(np.float64)
    sizes = tuple(value["shape"])
    if len(sizes) != len(shape) or any(want not in (None, got) for want, got in zip(shape, sizes, strict=True)):
        raise ValueError(f"{name}: expected shape {shape}, got {sizes}")
    if np.isinf(array).any():
        raise ValueError(f"{name}: expected finite numbers or NaN, got an infinite one")
    return array.reshape(sizes)


def grid_as_dict(grid: Grid) -> dict[str, Any]:
    if not grid.dated:
        return {"kind": "numbers", "first": int(grid.first), "step": int(grid.step), "name": grid.name}
    import pandas

    if isinstance(grid.first, pandas.Period):
        return {"kind": "periods", "first": str(grid.first), "step": grid.first.freqstr, "name": grid.name}
    zone = None if grid.first.tz is None else str(grid.first.tz)
    first = grid.first.tz_localize(None) if zone is None else grid.first.tz_convert("UTC").tz_localize(None)
    return {"kind": "dates", "first": first.isoformat(), "step": grid.step.freqstr, "zone": zone, "name": grid.name}


def grid_from_dict(state: dict[str, Any]) -> Grid:
    name = state["name"]
    if name is not None and not isinstance(name, str):
        raise ValueError(f"name: expected a word, got {name!r:.80}")
    if state["kind"] == "numbers":
        if not isinstance(state["first"], int):
            raise ValueError(f"first: expected a whole number, got {state['first']!r:.80}")
        return Grid(state["first"], _check.positive_int(state["step"], "step"), name)
    import pandas

    if state["kind"] == "periods":
        first = pandas.Period(state["first"], freq=state["step"])
        return Grid(first, first.freq, name)
    if state["kind"] != "dates":
        raise ValueError(f"kind: expected numbers, periods or dates, got {state['kind']!r:.80}")
    moment = pandas.Timestamp(state["first"])
    if state["zone"] is not None:
        moment = moment.tz_localize("UTC").tz_convert(state["zone"])
    return Grid(moment, pandas.tseries.frequencies.to_offset(state["step"]), name)


def data_as_dict(data: Data) -> dict[str, Any]:
    panel = data.panel
    return {
        "layout": panel.layout,
        "ids": [label if isinstance(label, str | int | float) else str(label) for label in _plain(panel.ids)],
        "lengths": data.lengths.tolist(),
        "starts": list(panel.starts),
        "grid": grid_as_dict(panel.grid),
        "polars": panel.polars,
        "name": panel.name if panel.name is None else str(panel.name),
        "names": _plain(data.names),
        "values": packed(np.concatenate(panel.values)),
        "columns": packed(np.concatenate(data.columns)),
    }


def data_from_dict(state: dict[str, Any]) -> Data:
    ids, names = list(state["ids"]), list(state["names"])
    lengths = _check.int_array(state["lengths"], "lengths", (len(ids),), 1, 1 << 40)
    starts = _check.int_array(state["starts"], "starts", (len(ids),), 0, 1 << 40)
    if state["layout"] not in LAYOUTS:
        raise ValueError(f"layout: expected one of {', '.join(LAYOUTS)}, got {state['layout']!r:.80}")
    total = int(lengths.sum())
    if int((starts + lengths).max()) > 1_000_000 + MOST_ROOM * total:
        raise ValueError(f"starts: expected series near each other, got one that begins at {int(starts.max())}")
    cuts = np.cumsum(lengths)[:-1]
    values = np.split(unpacked(state["values"], "values", (total,)), cuts)
    columns = np.split(unpacked(state["columns"], "columns", (total, len(names))), cuts)
    if any(np.isnan(own).all() for own in values):
        raise ValueError("values: expected at least one number of each series, got none of one")
    grid = grid_from_dict(state["grid"])
    polars = _check.flag(state["polars"], "polars")
    panel = Panel(state["layout"], ids, values, starts.tolist(), grid, polars, state["name"])
    return Data(panel, names, columns)


def reader_as_dict(reader: Reader) -> dict[str, Any]:
    covariates = reader.covariates
    return {
        "season": reader.season,
        "horizon": reader.horizon,
        "window": reader.window,
        "patch": reader.patch,
        "calendar": reader.calendar,
        "holidays": reader.holidays,
        "names": _plain(covariates.names),
        "known": covariates.known.tolist(),
        "mean": covariates.mean.tolist(),
        "deviation": covariates.deviation.tolist(),
        "static": packed(reader.static),
        "scales": packed(np.stack([reader.error, reader.centre, reader.width])),
    }


def reader_from_dict(state: dict[str, Any], series: int) -> Reader:
    names = list(state["names"])
    mean, deviation = (
        _check.real_array(state[key], key, np.dtype(np.float64), (len(names),)) for key in ("mean", "deviation")
    )
    if (deviation <= 0).any():
        raise ValueError(f"deviation: expected numbers above 0, got {deviation.min():g}")
    known = np.array([_check.flag(value, "known") for value in state["known"]], bool)
    _check.shape_of(known, "known", (len(names),))
    error, centre, width = unpacked(state["scales"], "scales", (3, series))
    if not (error > 0).all():
        raise ValueError("scales: expected errors above 0")
    holidays = state["holidays"]
    if holidays is not None and not isinstance(holidays, str):
        raise ValueError(f"holidays: expected a country, got {holidays!r:.80}")
    given = {"patch": 1, **state}  # files of earlier versions have no patch
    sizes = {key: _check.positive_int(given[key], key, MOST_STEPS) for key in ("season", "horizon", "window", "patch")}
    return Reader(
        **sizes,
        calendar=_check.flag(state["calendar"], "calendar"),
        holidays=holidays,
        covariates=Covariates(names, known, mean, deviation),
        static=unpacked(state["static"], "static", (series, None)),
        error=error,
        centre=centre,
        width=width,
    )


def static_as_dict(static: Static | None) -> dict[str, Any] | None:
    if static is None:
        return None
    numbers = {"mean": static.mean.tolist(), "deviation": static.deviation.tolist()}
    return {"names": _plain(static.names), "words": static.words, **numbers}


def static_from_dict(state: dict[str, Any] | None) -> Static | None:
    if state is None:
        return None
    count = len(state["names"])
    mean, deviation = (
        _check.real_array(state[key], key, np.dtype(np.float64), (count,)) for key in ("mean", "deviation")
    )
    words = [None if known is None else [str(word) for word in known] for known in state["words"]]
    if len(words) != count:
        raise ValueError(f"words: expected {count} lists, got {len(words)}")
    return Static(list(state["names"]), words, mean, deviation)


def parts_as_dict(parameters: Parameters, learned: Learned, data: Data) -> dict[str, Any]:
    """All of a forecaster but its network."""
    return {
        "options": {**parameters.get_params(), "past_covariates": list(parameters.past_covariates)},
        "reader": reader_as_dict(learned.reader),
        "static": static_as_dict(learned.static),
        "classical": learned.classical.as_dict(),
        "effect": packed(learned.regression.effect),
        "share": learned.share,
        "band": learned.band.as_dict(),
        "data": data_as_dict(data),
    }


def parts_from_dict(model: Model, state: dict[str, Any]) -> tuple[Parameters, Learned, Data]:
    """What `parts_as_dict` has been given, and the network; ValueError if the parts do not belong together."""
    options = state["options"]
    parameters = Parameters(**{**options, "past_covariates": tuple(options["past_covariates"])})
    data = data_from_dict(state["data"])
    count = len(data.panel)
    effect = unpacked(state["effect"], "effect", (count, len(data.names)))
    learned = Learned(
        reader=reader_from_dict(state["reader"], count),
        static=static_from_dict(state["static"]),
        regression=Regression(np.nan_to_num(effect)),
        classical=Classical.from_dict(state["classical"], count),
        model=model,
        share=_check.number(state["share"], "share", 0, 1),
        band=Band.from_dict(state["band"]),
    )
    check_together(parameters, learned, data)
    return parameters, learned, data


def check_together(parameters: Parameters, learned: Learned, data: Data) -> None:
    """Require that the parts of a file belong together."""
    reader, model = learned.reader, learned.model
    if len(learned.band.growth) != reader.horizon:
        raise ValueError(f"band: expected {reader.horizon} steps, got {len(learned.band.growth)}")
    if reader.covariates.names != data.names:
        raise ValueError(f"names: expected {data.names}, those of the columns, got {reader.covariates.names}")
    moments = (
        calendar_features(data.panel.grid, 0, 1, reader.season, reader.holidays)
        if reader.calendar
        else np.zeros((1, 0))
    )
    features = OWN + reader.static.shape[1] + moments.shape[1] + len(data.names)
    outputs = head_of(parameters.distribution, parameters.loss).outputs
    sizes = parameters.hidden_size, parameters.num_layers, parameters.dropout, outputs, parameters.patch
    wanted = [repr(layer) for layer in layers_of(features, *sizes)]
    if [repr(layer) for layer in model.layers] != wanted:
        raise ValueError(f"model: expected {', '.join(wanted)}, got {model!r}")
    if reader.patch != parameters.patch or reader.window % reader.patch:
        raise ValueError(f"patch: expected {parameters.patch} and a multiple of it as window, got {reader.patch}")


def _plain(labels: list[Any]) -> list[Any]:
    """NumPy's numbers as those of Python."""
    return [label.item() if isinstance(label, np.generic) else label for label in labels]
