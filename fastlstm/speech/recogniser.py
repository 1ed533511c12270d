"""The base of the recognisers: words, features, a network, its training, and a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.application import Application, check_hidden_size, options_of
from fastlstm.callbacks import Callback, ProgressBar
from fastlstm.communicator import Communicator
from fastlstm.layers import LSTM, Layer
from fastlstm.losses import Loss
from fastlstm.model import Model
from fastlstm.model.memory import check_memory
from fastlstm.optim import AdamW
from fastlstm.schedules import Cosine
from fastlstm.speech.augment import Augment
from fastlstm.speech.features import Frames, LogMel, padded
from fastlstm.speech.recordings import Recording
from fastlstm.speech.wav import RATE, Signal
from fastlstm.training import History, Trainer

Version = tuple[list[Frames], NDArray[np.intp]]
"""Features, not stacked yet, and targets of the sequences of an epoch."""

Batch = tuple[Frames, NDArray[np.intp], NDArray[np.intp]]
"""Features (N, T, F), targets and lengths (N,)."""

SHORTEST, LONGEST = 0.05, 10.0
"""Limits of the seconds of a recording of one word."""

TOGETHER = 32
"""Signals that are recognised in one batch."""

MOST_STEPS = 400
"""Steps of a long string of words in training, to estimate the memory: 12 s."""

Tell = Callable[[int], None]


def quiet(done: int) -> None:
    """Report nothing."""


class Recogniser(Application):
    """Base of `WordClassifier` and `StringReader`.

    Parameters
    ----------
    hidden_size : int, default 128
        Units of the LSTM in each direction.
    bidirectional : bool, default True
    dropout : float, default 0.2
        Rate on the outputs of the LSTM, from 0 to below 1.
    epochs : int, default 20
    batch_size : int, default 16
    learning_rate : float, default 0.003
        The highest rate of AdamW: it rises during the first 5 % of all steps, and falls along a cosine.
    features : LogMel, optional
        By default ``LogMel()``.
    augment : Augment, optional
        How recordings are changed in training; by default ``Augment()``.
    variants : int, default 5
        Number of epochs for which new training data are made from the recordings. Later epochs use these data again,
        with other masks.
    seed : int, default 0
        The same seed gives the same bits.

    Attributes
    ----------
    words : list of str
        The words that have been learned.
    interrupted : bool
        Whether Ctrl-C has ended the last `fit`.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If a number is outside its range.
    """

    word: ClassVar[str] = "speech"
    parts: ClassVar[dict[str, type]] = {"features": LogMel, "augment": Augment}
    """The options that are dataclasses, and their classes."""
    _output_axes: ClassVar[tuple[str, ...]]
    loss: ClassVar[Loss]

    def __init__(
        self,
        *,
        hidden_size: int = 128,
        bidirectional: bool = True,
        dropout: float = 0.2,
        epochs: int = 20,
        batch_size: int = 16,
        learning_rate: float = 3e-3,
        features: LogMel | None = None,
        augment: Augment | None = None,
        variants: int = 5,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.hidden_size = _check.positive_int(hidden_size, "hidden_size")
        self.bidirectional = _check.flag(bidirectional, "bidirectional")
        self.dropout = _check.number(dropout, "dropout", 0, 1, open_high=True)
        self.epochs = _check.positive_int(epochs, "epochs")
        self.batch_size = _check.positive_int(batch_size, "batch_size")
        self.learning_rate = _check.number(learning_rate, "learning_rate", 0)
        self.variants = _check.positive_int(variants, "variants")
        self.features = features or LogMel()
        self.augment = augment or Augment()
        _check.seed_of(seed)
        self.seed = seed
        self.words: list[str] = []
        self._model: Model | None = None

    @property
    def model(self) -> Model:
        """The network that `fit` has trained; RuntimeError before that."""
        return self._learned(self._model)

    @property
    def outputs(self) -> int:
        """Number of outputs of the network: one for each word."""
        return len(self.words)

    def layers(self) -> list[Layer]:
        """The layers of a new network for the words."""
        raise NotImplementedError

    def _version(self, recordings: Sequence[Recording], rng: np.random.Generator, tell: Tell = quiet) -> Version:
        """New training data for an epoch, made from the recordings. `tell` is called with the number of those ready."""
        raise NotImplementedError

    def fit(
        self,
        recordings: Sequence[Recording],
        *,
        callbacks: Iterable[Callback] = (),
        resume: str | os.PathLike[str] | None = None,
        progress: bool | None = None,
        communicator: Communicator | None = None,
    ) -> History:
        """Learn from recordings of single words.

        Parameters
        ----------
        recordings : list of Recording
            Recordings of at least two words.
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
        ValueError
            If there are fewer than two words, or a recording is silent, too short or too long; the message says which.
        MemoryError
            If there is not enough memory for the network.
        ImportError
            If kaldi-native-fbank is not installed.
        """
        check_recordings(recordings)
        self.words = sorted({one.label for one in recordings})
        layers, total = self.layers(), self._version_size(recordings)
        check_memory(layers, min(self.batch_size, total), MOST_STEPS)
        self._model = Model(layers, seed=self.seed)
        bar = [] if progress is False else [ProgressBar(always=progress is True)]
        versions: dict[int, Version] = {}

        def tell(done: int) -> None:
            for each in bar:
                each.note(f"{done} of {total} made")

        def batches(epoch: int) -> Iterator[Batch]:
            number = (epoch - 1) % self.variants
            if number not in versions:
                versions[number] = self._version(recordings, np.random.default_rng([self.seed, number]), tell)
            rng = np.random.default_rng([self.seed, self.variants + epoch])
            yield from self._batches(versions[number], rng)

        trainer = Trainer(
            self._model,
            self.loss,
            AdamW(lr=self.learning_rate, weight_decay=0.01),
            clip_norm=1.0,
            callbacks=[Cosine(warmup=0.05), *callbacks, *bar],
            communicator=communicator,
        )
        history = trainer.fit_batches(
            batches,
            epochs=self.epochs,
            batches_per_epoch=-(-total // self.batch_size),
            seed=self.seed,
            progress=False,
            resume=resume,
        )
        self.interrupted = trainer.interrupted
        return history

    def _version_size(self, recordings: Sequence[Recording]) -> int:
        """Number of sequences of an epoch."""
        return len(recordings)

    def _batches(self, version: Version, rng: np.random.Generator) -> Iterator[Batch]:
        """The batches of an epoch, with new masks. Sequences of similar lengths share a batch, in random order."""
        frames, targets = version
        lengths = np.array([len(one) for one in frames])
        order = np.argsort(lengths * rng.uniform(0.9, 1.1, len(lengths)))
        starts = range(0, len(order), self.batch_size)
        for start in rng.permutation(starts):
            chosen = order[start : start + self.batch_size]
            masked = (self.augment.masked(frames[k], rng) for k in chosen)
            x, steps = padded([self.features.stacked(one) for one in masked])
            yield x, targets[chosen], steps

    def _predictions(self, signals: Sequence[Signal]) -> Iterator[tuple[NDArray[Any], NDArray[np.intp]]]:
        """The outputs of the network, batch by batch, and the number of steps of each signal."""
        for start in range(0, len(signals), TOGETHER):
            x, lengths = padded([self.features(signal) for signal in signals[start : start + TOGETHER]])
            yield self.model.predict(x, lengths=lengths), lengths

    def _parts(self) -> tuple[Model, dict[str, Any]]:
        options = options_of(self)
        return self.model, {"words": self.words, "features": options.pop("features"), "options": options}

    @classmethod
    def _of_parts(cls, model: Model, beside: dict[str, Any]) -> Self:
        options = beside["options"] if "options" in beside else earlier_options(model)
        options = {**options, "features": beside["features"]}
        parts = {name: kind(**options[name]) for name, kind in cls.parts.items() if name in options}
        recogniser = cls(**{**options, **parts})
        recogniser.words = words_of(beside["words"])
        recogniser._model = model
        wanted = ("N", "T", recogniser.features.size), (*cls._output_axes, recogniser.outputs)
        if (model.input_shape, model.output_shape) != wanted:
            raise ValueError(f"model: expected one from {wanted[0]} to {wanted[1]}, got {model!r}")
        check_hidden_size(model, recogniser.hidden_size)
        return recogniser


def earlier_options(model: Model) -> dict[str, Any]:
    """The options that the network itself shows, for files of earlier versions, which hold none."""
    for layer in model.layers:
        if isinstance(layer, LSTM):
            return {"hidden_size": layer.hidden_size, "bidirectional": layer.bidirectional}
    return {}


def words_of(value: Any) -> list[str]:
    """The words from a file, checked: each once."""
    words = _check.items(value, "words", "str")
    if not all(isinstance(word, str) for word in words) or len(set(words)) < max(1, len(words)):
        raise ValueError(f"words: expected at least one, each once, got {words!r:.80}")
    return words


def check_recordings(recordings: Sequence[Recording]) -> None:
    """Require at least two words, and recordings that are neither silent nor too short or too long."""
    for one in _check.items(recordings, "recordings", "Recording"):
        _check.instance(one, Recording, "recordings", "objects of Recording")
    words = {one.label for one in recordings}
    if len(words) < 2:
        raise ValueError(f"recordings: expected at least two words, got {sorted(words)}")
    for one in recordings:
        seconds = len(one.signal) / RATE
        if not SHORTEST <= seconds <= LONGEST:
            raise ValueError(
                f"recordings: expected {SHORTEST} to {LONGEST:.0f} s for a word, got {seconds:.2f} s of {one.name}"
            )
        if not np.abs(one.signal).max() > 0:
            raise ValueError(f"recordings: expected sound, got silence for {one.name}")
