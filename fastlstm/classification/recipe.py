"""The recipe of a classifier: how it is built and trained, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fastlstm import _check, application
from fastlstm.layers import LSTM, Dense, Dropout, Embedding, Layer, MaxPool
from fastlstm.model import Model

LEAST_STEPS = 300
"""Steps of the optimizer at least, if the number of epochs is not given: so many are enough for a few texts."""


@dataclass(frozen=True)
class Recipe(application.Recipe):
    """A network, and its training.

    The network reads a text in both directions and takes the largest output of each unit over all words, so that a
    decisive word may be anywhere. The vectors of the words start from `word_vectors`: words with the same neighbours
    have similar vectors before the classes are learned. Dropout of whole words, on the vectors, and before the last
    layer keeps the network from learning the texts by heart. The learning rate rises from 0 during the warm-up, and
    falls by half a cosine to 0 (Loshchilov and Hutter 2017).

    Parameters
    ----------
    vocabulary : int, default 20000
        Number of words to know at most: the most frequent ones.
    length : int, default 1000
        Number of words of a text to read at most: its last ones, where a review gives its verdict.
    embedding_size : int, default 100
        Size of the vector of a word.
    hidden_size : int, default 64
        Units of the LSTM in each direction.
    dropout : float, default 0.5
        Rate from 0 to below 1.
    word_dropout : float, default 0.2
        Share of the words that are replaced by the unknown one, others in each epoch; from 0 to below 1.
    batch_size : int, default 64
    learning_rate : float, default 0.004
        The highest rate of Adam.
    clip_norm : float, default 1
        Largest norm of the gradient.
    warmup : float, default 0.1
        Share of all steps in which the learning rate rises, from 0 to 1.
    epochs : int, optional
        By default 4, or more for a few texts.
    seed : int, default 0
        The same seed gives the same bits.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If a number is outside its range.

    Examples
    --------
    >>> from fastlstm.classification import Recipe
    >>> print(Recipe(embedding_size=32, hidden_size=16).model(1000, 2))
    layer        output shape   parameters
    --------------------------------------
    0 Embedding  (N, T, 32)         32,000
    1 Dropout    (N, T, 32)              0
    2 LSTM       (N, T, 32)          6,272
    3 MaxPool    (N, 32)                 0
    4 Dropout    (N, 32)                 0
    5 Dense      (N, 2)                 66
    --------------------------------------
    total                           38,338
    """

    _SIZES: ClassVar[tuple[str, ...]] = ("vocabulary", "length", "embedding_size", "hidden_size", "batch_size")
    _RATES: ClassVar[tuple[str, ...]] = ("dropout", "word_dropout")
    _NUMBERS: ClassVar[tuple[str, ...]] = ("learning_rate", "clip_norm")

    vocabulary: int = 20_000
    length: int = 1000
    embedding_size: int = 100
    hidden_size: int = 64
    dropout: float = 0.5
    word_dropout: float = 0.2
    batch_size: int = 64
    learning_rate: float = 4e-3
    clip_norm: float = 1.0
    warmup: float = 0.1
    epochs: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check.number(self.warmup, "warmup", 0, 1)

    def layers(self, tokens: int, classes: int) -> list[Layer]:
        """The layers of the network for so many tokens and classes, not built yet."""
        return [
            Embedding(tokens, self.embedding_size),
            Dropout(self.dropout),
            LSTM(self.embedding_size, self.hidden_size, bidirectional=True),
            MaxPool(),
            Dropout(self.dropout),
            Dense(2 * self.hidden_size, classes),
        ]

    def model(self, tokens: int, classes: int) -> Model:
        """A new network for so many tokens and classes."""
        return Model(self.layers(tokens, classes), seed=self.seed)

    def epochs_of(self, texts: int) -> int:
        """Number of epochs of a training on so many texts."""
        return self.epochs or max(4, -(-LEAST_STEPS // -(-texts // self.batch_size)))
