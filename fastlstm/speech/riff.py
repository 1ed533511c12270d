"""The header of a WAV file: what its samples are, and where they begin (RIFF, RIFX and RF64)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
KINDS = {(PCM, 1): "u", (PCM, 2): "i", (PCM, 3): "i", (PCM, 4): "i", (FLOAT, 4): "f", (FLOAT, 8): "f"}
"""Unsigned and signed whole numbers and floats, by the format and the bytes of a sample."""

RATES = 1000, 768_000
"""Sample rates that a file may have."""

UNKNOWN = 0xFFFFFFFF
"""Size of the samples where the writer did not know it, or has it elsewhere."""

SKIPPED = 1 << 16
"""Bytes that are read at a time to get past a chunk that holds no sound."""


@dataclass(frozen=True)
class Form:
    """What the samples of a file are.

    Attributes
    ----------
    rate, channels : int
    width : int
        Bytes of a sample of a channel.
    kind : str
        "u", "i" or "f", as NumPy has them.
    order : str
        "<" or ">".
    frames : int or None
        Samples of each channel; None if they go on to the end of the file.
    """

    rate: int
    channels: int
    width: int
    kind: str
    order: str
    frames: int | None = None

    @property
    def frame(self) -> int:
        """Bytes of one sample of all channels."""
        return self.channels * self.width


def read_header(file: IO[bytes], name: str) -> Form:
    """Read up to the first sample.

    Raises
    ------
    ValueError
        If this is no WAV file, or one of a format that is not known; the message begins with the name.
    """
    try:
        return _read(file, name)
    except struct.error:
        raise unfit(name, "it ends within its header") from None


def unfit(name: str, why: str) -> ValueError:
    return ValueError(f"{name}: not a WAV file that can be read: {why}")


def _read(file: IO[bytes], name: str) -> Form:
    head = file.read(12)
    if not head:
        raise ValueError(f"{name}: the file is empty")
    if head[:4] not in (b"RIFF", b"RIFX", b"RF64") or head[8:] != b"WAVE":
        raise unfit(name, "it does not begin as one")
    order = ">" if head[:4] == b"RIFX" else "<"
    form, long_size = None, None
    while True:
        kind, size = struct.unpack(f"{order}4sI", file.read(8))
        if kind == b"data":
            if form is None:
                raise unfit(name, "its samples come before their format")
            known = size if size != UNKNOWN else long_size
            return form if known is None else Form(**{**vars(form), "frames": known // form.frame})
        content = file.read(min(size, 40)) if kind in (b"fmt ", b"ds64") else b""
        if kind == b"fmt ":
            form = _form(content, order, name)
        elif kind == b"ds64":
            (long_size,) = struct.unpack_from("<Q", content, 8)
        _skip(file, size + size % 2 - len(content))


def _form(content: bytes, order: str, name: str) -> Form:
    code, channels, rate, _, frame, bits = struct.unpack_from(f"{order}HHIIHH", content)
    if code == EXTENSIBLE and len(content) >= 26:
        (code,) = struct.unpack_from(f"{order}H", content, 24)
    if not RATES[0] <= rate <= RATES[1]:
        raise ValueError(f"{name}: expected from {RATES[0]} to {RATES[1]} samples a second, got {rate}")
    if not channels:
        raise unfit(name, "it has no channels")
    width = frame // channels
    if (code, width) not in KINDS or frame % channels or not 0 < bits <= 8 * width:
        raise unfit(
            name, f"expected 8, 16, 24 or 32 bits, or floats, got format {code} of {bits} bits in {frame} bytes"
        )
    return Form(rate, channels, width, KINDS[code, width], order)


def _skip(file: IO[bytes], size: int) -> None:
    """Past so many bytes; an archive cannot seek."""
    while size > 0 and (content := file.read(min(size, SKIPPED))):
        size -= len(content)
