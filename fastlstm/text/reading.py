"""Texts from files, and what of them is learned from."""

from __future__ import annotations

import os
from pathlib import Path

from fastlstm import _check
from fastlstm.files import read_bytes

LEAST = 200
"""Characters of a text: fewer teach nothing, and say nothing about what was learned."""


def read_text(path: str | os.PathLike[str]) -> str:
    """A file of UTF-8, with lines that end in a single newline.

    Raises
    ------
    OSError
        If there is no such file, it is no file, or may not be read.
    ValueError
        If it is empty, too short to learn from, or not UTF-8; the message says where.
    """
    path = Path(path)
    content = read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected UTF-8, got the byte 0x{content[error.start]:02x} at {error.start}; "
            f"convert it, such as by: iconv -f latin1 -t utf-8 {path.name}"
        ) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise ValueError(f"{path}: expected a text, got an empty file")
    if len(text) < LEAST:
        raise ValueError(f"{path}: expected at least {LEAST} characters to learn from, got {len(text)}")
    return text


def split(text: str, validation: float = 0.1) -> tuple[str, str]:
    """The first part, to learn from, and the last, a share `validation` of the characters, to measure on.

    >>> from fastlstm.text import split
    >>> split("0123456789", 0.3)
    ('0123456', '789')
    """
    validation = _check.number(validation, "validation", 0, 1, open_high=True)
    at = int(len(text) * (1 - validation) + 1e-9)  # 1 - 0.1 is a little less than 0.9
    return text[:at], text[at:]
