"""The language model: a network that predicts the next token of a text, with its vocabulary."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.application import Application
from fastlstm.callbacks import Callback
from fastlstm.communicator import Communicator
from fastlstm.model import Model
from fastlstm.model.memory import check_memory
from fastlstm.text.recipe import Recipe
from fastlstm.text.sampling import Sampler
from fastlstm.text.vocabulary import Vocabulary
from fastlstm.training import History, Trainer

Tokens = NDArray[np.intp]


class LanguageModel(Application):
    """Predicts the next character, or word, of a text, and writes text.

    Parameters
    ----------
    vocabulary : Vocabulary
        The V tokens of the texts.
    recipe : Recipe, optional
        The numbers by which the network is built and trained.
    model : Model, optional
        A network from tokens (N, T) to a score for each token of the vocabulary, (N, T, V). By default a new one by the
        recipe.

    Attributes
    ----------
    model : Model
    interrupted : bool
        Whether Ctrl-C has ended the last `fit`.

    Raises
    ------
    ValueError
        If the model does not fit to the vocabulary.
    MemoryError
        If there is not enough memory for a new network.

    Examples
    --------
    >>> from fastlstm.text import LanguageModel, Recipe, Vocabulary
    >>> text = "tell me, tell me, " * 100
    >>> writer = LanguageModel(Vocabulary.of(text), Recipe(hidden_size=24, num_layers=1, window=16, epochs=10))
    >>> history = writer.fit(text)
    >>> "".join(writer.generate("tell", 14, temperature=0))
    ' me, tell me, '
    """

    word: ClassVar[str] = "text"
    noun: ClassVar[str] = "vocabulary"

    def __init__(self, vocabulary: Vocabulary, recipe: Recipe | None = None, model: Model | None = None) -> None:
        super().__init__()
        _check.instance(vocabulary, Vocabulary, "vocabulary", "a Vocabulary, such as Vocabulary.of(text)")
        _check.instance(recipe, (Recipe, type(None)), "recipe", "a Recipe or None")
        self.vocabulary, self.recipe = vocabulary, recipe or Recipe()
        self.model = model if model is not None else self.recipe.model(len(vocabulary))
        size = len(vocabulary)
        if self.model.output_shape != ("N", "T", size) or getattr(self.model.layers[0], "num_tokens", 0) != size:
            raise ValueError(f"model: expected one from {size} tokens to {size} scores a step, got {self.model!r}")

    def fit(
        self,
        text: str,
        validation: str | None = None,
        *,
        callbacks: Iterable[Callback] = (),
        resume: str | os.PathLike[str] | None = None,
        progress: bool | None = None,
        communicator: Communicator | None = None,
    ) -> History:
        """Learn from a text by the recipe.

        Ctrl-C ends the training after the current step; the model keeps what it has learned (`interrupted`).

        Parameters
        ----------
        text : str
        validation : str, optional
            The text on which the loss is measured after each epoch, ``val_loss``.
        callbacks : list of Callback, optional
        resume : path, optional
            A folder in which the training keeps its state, and from which it goes on; see `Trainer.fit`.
        progress : bool, optional
            Whether a bar is shown; by default on a terminal only.
        communicator : Communicator, optional
            The other processes that learn the same; see `Trainer`.

        Returns
        -------
        History
            Losses in nats per token.

        Raises
        ------
        TypeError
            If a text is not a str.
        ValueError
            If a text is too short, or has a character that the vocabulary does not have.
        MemoryError
            If there is not enough memory for the training.
        """
        x, y = self._pairs(text, "text")
        held_out = None if validation is None else self._pairs(validation, "validation")
        recipe = self.recipe
        trainer = Trainer(
            self.model,
            "softmax_cross_entropy",
            recipe.optimizer(),
            clip_norm=recipe.clip_norm,
            callbacks=[recipe.schedule(), *callbacks],
            precision=recipe.precision,
            communicator=communicator,
        )
        streams = recipe.streams(len(x))
        check_memory(self.model.layers, streams, min(recipe.window, len(x) // streams), recipe.precision)
        if held_out is not None and len(held_out[0]) < streams:
            raise ValueError(f"validation: expected at least {streams + 1} tokens, got {len(held_out[0]) + 1}")
        history = trainer.fit_sequence(
            x,
            y,
            window=recipe.window,
            batch_size=streams,
            epochs=recipe.epochs_of(len(x)),
            validation=held_out,
            seed=recipe.seed,
            progress=progress,
            resume=resume,
        )
        self.interrupted = trainer.interrupted
        return history

    def loss(self, text: str) -> float:
        """The loss of a text in nats per token: the mean of -log p of each token, predicted from all tokens before it.

        Divided by log 2 it is in bits per token. Its exponential is the perplexity.
        """
        return Trainer(self.model, "softmax_cross_entropy").evaluate_sequence(*self._pairs(text, "text"))["loss"]

    def frequency_loss(self, text: str, held_out: str) -> float:
        """The loss of a held-out text if each token is predicted by its frequency in another: a network must beat it.

        Parameters
        ----------
        text : str
            The text whose tokens are counted. Each count is raised by one (Laplace), so that no token is impossible.
        held_out : str

        Returns
        -------
        float
            Nats per token of held_out.
        """
        counts = 1 + np.bincount(self.vocabulary.encode(text), minlength=len(self.vocabulary))
        return 0.0 - float(np.log(counts / counts.sum())[self.vocabulary.encode(held_out, "held_out")].mean())

    def generate(
        self,
        prompt: str = "",
        length: int = 500,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> Iterator[str]:
        """Continue a prompt, one token at a time.

        Parameters
        ----------
        prompt : str, default ""
            The text so far. After an empty prompt the text continues as after the end of a line.
        length : int, default 500
            Number of tokens to write.
        temperature : float, default 1
            See `probabilities`; so for the next two.
        top_k : int, optional
        top_p : float, optional
        seed : int, optional
            The same seed gives the same text. None takes a new one.

        Yields
        ------
        str
            The next character, or word.

        Raises
        ------
        TypeError
            If an argument is of the wrong type.
        ValueError
            If a number is outside its range, or the prompt has a character that the vocabulary does not have.

        Examples
        --------
        >>> from fastlstm.text import LanguageModel, Vocabulary
        >>> writer = LanguageModel(Vocabulary(["a", "b"]))
        >>> len("".join(writer.generate("a", 5, seed=0)))
        5
        """
        sampler = Sampler(temperature, top_k, top_p, seed)
        tokens = self.vocabulary.encode(prompt, "prompt")
        if not len(tokens):
            tokens = np.array([self.vocabulary.line_end], np.intp)
        return self._generate(tokens, _check.positive_int(length, "length"), sampler)

    def _generate(self, tokens: Tokens, length: int, sampler: Sampler) -> Iterator[str]:
        stream, unknown = self.model.stream(), self.vocabulary.unknown
        scores = stream.run(tokens[None])[0, -1]
        for left in range(length, 0, -1):
            if unknown is not None and len(scores) > 1:
                scores[unknown] = -np.inf  # it is no word that could be written
            token = sampler(scores)
            yield self.vocabulary.tokens[token]
            if left > 1:
                scores = stream.step(token)[0]

    def _parts(self) -> tuple[Model, dict[str, Any]]:
        return self.model, {"vocabulary": self.vocabulary.config(), "recipe": self.recipe.config()}

    @classmethod
    def _of_parts(cls, model: Model, beside: dict[str, Any]) -> Self:
        return cls(Vocabulary(**beside["vocabulary"]), Recipe(**beside["recipe"]), model)

    def _pairs(self, text: str, name: str) -> tuple[Tokens, Tokens]:
        """The tokens of a text without the last, and without the first: inputs and targets."""
        tokens = self.vocabulary.encode(text, name)
        if len(tokens) < 2:
            raise ValueError(f"{name}: expected at least 2 tokens, got {len(tokens)}")
        return tokens[:-1], tokens[1:]

    def __repr__(self) -> str:
        return f"LanguageModel({self.vocabulary!r}, {self.model!r})"
