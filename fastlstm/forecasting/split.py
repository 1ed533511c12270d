"""How a series is cut into windows to learn from, and later ones to validate on."""

from __future__ import annotations

import math
from dataclasses import dataclass

LEAST_WINDOWS = 8
"""Training windows below this number teach nothing."""

LONGEST_WINDOW = 168
"""Of a window that nobody asked for: a week of hours."""

MOST_PATCHES = 14
"""Of a window that nobody asked for, where a step is a patch: two weeks of days."""


@dataclass(frozen=True)
class Split:
    """How a series of some length is cut: windows to learn from, later windows to validate on, every `stride` steps.

    `context` is what a forecast needs of the past: the window, or a season if that is longer.
    """

    window: int
    context: int
    train: slice
    later: slice
    stride: int

    @property
    def train_windows(self) -> int:
        return len(range(*self.train.indices(self.train.stop)))


@dataclass(frozen=True)
class Cut:
    """The wishes that a series is cut by; see `Forecaster` for what they are."""

    horizon: int
    season: int
    window: int | None
    patch: int
    validation: float
    max_windows: int

    def split(self, length: int) -> Split:
        """The cut of a series of this length; ValueError says how long it would have to be."""
        split, train = self._split(length)
        if train < LEAST_WINDOWS:
            given = f"a window of {self.window} and " if self.window else ""
            raise ValueError(
                f"series: expected at least {self._needed(length)} values to learn to forecast {self.horizon} steps "
                f"with {given}a season of {self.season}, got {length}"
            )
        return split

    def _needed(self, low: int) -> int:
        """The least length with enough training windows, where `low` is too short: by halving, as it may be far off."""
        high = low + 1
        while self._split(high)[1] < LEAST_WINDOWS:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._split(middle)[1] >= LEAST_WINDOWS else (middle, high)
        return high

    def _split(self, n: int) -> tuple[Split, int]:
        """The cut, and the number of its training windows before thinning."""
        held = max(-(-3 * self.horizon // 2), round(self.validation * n))  # steps of the validation part
        window = self.window or self._usual_window((n - held - self.horizon) // 2)  # leaves as many training windows
        context = max(window, self.season)
        train, later = n - held - self.horizon - context + 1, held - self.horizon + 1
        stride = max(1, -(-train // self.max_windows))
        while (
            math.gcd(stride, self.season * self.patch) > 1
        ):  # else some seasons of the year, hours of the day would never begin
            stride += 1
        return Split(window, context, slice(0, max(train, 0), stride), slice(-later, None, stride), stride), train

    def _usual_window(self, longest: int) -> int:
        most = LONGEST_WINDOW if self.patch == 1 else MOST_PATCHES * self.patch
        window = min(max(24, 2 * self.season) if self.patch == 1 else most, most, longest)
        return max(window - window % self.patch, self.patch)
