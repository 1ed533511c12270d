"""What the calendar says of each moment: the hour, the weekday, the month, holidays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.grid import DAY, Grid, seconds_of

Floats = NDArray[np.float64]


def calendar_features(grid: Grid, start: int, count: int, season: int, holidays: str | None = None) -> Floats:
    """Features of the moments from a position on, (count, K): a sine and a cosine of each cycle, and holidays.

    Parameters
    ----------
    grid : Grid
    start, count : int
        The first position, and how many there are.
    season : int
        The cycle of a grid without dates.
    holidays : str, optional
        A country such as "DE", or "US-CA" for one of its parts: one feature more, 1 on its public holidays.
    """
    if not grid.dated:
        return _waves([np.arange(start, start + count) / season] if season > 1 else [], count)
    moments = grid.index(start, count)
    if hasattr(moments, "to_timestamp"):
        moments = moments.to_timestamp()
    seconds = seconds_of(grid.step)
    cycles = []
    if seconds and seconds < DAY:
        cycles.append((moments.hour * 3600 + moments.minute * 60 + moments.second).to_numpy() / DAY)
    if seconds and seconds <= DAY or grid.step.rule_code == "B":
        cycles.append(moments.day_of_week.to_numpy() / 7)
    yearly = seconds >= 365 * DAY or grid.step.rule_code[0] in "YA" or grid.step.rule_code.startswith("BY")
    if not yearly:
        cycles.append((moments.day_of_year.to_numpy() - 1) / 365.2425)
    features = _waves(cycles, count)
    if holidays is not None:
        features = np.concatenate([features, _on_holidays(moments, holidays)[:, None]], axis=1)
    return features


def _waves(cycles: list[Any], count: int) -> Floats:
    angles = [2 * np.pi * np.asarray(cycle, np.float64) for cycle in cycles]
    waves = [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
    return np.stack(waves, axis=1) if waves else np.zeros((count, 0))


def _on_holidays(moments: Any, country: str) -> Floats:
    try:
        import holidays
    except ImportError:
        raise ImportError("holidays needs the package of that name: pip install holidays") from None
    code, _, part = country.partition("-")
    years = range(int(moments.year.min()), int(moments.year.max()) + 1)
    try:
        days = set(holidays.country_holidays(code, subdiv=part or None, years=years))
    except (NotImplementedError, AttributeError) as error:
        raise ValueError(f"holidays: expected a country such as 'DE' or 'US-CA', got {country!r}: {error}") from None
    return np.array([day in days for day in moments.date], np.float64)
