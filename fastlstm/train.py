"""Training a model on arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check, losses, metrics
from fastlstm._kernels import rows
from fastlstm.batches import Batch, Batches, as_data
from fastlstm.callbacks import Callback, Progress, ProgressBar
from fastlstm.history import Averages
from fastlstm.history import History as History
from fastlstm.losses import Loss
from fastlstm.model import Model, Tape
from fastlstm.optim import Adam, Optimizer, grad_norm
from fastlstm.sequence import Windows, as_windows

Array = NDArray[Any]


class Trainer:
    """Fits a model to data by back-propagation through time.

    Parameters
    ----------
    model : Model
    loss : Loss, its name, or a function
        A function takes (pred, target, weight) and returns the value and its gradient by pred. Where the model gives an
        output at each step, all three end at the longest sequence of the batch (targets if they have T steps).
    optimizer : Optimizer, default Adam()
    clip_norm : float, optional
        Largest norm of the gradient, all parameters together.
    metrics : names or functions
        Reported beside the loss, see `fastlstm.metrics`.
    callbacks : Callbacks

    Attributes
    ----------
    history : History
        Of the last `fit` or `fit_sequence`, also of one that was interrupted.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> x = np.random.default_rng(0).normal(size=(64, 10, 1))
    >>> model = fl.Model([fl.LSTM(1, 8), fl.Last(), fl.Dense(8, 1)], seed=0)
    >>> trainer = fl.Trainer(model, loss=fl.mse, optimizer=fl.Adam(lr=0.01))
    >>> history = trainer.fit(x, x.sum(1), epochs=30, batch_size=16, seed=0)
    >>> history["loss"][-1] < 0.2 * history["loss"][0]
    True
    """

    def __init__(
        self,
        model: Model,
        loss: Any,
        optimizer: Optimizer | None = None,
        clip_norm: float | None = None,
        metrics: Sequence[Any] = (),
        callbacks: Iterable[Callback] = (),
    ) -> None:
        if not isinstance(model, Model):
            raise TypeError(f"model: expected a Model, got {type(model).__name__}")
        if optimizer is not None and not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer: expected an Optimizer such as fl.Adam(lr=1e-3), got {optimizer!r}")
        self.model = model
        self.loss = losses.get(loss)
        self.optimizer = optimizer if optimizer is not None else Adam()
        self.clip_norm = None if clip_norm is None else _check.number(clip_norm, "clip_norm", 0)
        self.metrics = named_metrics(_check.items(metrics, "metrics", "names or functions"))
        self.callbacks = _check.items(callbacks, "callbacks", "callbacks")
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(f"callbacks: expected objects of Callback, got {callback!r}")
        self.history = History()
        self._fits = 0

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        epochs: int,
        batch_size: int = 32,
        validation: tuple[Any, ...] | None = None,
        lengths: Any = None,
        sample_weight: Any = None,
        shuffle: bool = True,
        bucket: bool = False,
        seed: int | None = None,
        progress: bool | None = None,
    ) -> History:
        """Train for some epochs.

        Parameters
        ----------
        x : (N, T, F) numbers, or (N, T) tokens
        y : array
            Targets in the shape of the model's output; for `softmax_cross_entropy` whole numbers without its last axis.
        epochs, batch_size : int
        validation : (x, y) or (x, y, lengths), optional
            Evaluated after each epoch: ``val_loss``.
        lengths : (N,) ints from 1 to T, optional
            Real steps of each sequence; where the model gives an output for each step, those beyond do not count. Each
            batch is cut to its longest sequence.
        sample_weight : (N,) or (N, T), optional
            What each sequence or step counts.
        shuffle : bool
            Whether the sequences come in a new order in each epoch.
        bucket : bool
            Whether sequences of similar lengths share a batch: those of every 50 batches are sorted by length, and the
            batches come in a random order again if shuffled. Faster where lengths differ much.
        seed : int, optional
            Of the order and of the dropout masks: same seed, same bits. By default the first `fit` of a trainer always
            goes the same way, and so does the second, but another one than the first.
        progress : bool, optional
            Whether a bar is shown; None shows one on a terminal.

        Raises
        ------
        FloatingPointError
            If the loss or the gradient is no longer finite; the parameters are those before that step.
        """
        epochs, batch_size = _check.positive_int(epochs, "epochs"), _check.positive_int(batch_size, "batch_size")
        shuffle, bucket, seed = _check.flag(shuffle, "shuffle"), _check.flag(bucket, "bucket"), _check.seed_of(seed)
        if bucket and lengths is None:
            raise ValueError("bucket: expected lengths with bucket=True, got none")
        data = as_data(self.model, self.loss, x, y, lengths, sample_weight)
        held_out = None
        if validation is not None:
            parts = as_data(self.model, self.loss, *parts_of(validation, "lengths"), None)
            held_out = Batches(parts, batch_size, trim=self._trims)
        seed = self._seed_of_fit(seed)
        rng = np.random.default_rng(seed) if shuffle else None
        batches = Batches(data, batch_size, rng=rng, bucket=bucket, trim=self._trims)
        return self._fit(epochs, batches, held_out, (self.model.tape(seed), self.model.tape()), progress)

    def fit_sequence(
        self,
        x: Any,
        y: Any,
        *,
        window: int,
        batch_size: int = 1,
        epochs: int = 1,
        starts: Any = None,
        sample_weight: Any = None,
        validation: tuple[Any, ...] | None = None,
        seed: int | None = None,
        progress: bool | None = None,
    ) -> History:
        """Train on one long sequence, a window after the other: truncated back-propagation through time.

        Each window begins from the state that the one before has left, so that the state knows all that came, while
        gradients flow back to the window's first step. The windows come in the order of time; one is one step of the
        optimizer, and a batch to callbacks.

        Parameters
        ----------
        x : (L, F) numbers, or (L,) tokens
        y : (L, ...) targets
            One for each step: (L, G) for G outputs; for `softmax_cross_entropy` whole numbers (L,).
        window : int
            Steps that a gradient flows back at most; the last window of an epoch may have fewer.
        batch_size : int, default 1
            Streams of S = L // batch_size steps each that x is cut into and that are walked side by side, each from a
            zero state in each epoch. The last L - S * batch_size steps, fewer than batch_size, are left out.
        epochs : int, default 1
        starts : rising ints from 0 to L - 1, optional
            Steps at which a document begins: the state is zero there, and no gradient flows back beyond.
        sample_weight : (L,), optional
            What each step counts; a step of weight 0 still moves the state.
        validation : (x, y) or (x, y, starts), optional
            A sequence that is evaluated after each epoch, with the same window and batch_size: ``val_loss``.
        seed : int, optional
            Of the dropout masks, as in `fit`.
        progress : bool, optional
            As in `fit`.

        Raises
        ------
        ValueError
            If the model does not give an output at every step, or has a bidirectional layer.
        FloatingPointError
            As in `fit`.

        Examples
        --------
        >>> import fastlstm as fl, numpy as np
        >>> series = np.sin(np.arange(401) / 5)[:, None]
        >>> trainer = fl.Trainer(fl.Model([fl.LSTM(1, 8), fl.Dense(8, 1)], seed=0), fl.mse, fl.Adam(0.01))
        >>> history = trainer.fit_sequence(series[:-1], series[1:], window=20, batch_size=4, epochs=20)
        >>> history["loss"][-1] < 0.1 * history["loss"][0]
        True
        """
        epochs, seed = _check.positive_int(epochs, "epochs"), _check.seed_of(seed)
        windows = as_windows(self.model, self.loss, x, y, starts, sample_weight, window, batch_size)
        held_out = None
        if validation is not None:
            parts = parts_of(validation, "starts")
            held_out = as_windows(self.model, self.loss, *parts, None, window, batch_size)
        tapes = self.model.tape(self._seed_of_fit(seed), carry=True), self.model.tape(carry=True)
        return self._fit(epochs, windows, held_out, tapes, progress)

    def evaluate(
        self, x: Any, y: Any, *, batch_size: int = 256, lengths: Any = None, sample_weight: Any = None
    ) -> dict[str, float]:
        """Loss and metrics over all of x and y, without training."""
        data = as_data(self.model, self.loss, x, y, lengths, sample_weight)
        batches = Batches(data, _check.positive_int(batch_size, "batch_size"), trim=self._trims)
        return self._evaluate(batches, self.model.tape())

    def evaluate_sequence(
        self, x: Any, y: Any, *, window: int = 256, batch_size: int = 1, starts: Any = None, sample_weight: Any = None
    ) -> dict[str, float]:
        """Loss and metrics over one long sequence, without training; arguments as in `fit_sequence`.

        The state is carried through all of it, so that the figures do not depend on the window. More than one stream
        is faster, but each begins from a zero state, and up to batch_size - 1 steps are left out.
        """
        windows = as_windows(self.model, self.loss, x, y, starts, sample_weight, window, batch_size)
        return self._evaluate(windows, self.model.tape(carry=True))

    @property
    def _trims(self) -> bool:
        """Whether a batch may end at its longest sequence: T is any number to the model, and so it is to its output."""
        shape = self.model.output_shape
        return self.model.input_shape[1] == "T" and (len(shape) == 2 or shape[1] == "T")

    def _seed_of_fit(self, seed: int | None) -> int:
        """The seed, or one that depends on how many fits there were."""
        if seed is None:
            seed = int(np.random.SeedSequence(0, spawn_key=(self._fits,)).generate_state(1)[0])
        self._fits += 1
        return seed

    def _fit(
        self,
        epochs: int,
        batches: Batches | Windows,
        held_out: Batches | Windows | None,
        tapes: tuple[Tape, Tape],
        progress: bool | None,
    ) -> History:
        """The loop, with a tape to train over and one to evaluate over."""
        state = Progress(epochs, len(batches), batches.size, self.model.parameters(), batches.unit)
        callbacks = self.callbacks if progress is False else [*self.callbacks, ProgressBar(always=progress is True)]
        history = self.history = History()
        call(callbacks, "on_fit_begin", state)
        try:
            for state.epoch in range(1, epochs + 1):
                state.logs = self._train_epoch(batches, tapes[0], state, callbacks)
                if held_out is not None:
                    logs = self._evaluate(held_out, tapes[1])
                    state.logs.update({"val_" + name: value for name, value in logs.items()})
                state.loss = state.logs["loss"]
                history.add(state.logs)
                call(callbacks, "on_epoch_end", state)
                if state.stop:
                    break
        finally:
            call(callbacks, "on_fit_end", state)
        return history

    def _train_epoch(
        self, batches: Batches | Windows, tape: Tape, state: Progress, callbacks: list[Callback]
    ) -> dict[str, float]:
        figures = Averages(self._names)
        for state.batch, batch in enumerate(batches, start=1):
            state.sequences = batch.size
            state.loss = self._step(batch, tape, figures, state)
            call(callbacks, "on_batch_end", state)
            if state.stop:
                break
        for name, parameter in self.model.named_parameters().items():
            if rows.first_nonfinite(parameter.value.reshape(-1)) >= 0:
                raise FloatingPointError(
                    f"{name} is no longer finite after epoch {state.epoch}; try a smaller learning rate or clip_norm"
                )
        return figures.means()

    def _step(self, batch: Batch, tape: Tape, figures: Averages, state: Progress) -> float:
        pred = self._forward(batch, tape, training=True)
        if pred is None:
            self._count(figures, 0.0, batch)
            return 0.0
        value, dpred = self._loss(pred, batch, tape)
        where = f"in epoch {state.epoch}, batch {state.batch}; try a smaller learning rate or clip_norm"
        if not np.isfinite(value):
            raise FloatingPointError(f"the loss is {value} {where}")
        self.model.zero_grad()
        self.model.backward(batch.gradient(dpred), tape, input_gradient=False)
        norm = grad_norm(state.parameters)
        if not np.isfinite(norm):
            raise FloatingPointError(f"the norm of the gradient is {norm} {where}")
        largest = np.inf if self.clip_norm is None else self.clip_norm
        self.optimizer.step(state.parameters, largest / norm if norm > largest else 1.0)
        self._count(figures, value, batch, pred)
        return value

    def _evaluate(self, batches: Batches | Windows, tape: Tape) -> dict[str, float]:
        figures = Averages(self._names)
        for batch in batches:
            pred = self._forward(batch, tape, training=False)
            value = 0.0 if pred is None else self._loss(pred, batch, tape)[0]
            self._count(figures, value, batch, pred)
        return figures.means()

    def _loss(self, pred: Array, batch: Batch, tape: Tape) -> tuple[float, Array]:
        """The loss and its gradient; `as_data` has checked what a `Loss` wants."""
        if isinstance(self.loss, Loss) and pred.flags.c_contiguous:
            return self.loss.prepared(pred, batch.y, batch.weights, tape.loss)
        return self.loss(pred, batch.y, batch.weights)

    def _forward(self, batch: Batch, tape: Tape, *, training: bool) -> Array | None:
        """Predictions; None where nothing counts, though a running state goes on all the same."""
        counts = batch.weights.any()
        pred = batch.forward(self.model, tape, training=training) if counts or tape.carries else None
        return pred if counts else None

    def _count(self, figures: Averages, value: float, batch: Batch, pred: Array | None = None) -> None:
        """Add the figures of a batch; one whose weights are all zero has no predictions."""
        counted = float(batch.weights.sum(dtype=np.float64))
        total = of = counted
        if isinstance(self.loss, Loss):
            total = of = self.loss.normaliser(batch.weights)
            if self.loss.time == "sum":  # a sequence that comes in parts counts once
                of = total * batch.share
        measured = [0.0 if pred is None else metric(pred, batch.y, batch.weights) for _, metric in self.metrics]
        figures.add([value * total, *(m * counted for m in measured)], [of] + [counted] * len(measured))

    @property
    def _names(self) -> list[str]:
        return ["loss", *(name for name, _ in self.metrics)]


def parts_of(validation: Any, third: str) -> tuple[Any, Any, Any]:
    """x, y, and what may come with them."""
    if not isinstance(validation, tuple | list) or len(validation) not in (2, 3):
        raise TypeError(f"validation: expected (x, y) or (x, y, {third}), got {type(validation).__name__}")
    return validation[0], validation[1], validation[2] if len(validation) == 3 else None


def named_metrics(chosen: Sequence[Any]) -> list[tuple[str, Callable[..., float]]]:
    named = [metrics.get(metric) for metric in chosen]
    names = ["loss", *(name for name, _ in named)]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"metrics: expected names of their own, got {name!r} twice")
    return named


def call(callbacks: Iterable[Callback], hook: str, progress: Progress) -> None:
    for callback in callbacks:
        getattr(callback, hook)(progress)
