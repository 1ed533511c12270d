"""What is known of many series: records of arrays whose first axis is the series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check

Rows = slice | NDArray[np.intp]

PERIOD = -1
"""Stands in a shape for the length of the season."""


def per_series(*shape: int) -> Any:
    """A field that holds such an array for each series."""
    return field(metadata={"shape": shape})


@dataclass(frozen=True)
class PerSeries:
    """A base of dataclasses whose fields are made by `per_series`."""

    def rows(self, part: Rows) -> Self:
        """The record of some of the series."""
        return type(self)(**{name: array[part] for name, array in vars(self).items()})

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The record of the series of all parts, one after another."""
        return cls(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON can hold them; see `from_dict`."""
        return {name: array.tolist() for name, array in vars(self).items()}

    @classmethod
    def from_dict(cls, state: Any, name: str, count: int, season: int) -> Self:
        """The record of `count` series; ValueError, with the name of the field, where it does not fit."""
        names = [item.name for item in fields(cls)]
        if not isinstance(state, dict) or sorted(state) != sorted(names):
            raise ValueError(f"{name}: expected a dict of {', '.join(names)}, got {keys(state)}")
        arrays = {}
        for item in fields(cls):
            shape = tuple(season if size == PERIOD else size for size in item.metadata["shape"])
            full = f"{name}.{item.name}"
            arrays[item.name] = _check.real_array(state[item.name], full, np.dtype(np.float64), (count, *shape))
        return cls(**arrays)


def keys(state: Any) -> str:
    return f"one of {', '.join(map(str, state))}" if isinstance(state, dict) else type(state).__name__
