"""Strings of words, joined from recordings of single ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastlstm import _check
from fastlstm.speech.recordings import Recording
from fastlstm.speech.wav import RATE, Signal


@dataclass(frozen=True)
class Strings:
    """How recordings are joined: how many, of whom, and with how much silence before, between and after.

    Parameters
    ----------
    shortest, longest : int
        Words of a string.
    least, most : float
        Seconds of silence, drawn evenly for each place.
    several : float
        Share of the strings whose words come from all speakers; the others have one.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.speech import Recording, Strings
    >>> words = [Recording(np.ones(800, "f4"), label) for label in ("yes", "no")]
    >>> strings, rng = Strings(shortest=2, longest=2), np.random.default_rng(0)
    >>> chosen = strings.choose(words, rng)
    >>> [words[k].label for k in chosen]
    ['yes', 'yes']
    >>> strings.join([words[k].signal for k in chosen], rng).shape
    (9071,)
    """

    shortest: int = 3
    longest: int = 7
    least: float = 0.05
    most: float = 0.5
    several: float = 0.5

    def __post_init__(self) -> None:
        _check.positive_int(self.shortest, "shortest")
        if _check.positive_int(self.longest, "longest") < self.shortest:
            raise ValueError(f"longest: expected at least shortest = {self.shortest}, got {self.longest}")
        _check.number(self.least, "least", 0)
        if _check.number(self.most, "most", 0) < self.least:
            raise ValueError(f"most: expected at least least = {self.least}, got {self.most}")
        _check.number(self.several, "several", 0, 1)

    def choose(self, recordings: Sequence[Recording], rng: np.random.Generator) -> list[int]:
        """Places of the recordings of one string."""
        length = int(rng.integers(self.shortest, self.longest + 1))
        among = np.arange(len(recordings))
        if rng.random() >= self.several:
            speaker = recordings[int(rng.integers(len(recordings)))].speaker
            among = np.array([k for k, one in enumerate(recordings) if one.speaker == speaker])
        return [int(k) for k in rng.choice(among, length)]

    def join(self, signals: Sequence[Signal], rng: np.random.Generator) -> Signal:
        """The signals one after the other, with silence before, between and after."""
        parts: list[Signal] = []
        for signal in signals:
            parts += [self._silence(rng), signal]
        return np.concatenate([*parts, self._silence(rng)])

    def _silence(self, rng: np.random.Generator) -> Signal:
        return np.zeros(int(RATE * rng.uniform(self.least, self.most)), np.float32)
