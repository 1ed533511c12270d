"""Evenly spaced dates: the step between them, and the dates that follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Dates = NDArray[np.datetime64]
Ordinals = NDArray[np.int64]

DAY = 86400  # seconds
MONTHS = {1: "month", 3: "quarter", 12: "year"}
A_DAY, A_MONTH = np.timedelta64(1, "D"), np.timedelta64(1, "M")
NAMES = {60: "minute", 3600: "hour", DAY: "day", 7 * DAY: "week"}


@dataclass(frozen=True)
class Step:
    """The distance from one date to the next.

    Attributes
    ----------
    months : int
        Number of months, or 0.
    seconds : int
        Number of seconds, or 0.
    business : bool
        Whether the dates are days from Monday to Friday only.
    origin : datetime64[s]
        The date with the ordinal 0.
    at_end : bool
        Whether the dates are the last days of their months.
    """

    months: int = 0
    seconds: int = 0
    business: bool = False
    origin: np.datetime64 = np.datetime64(0, "s")
    at_end: bool = False

    @property
    def name(self) -> str:
        if self.months:
            return MONTHS.get(self.months, f"{self.months} months")
        if self.business:
            return "business day"
        if self.seconds in NAMES:
            return NAMES[self.seconds]
        for size, name in ((DAY, "days"), (3600, "hours"), (60, "minutes")):
            if self.seconds % size == 0:
                return f"{self.seconds // size} {name}"
        return f"{self.seconds} seconds"

    @property
    def season(self) -> int:
        """Number of steps in the usual season: a year, a week or a day; 1 if there is none."""
        if self.months:
            return 12 // self.months if 12 % self.months == 0 else 1
        if self.business:
            return 5
        if self.seconds in (DAY, 7 * DAY):
            return 7 if self.seconds == DAY else 52
        a_day = DAY // max(self.seconds, 1)
        return a_day if DAY % max(self.seconds, 1) == 0 and 4 <= a_day <= 288 else 1

    @property
    def season_name(self) -> str:
        """The seasonal naive forecast in words, such as "same day last week"."""
        if self.months or self.seconds == 7 * DAY:
            return "same season last year"
        return "same day last week" if self.business or self.seconds == DAY else "same time yesterday"

    def ordinals(self, dates: Dates) -> Ordinals:
        """Number of steps from the origin to each date, rounded down."""
        if self.months:
            return np.asarray((dates.astype("M8[M]") - self.origin.astype("M8[M]")).astype(np.int64) // self.months)
        if self.business:
            return np.asarray(np.busday_count(self.origin.astype("M8[D]"), dates.astype("M8[D]")), np.int64)
        return np.asarray((dates - self.origin).astype(np.int64) // self.seconds)

    def dates(self, ordinals: Ordinals) -> Dates:
        """The dates with these ordinals: the inverse of `ordinals`."""
        if self.business:
            return np.busday_offset(self.origin.astype("M8[D]"), ordinals).astype("M8[s]")
        if not self.months:
            return self.origin + (ordinals * self.seconds).astype("m8[s]")
        month = self.origin.astype("M8[M]") + ordinals * (self.months * A_MONTH)
        days = ((month + A_MONTH).astype("M8[D]") - month.astype("M8[D]")).astype(np.int64)
        into = self.origin - self.origin.astype("M8[M]").astype("M8[s]")
        day = into.astype(np.int64) // DAY
        shift = days - 1 if self.at_end else np.minimum(day, days - 1)
        return np.asarray(month.astype("M8[s]") + (shift * DAY + into.astype(np.int64) % DAY).astype("m8[s]"))


def find_step(dates: Dates) -> Step | None:
    """The step between dates, some of which may be missing; None if they are not evenly spaced.

    Parameters
    ----------
    dates : (T,) datetime64[s]
        In rising order, each once.

    Examples
    --------
    >>> import numpy as np
    >>> step = find_step(np.array(["2024-01", "2024-02", "2024-03", "2024-05"], "M8[s]"))
    >>> step.name, step.season, step.ordinals(np.array(["2024-05"], "M8[s]")).tolist()
    ('month', 12, [4])
    """
    if len(dates) < 3:
        return None
    gaps = np.diff(dates).astype(np.int64)
    days = float(np.median(gaps)) / DAY
    first = dates[0]
    for months, low, high in ((1, 28, 31), (3, 89, 93), (12, 365, 366)):
        if low <= days <= high:
            at_end = bool(np.all((dates.astype("M8[D]") + A_DAY) == (dates.astype("M8[M]") + A_MONTH).astype("M8[D]")))
            step = Step(months=months, origin=first, at_end=at_end)
            if _fits(step, dates):
                return step
    sizes, counts = np.unique(gaps, return_counts=True)
    seconds = int(sizes[counts.argmax()])
    if (gaps % seconds).any():
        return None
    weekday = (dates.astype("M8[D]").astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    if seconds == DAY and weekday.max() < 5 and np.ptp(dates).astype(np.int64) > 10 * DAY:
        step = Step(business=True, origin=first)
    else:
        step = Step(seconds=seconds, origin=first)
    return step if _fits(step, dates) else None


def _fits(step: Step, dates: Dates) -> bool:
    """Whether each step has at most one date, and at least half of the steps have one."""
    ordinals = step.ordinals(dates)
    return bool((np.diff(ordinals) > 0).all() and ordinals[-1] - ordinals[0] + 1 <= 2 * len(dates))


def mostly_gaps(dates: Dates) -> tuple[int, int] | None:
    """Steps without a date and all steps, if `find_step` found none only because more lack a date than have one."""
    if len(dates) < 3:
        return None
    gaps = np.diff(dates).astype(np.int64)
    sizes, counts = np.unique(gaps, return_counts=True)
    seconds = int(sizes[counts.argmax()])
    whole = int(gaps.sum()) // seconds + 1
    return None if (gaps % seconds).any() else (whole - len(dates), whole)
