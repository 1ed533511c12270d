"""Training a model on arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check, losses, metrics
from fastlstm._kernels import rows
from fastlstm.callbacks import Callback, Progress, ProgressBar
from fastlstm.losses import Loss, step_weights
from fastlstm.model import Model, Tape
from fastlstm.optim import Adam, Optimizer, clip_grad_norm

Array = NDArray[Any]
Batch = tuple[Array, Array, NDArray[np.intp] | None, Array]
"""x, y, lengths, and the weight of every step of the output."""


class History(Mapping[str, list[float]]):
    """Figures of every epoch, by name: ``history["loss"]`` is a list of floats, one an epoch."""

    def __init__(self) -> None:
        self._figures: dict[str, list[float]] = {}

    def add(self, logs: dict[str, float]) -> None:
        for name, value in logs.items():
            self._figures.setdefault(name, []).append(value)

    @property
    def epochs(self) -> int:
        """How many there were."""
        return len(self._figures.get("loss", ()))

    def __getitem__(self, name: str) -> list[float]:
        if name not in self._figures:
            raise KeyError(f"no figure {name!r}; there are {list(self)}")
        return self._figures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._figures)

    def __len__(self) -> int:
        return len(self._figures)

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self._figures.items())
        return f"History({self.epochs} epochs: {last})"


class Trainer:
    """Fits a model to data by back-propagation through time.

    Parameters
    ----------
    model : Model
    loss : Loss, its name, or a function
        A function takes (pred, target, weight) and returns the value and its gradient by pred.
    optimizer : Optimizer, default Adam()
    clip_norm : float, optional
        Largest norm of the gradient, all parameters together.
    metrics : names or functions
        Reported beside the loss, see `fastlstm.metrics`.
    callbacks : Callbacks

    Attributes
    ----------
    history : History
        Of the last `fit`, also of one that was interrupted.

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
            Real steps of each sequence; where the model gives an output for each step, those beyond do not count.
        sample_weight : (N,) or (N, T), optional
            What each sequence or step counts.
        shuffle : bool
            Whether the sequences come in a new order in each epoch.
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
        shuffle, seed = _check.flag(shuffle, "shuffle"), _check.seed_of(seed)
        data = self._as_data(x, y, lengths, sample_weight)
        held_out: Batch | None = None
        if validation is not None:
            if not isinstance(validation, tuple | list) or len(validation) not in (2, 3):
                raise TypeError(f"validation: expected (x, y) or (x, y, lengths), got {type(validation).__name__}")
            held_out = self._as_data(
                validation[0], validation[1], validation[2] if len(validation) == 3 else None, None
            )
        if seed is None:
            seed = int(np.random.SeedSequence(0, spawn_key=(self._fits,)).generate_state(1)[0])
        self._fits += 1
        rng, tape = np.random.default_rng(seed), self.model.tape(seed)
        size = len(data[0])
        state = Progress(epochs, -(-size // batch_size), size, self.model.parameters())
        callbacks = self.callbacks if progress is False else [*self.callbacks, ProgressBar(always=progress is True)]
        history = self.history = History()
        call(callbacks, "on_fit_begin", state)
        try:
            for state.epoch in range(1, epochs + 1):
                order = rng.permutation(size) if shuffle else np.arange(size)
                state.logs = self._train_epoch(batches(data, order, batch_size), tape, state, callbacks)
                if held_out is not None:
                    logs = self._evaluate(held_out, batch_size)
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
        self, epoch: Iterator[Batch], tape: Tape, state: Progress, callbacks: list[Callback]
    ) -> dict[str, float]:
        figures = Averages(self._names)
        for state.batch, batch in enumerate(epoch, start=1):
            state.sequences = len(batch[0])
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

    def evaluate(
        self, x: Any, y: Any, *, batch_size: int = 256, lengths: Any = None, sample_weight: Any = None
    ) -> dict[str, float]:
        """Loss and metrics over all of x and y, without training."""
        data = self._as_data(x, y, lengths, sample_weight)
        return self._evaluate(data, _check.positive_int(batch_size, "batch_size"))

    @property
    def _names(self) -> list[str]:
        return ["loss", *(name for name, _ in self.metrics)]

    def _as_data(self, x: Any, y: Any, lengths: Any, weight: Any) -> Batch:
        """All of the data, checked before anything is done with it."""
        x, lengths = self.model.as_input(x, lengths)
        sizes = {"N": x.shape[0], "T": x.shape[1], "F": x.shape[-1]}
        shape = tuple(sizes.get(size, size) if isinstance(size, str) else size for size in self.model.output_shape)
        weights = self._weights(
            None if weight is None else step_weights(weight, shape[:-1], self.model.dtype, "sample_weight"),
            lengths,
            shape,
        )
        if not weights.any():
            raise ValueError("sample_weight: expected at least one real step with a weight above 0, got none")
        if isinstance(self.loss, Loss):
            y = self.loss.as_target(y, shape, weights != 0, self.model.dtype, "y")
        else:
            y = np.asarray(y)
            if y.ndim == 0 or len(y) != len(x):
                raise ValueError(f"y: expected {len(x)} targets, one for each sequence of x, got shape {y.shape}")
        return x, y, lengths, weights

    def _weights(self, weights: Array | None, lengths: NDArray[np.intp] | None, shape: tuple[Any, ...]) -> Array:
        """What each step of the output counts: nothing beyond the length of its sequence."""
        if weights is None:
            weights = np.ones(shape[:-1], self.model.dtype)
        if lengths is not None and len(shape) == 3:
            weights = weights * (np.arange(shape[1]) < lengths[:, None])
        return weights

    def _step(self, batch: Batch, tape: Tape, figures: Averages, state: Progress) -> float:
        x, y, lengths, weights = batch
        if not weights.any():
            self._count(figures, 0.0, weights)
            return 0.0
        pred = self.model.pass_forward(x, tape, training=True, lengths=lengths)
        value, dpred = self.loss(pred, y, weights)
        where = f"in epoch {state.epoch}, batch {state.batch}; try a smaller learning rate or clip_norm"
        if not np.isfinite(value):
            raise FloatingPointError(f"the loss is {value} {where}")
        self.model.zero_grad()
        self.model.backward(dpred, tape, input_gradient=False)
        norm = clip_grad_norm(state.parameters, np.inf if self.clip_norm is None else self.clip_norm)
        if not np.isfinite(norm):
            raise FloatingPointError(f"the norm of the gradient is {norm} {where}")
        self.optimizer.step(state.parameters)
        self._count(figures, value, weights, pred, y)
        return value

    def _evaluate(self, data: Batch, batch_size: int) -> dict[str, float]:
        tape = self.model.tape()
        figures = Averages(self._names)
        for x, y, lengths, weights in batches(data, np.arange(len(data[0])), batch_size):
            if not weights.any():
                self._count(figures, 0.0, weights)
                continue
            pred = self.model.pass_forward(x, tape, training=False, lengths=lengths)
            self._count(figures, self.loss(pred, y, weights)[0], weights, pred, y)
        return figures.means()

    def _count(self, figures: Averages, value: float, weights: Array, pred: Any = None, y: Any = None) -> None:
        """Add the figures of a batch; one whose weights are all zero has no predictions."""
        counted = float(weights.sum(dtype=np.float64))
        normaliser = self.loss.normaliser(weights) if isinstance(self.loss, Loss) else counted
        measured = [0.0 if pred is None else metric(pred, y, weights) for _, metric in self.metrics]
        figures.add([value, *measured], [normaliser] + [counted] * len(measured))


class Averages:
    """Means of figures over batches, each batch counting as much as it holds."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._sums = np.zeros((2, len(names)))

    def add(self, values: list[float], counts: list[float]) -> None:
        self._sums[0] += np.multiply(values, counts)
        self._sums[1] += counts

    def means(self) -> dict[str, float]:
        return dict(zip(self._names, (self._sums[0] / self._sums[1]).tolist(), strict=True))


def batches(data: Batch, order: NDArray[np.intp], batch_size: int) -> Iterator[Batch]:
    """The rows of data in this order, batch_size at a time."""
    x, y, lengths, weights = data
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        yield x[chosen], y[chosen], None if lengths is None else lengths[chosen], weights[chosen]


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
