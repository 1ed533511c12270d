"""Augmentation: small changes of recordings in training, so that words are learned and not recordings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastlstm import _check
from fastlstm.speech.features import Frames
from fastlstm.speech.wav import RATE, Signal

TWENTIETHS = 20
"""Speeds are multiples of a twentieth, so that a short filter is enough."""


@dataclass(frozen=True)
class Augment:
    """How much recordings are changed at most. Each change is drawn independently.

    Parameters
    ----------
    speed : int, default 3
        Twentieths by which a word becomes faster or slower, from 0 to 19. Its pitch changes with it (Ko et al. 2015,
        "Audio augmentation for speech recognition").
    shift : float, default 0.1
        Seconds of silence before and after a single word.
    gain : float, default 6
        Decibels by which a word of a string becomes louder or quieter.
    noise : float, default 0.02
        Loudness of white noise, as a share of the loudest sample. It is drawn uniformly in decibels, down to a
        hundredth of this share.
    time_masks : int, default 1
        Number of stretches of frames that are masked (SpecAugment, Park et al. 2019).
    band_masks : int, default 2
        The same for bands.
    time_width : int, default 10
        Frames of a stretch.
    band_width : int, default 6
        Bands of a stretch.

    Raises
    ------
    TypeError
        If an argument is not a number.
    ValueError
        If a number is outside its range.
    """

    speed: int = 3
    shift: float = 0.1
    gain: float = 6.0
    noise: float = 0.02
    time_masks: int = 1
    band_masks: int = 2
    time_width: int = 10
    band_width: int = 6

    def __post_init__(self) -> None:
        _check.number(self.speed, "speed", 0, TWENTIETHS - 1)
        for name in ("shift", "gain", "noise", "time_masks", "band_masks", "time_width", "band_width"):
            _check.number(getattr(self, name), name, 0)

    def alone(self, signal: Signal, rng: np.random.Generator) -> Signal:
        """Change a single word: its speed, the silence around it, and noise."""
        before, after = (int(seconds * RATE) for seconds in rng.uniform(0, self.shift, 2))
        return self.noisy(np.pad(self._faster(signal, rng), (before, after)), rng)

    def word(self, signal: Signal, rng: np.random.Generator) -> Signal:
        """Change a word of a string: its speed and its loudness."""
        return self._faster(signal, rng) * np.float32(10 ** (rng.uniform(-self.gain, self.gain) / 20))

    def noisy(self, signal: Signal, rng: np.random.Generator) -> Signal:
        """Add white noise to a signal."""
        loudness = np.abs(signal).max() * self.noise * 10 ** (-2 * rng.random())
        return signal + np.float32(loudness) * rng.standard_normal(len(signal), np.float32)

    def masked(self, frames: Frames, rng: np.random.Generator) -> Frames:
        """Features (frames, bands) with masked stretches, set to the mean. A mask is at most a fifth of all wide."""
        frames, mean = frames.copy(), frames.mean()
        for view, masks, width in (
            (frames, self.time_masks, self.time_width),
            (frames.T, self.band_masks, self.band_width),
        ):
            for _ in range(int(rng.integers(masks + 1))):
                wide = int(rng.integers(min(width, len(view) // 5) + 1))
                start = int(rng.integers(len(view) - wide + 1))
                view[start : start + wide] = mean
        return frames

    def _faster(self, signal: Signal, rng: np.random.Generator) -> Signal:
        steps = TWENTIETHS + int(rng.integers(-self.speed, self.speed + 1))
        if steps == TWENTIETHS:
            return signal
        from scipy.signal import resample_poly  # takes longer to import than all of fastlstm

        return np.asarray(resample_poly(signal, TWENTIETHS, steps), np.float32)
