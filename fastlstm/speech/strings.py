"""Strings of words, joined from recordings of single words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastlstm import _check
from fastlstm.speech.recordings import Recording
from fastlstm.speech.wav import RATE, Signal


@dataclass(frozen=True)
class Strings:
    """How recordings are joined: how many, of which speakers, and with how much silence.

    Parameters
    ----------
    shortest : int, default 3
        Words of a string at least.
    longest : int, default 7
        Words of a string at most.
    least : float, default 0.05
        Seconds of silence at least, before, between and after the words.
    most : float, default 0.5
        Seconds of silence at most. Each silence is drawn uniformly.
    several : float, default 0.5
        Share of the strings with words from all speakers, from 0 to 1; the others have one speaker.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If a number is outside its range.

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
        """Choose the recordings of one string; returns their places in the list."""
        length = int(rng.integers(self.shortest, self.longest + 1))
        among = np.arange(len(recordings))
        if rng.random() >= self.several:
            speaker = recordings[int(rng.integers(len(recordings)))].speaker
            among = np.array([k for k, one in enumerate(recordings) if one.speaker == speaker])
        return [int(k) for k in rng.choice(among, length)]

    def join(self, signals: Sequence[Signal], rng: np.random.Generator) -> Signal:
        """Join signals, with silence before, between and after them."""
        parts: list[Signal] = []
        for signal in signals:
            parts += [self._silence(rng), signal]
        return np.concatenate([*parts, self._silence(rng)])

    def _silence(self, rng: np.random.Generator) -> Signal:
        return np.zeros(int(RATE * rng.uniform(self.least, self.most)), np.float32)
