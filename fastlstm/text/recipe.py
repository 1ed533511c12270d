"""The recipe of a language model: how it is built and trained, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fastlstm import _check, application
from fastlstm.layers import LSTM, Dense, Dropout, Embedding, Layer
from fastlstm.model import Model
from fastlstm.model.memory import check_memory
from fastlstm.optim import AdamW
from fastlstm.schedules import Cosine

LEAST_STEPS = 2000
"""Steps of the optimizer at least, if the number of epochs is not given: so many are enough for a small text."""

MOST_LAYERS = 1000
"""The largest number of LSTM layers that a recipe may ask for."""


@dataclass(frozen=True)
class Recipe(application.Recipe):
    """A network, and its training by truncated back-propagation through time.

    The learning rate rises during the warm-up, and then falls to 0 along half a cosine. Dropout acts on the output of
    each LSTM layer.

    Parameters
    ----------
    hidden_size : int, default 256
        Units of each LSTM layer.
    num_layers : int, default 2
        LSTM layers, up to 1000.
    embedding_size : int, default 64
        Size of the vector of a token.
    dropout : float, default 0.2
        Rate from 0 to below 1.
    window : int, default 64
        Steps that a gradient flows back at most.
    batch_size : int, default 32
        Streams into which the text is cut. A short text is cut into fewer, so that each has at least 32 windows.
    learning_rate : float, default 0.003
        The highest rate of `AdamW`.
    weight_decay : float, default 0.01
        Of `AdamW`.
    clip_norm : float, default 1
        Largest norm of the gradient.
    warmup : float, default 0.02
        Share of all steps in which the learning rate rises, from 0 to below 1.
    betas : two floats, default (0.9, 0.99)
        Of `AdamW`.
    epochs : int, optional
        By default 10, or more for a short text.
    seed : int, default 0
        The same seed gives the same bits.
    precision : "bfloat16" or None, default None
        Of the training, as in `fastlstm.Trainer`.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If a number is outside its range.

    Examples
    --------
    >>> from fastlstm.text import Recipe
    >>> print(Recipe(hidden_size=32, num_layers=1).model(65))
    layer        output shape   parameters
    --------------------------------------
    0 Embedding  (N, T, 64)          4,160
    1 LSTM       (N, T, 32)         12,416
    2 Dropout    (N, T, 32)              0
    3 Dense      (N, T, 65)          2,145
    --------------------------------------
    total                           18,721
    """

    _SIZES: ClassVar[tuple[str, ...]] = ("hidden_size", "embedding_size", "window", "batch_size")
    _RATES: ClassVar[tuple[str, ...]] = ("dropout", "warmup")
    _NUMBERS: ClassVar[tuple[str, ...]] = ("learning_rate", "weight_decay", "clip_norm")

    hidden_size: int = 256
    num_layers: int = 2
    embedding_size: int = 64
    dropout: float = 0.2
    window: int = 64
    batch_size: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    warmup: float = 0.02
    betas: tuple[float, float] = (0.9, 0.99)
    epochs: int | None = None
    seed: int = 0
    precision: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check.precision_of(self.precision)
        _check.positive_int(self.num_layers, "num_layers", MOST_LAYERS)
        object.__setattr__(
            self, "betas", tuple(_check.items(self.betas, "betas", "two numbers"))
        )  # a list, if it comes from a file
        if len(self.betas) != 2:
            raise ValueError(f"betas: expected two numbers, got {len(self.betas)}")
        for beta in self.betas:
            _check.number(beta, "betas", 0, 1, open_high=True)

    def layers(self, num_tokens: int) -> list[Layer]:
        """The layers of the network, not built yet."""
        between = self.dropout if self.num_layers > 1 else 0.0
        lstm = LSTM(self.embedding_size, self.hidden_size, num_layers=self.num_layers, dropout=between)
        layers: list[Layer] = [Embedding(num_tokens, self.embedding_size), lstm]
        if self.dropout:
            layers.append(Dropout(self.dropout))
        return [*layers, Dense(self.hidden_size, num_tokens)]

    def model(self, num_tokens: int) -> Model:
        """A new network; MemoryError if there is not enough memory for it."""
        layers = self.layers(num_tokens)
        check_memory(layers)
        return Model(layers, seed=self.seed)

    def optimizer(self) -> AdamW:
        """A new optimizer."""
        return AdamW(self.learning_rate, betas=self.betas, weight_decay=self.weight_decay)

    def schedule(self) -> Cosine:
        """The schedule of the learning rate."""
        return Cosine(warmup=self.warmup)

    def streams(self, length: int) -> int:
        """Number of streams into which a text of this many tokens is cut."""
        return max(1, min(self.batch_size, length // (32 * self.window)))

    def steps(self, length: int) -> int:
        """Steps of the optimizer in an epoch over a text of this many tokens."""
        return -(-(length // self.streams(length)) // self.window)

    def epochs_of(self, length: int) -> int:
        """Number of epochs over a text of this many tokens."""
        return self.epochs or max(10, -(-LEAST_STEPS // self.steps(length)))
