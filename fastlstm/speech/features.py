"""Features of sound: the logarithm of the power of each frame in bands of the mel scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.speech.wav import RATE, Signal

Frames = NDArray[np.float32]

PART = 1 << 16
"""Samples that are converted to a list of floats at a time."""

LOUD = 1.5
"""A frame is loud if its mean over the bands is less than this below that of the loudest frame: 26 dB."""

MOST = 1000
"""The largest number of bands, of stacked frames, of nepers, and of milliseconds of a frame."""

SILENCE = 1e-6
"""A signal is silent if its loudest sample is below this."""


@dataclass(frozen=True)
class LogMel:
    """Log-mel features of a signal, (L,) samples to (T, bands * stack).

    The signal is divided by its loudest sample, so that the distance to the microphone does not matter. Values more
    than `depth` below the loudest one are raised to that level, so that it does not matter how silent a silence is.

    Parameters
    ----------
    bands : int, default 40
        Mel bands from 20 Hz to half the sample rate, at most 1000.
    window : int, default 25
        Milliseconds of a frame, at most 1000.
    shift : int, default 10
        Milliseconds from one frame to the next, at most 1000.
    stack : int, default 3
        Frames that are stacked into one step of the network, which then takes ``shift * stack`` milliseconds (Sak et
        al. 2015, "Fast and accurate recurrent neural network acoustic models for speech recognition").
    depth : float, default 16
        In nepers of power, from 1 to 1000; 16 nepers are 69 dB.
    centred : bool, default False
        Whether the mean of each band over the loud frames is subtracted. This removes the colour of a microphone, but
        also something of the words: better for voices and rooms that are not in the training, worse for those that are.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If a number is outside its range.
    ImportError
        When features are computed, if kaldi-native-fbank is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.speech import LogMel
    >>> LogMel()(np.sin(np.arange(8000, dtype="f4"))).shape  # a second
    (34, 120)
    """

    bands: int = 40
    window: int = 25
    shift: int = 10
    stack: int = 3
    depth: float = 16.0
    centred: bool = False

    def __post_init__(self) -> None:
        for name in ("bands", "window", "shift", "stack"):
            _check.positive_int(getattr(self, name), name, MOST)
        _check.number(self.depth, "depth", 1, MOST)
        _check.flag(self.centred, "centred")

    @property
    def size(self) -> int:
        """Number of features of a step."""
        return self.bands * self.stack

    @property
    def seconds(self) -> float:
        """Seconds of a step."""
        return self.shift * self.stack / 1000

    def __call__(self, signal: Signal) -> Frames:
        return self.stacked(self.frames(signal))

    def frames(self, signal: Signal) -> Frames:
        """The features of each frame, (frames, bands), roughly from -2 to 2.

        Parameters
        ----------
        signal : (L,) numbers
            Samples at 8000 Hz.

        Returns
        -------
        (frames, bands) float32

        Raises
        ------
        TypeError, ValueError
            If signal is not a row of numbers.
        ImportError
            If kaldi-native-fbank is not installed.
        """
        signal = _check.as_numbers(signal, "signal", "fiu", "samples, real numbers")
        if signal.ndim != 1:
            raise ValueError(f"signal: expected shape (L,), got {_check.describe(signal.shape)}")
        peak = np.abs(signal).max(initial=0)
        if peak < SILENCE:
            return np.full((1 + len(signal) * 1000 // (RATE * self.shift), self.bands), -self.depth / 8, np.float32)
        extractor = self._extractor()
        least = RATE * self.shift // 1000  # fewer samples give no frame
        loud = np.pad(signal / peak, (0, max(0, least - len(signal))))
        for start in range(0, len(loud), PART):
            extractor.accept_waveform(RATE, loud[start : start + PART].tolist())
        extractor.input_finished()
        power = np.stack([extractor.get_frame(i) for i in range(extractor.num_frames_ready)])
        level = np.asarray(np.maximum(power - power.max() + self.depth, 0) / 4 - self.depth / 8, np.float32)
        if not self.centred:
            return level
        loudness = level.mean(1)
        return np.asarray(level - level[loudness > loudness.max() - LOUD].mean(0), np.float32)

    def stacked(self, frames: Frames) -> Frames:
        """Frames stacked into steps, (T, bands * stack). The last frame is repeated to fill the last step.

        Parameters
        ----------
        frames : (frames, bands)
            As `frames` returns them.

        Returns
        -------
        (T, bands * stack) float32
        """
        missing = -len(frames) % self.stack
        whole = np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)])
        return whole.reshape(-1, self.size)

    def _extractor(self) -> Any:
        """The extractor of the frames of one signal."""
        try:
            from kaldi_native_fbank import FbankOptions, OnlineFbank
        except ImportError:
            raise ImportError("speech needs kaldi-native-fbank: pip install 'fastlstm[speech]'") from None
        options = FbankOptions()
        options.frame_opts.samp_freq = RATE
        options.frame_opts.dither = 0  # no added noise
        options.frame_opts.frame_length_ms = self.window
        options.frame_opts.frame_shift_ms = self.shift
        options.frame_opts.snip_edges = False  # a frame for each shift, however short the signal
        options.mel_opts.num_bins = self.bands
        return OnlineFbank(options)


def padded(items: Sequence[Frames]) -> tuple[Frames, NDArray[np.intp]]:
    """Features of several signals as one array (N, T, F), padded with zeros, and their lengths (N,)."""
    lengths = np.array([len(item) for item in items], np.intp)
    x = np.zeros((len(items), int(lengths.max()), items[0].shape[1]), np.float32)
    for row, item in zip(x, items, strict=True):
        row[: len(item)] = item
    return x, lengths
