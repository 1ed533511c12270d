"""What a training has measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


class History(Mapping[str, list[float]]):
    """Figures of every epoch, by name: ``history["loss"]`` is a list of floats, one an epoch."""

    def __init__(self) -> None:
        self._figures: dict[str, list[float]] = {}

    def add(self, logs: dict[str, float]) -> None:
        for name, value in logs.items():
            self._figures.setdefault(name, []).append(value)

    def figures(self) -> dict[str, list[float]]:
        """A copy of all figures, for `restore`."""
        return {name: list(values) for name, values in self._figures.items()}

    def restore(self, figures: dict[str, list[float]]) -> None:
        self._figures = {name: list(values) for name, values in figures.items()}

    @property
    def epochs(self) -> int:
        """How many there were."""
        return len(self._figures.get("loss", ()))

    def __getitem__(self, name: str) -> list[float]:
        if name not in self._figures:
            raise KeyError(f"no figure {name!r}; there are {list(self)}")
        return self._figures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._figures)

    def __len__(self) -> int:
        return len(self._figures)

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self._figures.items())
        return f"History({self.epochs} epochs: {last})"


class Averages:
    """Means of figures over batches, each batch counting as much as it holds."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._sums = np.zeros((2, len(names)))

    def add(self, sums: list[float], counts: list[float]) -> None:
        self._sums[0] += sums
        self._sums[1] += counts

    def state(self) -> dict[str, Any]:
        return {"sums": self._sums.copy()}

    def restore(self, state: dict[str, Any]) -> None:
        self._sums = state["sums"].copy()

    def means(self) -> dict[str, float]:
        return dict(zip(self._names, (self._sums[0] / self._sums[1]).tolist(), strict=True))
