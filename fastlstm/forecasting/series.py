"""An evenly spaced series of a file, with notes on what was decided and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.dates import DAY, Dates, Step
from fastlstm.forecasting.zones import Zone

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """Values at evenly spaced steps.

    Attributes
    ----------
    name : str
    values : (T,)
        Numbers; NaN where nothing was measured, but not at the ends.
    dates : (T,) datetime64[s], or None
    step : Step or None
        The step between two dates; None if there are no dates, or they are not evenly spaced.
    notes : list of str
        A sentence for each thing that was decided or is missing.
    others : (T, K), or None
        Other columns of the file that were asked for; NaN where nothing was measured.
    other_names : tuple of str
    zone : Zone, or None
        What the dates say of their offset from UTC.
    group : str
        Which rows of the file it has, if they have several series; empty if it has all.
    coming : (A, K)
        The other columns of the steps behind the last value, as far as the file has them.
    static : dict
        The number or word that a column has in all rows of the group, by the name of the column.
    """

    name: str
    values: Floats
    dates: Dates | None
    step: Step | None
    notes: list[str]
    others: Floats | None = None
    other_names: tuple[str, ...] = ()
    zone: Zone | None = None
    group: str = ""
    coming: Floats = field(default_factory=lambda: np.empty((0, 0)))
    static: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which values are not missing, (T,)."""
        return ~np.isnan(self.values)

    @property
    def season(self) -> int:
        """Number of steps in the season that the step suggests; 1 for none."""
        return self.step.season if self.step else 1

    def label(self, at: int) -> str:
        """The date of a value, also of one after the end; without dates its number, from 1."""
        if self.step is not None:
            assert self.dates is not None
            last = self.step.ordinals(self.dates[-1:])
            return self._written(self.step.dates(last + (at - len(self.values) + 1)))
        if self.dates is not None and at < len(self.dates):
            return self._written(self.dates[at : at + 1])
        return str(at + 1)

    def _written(self, date: Dates) -> str:
        return date_text(date, self.step)[0] if self.zone is None else self.zone.text(date[0])

    def span(self, start: int, stop: int) -> str:
        """The range of some values in words, such as "2020-01 to 2020-12"; `stop` is excluded."""
        return f"{'' if self.dates is not None else 'rows '}{self.label(start)} to {self.label(stop - 1)}"

    def future(self, steps: int) -> list[str]:
        """The labels of the steps after the last value."""
        return [self.label(len(self.values) + i) for i in range(steps)]


def date_text(dates: Dates, step: Step | None) -> list[str]:
    """Dates as people write them: no day for months, no time for days."""
    days = dates.astype("M8[D]")
    if step is not None and step.months and (days == days.astype("M8[M]")).all():
        return [str(date) for date in (days.astype("M8[Y]") if step.months == 12 else days.astype("M8[M]"))]
    if (dates == days).all() and (step is None or not step.seconds % DAY):
        return [str(day) for day in days]
    end = 16 if (dates == dates.astype("M8[m]")).all() and (step is None or not step.seconds % 60) else 19
    return [str(date).replace("T", " ")[:end] for date in dates]
