"""Where in a sound somebody speaks: Silero's voice activity detector as a model of this library."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.application import Application
from fastlstm.files import PathLike
from fastlstm.model import Model, Stream
from fastlstm.speech.silero import CHUNK, CONTEXT, MIRRORED, read, require_network
from fastlstm.speech.wav import Signal

RATE = 16_000
"""The sample rate, in Hz."""

BLOCK = 512
"""Steps in a call of the network: 16 s, whose activations stay in the caches."""

Probabilities = NDArray[np.float32]


class Segment(NamedTuple):
    """Speech, from `begin` to `end`, in seconds."""

    begin: float
    end: float


class VoiceActivity(Application):
    """Tells where in a sound somebody speaks, whatever is said, with a network that has learned it already.

    The network is Silero's voice activity detector (https://github.com/snakers4/silero-vad, version 6), whose weights
    come with the package ``silero-vad``: of each chunk of 32 ms a spectrum, four convolutions, an LSTM that goes from
    chunk to chunk, and the probability of speech. `save` and `load` write and read a file of one's own.

    Parameters
    ----------
    model : Model
        With the layers of `fastlstm.speech.silero.network`, from (N, T, 640) to (N, T, 1), as `from_silero` makes it.

    Raises
    ------
    TypeError, ValueError
        If it is no model, or one with other layers.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> from fastlstm.speech.silero import network
    >>> vad = fl.speech.VoiceActivity(fl.Model(network(), seed=0))  # one that has not learned anything
    >>> vad.probabilities(np.zeros(16_000)).shape  # of the 32 chunks of a second
    (32,)
    """

    word: ClassVar[str] = "speech"
    kind: ClassVar[str | None] = "activity"

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = require_network(model)

    @classmethod
    def from_silero(cls, path: PathLike | None = None, *, dtype: Any = "float32") -> Self:
        """Silero's detector for 16,000 samples a second.

        Parameters
        ----------
        path : path, optional
            Its weights: ``silero_vad_16k_sequence.onnx``, which needs the package ``onnx``, or
            ``silero_vad_16k.safetensors``, whose weights are others, of an earlier training. By default the first of
            these, in the installed package, which is not imported.
        dtype : "float32" or "float64", default "float32"
            What the network computes in; the weights are the same. In float32 the sums of the convolutions are rounded,
            which moves probabilities by up to some 1e-4, in each program in its own way. float64 takes longer.

        Raises
        ------
        ImportError
            If the package ``silero-vad`` is not installed, and there is no path, or ``onnx`` is not.
        OSError
            If the file does not exist, is no regular file, or may not be read.
        ValueError
            If it is damaged, or holds other arrays.
        TypeError
            If dtype is another one.
        """
        return cls(read(path, dtype))

    def probabilities(self, audio: Any, rate: int = RATE) -> Probabilities:
        """The probability of speech in each chunk of 512 samples, the last of which is filled up with zeros.

        Parameters
        ----------
        audio : (L,) array
            Samples from -1 to 1, of one channel: ``fl.speech.read_wav(path, 16_000)`` gives them of any WAV file.
        rate : int, default 16000
            Samples a second; there is no other.

        Returns
        -------
        probabilities : (⌈L / 512⌉,) float32

        Raises
        ------
        TypeError, ValueError
            If audio does not hold finite numbers, or rate is another one.
        """
        signal, stream = checked(audio, rate), VoiceStream(self.model)
        whole = stream(signal)
        rest = stream.end()
        return whole if rest is None else np.append(whole, rest)

    def segments(
        self,
        audio: Any,
        rate: int = RATE,
        *,
        threshold: float = 0.5,
        end_threshold: float | None = None,
        min_speech: float = 0.25,
        min_silence: float = 0.1,
        padding: float = 0.03,
    ) -> list[Segment]:
        """Where there is speech, by the same rules as ``get_speech_timestamps`` of the package.

        Speech begins with a chunk of a probability of at least `threshold`. It ends with one below `end_threshold`, if
        the next one that reaches `threshold` is not within `min_silence`.

        Parameters
        ----------
        audio, rate
            As in `probabilities`.
        threshold : float, default 0.5
            From 0 to 1.
        end_threshold : float, optional
            By default 0.15 below `threshold`, and 0.01 at least.
        min_speech : float, default 0.25
            Seconds; what is not longer is left out.
        min_silence : float, default 0.1
            Seconds.
        padding : float, default 0.03
            Seconds by which each segment is made longer at both ends, as far as there is silence.

        Returns
        -------
        list of Segment
            Begin and end in seconds, in order.

        Raises
        ------
        TypeError, ValueError
            As from `probabilities`, or if a number is out of range.
        """
        threshold = _check.number(threshold, "threshold", 0, 1)
        low = (
            max(threshold - 0.15, 0.01)
            if end_threshold is None
            else _check.number(end_threshold, "end_threshold", 0, 1)
        )
        for name, value in (("min_speech", min_speech), ("min_silence", min_silence), ("padding", padding)):
            _check.number(value, name, 0)
        found = spoken(self.probabilities(audio, rate), len(audio), threshold, low, min_speech, min_silence)
        return [Segment(begin / RATE, end / RATE) for begin, end in padded(found, len(audio), padding)]

    def stream(self) -> VoiceStream:
        """The detector for sound that comes piece by piece.

        Examples
        --------
        >>> import fastlstm as fl, numpy as np
        >>> from fastlstm.speech.silero import network
        >>> stream = fl.speech.VoiceActivity(fl.Model(network(), seed=0)).stream()
        >>> [len(stream(np.zeros(400))) for piece in range(3)]  # a probability when 512 samples are there
        [0, 1, 1]
        """
        return VoiceStream(self.model)

    def _parts(self) -> tuple[Model, dict[str, Any]]:
        return self.model, {}

    @classmethod
    def _of_parts(cls, model: Model, beside: dict[str, Any]) -> Self:
        return cls(model)


class VoiceStream:
    """The probabilities of speech in sound that comes piece by piece. See `VoiceActivity.stream`.

    Parameters
    ----------
    model : Model
        That of a `VoiceActivity`.
    """

    def __init__(self, model: Model) -> None:
        self._stream: Stream = model.stream()
        self._before = np.zeros(CONTEXT, np.float32)  # what the next chunk sees of the last one, and its own beginning

    def __call__(self, piece: Any) -> Probabilities:
        """The probabilities of the chunks of 512 samples that are whole with this piece, (K,).

        Parameters
        ----------
        piece : (L,) array
            The next samples, as many as there are.

        Raises
        ------
        TypeError, ValueError
            If it does not hold finite numbers.
        """
        signal = np.concatenate([self._before, checked(piece, RATE)])
        count = (len(signal) - CONTEXT) // CHUNK
        self._before = signal[count * CHUNK :].copy()
        found = np.empty(count, np.float32)
        for first in range(0, count, BLOCK):
            last = min(first + BLOCK, count)
            found[first:last] = self._stream.run(chunks(signal[first * CHUNK :], last - first)[None])[0, :, 0]
        return found

    def end(self) -> float | None:
        """The probability of the rest, filled up with zeros; None if there is none. Then a new sound begins."""
        rest = len(self._before) - CONTEXT
        found = float(self(np.zeros(CHUNK - rest, np.float32))[0]) if rest else None
        self._stream.reset()
        self._before = np.zeros(CONTEXT, np.float32)
        return found


def checked(audio: Any, rate: int) -> Signal:
    """Samples of one channel at the rate of the network."""
    if rate != RATE:
        raise ValueError(
            f"rate: expected {RATE}, got {rate!r:.80}; fl.speech.read_wav(path, {RATE}) brings a file to that rate"
        )
    signal = _check.as_numbers(audio, "audio", "f", "samples from -1 to 1")
    if signal.ndim != 1:
        raise ValueError(
            f"audio: expected samples of one channel, (L,), got {_check.describe(signal.shape)}; "
            "of several channels take the mean"
        )
    signal = np.ascontiguousarray(signal, np.float32)
    _check.finite(signal, "audio")
    return signal


def chunks(signal: Signal, count: int) -> Signal:
    """Steps of the network, (count, 640): the 64 samples before a chunk, its own 512, and 64 mirrored at its end."""
    steps = np.empty((count, CONTEXT + CHUNK + MIRRORED), np.float32)
    before, own = (signal[start : start + count * CHUNK].reshape(count, CHUNK) for start in (0, CONTEXT))
    steps[:, :CONTEXT] = before[:, :CONTEXT]
    steps[:, CONTEXT : CONTEXT + CHUNK] = own
    steps[:, -MIRRORED:] = steps[:, -MIRRORED - 2 : -2 * MIRRORED - 2 : -1]
    return steps


def spoken(
    probabilities: Probabilities, length: int, threshold: float, low: float, min_speech: float, min_silence: float
) -> list[list[int]]:
    """Begins and ends of speech, in samples."""
    found: list[list[int]] = []
    begin = silent = None  # where speech, and a silence within it, have begun
    for at, probability in enumerate(probabilities):
        at *= CHUNK
        if probability >= threshold:
            begin, silent = at if begin is None else begin, None
        elif probability < low and begin is not None:
            silent = at if silent is None else silent
            if at - silent >= min_silence * RATE:
                found.append([begin, silent])
                begin = silent = None
    if begin is not None:
        found.append([begin, length])
    return [one for one in found if one[1] - one[0] > min_speech * RATE]


def padded(found: list[list[int]], length: int, padding: float) -> list[list[int]]:
    """The same, made longer at both ends; a silence that is too short for that is halved."""
    pad = padding * RATE
    for before, after in zip([None, *found], [*found, None], strict=True):
        silence = np.inf if before is None or after is None else after[0] - before[1]
        more = silence // 2 if silence < 2 * pad else pad
        if before is not None:
            before[1] = int(min(length, before[1] + more))
        if after is not None:
            after[0] = int(max(0, after[0] - more))
    return found
