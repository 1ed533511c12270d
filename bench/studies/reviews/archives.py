"""Film reviews to classify: 50,000 of IMDB (Maas et al. 2011), and 2,000 in ten folds (Pang and Lee 2004)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.studies.data import find
from fastlstm.unpack import tar_files

IMDB = "imdb.tar.xz"
POLARITY = "review_polarity.tar.gz"
FOLDS = 10

Array = NDArray[Any]


@dataclass(frozen=True)
class Reviews:
    """Texts, and whether each is positive."""

    texts: list[str]
    positive: Array

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def labels(self) -> list[str]:
        return ["pos" if one else "neg" for one in self.positive]

    def __add__(self, other: Reviews) -> Reviews:
        return Reviews(self.texts + other.texts, np.concatenate([self.positive, other.positive]))

    def take(self, index: Array) -> Reviews:
        return Reviews([self.texts[k] for k in index], self.positive[index])


def imdb(path: Path | None = None, most: int | None = None) -> dict[str, Reviews]:
    """The parts train, val and test, each in the order of its files' names; at most so many of each class of a part."""
    files = {tuple(name.parts[1:]): text for name, text in members(path or find(IMDB)) if len(name.parts) == 4}
    found = {}
    for part in ("train", "val", "test"):
        chosen = [sorted(k for k in files if k[:2] == (part, kind))[:most] for kind in ("neg", "pos")]
        texts = [files[key] for keys in chosen for key in keys]
        found[part] = Reviews(texts, np.repeat([False, True], list(map(len, chosen))))
    return found


def polarity(path: Path | None = None) -> tuple[Reviews, Array]:
    """All reviews, and the fold of each by the number of its file: cv000 to cv099 are fold 0."""
    files = sorted(
        (name.parent.name, int(name.name[2:5]), text)
        for name, text in members(path or find(POLARITY))
        if name.name.startswith("cv")
    )
    reviews = Reviews([text for _, _, text in files], np.array([kind == "pos" for kind, _, _ in files]))
    return reviews, np.array([number // 100 for _, number, _ in files])


def members(path: Path) -> list[tuple[PurePosixPath, str]]:
    """Names and texts of an archive."""
    files = tar_files(path, lambda place: place.suffix == ".txt", "a tar archive")
    return [(place, content.decode("utf-8", errors="replace")) for place, content in files]


def textbook_arrays(parts: dict[str, Reviews], words: int, length: int) -> dict[str, tuple[Array, Array]]:
    """Each part's reviews as the textbooks have them: x (N, length) numbers of words, padded before, and lengths (N,).

    0 is padding, 1 a word that is not among the `words - 2` most frequent ones of the training part; of a longer review
    the last words are kept.
    """
    split = {part: [re.findall(r"[a-z0-9']+", tidy(text)) for text in some.texts] for part, some in parts.items()}
    frequency: dict[str, int] = {}
    for text in split["train"]:
        for word in text:
            frequency[word] = frequency.get(word, 0) + 1
    known = sorted(frequency, key=lambda word: (-frequency[word], word))[: words - 2]
    ids = {word: k for k, word in enumerate(known, start=2)}
    found = {}
    for part, texts in split.items():
        x = np.zeros((len(texts), length), np.int32)
        lengths = np.array([max(1, min(len(text), length)) for text in texts])
        for row, text in zip(x, texts, strict=True):
            numbers = [ids.get(word, 1) for word in text[-length:]] or [1]
            row[length - len(numbers) :] = numbers
        found[part] = x, lengths
    return found


def tidy(text: str) -> str:
    return text.lower().replace("<br />", " ")
