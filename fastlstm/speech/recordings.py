"""Recordings of single words with their labels, and strings of words joined from them."""

from __future__ import annotations

import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastlstm.speech.wav import Signal, read_wav, read_wav_file

NAME = re.compile(r"^(?P<label>[^_]+)_(?P<rest>.+)\.wav$", re.IGNORECASE)


@dataclass(frozen=True)
class Recording:
    """A word, who said it and for which time, as the file's name has it: ``label_speaker_index.wav``.

    Of ``label_anything.wav`` the speaker is "", not known, and the index 0.
    """

    signal: Signal
    label: str
    speaker: str = ""
    index: int = 0

    @property
    def name(self) -> str:
        """As a file would be called."""
        return f"{self.label}_{self.speaker}_{self.index}"


def read_recordings(path: str | os.PathLike[str]) -> list[Recording]:
    """All recordings of a folder, its subfolders too, or of a tar archive, in the order of their names.

    Raises
    ------
    FileNotFoundError
    ValueError
        If there is none, or one cannot be read.
    """
    path = Path(path)
    found = []
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file() and NAME.match(file.name):
                found.append(recording(file.name, read_wav(file)))
    elif not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    else:
        found = sorted(archived(path), key=lambda one: (one.label, one.speaker, one.index))
    if not found:
        raise ValueError(f"{path}: expected WAV files named label_anything.wav, found none")
    return found


def archived(path: Path) -> Iterator[Recording]:
    """The recordings of a tar archive, compressed or not; nothing is unpacked to disk."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = Path(member.name).name
                file = archive.extractfile(member) if member.isfile() and NAME.match(name) else None
                if file is not None:
                    yield recording(name, read_wav_file(file, f"{path}: {name}"))
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path}: expected a folder or a tar archive that is whole, got {error!r:.60}") from None


def recording(name: str, signal: Signal) -> Recording:
    match = NAME.match(name)
    assert match is not None
    speaker, _, index = match["rest"].rpartition("_")
    if not speaker or not index.isdecimal():
        return Recording(signal, match["label"])
    return Recording(signal, match["label"], speaker, int(index))
