"""What a network hears: the logarithm of a signal's power in bands of the mel scale, a frame after the other."""

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
"""Samples that become a list of Python's floats at a time."""

LOUD = 1.5
"""Frames whose mean over the bands is less than this below that of the loudest one are loud: 26 dB."""

MOST = 1000
"""Of bands, of frames that stand side by side, of nepers, and of milliseconds of a frame."""

SILENCE = 1e-6
"""A signal whose loudest sample is below this is silent."""


@dataclass(frozen=True)
class LogMel:
    """Log-mel features of a signal, (L,) samples to (T, bands * stack).

    The signal is brought to its loudest sample, so that the distance to the microphone does not count, and what lies
    more than `depth` below its loudest band and frame is raised to there, so that it does not count how silent a
    silence is.

    Parameters
    ----------
    bands : int
        Mel bands from 20 Hz to half the sample rate.
    window, shift : int
        Milliseconds of a frame, and from one to the next; at most 1000.
    stack : int
        Frames that stand side by side in one step of the network, which is then of ``shift * stack`` milliseconds
        (Sak et al. 2015, "Fast and accurate recurrent neural network acoustic models for speech recognition").
    depth : float
        In nepers of power: 16 are 69 dB.
    centred : bool, default False
        Whether the mean of each band over the loud frames is taken away: the colour of a microphone, but something of
        the words too. Better for voices and rooms that were not in the training, worse for those that were.

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
        """Features of a step."""
        return self.bands * self.stack

    @property
    def seconds(self) -> float:
        """Length of a step."""
        return self.shift * self.stack / 1000

    def __call__(self, signal: Signal) -> Frames:
        return self.stacked(self.frames(signal))

    def frames(self, signal: Signal) -> Frames:
        """The features of each frame, (frames, bands), about from -2 to 2."""
        peak = np.abs(signal).max(initial=0)
        if peak < SILENCE:
            return np.full((1 + len(signal) * 1000 // (RATE * self.shift), self.bands), -self.depth / 8, np.float32)
        extractor = self._extractor()
        least = RATE * self.shift // 1000  # fewer samples would give no frame
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
        """Each `stack` frames as one step; the last frame is repeated to fill up."""
        missing = -len(frames) % self.stack
        whole = np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)])
        return whole.reshape(-1, self.size)

    def _extractor(self) -> Any:
        """An extractor for one signal."""
        try:
            from kaldi_native_fbank import FbankOptions, OnlineFbank
        except ImportError:
            raise ImportError("speech needs kaldi-native-fbank: pip install 'fastlstm[speech]'") from None
        options = FbankOptions()
        options.frame_opts.samp_freq = RATE
        options.frame_opts.dither = 0  # it would add noise of its own
        options.frame_opts.frame_length_ms = self.window
        options.frame_opts.frame_shift_ms = self.shift
        options.frame_opts.snip_edges = False  # a frame for each shift, however short the signal
        options.mel_opts.num_bins = self.bands
        return OnlineFbank(options)


def padded(items: Sequence[Frames]) -> tuple[Frames, NDArray[np.intp]]:
    """Features of several signals as one array (N, T, F), zeros after the end of each, and their lengths (N,)."""
    lengths = np.array([len(item) for item in items], np.intp)
    x = np.zeros((len(items), int(lengths.max()), items[0].shape[1]), np.float32)
    for row, item in zip(x, items, strict=True):
        row[: len(item)] = item
    return x, lengths
