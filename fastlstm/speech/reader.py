"""The reader of strings of words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.decoding import ctc_beam_search, ctc_greedy
from fastlstm.layers import LSTM, Dense, Dropout, Layer
from fastlstm.losses import Loss, ctc
from fastlstm.speech.features import SILENCE, Frames
from fastlstm.speech.recogniser import Recogniser, Tell, Version, quiet
from fastlstm.speech.recordings import Recording
from fastlstm.speech.strings import Strings
from fastlstm.speech.wav import Signal


class StringReader(Recogniser):
    """Recognises words that are said one after the other. It learns from recordings of single words.

    The network is ``LSTM -> Dropout -> Dense``. It gives the scores of a blank and of all words at each step, and is
    trained by connectionist temporal classification (`fastlstm.ctc`, Graves et al. 2006) on strings that are joined
    from the recordings.

    Parameters
    ----------
    strings : Strings, optional
        How recordings are joined for the training: by default one to seven words, with up to half a second of silence
        between them.
    per_epoch : int, default 1600
        Number of strings in an epoch.
    **options
        Those of `Recogniser`.

    Examples
    --------
    >>> from fastlstm.speech import Strings, StringReader
    >>> StringReader(strings=Strings(shortest=2, longest=4), hidden_size=64).per_epoch
    1600
    """

    kind: ClassVar[str | None] = "strings"
    parts: ClassVar[dict[str, type]] = {**Recogniser.parts, "strings": Strings}
    _output_axes: ClassVar[tuple[str, ...]] = ("N", "T")
    loss: ClassVar[Loss] = ctc

    def __init__(self, *, strings: Strings | None = None, per_epoch: int = 1600, **options: Any) -> None:
        super().__init__(**options)
        self.strings = strings or Strings(shortest=1, least=0.0)
        self.per_epoch = _check.positive_int(per_epoch, "per_epoch")

    @property
    def outputs(self) -> int:
        """Number of outputs of the network: the blank, and one for each word."""
        return 1 + len(self.words)

    def layers(self) -> list[Layer]:
        width = self.hidden_size * (1 + self.bidirectional)
        lstm = LSTM(self.features.size, self.hidden_size, bidirectional=self.bidirectional)
        return [lstm, Dropout(self.dropout), Dense(width, self.outputs)]

    def _version_size(self, recordings: Sequence[Recording]) -> int:
        return self.per_epoch

    def _version(self, recordings: Sequence[Recording], rng: np.random.Generator, tell: Tell = quiet) -> Version:
        number = {word: k for k, word in enumerate(self.words, start=1)}
        targets = np.full((self.per_epoch, self.strings.longest), -1, np.intp)
        frames: list[Frames] = []
        for done, row in enumerate(targets):
            if done % 50 == 0:
                tell(done)
            chosen = [recordings[k] for k in self.strings.choose(recordings, rng)]
            row[: len(chosen)] = [number[one.label] for one in chosen]
            signals = [self.augment.word(one.signal, rng) for one in chosen]
            frames.append(self.features.frames(self.augment.noisy(self.strings.join(signals, rng), rng)))
        return frames, targets

    def scores(self, signal: Signal) -> NDArray[Any]:
        """The logits of the blank and of all words at each step, (T, 1 + words).

        Parameters
        ----------
        signal : (L,) float32
            Samples at 8000 Hz.

        Returns
        -------
        (T, 1 + words) floats
            For `fastlstm.decoding`; the blank is class 0, the words follow in the order of `words`.

        Raises
        ------
        RuntimeError
            Before `fit`.
        """
        logits, _ = next(self._predictions([signal]))
        return np.asarray(logits[0])

    def read(self, signals: Sequence[Signal], beam: int = 1) -> list[list[str]]:
        """The words of each signal. A silent signal has none.

        Parameters
        ----------
        signals : sequence of (L,) arrays
            Samples at 8000 Hz.
        beam : int, default 1
            Number of strings that are followed at a time; 1 takes the best word of each step (`fastlstm.decoding`).

        Returns
        -------
        list of lists of str

        Raises
        ------
        RuntimeError
            If nothing has been learned yet.
        TypeError, ValueError
            If beam is not a whole number from 1.
        """
        beam = _check.positive_int(beam, "beam")
        found: list[NDArray[np.intp]] = []
        for logits, lengths in self._predictions(signals):
            if beam == 1:
                found += ctc_greedy(logits, lengths)
            else:
                found += [best[0].labels for best in ctc_beam_search(logits, lengths, beam=beam)]
        return [
            [] if np.abs(signal).max(initial=0) < SILENCE else [self.words[k - 1] for k in labels]
            for signal, labels in zip(signals, found, strict=True)
        ]
