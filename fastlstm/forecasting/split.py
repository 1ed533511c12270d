"""How a series is cut into windows for the training, and later ones for the validation."""

from __future__ import annotations

import math
from dataclasses import dataclass

LEAST_WINDOWS = 8
"""A training needs at least as many windows."""

LONGEST_WINDOW = 168
"""Steps of the default window at most: a week of hours."""

MOST_PATCHES = 14
"""Patches of the default window, if a step of the LSTM is a patch: two weeks of days."""


@dataclass(frozen=True)
class Split:
    """How a series is cut into windows for the training and later ones for the validation.

    Attributes
    ----------
    window : int
        Steps of a window.
    context : int
        Past steps that a forecast needs: the window, or a season if that is longer.
    train, later : slice
        The windows of the training and of the validation, by their places among all windows.
    stride : int
        Steps from the start of one window to the start of the next.
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
    """The options by which a series is cut; see `Forecaster`."""

    horizon: int
    season: int
    window: int | None
    patch: int
    validation: float
    max_windows: int

    def split(self, length: int) -> Split:
        """The cut of a series of this length; ValueError if it is too short, with the length that is needed."""
        split, train = self._split(length)
        if train < LEAST_WINDOWS:
            given = f"a window of {self.window} and " if self.window else ""
            raise ValueError(
                f"series: expected at least {self._needed(length)} values to learn to forecast {self.horizon} steps "
                f"with {given}a season of {self.season}, got {length}"
            )
        return split

    def _needed(self, low: int) -> int:
        """The least length with enough training windows, if `low` is too short: found by bisection."""
        high = low + 1
        while self._split(high)[1] < LEAST_WINDOWS:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._split(middle)[1] >= LEAST_WINDOWS else (middle, high)
        return high

    def _split(self, n: int) -> tuple[Split, int]:
        """The cut, and the number of training windows before windows are left out by the stride."""
        held = max(-(-3 * self.horizon // 2), round(self.validation * n))  # steps that are held out for the validation
        window = self.window or self._usual_window(
            (n - held - self.horizon) // 2
        )  # then there are as many training windows as steps in one
        context = max(window, self.season)
        train, later = n - held - self.horizon - context + 1, held - self.horizon + 1
        stride = max(1, -(-train // self.max_windows))
        while (
            math.gcd(stride, self.season * self.patch) > 1
        ):  # otherwise windows would begin only in some months or hours
            stride += 1
        return Split(window, context, slice(0, max(train, 0), stride), slice(-later, None, stride), stride), train

    def _usual_window(self, longest: int) -> int:
        most = LONGEST_WINDOW if self.patch == 1 else MOST_PATCHES * self.patch
        window = min(max(24, 2 * self.season) if self.patch == 1 else most, most, longest)
        return max(window - window % self.patch, self.patch)
