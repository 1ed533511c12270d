"""What is learned, and by which recipes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.studies import data
from fastlstm.text import LanguageModel, Recipe, Vocabulary, read_text, split

SAME = Recipe(hidden_size=256, num_layers=2, dropout=0.2, weight_decay=0.0, epochs=10)
"""What both are trained by; AdamW without a decay is Adam."""

BEST = Recipe(
    hidden_size=512,
    num_layers=2,
    embedding_size=64,
    dropout=0.4,
    window=64,
    batch_size=32,
    learning_rate=3e-3,
    weight_decay=0.01,
    epochs=15,
)
"""The lowest loss that was found within a quarter of an hour on two cores."""


@dataclass(frozen=True)
class Task:
    """A text in two parts, and a model that has seen neither."""

    train: str
    validation: str
    model: LanguageModel

    @classmethod
    def of(cls, recipe: Recipe, characters: int | None = None) -> Task:
        """Tinyshakespeare, or so many of its first characters, the last tenth held out."""
        text = read_text(data.find("tinyshakespeare.txt"))[:characters]
        return cls(*split(text), LanguageModel(Vocabulary.of(text), recipe))

    def tokens(self) -> tuple[np.ndarray, np.ndarray]:
        """Of both parts."""
        vocabulary = self.model.vocabulary
        return vocabulary.encode(self.train), vocabulary.encode(self.validation)

    def weights(self) -> dict[str, Any]:
        """The starting values, by place and name, such as "1.weight_ih_l0"."""
        return {name: parameter.value for name, parameter in self.model.model.named_parameters().items()}
