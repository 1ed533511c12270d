"""Texts from files, and their split into parts."""

from __future__ import annotations

import os
from pathlib import Path

from fastlstm import _check
from fastlstm.files import read_bytes

LEAST = 200
"""Characters that a text must have at least: fewer teach nothing."""


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a file in UTF-8. Each line ends in a single newline character.

    Parameters
    ----------
    path : path

    Returns
    -------
    str

    Raises
    ------
    OSError
        If the file does not exist, is no regular file, or may not be read.
    ValueError
        If it is empty, has fewer than 200 characters, or is not UTF-8; the message has the place.
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
    """Split a text into the first part, for the training, and the last, for the validation.

    Parameters
    ----------
    text : str
    validation : float, default 0.1
        Share of the characters in the last part, from 0 to below 1.

    Returns
    -------
    train, validation : str

    Raises
    ------
    TypeError, ValueError
        If text is no str, or validation is not a number from 0 to below 1.

    Examples
    --------
    >>> from fastlstm.text import split
    >>> split("0123456789", 0.3)
    ('0123456', '789')
    """
    _check.instance(text, str, "text", "a str")
    validation = _check.number(validation, "validation", 0, 1, open_high=True)
    at = int(len(text) * (1 - validation) + 1e-9)  # 1 - 0.1 is a little less than 0.9
    return text[:at], text[at:]
