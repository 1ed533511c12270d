"""Sound from WAV files of any format, as one channel of floats at one sample rate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.files import open_file
from fastlstm.speech.riff import Form, read_header, unfit

Signal = NDArray[np.float32]

RATE = 8000
"""The sample rate of all signals in this package, in Hz: that of a telephone, which is enough for words."""

LONGEST = 3600.0
"""Seconds of sound that a file may have. As samples at 8000 Hz they take 115 MB."""

PART = 1 << 18
"""Samples, counted over all channels, that are converted at a time."""


def read_wav(path: str | os.PathLike[str], rate: int = RATE, *, max_seconds: float = LONGEST) -> Signal:
    """The sound of a WAV file, mixed to one channel and resampled to one rate.

    The file is read and converted in parts. However large it is, this takes the memory of the result, 4 bytes a sample,
    and at the end as much again.

    Parameters
    ----------
    path : path
        Samples may be whole numbers of 8, 16, 24 or 32 bits, or floats, in any number of channels.
    rate : int, default 8000
        Samples per second of the result.
    max_seconds : float, default 3600
        How long the sound may be.

    Returns
    -------
    signal : (L,) float32
        Samples from -1 to 1.

    Raises
    ------
    OSError
        If the file does not exist, is no regular file, or may not be read.
    ValueError
        If the file is no WAV file, is damaged or compressed, has no sound or too much; the message says which.
    """
    with open_file(path, "a WAV file") as file:
        return read_wav_file(file, str(path), rate, max_seconds=max_seconds)


def read_wav_file(file: IO[bytes], name: str, rate: int = RATE, *, max_seconds: float = LONGEST) -> Signal:
    """The same as `read_wav`, from an open file. Errors call it `name`."""
    rate = _check.positive_int(rate, "rate")
    max_seconds = _check.number(max_seconds, "max_seconds", 0)
    form = read_header(file, name)
    if form.frames is not None:
        check_length(form.frames, form.rate, max_seconds, name)
    parts, length = [], 0
    for part in resampled(mixed(file, form, name), form.rate, rate):
        parts.append(part)
        length += len(part)
        check_length(length - 1, rate, max_seconds, name)
    if not length:
        raise ValueError(f"{name}: holds no sound")
    return np.concatenate(parts)


def check_length(samples: int, rate: int, max_seconds: float, name: str) -> None:
    if samples > max_seconds * rate:
        raise ValueError(
            f"{name}: expected at most {max_seconds:g} s of sound, got {samples / rate:.0f}; "
            "a higher max_seconds (--max-seconds) allows it"
        )


def mixed(file: IO[bytes], form: Form, name: str) -> Iterator[Signal]:
    """The mean of all channels, from -1 to 1, in parts, up to the end of the file."""
    left = form.frames
    while left != 0:
        wanted = max(1, PART // form.channels)
        if left is not None:
            wanted = min(wanted, left)
        content = file.read(wanted * form.frame)
        frames = len(content) // form.frame
        if left is not None:
            if frames < wanted:
                raise unfit(name, f"it is cut off: {left - frames} of {form.frames} samples are not there")
            left -= frames
        if not frames:
            return
        yield as_floats(content[: frames * form.frame], form, name)


def as_floats(content: bytes, form: Form, name: str) -> Signal:
    """The mean of all channels, from -1 to 1, from the bytes of the samples."""
    if form.width == 3:
        wide = np.zeros((len(content) // 3, 4), np.uint8)  # 24 bits become the upper ones of 32
        at = 0 if form.order == ">" else 1
        wide[:, at : at + 3] = np.frombuffer(content, np.uint8).reshape(-1, 3)
        samples: NDArray[Any] = wide.view(f"{form.order}i4")
    else:
        samples = np.frombuffer(content, f"{form.order}{form.kind}{form.width}")
    with np.errstate(over="ignore", invalid="ignore"):  # floats in a file may be NaN, infinite or huge
        signal = samples.reshape(-1, form.channels).astype(np.float64)
        if form.kind == "u":  # 8 bit: silence is 128
            signal = signal / 128 - 1
        elif form.kind == "i":
            signal = signal / 2.0 ** (8 * samples.dtype.itemsize - 1)
        if not np.isfinite(signal).all():
            raise ValueError(f"{name}: expected finite samples, got NaN or infinity")
        return np.asarray(np.clip(signal.mean(-1), -1, 1), np.float32)


def resampled(parts: Iterator[Signal], own_rate: int, rate: int) -> Iterator[Signal]:
    """Resample a signal in parts by a polyphase filter, with the same result as for the whole signal at once.

    For rates without common factors the ratio is exact to 1 in 1000.
    """
    ratio = Fraction(rate, own_rate)
    if ratio == 1:
        yield from parts
        return
    from scipy.signal import resample_poly  # slow to import, and not needed if the rates are equal

    if max(ratio.numerator, ratio.denominator) > 1000:
        ratio = ratio.limit_denominator(1000)
    up, down = ratio.numerator, ratio.denominator
    margin = down * (2 + 10 * max(up, down) // (up * down))  # half the length of the filter, in whole periods
    step = margin + down * (PART // down)
    held, before = np.empty(0, np.float32), 0  # samples to filter, after those that the filter looks back at
    for part in parts:
        held = np.concatenate([held, part])
        while len(held) >= before + step + margin:
            filtered = resample_poly(held[: before + step + margin], up, down)
            yield np.asarray(filtered[before * up // down : (before + step) * up // down], np.float32)
            held, before = held[before + step - margin :], margin
    if len(held) > before:
        yield np.asarray(resample_poly(held, up, down)[before * up // down :], np.float32)
