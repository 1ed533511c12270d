"""How a classifier is built and trained, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fastlstm import _check, application
from fastlstm.layers import LSTM, Dense, Dropout, Embedding, Layer, MaxPool
from fastlstm.model import Model

LEAST_STEPS = 300
"""Steps of the optimizer in a training whose length nobody has asked for; so many teach a few texts."""


@dataclass(frozen=True)
class Recipe(application.Recipe):
    """A network, and its training.

    The network reads a text in both directions and takes of each unit the largest output over all words, so that a
    word that decides may stand anywhere. The vectors of the words begin where `word_vectors` puts them: words that
    stand beside the same words are alike before anything is known of classes. Dropout keeps the network from learning
    the texts by heart: of whole words, on their vectors, and before the last layer. The learning rate rises from 0
    within the share `warmup` of all steps and falls by half a cosine to 0 (Loshchilov and Hutter 2017).

    Parameters
    ----------
    vocabulary : int
        Words to know at most: the most frequent ones.
    length : int
        Words of a text to read at most: its last ones, where a review says what it thinks.
    embedding_size, hidden_size : int
        Of the vector of a word, and of the LSTM in each direction.
    dropout : float
    word_dropout : float
        Share of the words that are replaced by the unknown one in each epoch, others each time.
    batch_size : int
    learning_rate, clip_norm, warmup : float
    epochs : int, optional
        By default 4, or more for a few texts.
    seed : int
        Same seed, same bits.

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

    SIZES: ClassVar[tuple[str, ...]] = ("vocabulary", "length", "embedding_size", "hidden_size", "batch_size")
    RATES: ClassVar[tuple[str, ...]] = ("dropout", "word_dropout")
    NUMBERS: ClassVar[tuple[str, ...]] = ("learning_rate", "clip_norm")

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
        """Of the network for so many tokens and classes, not built yet."""
        return [
            Embedding(tokens, self.embedding_size),
            Dropout(self.dropout),
            LSTM(self.embedding_size, self.hidden_size, bidirectional=True),
            MaxPool(),
            Dropout(self.dropout),
            Dense(2 * self.hidden_size, classes),
        ]

    def model(self, tokens: int, classes: int) -> Model:
        """The network for so many tokens and classes, untrained."""
        return Model(self.layers(tokens, classes), seed=self.seed)

    def epochs_of(self, texts: int) -> int:
        """Epochs of a training on so many texts."""
        return self.epochs or max(4, -(-LEAST_STEPS // -(-texts // self.batch_size)))
