"""Words as numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check

Tokens = NDArray[np.intp]

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[!?]")
"""A word, with the apostrophes inside it; or a sign that says how it is meant."""

TAG = re.compile(r"</?[a-zA-Z][^<>]*>")

PADDING, UNKNOWN = 0, 1
"""What stands beyond the end of a text, and for every word that the vocabulary does not hold."""


def split_words(text: str) -> list[str]:
    """The words of a text in small letters, and its ! and ?; tags of HTML are left out.

    >>> from fastlstm.classification import split_words
    >>> split_words("Don't go!<br />It's 2 hours...")
    ["don't", 'go', '!', "it's", '2', 'hours']
    """
    return WORD.findall(TAG.sub(" ", text).lower().replace("’", "'"))


class Vocabulary:
    """Words, numbered from 2; 0 is padding, 1 every other word.

    Parameters
    ----------
    words : list of str
        Each once.

    Examples
    --------
    >>> from fastlstm.classification import Vocabulary
    >>> vocabulary = Vocabulary.of([["a", "film"], ["a", "good", "film"]], most=2)
    >>> vocabulary.words
    ['a', 'film']
    >>> vocabulary.encode(["a", "bad", "film"]).tolist()
    [2, 1, 3]
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words: list[str] = _check.items(words, "words", "str")
        for word in self.words:
            if not isinstance(word, str):
                raise TypeError(f"words: expected str, got {word!r}")
        self._ids = {word: k for k, word in enumerate(self.words, start=2)}
        if len(self._ids) < len(self.words):
            raise ValueError(f"words: expected each once, got {Counter(self.words).most_common(1)[0][0]!r} twice")

    @classmethod
    def of(cls, texts: Iterable[list[str]], most: int = 20_000) -> Vocabulary:
        """The most frequent words of some texts, at most so many; of equally frequent ones those first in the alphabet.

        >>> from fastlstm.classification import Vocabulary
        >>> Vocabulary.of([["so", "it", "goes"], ["so", "so"]], most=2).words
        ['so', 'goes']
        """
        most = _check.positive_int(most, "most")
        counts: Counter[str] = Counter()
        for words in texts:
            counts.update(words)
        return cls(sorted(counts, key=lambda word: (-counts[word], word))[:most])

    def __len__(self) -> int:
        """Number of tokens: of words, and two."""
        return len(self.words) + 2

    def encode(self, words: Iterable[str]) -> Tokens:
        """The numbers of the words of a text."""
        return np.array([self._ids.get(word, UNKNOWN) for word in words], np.intp)


def as_batch(texts: list[Any], length: int) -> tuple[Tokens, Tokens]:
    """Encoded texts side by side, of longer ones the last `length` words.

    Returns
    -------
    x : (N, T)
        Padded behind; T is the longest text's, at most `length`. A text without a word has a single unknown one.
    lengths : (N,)
    """
    cut = [text[-length:] if len(text) else np.full(1, UNKNOWN) for text in texts]
    lengths = np.array([len(text) for text in cut], np.intp)
    x = np.full((len(cut), int(lengths.max())), PADDING, np.intp)
    for row, text in zip(x, cut, strict=True):
        row[: len(text)] = text
    return x, lengths
