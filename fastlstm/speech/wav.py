"""Sound from WAV files: one channel of floats at one sample rate, whatever the file has."""

from __future__ import annotations

import io
import os
import struct
import warnings
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float32]

RATE = 8000
"""Samples a second that everything here works with: that of a telephone, and enough for words."""

RATES = 1000, 768_000
"""Sample rates that a file may have."""

LONGEST = 3600
"""Seconds of sound that a file may hold."""


def read_wav(path: str | os.PathLike[str], rate: int = RATE) -> Signal:
    """The sound of a WAV file, mixed down to one channel and brought to one sample rate.

    Parameters
    ----------
    path : path
        Of 8, 16, 24 or 32 bit whole numbers or of floats, of any number of channels.
    rate : int
        Samples a second of what is returned.

    Returns
    -------
    signal : (L,) float32
        From -1 to 1.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
    ValueError
        If the file is no WAV file, is damaged or compressed, or holds no sound; the message says which.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path}: expected a WAV file, got a folder")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    with open(path, "rb") as file:
        return read_wav_file(file, str(path), rate)


def read_wav_file(file: IO[bytes], name: str, rate: int = RATE) -> Signal:
    """The same from an open file; `name` is what errors call it."""
    from scipy.io import wavfile

    content = file.read()
    if not content:
        raise ValueError(f"{name}: the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks that hold no sound
            own_rate, samples = wavfile.read(io.BytesIO(content))
    # what scipy lets through for files that are cut off or written at random
    except (
        ValueError,
        EOFError,
        struct.error,
        OSError,
        ArithmeticError,
        LookupError,
        TypeError,
        UnboundLocalError,
    ) as e:
        raise ValueError(f"{name}: not a WAV file that can be read ({e})") from None
    if not RATES[0] <= own_rate <= RATES[1]:
        raise ValueError(f"{name}: expected from {RATES[0]} to {RATES[1]} samples a second, got {own_rate}")
    if samples.size == 0:
        raise ValueError(f"{name}: holds no sound")
    if len(samples) > LONGEST * own_rate:
        raise ValueError(f"{name}: expected at most {LONGEST} s of sound, got {len(samples) / own_rate:.0f}")
    return resample(as_floats(samples, name), own_rate, rate)


def as_floats(samples: NDArray[np.generic], name: str) -> Signal:
    """One channel from -1 to 1, of samples (L,) or (L, channels) of any kind."""
    signal = samples.astype(np.float64)
    if samples.dtype.kind == "u":  # 8 bit: silence is 128
        signal = signal / 128 - 1
    elif samples.dtype.kind == "i":
        signal = signal / 2.0 ** (8 * samples.dtype.itemsize - 1)
    if not np.isfinite(signal).all():
        raise ValueError(f"{name}: expected finite samples, got NaN or infinity")
    if signal.ndim > 1:
        signal = signal.mean(-1)
    return np.asarray(np.clip(signal, -1, 1), np.float32)


def resample(signal: Signal, own_rate: int, rate: int) -> Signal:
    """The signal at another sample rate, by a polyphase filter; exact to 1 in 1000 for rates without common factors."""
    ratio = Fraction(rate, own_rate)
    if ratio == 1:
        return signal
    from scipy.signal import resample_poly  # takes longer to import than all of fastlstm

    if max(ratio.numerator, ratio.denominator) > 1000:
        ratio = ratio.limit_denominator(1000)
    return np.asarray(resample_poly(signal, ratio.numerator, ratio.denominator), np.float32)
