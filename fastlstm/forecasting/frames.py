"""Series of a file as a long DataFrame, which a forecaster takes; and what it gives back, by series and step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastlstm.forecasting.dates import DAY
from fastlstm.forecasting.groups import check_labels
from fastlstm.forecasting.panel import DATE, ID, VALUE
from fastlstm.forecasting.series import Series

PERIODS = {1: "M", 3: "Q", 12: "Y"}
"""The frequencies of steps of so many months: whichever day a month has in the file, it is the month that counts."""


@dataclass(frozen=True)
class Frames:
    """Series side by side for a forecaster: a row for each step of each target of each group.

    Attributes
    ----------
    ids : list of str
        The name of each series: the target, the group, or both.
    series : list of Series
        Where each comes from.
    y, X : DataFrame
        The values; the other columns, or None.
    columns : list of str
        The names of the other columns in X.
    static : DataFrame, or None
        The values that a series has in all its rows, by its name.
    """

    ids: list[str]
    series: list[Series]
    y: Any
    X: Any
    columns: list[str]
    static: Any

    @classmethod
    def of(cls, read: Sequence[Series], targets: int) -> Frames:
        """The frames of series whose first columns are so many targets, and their other columns are covariates."""
        import pandas

        ids, series, rows, beside = [], [], [], []
        columns = _unlike(read[0].other_names[targets - 1 :])
        for one in read:
            values = np.column_stack([one.values, *([] if one.others is None else [one.others])])
            names = [one.name, *one.other_names]
            moments = moments_of(one)
            for at in range(targets):
                label = " / ".join(
                    part for part in (one.group, names[at] if targets > 1 or not one.group else "") if part
                )
                ids.append(label)
                series.append(one)
                rows.append(pandas.DataFrame({ID: label, DATE: moments[: len(values)], VALUE: values[:, at]}))
                if columns:
                    others = np.concatenate([values[:, targets:], one.coming[:, targets - 1 :]])
                    others_frame = pandas.DataFrame(others, columns=columns)
                    others_frame.insert(0, ID, label)
                    others_frame.insert(1, DATE, moments)
                    beside.append(others_frame)
        check_labels(ids)
        every = pandas.concat(beside, ignore_index=True) if beside else None
        static = None
        if read[0].static:
            static = pandas.DataFrame([one.static for one in series], ids).set_axis(_unlike([*read[0].static]), axis=1)
        return cls(ids, series, pandas.concat(rows, ignore_index=True), every, columns, static)

    @property
    def freq(self) -> str | None:
        """The frequency of the dates, as pandas writes it; None for months, whose moments say it."""
        step = self.series[0].step
        if step is None or step.months:
            return None
        return "B" if step.business else f"{step.seconds // DAY}D" if step.seconds % DAY == 0 else f"{step.seconds}s"

    def before(self, back: int) -> Any:
        """The values but for the last `back` steps of each series that has more than these."""
        groups = self.y.groupby(ID)[VALUE]
        return self.y[(groups.cumcount(ascending=False) >= back) | (groups.transform("size") <= back)]


def _unlike(names: Sequence[str]) -> list[str]:
    """Names of other columns of which none is called as another one, or as the columns of a long panel."""
    found: list[str] = []
    for name in names:
        while name in (ID, DATE, VALUE, *found):
            name += "'"
        found.append(name)
    return found


def moments_of(series: Series) -> Any:
    """The moments of a series and of the steps behind it that have covariates, as an index of pandas."""
    import pandas

    steps = len(series.values) + len(series.coming)
    if series.step is None or series.dates is None:
        return pandas.RangeIndex(steps)
    first = series.step.ordinals(series.dates[:1])
    dates = series.step.dates(first + np.arange(steps))
    if series.step.months in PERIODS:
        return pandas.PeriodIndex(pandas.to_datetime(dates), freq=PERIODS[series.step.months])
    return pandas.DatetimeIndex(dates)
