"""Labelled texts from a folder or a CSV file."""

from __future__ import annotations

import csv
import io
import os
import stat
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fastlstm.files import Damaged, read_bytes, reading

SEPARATORS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Texts:
    """Texts and what each is.

    Attributes
    ----------
    texts, labels : lists of str
    notes : list of str
        What was left out or read otherwise than meant, in words.
    """

    texts: list[str]
    labels: list[str]
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def counts(self) -> dict[str, int]:
        """How many texts each class has, in the order of their names."""
        return dict(sorted(Counter(self.labels).items()))

    def take(self, index: Iterable[int]) -> Texts:
        """Some of the texts."""
        chosen = list(index)
        return Texts([self.texts[k] for k in chosen], [self.labels[k] for k in chosen], self.notes)

    def split(self, share: float, seed: int = 0) -> tuple[Texts, Texts]:
        """The texts less a share of each class, drawn by the seed, and that share; both have some of each.

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


def read_texts(path: str | os.PathLike[str]) -> Texts:
    """Read a folder with a subfolder of .txt files for each class, or a CSV file with the columns text and label.

    Texts without a word, and rows without a label, are left out; a file that is not UTF-8 is read as Windows-1252. The
    notes of what is returned say how many there were.

    Raises
    ------
    OSError
        If there is no such file or folder, something in it is no file, or it may not be read.
    ValueError
        If there are not at least two classes, or not the two columns; the message says what was found.
    """
    path = Path(path)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file or folder") from None
    found = _folder(path) if stat.S_ISDIR(mode) else _csv(path)
    if len(found.counts) < 2:
        only = f"{next(iter(found.counts))!r} alone" if found.counts else "no text"
        raise ValueError(f"{path}: expected texts of at least two classes, got {only}{_hint(path)}")
    return found


def read_text(path: Path) -> tuple[str, bool]:
    """A file, and whether it is UTF-8 as it should be."""
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


def _csv(path: Path) -> Texts:
    content, usual = read_text(path)
    before = csv.field_size_limit(max(csv.field_size_limit(), len(content)))
    try:
        with reading(path, csv.Error):
            names, rows = _rows(path, content)
    finally:
        csv.field_size_limit(before)
    at_text, at_label = names.index("text"), names.index("label")
    whole = [row for row in rows if len(row) > max(at_text, at_label)]
    notes = _encoding_notes(not usual, "file")
    lost = sum(map(bool, rows)) - len(whole)
    if lost:
        notes.append(f"Left out: {_many(lost, 'row')} with too few columns.")
    return _real([row[at_text] for row in whole], [row[at_label].strip() for row in whole], notes)


def _rows(path: Path, content: str) -> tuple[list[str], list[list[str]]]:
    """The names of the columns, text and label among them, and the rows below."""
    header = content.partition("\n")[0].strip("\r")
    for separator in SEPARATORS:
        names = [name.strip().lower() for name in next(csv.reader([header], delimiter=separator), [])]
        if {"text", "label"} <= set(names):
            return names, list(csv.reader(io.StringIO(content, newline=""), delimiter=separator))[1:]
    raise Damaged(f"{path}: expected the columns text and label in its first line, got {header[:80]!r}")


def _real(texts: list[str], labels: list[str], notes: list[str]) -> Texts:
    """Those with a text and a label."""
    kept = [k for k, text in enumerate(texts) if text.strip() and labels[k]]
    lost = len(texts) - len(kept)
    if lost:
        notes = [*notes, f"Left out: {_many(lost, 'text')} without a word or without a label."]
    return Texts([texts[k] for k in kept], [labels[k] for k in kept], notes)


def _encoding_notes(strange: int, what: str) -> list[str]:
    return [f"Not UTF-8, and read as Windows-1252: {_many(strange, what)}."] if strange else []


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"
