"""Files of users, compressed or not, read up to a limit. Errors name a damaged file."""

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
"""Bytes that an archive may have when unpacked."""

UNPACK: tuple[tuple[re.Pattern[bytes], Callable[[BufferedReader], Any]], ...] = (
    (re.compile(rb"\x1f\x8b"), gzip.open),
    (re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), bz2.open),
    (re.compile(rb"\xfd7zXZ\x00"), lzma.open),
)
"""How compressed files begin, and the functions that open them."""

DAMAGE = (OSError, SyntaxError, zlib.error, lzma.LZMAError, tarfile.TarError, csv.Error, tokenize.TokenError)
"""Errors that damaged or hostile files of these kinds cause, beside those in `files.reading`."""


class TooLarge(Damaged):
    """The error for a file that is larger than its limit."""

    def __init__(self, name: str, max_bytes: int) -> None:
        super().__init__(
            f"{name}: expected at most {max_bytes:,} bytes, unpacked, got more; "
            "a higher max_bytes (--max-megabytes) allows it"
        )


class Bounded:
    """The content of a file up to a limit of bytes. A .gz, .bz2 or .xz, known by its first bytes, is unpacked."""

    def __init__(self, file: BufferedReader, name: str, max_bytes: int) -> None:
        beginning = file.peek(10)[:10]
        unpack = next((unpack for magic, unpack in UNPACK if magic.match(beginning)), None)
        self._file = file if unpack is None else unpack(file)
        self._name, self._most, self._left = name, max_bytes, max_bytes

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, or fewer at the end of the file; by default all the rest.

        Raises
        ------
        TooLarge
            If the content so far is larger than the limit.
        """
        most = self._left + 1
        content: bytes = self._file.read(most if size < 0 else min(size, most))
        self._left -= len(content)
        if self._left < 0:
            raise TooLarge(self._name, self._most)
        return content


def whole(name: str, what: str) -> AbstractContextManager[None]:
    """Turn errors that a damaged file causes into a ValueError that names it. Errors of the file system stay."""
    return reading(name, *DAMAGE, what=what)


def read_bytes(path: str | os.PathLike[str], what: str, max_bytes: int) -> bytes:
    """The whole content of a file, unpacked if it is compressed.

    Raises
    ------
    OSError
        If the file does not exist, is no regular file, or may not be read.
    ValueError
        If it is compressed and damaged, or has more than max_bytes.
    """
    with open_file(path, what) as file, whole(str(path), what):
        return Bounded(file, str(path), max_bytes).read()


def tar_files(
    path: str | os.PathLike[str], wanted: Callable[[PurePosixPath], Any], what: str, max_bytes: int = ARCHIVE
) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Names and contents of the wanted files of a tar archive, compressed or not. Nothing is written to disk.

    Raises
    ------
    OSError
        If the file does not exist, is no regular file, or may not be read.
    ValueError
        If it is no archive, is damaged, or has more than max_bytes.
    """
    name, left = str(path), max_bytes
    with open_file(path, what) as file:
        with whole(name, what):
            stream: Any = Bounded(file, name, max_bytes)
            archive = tarfile.open(fileobj=stream, mode="r|")  # a stream: every byte is read and counted
        while True:
            with whole(name, what):
                member = archive.next()
                if member is None:
                    return
                if archive.offset > max_bytes:  # tarfile would go there step by step, also where nothing is
                    raise TooLarge(name, max_bytes)
                place = PurePosixPath(member.name)
                part = archive.extractfile(member) if member.isfile() and wanted(place) else None
                if part is None:
                    continue
                left -= member.size  # for a sparse file more than will be read
                if left < 0:
                    raise TooLarge(name, max_bytes)
                content = part.read()
            yield place, content
