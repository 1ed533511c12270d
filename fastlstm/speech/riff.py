"""The header of a WAV file (RIFF, RIFX and RF64): the format of its samples, and where they begin."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
KINDS = {(PCM, 1): "u", (PCM, 2): "i", (PCM, 3): "i", (PCM, 4): "i", (FLOAT, 4): "f", (FLOAT, 8): "f"}
"""Unsigned ("u") and signed ("i") whole numbers and floats ("f"), by the format and the bytes of a sample."""

RATES = 1000, 768_000
"""The lowest and the highest sample rate that a file may have, in Hz."""

UNKNOWN = 0xFFFFFFFF
"""The size of the samples in a header if the writer did not know it, or if it is in another place."""

SKIPPED = 1 << 16
"""Bytes that are read at a time to skip a chunk without sound."""


@dataclass(frozen=True)
class Form:
    """The format of the samples of a file.

    Attributes
    ----------
    rate : int
        Samples per second.
    channels : int
    width : int
        Bytes of a sample of one channel.
    kind : str
        "u", "i" or "f", as in NumPy.
    order : str
        The order of the bytes: "<" or ">".
    frames : int or None
        Number of samples of each channel; None if they go on to the end of the file.
    """

    rate: int
    channels: int
    width: int
    kind: str
    order: str
    frames: int | None = None

    @property
    def frame(self) -> int:
        """Bytes of a sample of all channels together."""
        return self.channels * self.width


def read_header(file: IO[bytes], name: str) -> Form:
    """Read the header of an open file, up to the first sample.

    Raises
    ------
    ValueError
        If this is no WAV file, or its format is not known; the message begins with the name.
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
    """Skip bytes by reading them: a file in an archive cannot seek."""
    while size > 0 and (content := file.read(min(size, SKIPPED))):
        size -= len(content)
