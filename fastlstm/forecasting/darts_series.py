"""Series and covariates of darts, checked, as tables of a long panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from darts import TimeSeries
from darts.utils.utils import generate_index

from fastlstm import _check
from fastlstm.forecasting.elsewhere import long_columns

Numbered = Mapping[int, Any]
"""TimeSeries by their numbers among those of `fit`."""


def as_list(series: Any, name: str, count: int | None = None) -> list[Any]:
    """One TimeSeries or several as a list.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If there are none, not so many as `count` says, or several samples of one.
    """
    found = [series] if isinstance(series, TimeSeries) else list(_check.items(series, name, "TimeSeries"))
    for each in found:
        if not isinstance(each, TimeSeries):
            raise TypeError(f"{name}: expected a TimeSeries or a list of them, got {type(each).__name__}")
        if each.n_samples > 1:
            raise ValueError(f"{name}: expected one value for each step, got {each.n_samples} samples")
    if not found or count not in (None, len(found)):
        raise ValueError(f"{name}: expected {count or 'at least 1'} TimeSeries, got {len(found)}")
    return found


def table_of(series: Any) -> Any:
    """A TimeSeries as a DataFrame by time."""
    import pandas

    return pandas.DataFrame(series.values(copy=False), series.time_index, list(series.components))


def placed(series: Sequence[Any], told: Sequence[Any]) -> dict[int, Any]:
    """Series by their numbers among those of `fit`, without what lies before the beginnings of these."""
    found: dict[int, Any] = {}
    for place, given in enumerate(series):
        near = [place] if place < len(told) else []  # most often they come in the same order
        for at in (*near, *range(len(told))):
            begin = _place_in(given, told[at])
            if begin is not None and at not in found:
                found[at] = given[begin:] if begin else given
                break
        else:
            raise ValueError(
                "series: expected series of fit, each once and with all values that fit has learned from, got one "
                f"from {given.start_time()} to {given.end_time()}; fit a model on it, or tell historical_forecasts "
                "a later start, or retrain=True"
            )
    return found


def _place_in(given: Any, known: Any) -> int | None:
    """Where a series that has all values of another has the first of them; None if it has not."""
    if given.freq != known.freq or given.width != known.width:
        return None
    begin = int(given.time_index.get_indexer([known.start_time()])[0])
    part = given.values(copy=False)[begin : begin + len(known)]
    return begin if begin >= 0 and np.array_equal(part, known.values(copy=False), equal_nan=True) else None


def columns_of(series: Numbered, past: Any, future: Any) -> tuple[list[str], Any]:
    """The names of past covariates, and all covariates at the steps of each series as a long panel; None if none."""
    import pandas

    names: list[str] = []
    tables: dict[int, list[Any]] = {at: [] for at in series}
    for name, covariates in (("past_covariates", past), ("future_covariates", future)):
        if covariates is None:
            continue
        for (at, each), own in zip(series.items(), as_list(covariates, name, len(series)), strict=True):
            if own.freq != each.freq or own.start_time() > each.start_time() or own.end_time() < each.end_time():
                wanted, got = (f"from {s.start_time()} to {s.end_time()} by {s.freq_str}" for s in (each, own))
                raise ValueError(f"{name}: expected values {wanted}, got some {got}")
            tables[at].append(_named(own, name).reindex(each.time_index))
            names = [*tables[at][0].columns] if name == "past_covariates" else names
    if past is None and future is None:
        return names, None
    whole = {at: pandas.concat(parts, axis=1) for at, parts in tables.items()}
    return names, long_columns(whole, next(iter(series.values())).width)


def coming_of(asked: Numbered, told: Sequence[Any], future: Any, steps: int) -> Any:
    """The future covariates of the steps to come as a long panel: missing ones for series that nobody asks for."""
    own = dict(zip(asked, as_list(future, "future_covariates", len(asked)), strict=True))
    tables = {}
    for at, known in enumerate(told):
        last = asked.get(at, known)
        moments = generate_index(last.end_time() + last.freq, length=steps, freq=last.freq)
        table = _named(own.get(at, next(iter(own.values()))), "future_covariates")
        if at in own and not moments.isin(table.index).all():
            raise ValueError(
                f"future_covariates: expected values from {moments[0]} to {moments[-1]}, got some from "
                f"{table.index[0]} to {table.index[-1]}"
            )
        tables[at] = table.reindex(moments) * (1.0 if at in own else np.nan)
    return long_columns(tables, told[0].width)


def _named(covariates: Any, name: str) -> Any:
    """Covariates by time with names that neither others nor the columns of a long panel have."""
    table = table_of(covariates)
    return table.set_axis([f"{name} {at}" for at in range(table.shape[1])], axis=1)


def static_of(told: Sequence[Any]) -> Any:
    """The static covariates of each component, in the order of a long panel."""
    import pandas

    rows = [each.static_covariates for each in told]
    if any(row is None for row in rows):
        raise ValueError("series: expected static covariates of each series, or of none, got some without")
    places = range(told[0].width)
    return pandas.concat([row.iloc[[at % len(row) for at in places]] for row in rows], ignore_index=True)
