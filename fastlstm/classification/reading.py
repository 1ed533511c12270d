"""Labelled texts from a folder or a CSV file."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import numpy as np

from fastlstm import _check, unpack
from fastlstm.classification.columns import SAMPLE, columns_of, separator_of
from fastlstm.files import read_bytes
from fastlstm.separated import MOST, is_utf8, lines_of, long_cells, rows_of

LINES = 20
"""How many lines are looked at to find what separates cells."""


@dataclass(frozen=True)
class Texts:
    """Labelled texts.

    Attributes
    ----------
    texts : list of str
    labels : list of str
        The class of each text.
    notes : list of str
        Sentences on what was left out, or read in another encoding.
    """

    texts: list[str]
    labels: list[str]
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def counts(self) -> dict[str, int]:
        """The number of texts of each class, in the order of the names of the classes."""
        return dict(sorted(Counter(self.labels).items()))

    def take(self, index: Iterable[int]) -> Texts:
        """The texts with these places."""
        chosen = list(index)
        return Texts([self.texts[k] for k in chosen], [self.labels[k] for k in chosen], self.notes)

    def split(self, share: float, seed: int = 0) -> tuple[Texts, Texts]:
        """Hold out a share of the texts of each class, drawn at random. Both parts have texts of each class.

        Parameters
        ----------
        share : float
            From 0 to 1; of each class at least one text is held out, and at least one stays.
        seed : int, default 0

        Returns
        -------
        rest, held_out : Texts

        Raises
        ------
        ValueError
            If a class has only one text.

        Examples
        --------
        >>> from fastlstm.classification import Texts
        >>> texts = Texts(list("abcdefgh"), ["x", "x", "x", "x", "y", "y", "y", "y"])
        >>> learned, held_out = texts.split(0.25)
        >>> learned.counts, held_out.counts
        ({'x': 3, 'y': 3}, {'x': 1, 'y': 1})
        """
        rng = np.random.default_rng(seed)
        held: set[int] = set()
        for label in self.counts:
            rows = [k for k, each in enumerate(self.labels) if each == label]
            if len(rows) < 2:
                raise ValueError(f"texts: expected at least 2 of each class to hold some out, got 1 of {label!r}")
            held.update(rng.permutation(rows)[: min(len(rows) - 1, max(1, round(share * len(rows))))].tolist())
        return self.take(k for k in range(len(self)) if k not in held), self.take(sorted(held))


def read_texts(
    path: str | os.PathLike[str], *, max_bytes: int = MOST, text: str | None = None, label: str | None = None
) -> Texts:
    """Read a folder with a subfolder of .txt files for each class, or a CSV file with a column of texts and of labels.

    If the columns are not called text and label, nor given, they are found by usual names ("review", "stars"), or by
    what is in them: the longest texts, and the only other cells that come again and again. A note says which, and the
    first line may then have no names.

    Texts without a word and rows without a label are left out. A file that is not UTF-8 is read as Windows-1252. The
    notes say how many there were.

    Parameters
    ----------
    path : path
        A CSV file may be compressed as .gz, .bz2 or .xz.
    max_bytes : int, default 128000000
        Bytes that a CSV file may have when unpacked. It may have a twentieth as many cells and rows.
    text, label : str, optional
        Names of the columns of a CSV file, in any case.

    Returns
    -------
    Texts

    Raises
    ------
    OSError
        If the path does not exist, something in the folder is no regular file, or may not be read.
    ValueError
        If there are fewer than two classes, a column is missing or not to be told from others, or a CSV file is damaged
        or too large.
    """
    path = Path(path)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file or folder") from None
    if stat.S_ISDIR(mode) and (text is not None or label is not None):
        raise ValueError(
            f"{path}: expected a CSV file with columns {text or 'text'} and {label or 'label'}, got a folder"
        )
    found = _folder(path) if stat.S_ISDIR(mode) else _csv(path, max_bytes, text, label)
    if len(found.counts) < 2:
        only = f"{next(iter(found.counts))!r} alone" if found.counts else "no text"
        raise ValueError(f"{path}: expected texts of at least two classes, got {only}{_hint(path)}")
    return found


def read_text(path: Path) -> tuple[str, bool]:
    """The text of a file, and whether it is UTF-8; if not, it is read as Windows-1252."""
    return _decode(read_bytes(path))


def _decode(content: bytes) -> tuple[str, bool]:
    try:
        return content.decode("utf-8-sig"), True
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace"), False


def _hint(path: Path) -> str:
    return " in its subfolders, each a class with files *.txt" if path.is_dir() else ""


def _folder(path: Path) -> Texts:
    texts, labels, strange = [], [], 0
    for folder in sorted(each for each in path.iterdir() if each.is_dir() and not each.name.startswith(".")):
        for file in sorted(folder.glob("*.txt")):
            text, usual = read_text(file)
            texts.append(text)
            labels.append(folder.name)
            strange += not usual
    return _real(texts, labels, _encoding_notes(strange, "file"))


def _csv(path: Path, max_bytes: int, text: str | None, label: str | None) -> Texts:
    content = unpack.read_bytes(path, "a folder or a CSV file", _check.positive_int(max_bytes, "max_bytes"))
    usual = is_utf8(content)
    lines = lines_of(content, "utf-8-sig" if usual else "cp1252", str(path))
    first = [*islice(lines, LINES)]
    wanted = {(name or other).strip().lower() for name, other in ((text, "text"), (label, "label"))}
    separator = separator_of(first, wanted, str(path))
    texts, labels, lost = [], [], 0
    with long_cells():
        rows = (row for _, row in rows_of(chain(first, lines), separator, str(path), max_bytes=max_bytes))
        sample = [*islice(rows, SAMPLE)]
        columns = columns_of(sample, text, label, str(path))
        for row in islice(chain(sample, rows), int(columns.header), None):
            if len(row) > max(columns.text, columns.label):
                texts.append(row[columns.text])
                labels.append(row[columns.label].strip())
            else:
                lost += bool(row)
    notes = [*([columns.note] if columns.note else []), *_encoding_notes(0 if usual else 1, "file")]
    if lost:
        notes.append(f"Left out: {_many(lost, 'row')} with too few columns.")
    return _real(texts, labels, notes)


def _real(texts: list[str], labels: list[str], notes: list[str]) -> Texts:
    """The texts that have a word and a label."""
    kept = [k for k, text in enumerate(texts) if text.strip() and labels[k]]
    lost = len(texts) - len(kept)
    if lost:
        notes = [*notes, f"Left out: {_many(lost, 'text')} without a word or without a label."]
    return Texts([texts[k] for k in kept], [labels[k] for k in kept], notes)


def _encoding_notes(strange: int, what: str) -> list[str]:
    return [f"Not UTF-8, and read as Windows-1252: {_many(strange, what)}."] if strange else []


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"
