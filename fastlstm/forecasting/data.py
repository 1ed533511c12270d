"""Series and the columns beside them, cut at an origin or followed by new values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.panel import Panel, check_filled

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Data:
    """Series, in the units that the forecaster works in, and the columns beside them.

    Attributes
    ----------
    panel : Panel
    names : list
        Of the K columns.
    columns : list of (T_i, K)
    """

    panel: Panel
    names: list[Any]
    columns: list[Floats]

    @property
    def lengths(self) -> Ints:
        return np.array([len(values) for values in self.panel.values])

    @property
    def missing(self) -> float:
        """The share of the values that are missing."""
        return float(sum(np.isnan(values).sum() for values in self.panel.values) / self.lengths.sum())

    def cut(self, back: int) -> Data:
        """All but the last `back` steps of each series."""
        return replace(self, panel=self.panel.cut(back), columns=[part[: len(part) - back] for part in self.columns])

    def followed_by(self, other: Data) -> Data:
        """These series with new values: behind their ends, or in the place of what was there.

        Raises
        ------
        ValueError
            If the container or the columns are others, there is a series that is not known, or steps are left out.
        """
        panel, more = self.panel, other.panel
        if more.layout != panel.layout:
            raise ValueError(f"y: expected the container of fit, {panel.layout!r}, got {more.layout!r}")
        if other.names != self.names:
            raise ValueError(f"X: expected the columns {self.names}, as in fit, got {other.names}")
        strange = [label for label in more.ids if label not in set(panel.ids)]
        if strange:
            raise ValueError(f"y: expected series that fit has seen, got {strange[0]!r}")
        if more.grid.step != panel.grid.step:
            raise ValueError(f"y: expected steps of {panel.grid.described}, as in fit, got {more.grid.described}")
        shift = panel.grid.place(more.grid.first, "y") if panel.layout not in ("array", "arrays") else None
        values, columns = list(panel.values), list(self.columns)
        places = {label: at for at, label in enumerate(panel.ids)}
        for label, start, new, beside in zip(more.ids, more.starts, more.values, other.columns, strict=True):
            at = places[label]
            begin = len(values[at]) + start if shift is None else start + shift - panel.starts[at]
            if begin < 0:
                raise ValueError(f"y: expected values of {label!r} from {panel.grid.first} on, got earlier ones")
            rows = int((~np.isnan(values[at])).sum()) + len(new)
            check_filled(rows, begin + len(new), panel.grid, f"y, {label!r}")
            values[at] = _joined(values[at], new, begin)
            columns[at] = _joined(columns[at], beside, begin)
        return Data(replace(panel, values=values, extra={}), self.names, columns)


def _joined(old: Floats, new: Floats, begin: int) -> Floats:
    """Rows with new ones from `begin` on; what lies between is missing, what is there is replaced."""
    found = np.full((max(len(old), begin + len(new)), *old.shape[1:]), np.nan)
    found[: len(old)] = old
    found[begin : begin + len(new)] = new
    return found
