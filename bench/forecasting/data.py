"""The series, the moments that they are forecast from, and which half of them settings may be chosen on."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from bench.forecasting.catalogue import SOURCES, Source

Floats = Any
LONGEST = 1000
"""Values of a series, its last ones; all contenders have the same. AutoARIMA takes minutes for longer ones."""
MOST = 12
"""Series of one source, evenly chosen, so that none outweighs the others."""
ORIGINS = 3
SEED = 9
"""The least from 0 on with which each half has at least seven series of each frequency but the weekly ones."""
TUNING, REPORT = "tuning", "report"


class Frequency(NamedTuple):
    season: int
    horizon: int
    alias: str
    """What pandas calls it."""
    shortest: int
    """Values before a forecast."""


FREQUENCIES = {
    "yearly": Frequency(1, 6, "YS", 13),
    "quarterly": Frequency(4, 8, "QS", 16),
    "monthly": Frequency(12, 18, "MS", 42),
    "short monthly": Frequency(12, 12, "MS", 24),
    "weekly": Frequency(52, 13, "W", 80),
    "daily": Frequency(7, 14, "D", 42),
    "business": Frequency(5, 14, "B", 42),
    "hourly": Frequency(24, 48, "h", 96),
}
"""Horizons and the least lengths of yearly to monthly series as in M4. Too few months for 18 are asked for 12."""


@dataclass(frozen=True)
class Case:
    """A series up to a moment, and what came then.

    Parameters
    ----------
    name : str
    group, half : str
        What it belongs to, and "tuning" or "report".
    frequency : str
        A key of `FREQUENCIES`.
    start : str
        The moment of the first value.
    origin : int
        0 for the last moment that leaves a horizon, 1 for one horizon earlier, and so on.
    train : array (T,)
        With the last value before in place of one that is missing.
    test : array (horizon,)
        With NaN where nothing was measured.
    """

    name: str
    group: str
    half: str
    frequency: str
    start: str
    origin: int
    train: Floats
    test: Floats

    @property
    def key(self) -> str:
        return f"{self.name} -{self.origin}"

    @property
    def horizon(self) -> int:
        return len(self.test)

    @property
    def season(self) -> int:
        return FREQUENCIES[self.frequency].season

    def dates(self) -> Any:
        """The moments of `train`, a DatetimeIndex."""
        import pandas as pd

        return pd.date_range(self.start, periods=len(self.train), freq=FREQUENCIES[self.frequency].alias)

    def as_dict(self) -> dict[str, Any]:
        test = [None if np.isnan(value) else value for value in self.test.tolist()]
        return {**asdict(self), "train": self.train.tolist(), "test": test}

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Case:
        return cls(**{**told, **{part: np.array(told[part], np.float64) for part in ("train", "test")}})

    def fingerprint(self) -> str:
        """Tells whether a forecast that is kept was of the same values."""
        told = f"{self.frequency} {self.start} {self.horizon}".encode()
        return hashlib.sha256(told + self.train.tobytes()).hexdigest()[:16]


def half_of(group: str, seed: int = SEED) -> str:
    return (TUNING, REPORT)[hashlib.sha256(f"{seed}/{group}".encode()).digest()[0] % 2]


def cases(sources: Iterable[Source] = SOURCES) -> list[Case]:
    """All series that are here, each from up to `ORIGINS` moments; a warning names what is not here."""
    found = []
    for source in sources:
        try:
            series = source.read()
        except (ImportError, FileNotFoundError) as reason:
            warnings.warn(f"{source.group} ({source.frequency}) is left out: {reason}", stacklevel=2)
            continue
        names = list(series)
        for at in sorted({round(place) for place in np.linspace(0, len(names) - 1, min(MOST, len(names)))}):
            found += from_origins(source, names[at], measured(series[names[at]]))
    return found


def measured(values: Floats) -> Floats:
    """From the first value that was measured to the last."""
    there = np.flatnonzero(np.isfinite(values))
    return np.asarray(values[there[0] : there[-1] + 1], np.float64) if len(there) else np.zeros(0)


def from_origins(source: Source, name: str, values: Floats) -> list[Case]:
    values = values[-LONGEST:]
    frequency = source.frequency
    if frequency == "monthly" and len(values) < sum(FREQUENCIES["monthly"][1::2]):
        frequency = "short monthly"
    season, horizon, _, shortest = FREQUENCIES[frequency]
    origins = min(ORIGINS, (len(values) - shortest) // horizon)
    full = ", ".join(part for part in (source.group, name, frequency) if part)
    found = []
    for origin in range(origins):
        end = len(values) - horizon * (origin + 1)
        train, test = filled(values[:end]), values[end : end + horizon]
        if scale_of(train, season) > 0 and not np.isnan(test).all():
            parts = (full, source.group, half_of(source.group), frequency, source.start)
            found.append(Case(*parts, origin, train, test))
    return found


def filled(values: Floats) -> Floats:
    """With the last value before in place of NaN; the first is not NaN."""
    return values[np.maximum.accumulate(np.where(np.isnan(values), 0, np.arange(len(values))))]


def scale_of(train: Floats, season: int) -> float:
    """The mean absolute error of the seasonal naive forecast of one step within `train`."""
    season = season if len(train) > season else 1
    return float(np.abs(train[season:] - train[:-season]).mean())
