"""The classifier of single words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastlstm.layers import LSTM, Dense, Dropout, Layer, MeanPool
from fastlstm.losses import Loss, softmax_cross_entropy
from fastlstm.speech.recogniser import Recogniser, Tell, Version, quiet
from fastlstm.speech.recordings import Recording
from fastlstm.speech.wav import Signal


class WordClassifier(Recogniser):
    """Recognises the single word of a recording.

    The network is ``LSTM -> MeanPool -> Dropout -> Dense`` over log-mel features. The options are those of
    `Recogniser`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.speech import Recording, WordClassifier
    >>> t = np.arange(1600) / 8000
    >>> high, low = (np.sin(2 * np.pi * hertz * t).astype("f4") for hertz in (1500, 300))
    >>> classifier = WordClassifier(hidden_size=8, epochs=10, batch_size=2, learning_rate=0.02)
    >>> history = classifier.fit([Recording(high, "high"), Recording(low, "low")] * 4)
    >>> classifier.classify([low, high])
    ['low', 'high']
    """

    kind: ClassVar[str | None] = "words"
    _output_axes: ClassVar[tuple[str, ...]] = ("N",)
    loss: ClassVar[Loss] = softmax_cross_entropy

    def layers(self) -> list[Layer]:
        width = self.hidden_size * (1 + self.bidirectional)
        lstm = LSTM(self.features.size, self.hidden_size, bidirectional=self.bidirectional)
        return [lstm, MeanPool(), Dropout(self.dropout), Dense(width, self.outputs)]

    def _version(self, recordings: Sequence[Recording], rng: np.random.Generator, tell: Tell = quiet) -> Version:
        number = {word: k for k, word in enumerate(self.words)}
        frames = []
        for done, one in enumerate(recordings):
            if done % 50 == 0:
                tell(done)
            frames.append(self.features.frames(self.augment.alone(one.signal, rng)))
        return frames, np.array([number[one.label] for one in recordings], np.intp)

    def scores(self, signals: Sequence[Signal]) -> NDArray[Any]:
        """The logits of all words for each signal, (N, words).

        Parameters
        ----------
        signals : list of N (L,) float32
            Samples at 8000 Hz, a word each.

        Returns
        -------
        (N, words) floats
            In the order of `words`.

        Raises
        ------
        RuntimeError
            Before `fit`.
        """
        return np.concatenate([logits for logits, _ in self._predictions(signals)])

    def classify(self, signals: Sequence[Signal]) -> list[str]:
        """The word of each signal.

        Parameters
        ----------
        signals : list of N (L,) float32
            Samples at 8000 Hz, a word each.

        Returns
        -------
        list of N str

        Raises
        ------
        RuntimeError
            Before `fit`.
        """
        return [self.words[k] for k in self.scores(signals).argmax(-1)]
