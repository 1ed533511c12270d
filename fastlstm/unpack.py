"""Files that people bring, packed or not: how much of one is read has a bound, and what is damaged is named."""

from __future__ import annotations

import bz2
import csv
import gzip
import lzma
import os
import re
import tarfile
import tokenize
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from io import BufferedReader
from pathlib import PurePosixPath
from typing import Any

from fastlstm.files import Damaged, open_file, reading

ARCHIVE = 256_000_000
"""Bytes that an archive may take unpacked."""

UNPACK: tuple[tuple[re.Pattern[bytes], Callable[[BufferedReader], Any]], ...] = (
    (re.compile(rb"\x1f\x8b"), gzip.open),
    (re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), bz2.open),
    (re.compile(rb"\xfd7zXZ\x00"), lzma.open),
)
"""How packed files begin, and what unpacks them."""

DAMAGE = (OSError, SyntaxError, zlib.error, lzma.LZMAError, tarfile.TarError, csv.Error, tokenize.TokenError)
"""What comes of a file that is damaged, or made to do harm, beside what comes of any file."""


class TooLarge(Damaged):
    """A file goes beyond its bound."""

    def __init__(self, name: str, max_bytes: int) -> None:
        super().__init__(
            f"{name}: expected at most {max_bytes:,} bytes, unpacked, got more; "
            "a higher max_bytes (--max-megabytes) allows it"
        )


class Bounded:
    """What is in a .gz, .bz2 or .xz, found out by how it begins, or in any other file: up to so many bytes."""

    def __init__(self, file: BufferedReader, name: str, max_bytes: int) -> None:
        beginning = file.peek(10)[:10]
        unpack = next((unpack for magic, unpack in UNPACK if magic.match(beginning)), None)
        self._file = file if unpack is None else unpack(file)
        self._name, self._most, self._left = name, max_bytes, max_bytes

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or all that are left; fewer only at the end.

        Raises
        ------
        TooLarge
        """
        most = self._left + 1
        content: bytes = self._file.read(most if size < 0 else min(size, most))
        self._left -= len(content)
        if self._left < 0:
            raise TooLarge(self._name, self._most)
        return content


def whole(name: str, what: str) -> AbstractContextManager[None]:
    """Whatever a damaged file leads to becomes a ValueError that names it; errors of the file system stay."""
    return reading(name, *DAMAGE, what=what)


def read_bytes(path: str | os.PathLike[str], what: str, max_bytes: int) -> bytes:
    """All of a file, unpacked.

    Raises
    ------
    OSError
    ValueError
        If it is packed and damaged, or takes more than max_bytes.
    """
    with open_file(path, what) as file, whole(str(path), what):
        return Bounded(file, str(path), max_bytes).read()


def tar_files(
    path: str | os.PathLike[str], wanted: Callable[[PurePosixPath], Any], what: str, max_bytes: int = ARCHIVE
) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Names and contents of those files of a tar archive, packed or not, that are wanted; nothing is written to disk.

    Raises
    ------
    OSError
    ValueError
        If it is no archive, or damaged, or takes more than max_bytes.
    """
    name, left = str(path), max_bytes
    with open_file(path, what) as file:
        with whole(name, what):
            stream: Any = Bounded(file, name, max_bytes)
            archive = tarfile.open(fileobj=stream, mode="r|")  # from the beginning on, so that every byte is counted
        while True:
            with whole(name, what):
                member = archive.next()
                if member is None:
                    return
                place = PurePosixPath(member.name)
                part = archive.extractfile(member) if member.isfile() and wanted(place) else None
                if part is None:
                    continue
                left -= member.size  # of a sparse file more than is read
                if left < 0:
                    raise TooLarge(name, max_bytes)
                content = part.read()
            yield place, content
