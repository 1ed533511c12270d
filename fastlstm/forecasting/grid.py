"""The moments of evenly spaced series: dates with a frequency, periods, or whole numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.intp]
Floats = NDArray[np.float64]

CALENDAR_STEPS = (
    "YS-{}",
    "YE-{}",
    "6MS",
    "6ME",
    "QS-{}",
    "QE-{}",
    "BQE-{}",
    "2MS",
    "2ME",
    "MS",
    "ME",
    "BMS",
    "BME",
    "B",
)
"""Frequencies that are tried, from coarse to fine; the braces stand for the month of the first date."""

DAY = 86400  # seconds

MOST_SPAN = 50_000_000
"""Steps from the first moment of a grid to its last, at most."""

MOST_GAPS = 3
"""Moments of a grid for each date that is there, at most."""

SEASONS = {"Y": 1, "A": 1, "Q": 4, "M": 12, "W": 52, "B": 5, "D": 7}
"""Steps of the usual season by the first letter of a frequency."""

LONGEST_DAY = 288
"""Steps that a season of one day may have; a finer series has a season of one hour."""


@dataclass(frozen=True)
class Grid:
    """Evenly spaced moments, of which a series has some.

    Attributes
    ----------
    first : pandas Timestamp or Period, or int
        The moment with the position 0.
    step : pandas DateOffset, or int
        The distance from one to the next.
    name : optional
        The name of the index.
    """

    first: Any
    step: Any
    name: Any = None

    @property
    def dated(self) -> bool:
        return not isinstance(self.step, int)

    @property
    def season(self) -> int | None:
        """Steps of the usual season: a year of months, a week of days, a day of hours; None without dates."""
        if not self.dated:
            return None
        seconds = seconds_of(self.step)
        if seconds:
            if seconds % DAY == 0:
                return {1: 7, 7: 52}.get(seconds // DAY, 1)
            steps = DAY // seconds if DAY % seconds == 0 else 1
            return steps if steps <= LONGEST_DAY else max(3600 // seconds, 1)
        code, times = self.step.rule_code.split("-")[0], self.step.n
        season = SEASONS.get(code[1:2] if code.startswith("B") and len(code) > 1 else code[:1], 1)
        return season // times if season % times == 0 else 1

    def index(self, start: int, count: int) -> Any:
        """The moments from a position on, as an index of pandas."""
        import pandas

        if not self.dated:
            begin = self.first + start * self.step
            return pandas.RangeIndex(begin, begin + count * self.step, self.step, name=self.name)
        if isinstance(self.first, pandas.Period):
            return pandas.period_range(self.first + start, periods=count, freq=self.step, name=self.name)
        whole = pandas.date_range(self.first, periods=start + count, freq=self.step, name=self.name)
        return whole[start:]

    def positions(self, labels: Any, name: str) -> Ints:
        """The position of each label; ValueError for one that is not on the grid."""
        import pandas

        labels = pandas.Index(labels)
        if not self.dated:
            self._check_span((int(labels.max()) - self.first) // self.step, name)
            offsets = labels.to_numpy(np.int64) - self.first
            wrong = offsets % self.step != 0
            found = offsets // self.step
        elif isinstance(self.first, pandas.Period):
            found = labels.astype("int64").to_numpy() - self.first.ordinal
            self._check_span(found.max(), name)
            wrong = found != found
        else:
            last = max(labels.max(), self.first)
            begin, end = (moment.to_pydatetime(warn=False) for moment in (self.first, last))  # no bound of 292 years
            self._check_span((end - begin).total_seconds() / (seconds_of(self.step) or DAY / 24), name)
            whole = pandas.date_range(self.first, last, freq=self.step)
            found = whole.get_indexer(labels)
            wrong = found < 0
        if wrong.any():
            at = labels[int(wrong.argmax())]
            raise ValueError(f"{name}: expected steps of {self.described} from {self.first} on, got {at}")
        return np.asarray(found, np.intp)

    def place(self, label: Any, name: str) -> int:
        """The position of one label, which may lie before the first."""
        zones = (getattr(self.first, "tz", None), getattr(label, "tz", None))
        if type(label) is not type(self.first) or str(zones[0]) != str(zones[1]):
            raise ValueError(f"{name}: expected moments such as {self.first!r}, as in fit, got {label!r}")
        if label >= self.first:
            return int(self.positions([label], name)[0])
        return -int(Grid(label, self.step).positions([self.first], name)[0])

    def _check_span(self, steps: float, name: str) -> None:
        if steps > MOST_SPAN:
            raise ValueError(
                f"{name}: expected at most {MOST_SPAN:,} steps of {self.described} from {self.first} to the last "
                f"moment, got {int(steps):,}"
            )

    @property
    def described(self) -> str:
        return str(self.step) if not self.dated else repr(self.step.freqstr)


def seconds_of(step: Any) -> int:
    """Seconds of a step of equal length; 0 for months, business days and the like."""
    import pandas

    if isinstance(step, pandas.offsets.Week):
        return 7 * DAY * step.n
    if isinstance(step, pandas.offsets.Day):
        return DAY * step.n
    if isinstance(step, pandas.offsets.Tick):
        return int(pandas.Timedelta(step).total_seconds())
    return 0


def grid_of(labels: Any, name: str, freq: Any = None, sample: Any = None) -> Grid:
    """The grid on which these moments lie.

    Parameters
    ----------
    labels : pandas Index, in rising order, each once
        Dates, periods or whole numbers.
    name : str
        What errors call it.
    freq : str, DateOffset or int, optional
        The frequency of dates, or the step of whole numbers; by default that of the index, or found out.
    sample : pandas Index, optional
        The labels that it is found from; by default all.

    Raises
    ------
    TypeError
        If the labels are neither dates nor whole numbers.
    ValueError
        If they are not evenly spaced.
    """
    import pandas

    if labels.nlevels == 1 and labels.hasnans:
        raise ValueError(f"{name}: expected no missing moment, got one at [{int(labels.isna().argmax())}]")
    if isinstance(labels, pandas.PeriodIndex):
        return Grid(labels[0], labels.freq, labels.name)
    if isinstance(labels, pandas.DatetimeIndex):
        step = (None if isinstance(freq, int) else freq) or labels.freq or _found(labels if sample is None else sample)
        if step is None:
            shown = ", ".join(str(label) for label in labels[:3]) + (", ..." if len(labels) > 3 else "")
            raise ValueError(
                f"{name}: expected evenly spaced dates, of which some may be missing, and at least 3 to find their "
                f"frequency, got {shown}; resample first, or give freq="
            )
        try:
            return Grid(labels[0], pandas.tseries.frequencies.to_offset(step), labels.name)
        except ValueError:
            raise ValueError(f"freq: expected a frequency of pandas, such as 'MS' or 'h', got {freq!r}") from None
    if not pandas.api.types.is_integer_dtype(labels):
        raise TypeError(
            f"{name}: expected dates, periods or whole numbers as index, got {labels.dtype}; "
            "convert dates with pandas.to_datetime first"
        )
    gaps = np.diff(labels.to_numpy(np.int64)).tolist()
    step = freq if isinstance(freq, int) else int(reduce(gcd, gaps, 0)) or 1
    return Grid(int(labels[0]), step, labels.name)


def _found(dates: Any) -> Any:
    """The frequency of dates, some of which may be missing; None if they are not evenly spaced."""
    import pandas

    if len(dates) < 3:
        return None
    month = dates[0].strftime("%b").upper()
    days = dates.normalize()
    if (dates - days == dates[0] - days[0]).all():
        for step in (each.format(month) for each in CALENDAR_STEPS):
            if step == "B" and (dates[-1] - dates[0]).days <= 10:  # no weekend without values yet: days may be meant
                continue
            whole = pandas.date_range(dates[0], dates[-1], freq=step)
            if len(whole) <= MOST_GAPS * len(dates) and (whole.get_indexer(dates) >= 0).all():
                return step if len(whole) > 1 else None
    gaps = np.diff(dates.tz_localize(None).as_unit("s").asi8 if _same_time(dates) else dates.as_unit("s").asi8)
    width = int(reduce(gcd, gaps.tolist()))
    if width <= 0 or gaps.sum() / width > MOST_GAPS * len(dates):
        return None
    if width == 7 * DAY:
        return "W-" + dates[0].day_name()[:3].upper()
    if width % DAY == 0:
        return f"{width // DAY}D"
    return pandas.Timedelta(seconds=width)


def _same_time(dates: Any) -> bool:
    """Whether all dates have the same time of day on the clock: then they are days, also where the clock changes."""
    return len(set(dates.time)) == 1
