"""The vocabulary of a text: its characters, or its words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check

UNKNOWN = "<unknown>"
"""The token for every word that a vocabulary does not have. No word of a text looks like it."""

WORD = re.compile(r" ?\w+(?:['’]\w+)*| ?[^\w\s]|\s")
"""A word or a sign, each with the space before it, or other white space. Joined, the matches are the text again."""


class Vocabulary:
    """The tokens of a text, numbered from 0: single characters, or words and signs.

    Parameters
    ----------
    tokens : list of str
        The tokens, each once. A vocabulary of words must have `UNKNOWN`, for all other words.
    words : bool, default False
        Whether the tokens are words; otherwise they are single characters.

    Raises
    ------
    TypeError
        If tokens is no list of str, or words is not True or False.
    ValueError
        If there is no token, one comes twice or is no single character, or `UNKNOWN` is missing among words.

    Examples
    --------
    >>> from fastlstm.text import Vocabulary
    >>> characters = Vocabulary.of("to be or not to be")
    >>> characters.decode(characters.encode("not bee"))
    'not bee'
    >>> words = Vocabulary.of("to be, or not to be", words=True)
    >>> words.tokens
    ['<unknown>', ' be', ' not', ' or', ' to', ',', 'to']
    >>> words.decode(words.encode("to be is to be"))
    'to be<unknown> to be'
    """

    def __init__(self, tokens: Iterable[str], *, words: bool = False) -> None:
        self.tokens: list[str] = _check.items(tokens, "tokens", "str")
        self.words = _check.flag(words, "words")
        if not self.tokens:
            raise ValueError("tokens: expected at least one, got none")
        for token in self.tokens:
            if not isinstance(token, str):
                raise TypeError(f"tokens: expected str, got {token!r}")
            if not words and len(token) != 1:
                raise ValueError(f"tokens: expected single characters, got {token!r}")
        self._ids = {token: k for k, token in enumerate(self.tokens)}
        if len(self._ids) < len(self.tokens):
            raise ValueError(f"tokens: expected each once, got {Counter(self.tokens).most_common(1)[0][0]!r} twice")
        if words and UNKNOWN not in self._ids:
            raise ValueError(f"tokens: expected {UNKNOWN!r} among words, got none")

    @classmethod
    def of(cls, text: str, *, words: bool = False, most: int | None = None) -> Vocabulary:
        """The vocabulary of all characters of a text, or of its words.

        Parameters
        ----------
        text : str
        words : bool, default False
            Whether the tokens are words.
        most : int, optional
            Number of tokens at most, for words only: the most frequent ones are kept.

        Raises
        ------
        TypeError
            If text is not a str, or most is not a whole number.
        ValueError
            If most is below 1, or given for characters.
        """
        if not isinstance(text, str):
            raise TypeError(f"text: expected str, got {type(text).__name__}")
        if not words:
            if most is not None:
                raise ValueError("most: expected none for characters, of which all are kept")
            return cls(sorted(set(text)))
        counts = Counter(WORD.findall(text))
        kept = sorted(counts, key=lambda token: (-counts[token], token))
        if most is not None:
            kept = kept[: _check.positive_int(most, "most") - 1]
        return cls([UNKNOWN, *sorted(kept)], words=True)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def unknown(self) -> int | None:
        """The number of the token `UNKNOWN`; None for characters."""
        return self._ids[UNKNOWN] if self.words else None

    @property
    def line_end(self) -> int:
        """The token before a text without a prompt: the end of a line, or the first token if there is none."""
        return self._ids.get("\n", 0)

    def encode(self, text: str, name: str = "text") -> NDArray[np.intp]:
        """The numbers of the tokens of a text, (L,). A word that the vocabulary does not have becomes `UNKNOWN`.

        Parameters
        ----------
        text : str
        name : str, default "text"
            What errors call the text.

        Raises
        ------
        TypeError
            If text is not a str.
        ValueError
            If the text has a character that the vocabulary does not have.
        """
        if not isinstance(text, str):
            raise TypeError(f"{name}: expected str, got {type(text).__name__}")
        if self.words:
            unknown = self._ids[UNKNOWN]
            return np.array([self._ids.get(token, unknown) for token in WORD.findall(text)], np.intp)
        try:
            return np.array([self._ids[character] for character in text], np.intp)
        except KeyError as error:
            character = error.args[0]
            raise ValueError(
                f"{name}: expected characters of the text that was learned from, "
                f"got {character!r} at {text.index(character)}"
            ) from None

    def decode(self, ids: Iterable[Any]) -> str:
        """The text of some numbers of tokens.

        Parameters
        ----------
        ids : ints
            From 0 to below the number of tokens.

        Returns
        -------
        str

        Raises
        ------
        TypeError, ValueError
            If there is no token of a number.
        """
        ids = list(ids)
        return "".join(self.tokens[k] for k in _check.int_array(ids, "ids", ("L",), 0, len(self) - 1)) if ids else ""

    def config(self) -> dict[str, Any]:
        """The arguments of the constructor, for a file."""
        return {"tokens": self.tokens, "words": self.words}

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} {'words' if self.words else 'characters'})"
