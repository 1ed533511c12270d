"""The vocabulary of a classifier: words as numbers."""

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
"""A word with the apostrophes inside it, or one of the signs ! and ?."""

TAG = re.compile(r"</?[a-zA-Z][^<>]*>")

PADDING, UNKNOWN = 0, 1
"""The tokens after the end of a text, and for every word that the vocabulary does not have."""


def split_words(text: str) -> list[str]:
    """The words of a text in lower case, and its ! and ?. Tags of HTML are left out.

    >>> from fastlstm.classification import split_words
    >>> split_words("Don't go!<br />It's 2 hours...")
    ["don't", 'go', '!', "it's", '2', 'hours']
    """
    return WORD.findall(TAG.sub(" ", text).lower().replace("’", "'"))


class Vocabulary:
    """Words that are numbered from 2; 0 is padding, 1 is every other word.

    Parameters
    ----------
    words : list of str
        The words, each once.

    Raises
    ------
    TypeError
        If words is no list of str.
    ValueError
        If a word comes twice.

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
        """The vocabulary of the most frequent words of some texts.

        Parameters
        ----------
        texts : iterable of lists of words
        most : int, default 20000
            Number of words at most. Of equally frequent words those that come first in the alphabet are kept.

        Raises
        ------
        TypeError, ValueError
            If most is not a whole number from 1.

        Examples
        --------
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
        """The number of tokens: the words and two more."""
        return len(self.words) + 2

    def encode(self, words: Iterable[str]) -> Tokens:
        """The numbers of the words of a text, (L,)."""
        return np.array([self._ids.get(word, UNKNOWN) for word in words], np.intp)


def as_batch(texts: list[Any], length: int) -> tuple[Tokens, Tokens]:
    """Encoded texts as one batch. Of a longer text the last `length` words are kept.

    Returns
    -------
    x : (N, T)
        Padded at the end; T is the length of the longest text, at most `length`. A text without a word gets a single
        unknown one.
    lengths : (N,)
    """
    cut = [text[-length:] if len(text) else np.full(1, UNKNOWN) for text in texts]
    lengths = np.array([len(text) for text in cut], np.intp)
    x = np.full((len(cut), int(lengths.max())), PADDING, np.intp)
    for row, text in zip(x, cut, strict=True):
        row[: len(text)] = text
    return x, lengths
