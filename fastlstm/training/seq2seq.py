"""Sequence to sequence: training and decoding of a model whose last layer is a `Decoder`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.layers import Decoder
from fastlstm.layers.decoder import Decoding
from fastlstm.layers.preparing import lengths_behind, one_by_one
from fastlstm.losses import step_weights
from fastlstm.masking import Steps
from fastlstm.model import Model, Tape
from fastlstm.training.batch import Batch
from fastlstm.training.batches import Batches
from fastlstm.training.checked import as_data, gathered, real_outputs, steps_of
from fastlstm.training.shares import WHOLE, Share
from fastlstm.training.train import Trainer
from fastlstm.workspace import Workspace

Array = NDArray[Any]
Index = NDArray[np.intp]


class Seq2SeqTrainer(Trainer):
    """A `Trainer` for models that end in a `Decoder`. It uses teacher forcing: the decoder reads the target tokens.

    The targets of `fit` and `evaluate` are tokens (N, S), where S is at most the decoder's max_steps. Each target ends
    at its first end token. The model learns this token, too, but tokens after it do not count. If a target has no end
    token, one is appended if there is room. ``lengths`` are the lengths of x. `evaluate` and ``validation`` use teacher
    forcing for all tokens.

    Parameters
    ----------
    model : Model
        Its last layer is a `Decoder`.
    loss : Loss, its name, or a function, default "softmax_cross_entropy"
    teacher_forcing : float, or a function of the epoch, default 1.0
        Probability that the decoder reads the target token. Otherwise it reads the token that it would choose itself,
        and no gradient flows through this choice (scheduled sampling, Bengio et al. 2015). A function of the epoch,
        from 1 on, can lower the probability: ``lambda epoch: max(0.5, 1 - 0.05 * epoch)``.
    *args, **options
        The other arguments of `Trainer`: optimizer, clip_norm, metrics, callbacks, ...

    Raises
    ------
    TypeError
        As in `Trainer`, or if teacher_forcing is neither a number nor a function.
    ValueError
        As in `Trainer`, or if the last layer is not a `Decoder`, or teacher_forcing is a number outside 0 to 1.
    ImportError
        As in `Trainer`.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> x = np.random.default_rng(0).integers(0, 4, (256, 3))
    >>> decoder = fl.Decoder(32, 32, num_tokens=5, max_steps=4, end_token=4)
    >>> model = fl.Model([fl.Embedding(4, 8), fl.LSTM(8, 32), decoder], seed=0)
    >>> trainer = fl.Seq2SeqTrainer(model, optimizer=fl.Adam(lr=0.02))
    >>> history = trainer.fit(x, x[:, ::-1], epochs=20, seed=0)  # to say it backwards
    >>> fl.generate(model, [[0, 1, 3]]).tokens
    array([[3, 1, 0, 4]])
    """

    def __init__(
        self,
        model: Model,
        loss: Any = "softmax_cross_entropy",
        *args: Any,
        teacher_forcing: float | Callable[[int], float] = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(model, loss, *args, **options)
        decoder_of(model)
        if not callable(teacher_forcing):
            _check.number(teacher_forcing, "teacher_forcing", 0, 1)
        self.teacher_forcing = teacher_forcing

    def fit_batches(self, *args: Any, **options: Any) -> NoReturn:
        """Not there: targets must be padded for the decoder, which `fit` does for all of the data.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError("Seq2SeqTrainer.fit_batches: a Decoder is trained on whole data; use fit")

    def _data(
        self, x: Any, y: Any, lengths: Any = None, weight: Any = None, class_weight: Any = None, mask: Any = None
    ) -> Batch:
        """All of the data, checked. Targets are padded to max_steps; steps after their end have weight 0."""
        decoder = decoder_of(self.model)
        y = _check.as_numbers(y, "y", "iu", "whole numbers")
        _check.shape_of(y, "y", ("N", "S"))
        n, s = y.shape
        if s > decoder.max_steps:
            raise ValueError(f"y: expected at most {decoder.max_steps} steps, the decoder's max_steps, got {s}")
        wide = y.dtype if y.dtype.itemsize == 8 else np.intp  # whatever the tokens are, they fit
        padded = np.full((n, decoder.max_steps), decoder.end_token, wide)
        padded[:, :s] = y
        counts = np.arange(decoder.max_steps) < lengths_of(padded, decoder.end_token)[:, None]
        data = as_data(self.model, self.loss, x, np.where(counts, padded, decoder.end_token), None, None, class_weight)
        weights = data.weights * counts
        if weight is not None:
            weight = step_weights(weight, (n,), self.model.dtype, "sample_weight")
            if not weight.any():
                raise ValueError("sample_weight: expected at least one above 0, got none")
            weights *= weight[:, None]
        steps = steps_of(lengths, mask, data.x)
        weights *= real_outputs(steps, weights.shape, False)
        return dataclasses.replace(data, x=gathered(steps, data.x, "x"), lengths=steps.lengths, weights=weights)

    def _batches(
        self, data: Batch, batch_size: int, *, order: int | None = None, bucket: bool = False, seed: int | None = None
    ) -> Batches:
        """The data in mini-batches. `teacher_forcing` applies only with a seed, that is in training."""
        forcing = 1.0 if seed is None else self.teacher_forcing
        return Pairs(data, batch_size, seed=order, bucket=bucket, forcing=forcing, coins=seed or 0)


@dataclasses.dataclass
class Pair(Batch):
    """A mini-batch with targets that the decoder reads (teacher forcing).

    Attributes
    ----------
    own : (N, S) bools, or None
        Where the decoder reads its own choice instead of the target.
    """

    own: Array | None = None

    def forward(self, model: Model, tape: Tape, *, training: bool) -> Array:
        decoder_of(model)._teach(self.y, tape.workspaces[-1], self.own)
        return super().forward(model, tape, training=training)


class Pairs(Batches):
    """Mini-batches of `Pair`. The targets of a batch are cut to the longest of them.

    Parameters
    ----------
    data, batch_size, seed, bucket
        As in `Batches`.
    forcing : float, or a function of the epoch, default 1
        Probability that the decoder reads the target token.
    coins : int, default 0
        Seed of the random choices between the target token and the decoder's own.
    """

    def __init__(
        self,
        data: Batch,
        batch_size: int,
        *,
        seed: int | None = None,
        bucket: bool = False,
        forcing: float | Callable[[int], float] = 1.0,
        coins: int = 0,
    ) -> None:
        super().__init__(data, batch_size, seed=seed, bucket=bucket, trim=False)
        self._forcing, self._coins = forcing, coins

    def parts(self, epoch: int, start: int = 0, shares: Sequence[Share] = WHOLE) -> Iterator[list[Batch]]:
        """These parts of the batches of an epoch after the first `start`. Epochs are counted from 1."""
        forcing = self._forcing(epoch) if callable(self._forcing) else self._forcing
        forcing = _check.number(forcing, "teacher_forcing", 0, 1)
        for number, chosen in enumerate(self.plan(epoch)[start:], start):
            steps = 1 + int(np.flatnonzero(self._data.weights[chosen].any(0))[-1:].sum())
            own = None
            if forcing < 1:
                seeds = np.random.SeedSequence(self._coins, spawn_key=(3, epoch, number))
                own = np.random.default_rng(seeds).random((len(chosen), steps)) >= forcing
            yield [self._pair(self._part(chosen, share), steps, own) for share in shares]

    @staticmethod
    def _pair(batch: Batch, steps: int, own: Array | None) -> Pair:
        """A part of a batch, with its targets cut to so many steps, and its rows of `own`."""
        fields = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
        fields |= {name: np.ascontiguousarray(fields[name][:, :steps]) for name in ("y", "weights")}
        return Pair(**fields, own=None if own is None else own[batch.first : batch.first + len(batch.x)])


class Generated(NamedTuple):
    """The result of `generate`.

    Attributes
    ----------
    tokens : (N, S) ints
        The sequences with their end tokens, padded with more end tokens.
    lengths : (N,) ints
        Number of tokens in each sequence, including the end token; S if there is no end token.
    log_probabilities : (N,)
        Log-probability of each whole sequence, in nats.
    """

    tokens: Index
    lengths: Index
    log_probabilities: NDArray[np.float64]


def generate(
    model: Model,
    x: Any,
    lengths: Any = None,
    *,
    mask: Any = None,
    max_steps: int | None = None,
    beam: int = 1,
    batch_size: int = 256,
) -> Generated:
    """Decode sequences greedily or by beam search.

    Parameters
    ----------
    model : Model
        Its last layer is a `Decoder`.
    x : (N, T, F) numbers, or (N, T) tokens
    lengths : (N,) ints from 0 to T, optional
        Number of real steps of each sequence; by default T.
    mask : (N, T) bools, or ints 0 and 1, optional
        Which steps are real, instead of lengths.
    max_steps : int, optional
        Largest number of tokens in a decoded sequence; by default the decoder's max_steps.
    beam : int, default 1
        Beam width: number of partial sequences that are kept at each step (Sutskever et al. 2014). 1 is greedy
        decoding, which takes the best token at each step.
    batch_size : int, default 256
        Number of sequences that are decoded together.

    Returns
    -------
    Generated

    Raises
    ------
    TypeError
        If model is not a Model, x, lengths or mask are not numbers of the right kind, or another argument is not a
        whole number.
    ValueError
        If the last layer is not a `Decoder`, the shape of x, lengths or mask does not fit, a number is not finite or
        out of range, both lengths and mask are given, or another argument is below 1.

    Examples
    --------
    >>> import fastlstm as fl
    >>> decoder = fl.Decoder(8, 8, num_tokens=3, max_steps=4, end_token=2)
    >>> model = fl.Model([fl.LSTM(1, 8), decoder], dtype="float64", seed=0)
    >>> greedy, best = (fl.generate(model, [[[1], [2]]], beam=beam) for beam in (1, 81))
    >>> bool(best.log_probabilities[0] >= greedy.log_probabilities[0])
    True
    """
    decoder = decoder_of(model)
    most = decoder.max_steps if max_steps is None else _check.positive_int(max_steps, "max_steps")
    beam, batch_size = _check.positive_int(beam, "beam"), _check.positive_int(batch_size, "batch_size")
    x, _ = model.as_input(x)
    steps = Steps(lengths, mask, *x.shape[:2])
    x, lengths = steps.gather(x), steps.lengths
    tape, found = model.tape(), []
    for start in range(0, len(x), batch_size):
        part, own = x[start : start + batch_size], None if lengths is None else lengths[start : start + batch_size]
        part = one_by_one(model.layers[:-1], tape.workspaces[:-1], part, own)
        own = lengths_behind(model.layers[:-1], own)
        found.append(search(decoder, decoder._begin(part, own, tape.workspaces[-1]), most, beam))
    tokens, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Generated(tokens, lengths_of(tokens, decoder.end_token), scores)


def search(decoder: Decoder, decoding: Decoding, steps: int, beam: int) -> tuple[Index, NDArray[np.float64]]:
    """The best sequences (N, S) that a beam search finds, and their log-probabilities (N,)."""
    n, tape, end = len(decoding.memory), Workspace(0), decoder.end_token
    decoding = decoding.rows(np.repeat(np.arange(n), beam))
    first = np.arange(n)[:, None] * beam
    tokens = np.full((n, beam, steps), end, np.intp)
    scores = np.full((n, beam), -np.inf)
    scores[:, 0] = 0  # all partial sequences are the same at first
    last = np.full(n * beam, decoder.start_token, np.intp)
    done = np.zeros((n, beam), bool)
    for s in range(steps):
        after = log_softmax(decoder._advance(last, decoding, tape)).reshape(n, beam, -1)
        after[done] = np.where(np.arange(after.shape[2]) == end, 0.0, -np.inf)  # a finished sequence stays as it is
        total = (scores[:, :, None] + after).reshape(n, -1)
        best = np.argsort(-total, axis=1, kind="stable")[:, :beam]
        scores = np.take_along_axis(total, best, 1)
        before, chosen = np.divmod(best, after.shape[2])
        tokens = np.take_along_axis(tokens, before[:, :, None], 1)
        tokens[:, :, s] = chosen
        done = np.take_along_axis(done, before, 1) | (chosen == end)
        if done.all():
            break
        decoding = decoding.rows((first + before).reshape(-1))
        last = chosen.reshape(-1)
    return tokens[:, 0], scores[:, 0]


def log_softmax(scores: Array) -> NDArray[np.float64]:
    """log softmax over the last axis, in float64."""
    apart = scores.astype(np.float64) - scores.max(-1, keepdims=True)
    return np.asarray(apart - np.log(np.exp(apart).sum(-1, keepdims=True)))


def lengths_of(tokens: Index, end: int) -> Index:
    """Number of tokens in each row up to its first end token, including it; all if there is none."""
    ends = tokens == end
    return np.asarray(np.where(ends.any(1), ends.argmax(1) + 1, tokens.shape[1]), np.intp)


def decoder_of(model: Model) -> Decoder:
    """The last layer of a model, which must be a `Decoder`."""
    if not isinstance(model, Model):
        raise TypeError(f"model: expected a Model, got {type(model).__name__}")
    decoder = model.layers[-1]
    if not isinstance(decoder, Decoder):
        raise ValueError(f"model: expected one whose last layer is a Decoder, got {type(decoder).__name__}")
    return decoder
