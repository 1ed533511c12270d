"""Recordings of single words with their labels."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastlstm import _check
from fastlstm.files import path_of
from fastlstm.speech.wav import Signal, read_wav, read_wav_file
from fastlstm.unpack import ARCHIVE, TooLarge, tar_files

NAME = re.compile(r"^(?P<label>[^_]+)_(?P<rest>.+)\.wav$", re.IGNORECASE)


@dataclass(frozen=True)
class Recording:
    """A recording of a word. Its labels come from the name of the file: ``label_speaker_index.wav``.

    Attributes
    ----------
    signal : (L,) float32
        Samples from -1 to 1 at 8000 Hz.
    label : str
        The word.
    speaker : str, default ""
        Who said it; "" if it is not known, as for ``label_anything.wav``.
    index : int, default 0
        Which of this speaker's recordings of the word it is.
    """

    signal: Signal
    label: str
    speaker: str = ""
    index: int = 0

    @property
    def name(self) -> str:
        """The name of its file, without the ending."""
        return f"{self.label}_{self.speaker}_{self.index}"


def read_recordings(path: str | os.PathLike[str], *, max_bytes: int = ARCHIVE) -> list[Recording]:
    """All recordings of a folder and its subfolders, or of a tar archive, in the order of their names.

    Parameters
    ----------
    path : path
        An archive may be compressed as .gz, .bz2 or .xz. Nothing of it is written to disk.
    max_bytes : int, default 256000000
        Bytes that the archive may have when unpacked, and that all samples may take in memory: 256 MB are about two
        hours of sound.

    Returns
    -------
    list of Recording

    Raises
    ------
    FileNotFoundError
        If the path does not exist.
    ValueError
        If there is no recording, one cannot be read, or they are too large.
    """
    path, left = path_of(path, "path"), _check.positive_int(max_bytes, "max_bytes")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    found = []
    for one in filed(path) if path.is_dir() else archived(path, max_bytes):
        found.append(one)
        left -= one.signal.nbytes
        if left < 0:
            raise TooLarge(str(path), max_bytes)
    if not found:
        raise ValueError(f"{path}: expected WAV files named label_anything.wav, found none")
    return found if path.is_dir() else sorted(found, key=lambda one: (one.label, one.speaker, one.index))


def filed(folder: Path) -> Iterator[Recording]:
    """The recordings of a folder."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and NAME.match(file.name):
            yield recording(file.name, read_wav(file))


def archived(path: Path, max_bytes: int) -> Iterator[Recording]:
    """The recordings of a tar archive."""
    for place, content in tar_files(path, lambda place: NAME.match(place.name), "a folder or a tar archive", max_bytes):
        yield recording(place.name, read_wav_file(io.BytesIO(content), f"{path}: {place.name}"))


def recording(name: str, signal: Signal) -> Recording:
    match = NAME.match(name)
    assert match is not None
    speaker, _, index = match["rest"].rpartition("_")
    if not speaker or not index.isdecimal():
        return Recording(signal, match["label"])
    return Recording(signal, match["label"], speaker, int(index))
