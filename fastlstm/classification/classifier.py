"""The classifier: from a text to its class."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.activations import softmax
from fastlstm.application import Application
from fastlstm.callbacks import Callback
from fastlstm.classification.recipe import Recipe
from fastlstm.classification.vectors import word_vectors
from fastlstm.classification.vocabulary import UNKNOWN, Vocabulary, as_batch, split_words
from fastlstm.communicator import Communicator
from fastlstm.layers import LSTM, Gates
from fastlstm.losses import softmax_cross_entropy
from fastlstm.metrics import accuracy
from fastlstm.model import Model
from fastlstm.model.memory import check_memory
from fastlstm.optim import Adam
from fastlstm.schedules import Cosine
from fastlstm.training import History, Trainer
from fastlstm.training.batches import Batches
from fastlstm.training.checked import as_data

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Fitted:
    """The result of a training: the network, the words that it knows, and the names of its outputs."""

    model: Model
    vocabulary: Vocabulary
    classes: list[str]


class Classifier(Application):
    """Learns from labelled texts to which of some classes a text belongs.

    Parameters
    ----------
    recipe : Recipe, optional
        The numbers by which the network is built and trained.

    Attributes
    ----------
    interrupted : bool
        Whether Ctrl-C has ended the last `fit`.

    Examples
    --------
    >>> from fastlstm.classification import Classifier, Recipe
    >>> texts = ["a fine film", "a dull film", "what a fine day", "how dull it was"] * 8
    >>> classifier = Classifier(Recipe(embedding_size=8, hidden_size=8, batch_size=8, learning_rate=0.02, epochs=20))
    >>> history = classifier.fit(texts, ["good", "bad"] * 16)
    >>> classifier.predict(["a fine day", "a dull day"])
    ['good', 'bad']
    """

    word: ClassVar[str] = "classifier"
    noun: ClassVar[str] = "classifier"

    def __init__(self, recipe: Recipe | None = None) -> None:
        super().__init__()
        _check.instance(recipe, (Recipe, type(None)), "recipe", "a Recipe or None")
        self.recipe = recipe or Recipe()
        self._fitted: Fitted | None = None

    @property
    def fitted(self) -> Fitted:
        """What `fit` has learned; RuntimeError before that."""
        return self._learned(self._fitted)

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of the probabilities."""
        return self.fitted.classes

    def fit(
        self,
        texts: Sequence[str],
        labels: Sequence[str],
        validation: tuple[Sequence[str], Sequence[str]] | None = None,
        *,
        callbacks: Iterable[Callback] = (),
        resume: str | os.PathLike[str] | None = None,
        progress: bool | None = None,
        communicator: Communicator | None = None,
    ) -> History:
        """Learn from labelled texts.

        Parameters
        ----------
        texts : list of str
        labels : list of str
            The class of each text.
        validation : (texts, labels), optional
            Texts that are not learned from. They are classified after each epoch: ``val_loss`` and ``val_accuracy``.
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

        Raises
        ------
        TypeError
            If the texts or labels are not lists of str.
        ValueError
            If there are not as many labels as texts, there are fewer than two classes, or the validation has another
            class.
        MemoryError
            If there is not enough memory for the network of the recipe.
        """
        recipe = self.recipe
        split = [split_words(text) for text in as_words(texts, "texts")]
        labels = as_words(labels, "labels")
        classes = sorted(set(labels))
        if len(classes) < 2:
            raise ValueError(f"labels: expected at least two classes, got {classes}")
        y = targets(labels, classes, len(split))
        vocabulary = Vocabulary.of(split, recipe.vocabulary)
        held_out = None
        if validation is not None:
            x, lengths = self._encode(vocabulary, validation[0])
            held_out = x, targets(validation[1], classes, len(x)), lengths
        encoded = [vocabulary.encode(words) for words in split]
        longest = min(recipe.length, max(map(len, encoded)))
        check_memory(recipe.layers(len(vocabulary), len(classes)), min(recipe.batch_size, len(y)), longest)
        model = self._untrained(encoded, len(vocabulary), len(classes))
        trainer = Trainer(
            model,
            softmax_cross_entropy,
            Adam(lr=recipe.learning_rate),
            clip_norm=recipe.clip_norm,
            metrics=[accuracy],
            callbacks=[Cosine(warmup=recipe.warmup), *callbacks],
            communicator=communicator,
        )
        self._fitted = Fitted(model, vocabulary, classes)
        history = trainer.fit_batches(
            WithoutWords(model, as_batch(encoded, recipe.length), y, recipe),
            epochs=recipe.epochs_of(len(y)),
            validation=held_out,
            seed=recipe.seed,
            progress=progress,
            resume=resume,
        )
        self.interrupted = trainer.interrupted
        return history

    def predict(self, texts: Sequence[str]) -> list[str]:
        """The most probable class of each text.

        Parameters
        ----------
        texts : list of N str

        Returns
        -------
        list of N str
        """
        return [name for name, _ in self.best(texts)]

    def best(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """The most probable class of each text, and its probability.

        Parameters
        ----------
        texts : list of N str

        Returns
        -------
        list of N (str, float)
        """
        return [(self.classes[int(row.argmax())], float(row.max())) for row in self.probabilities(texts)]

    def probabilities(self, texts: Sequence[str]) -> Array:
        """The probability of each class for each text, (N, C).

        Parameters
        ----------
        texts : list of N str

        Returns
        -------
        (N, C) floats
            In the order of `classes`.
        """
        return softmax(self._scores(*self._encode(self.fitted.vocabulary, texts)))

    def explain(self, text: str) -> tuple[list[str], Array]:
        """How much each word of a text speaks for its most probable class.

        Each word in turn is replaced by the unknown one. Its effect is what the logarithm of the odds of that class
        loses by this (occlusion, Zeiler and Fergus 2014). A word with an effect below 0 speaks for another class.

        Parameters
        ----------
        text : str

        Returns
        -------
        words : list of str
            The T words that the network reads: the last ones of a long text.
        effects : (T,)
        """
        words = split_words(text)[-self.recipe.length :]
        (whole,), lengths = self._encode(self.fitted.vocabulary, [text])
        without = np.repeat(whole[None], len(whole) + 1, axis=0)
        np.fill_diagonal(without, UNKNOWN)
        scores = self._scores(without, np.repeat(lengths, len(without))).astype(np.float64)
        best = int(scores[-1].argmax())
        odds = scores[:, best] - np.logaddexp.reduce(np.delete(scores, best, axis=1), axis=1)
        return words, (odds[-1] - odds[:-1])[: len(words)]

    def gates(self, text: str) -> tuple[list[str], Gates]:
        """The gates of the LSTM at each word of a text, in the direction from the first word to the last.

        Parameters
        ----------
        text : str

        Returns
        -------
        words : list of str
            The T words that the network reads: the last ones of a long text.
        gates : Gates
            Arrays (1, T, H); see `LSTM.gates`.

        Raises
        ------
        ValueError
            If the text has no word.
        """
        words = split_words(text)[-self.recipe.length :]
        if not words:
            raise ValueError("text: expected at least one word, got none")
        x, lengths = self._encode(self.fitted.vocabulary, [text])
        model, place = self.fitted.model, self._place_of_lstm
        below, tape = model.layers[:place], model.tape()
        for layer, workspace in zip(below, tape.workspaces, strict=False):
            x = layer.forward(x, workspace, training=False, lengths=lengths)
        lstm = model.layers[place]
        assert isinstance(lstm, LSTM)
        return words, lstm.gates(x[:, : len(words)])

    @property
    def _place_of_lstm(self) -> int:
        return next(k for k, layer in enumerate(self.fitted.model.layers) if isinstance(layer, LSTM))

    def _parts(self) -> tuple[Model, dict[str, Any]]:
        fitted = self.fitted
        words, classes = fitted.vocabulary.words, fitted.classes
        return fitted.model, {"recipe": self.recipe.config(), "words": words, "classes": classes}

    @classmethod
    def _of_parts(cls, model: Model, beside: dict[str, Any]) -> Self:
        classifier = cls(Recipe(**beside["recipe"]))
        fitted = Fitted(model, Vocabulary(beside["words"]), as_words(beside["classes"], "classes"))
        if model.output_shape != ("N", len(set(fitted.classes))):
            raise ValueError(f"classes: expected one for each output, got {len(set(fitted.classes))}")
        if getattr(model.layers[0], "num_tokens", 0) != len(fitted.vocabulary):
            raise ValueError(f"words: expected one for each token, got {len(fitted.vocabulary.words)}")
        if not any(isinstance(layer, LSTM) for layer in model.layers):
            raise ValueError(f"model: expected one with an LSTM, got {model!r}")
        classifier._fitted = fitted
        return classifier

    def _untrained(self, encoded: list[Array], tokens: int, classes: int) -> Model:
        """A new network by the recipe. The vectors of its words are those of `word_vectors`."""
        recipe = self.recipe
        model = recipe.model(tokens, classes)
        vectors = word_vectors(encoded, tokens, recipe.embedding_size, recipe.seed)
        model.layers[0].parameter("weight").value = vectors
        return model

    def _encode(self, vocabulary: Vocabulary, texts: Sequence[str]) -> tuple[Array, Array]:
        return as_batch([vocabulary.encode(split_words(text)) for text in as_words(texts, "texts")], self.recipe.length)

    def _scores(self, x: Array, lengths: Array) -> Array:
        """The scores of encoded texts, (N, C). Texts of similar lengths share a batch."""
        order, found = np.argsort(lengths, kind="stable"), np.empty((len(x), len(self.classes)), np.float32)
        for start in range(0, len(x), 128):
            rows = order[start : start + 128]
            steps = int(lengths[rows].max())
            found[rows] = self.fitted.model.predict(x[rows, :steps], lengths=lengths[rows])
        return found


class WithoutWords:
    """Batches of texts of similar lengths, in which a share of the words is replaced by the unknown one.

    The order and the replaced words depend only on the seed of the recipe and the number of the epoch.
    """

    def __init__(self, model: Model, texts: tuple[Array, Array], y: Array, recipe: Recipe) -> None:
        data = as_data(model, softmax_cross_entropy, texts[0], y, texts[1], None)
        self._batches = Batches(data, recipe.batch_size, seed=recipe.seed, bucket=True)
        self._recipe = recipe

    def __len__(self) -> int:
        return self._batches.count

    def at(self, epoch: int) -> Iterator[tuple[Array, Array, Array | None]]:
        """The batches of an epoch, from 1 on."""
        rng = np.random.default_rng(np.random.SeedSequence(self._recipe.seed, spawn_key=(3, epoch)))
        for batch in self._batches.at(epoch):
            dropped = rng.random(batch.x.shape, np.float32) < self._recipe.word_dropout
            yield np.where(dropped, UNKNOWN, batch.x), batch.y, batch.lengths


def as_words(value: Any, name: str) -> list[str]:
    """A list of at least one str, checked."""
    found = _check.items(value, name, "str")
    if not found:
        raise ValueError(f"{name}: expected at least one, got none")
    for text in found:
        if not isinstance(text, str):
            raise TypeError(f"{name}: expected str, got {text!r}")
    return found


def targets(labels: Sequence[str], classes: list[str], count: int) -> Array:
    """The number of the class of each label."""
    if len(labels) != count:
        raise ValueError(f"labels: expected {count}, one for each text, got {len(labels)}")
    numbers = {name: k for k, name in enumerate(classes)}
    for label in labels:
        if label not in numbers:
            raise ValueError(f"labels: expected those of the training, {classes}, got {label!r}")
    return np.array([numbers[label] for label in labels], np.intp)
