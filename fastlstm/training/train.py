"""Training a model on arrays."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fastlstm import _check, losses
from fastlstm.callbacks import Callback, ProgressBar
from fastlstm.losses import Loss
from fastlstm.model import Model
from fastlstm.optim import Adam, Optimizer
from fastlstm.snapshot import State
from fastlstm.training.batches import Batch, Batches, as_data
from fastlstm.training.feed import Feed
from fastlstm.training.gradients import Limits
from fastlstm.training.history import History as History
from fastlstm.training.loop import Loop, Source
from fastlstm.training.objective import Objective
from fastlstm.training.resume import PathLike, Run
from fastlstm.training.sequence import as_windows


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
    clip_value : float, optional
        Largest number in the gradient; it is cut before its norm is.
    accumulate : int, default 1
        Batches whose gradients are added up for one step of the optimizer: as if they were one batch, but for the
        memory that would take. The last step of an epoch may have fewer.
    metrics : names or functions
        Reported beside the loss, see `fastlstm.metrics`.
    callbacks : Callbacks

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
        clip_value: float | None = None,
        accumulate: int = 1,
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
        self.clip_value = None if clip_value is None else _check.number(clip_value, "clip_value", 0)
        self.accumulate = _check.positive_int(accumulate, "accumulate")
        self.metrics = _check.items(metrics, "metrics", "names or functions")
        self._objective.figures()  # names that nobody knows are told now
        self.callbacks = _check.items(callbacks, "callbacks", "callbacks")
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(f"callbacks: expected objects of Callback, got {callback!r}")
        self._loop: Loop | None = None
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
        class_weight: Any = None,
        shuffle: bool = True,
        bucket: bool = False,
        seed: int | None = None,
        progress: bool | None = None,
        resume: PathLike | None = None,
    ) -> History:
        """Train for some epochs.

        Ctrl-C ends the training after the current step; the model keeps what it has learned (`interrupted`).

        Parameters
        ----------
        x : (N, T, F) numbers, or (N, T) tokens
            What lies in a file (`numpy.memmap`), or is a view whose windows overlap, is read a batch at a time.
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
        class_weight : dict, or "balanced", optional
            What each class counts, by its number; "balanced" lets all count the same together. It multiplies
            sample_weight; classes that are not named count 1.
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
        resume : folder, optional
            Where the training writes its state, by default once a minute (a `Checkpoint` of this folder among the
            callbacks says how often), and goes on from if there is one, to the same bits as if it had never been
            interrupted: call again what was interrupted. More epochs than before go on with a training that had ended.

        Raises
        ------
        ValueError
            If the training in the folder of `resume` was told something else: its optimizer, loss, limits of the
            gradient, metrics, batch_size and so on must be the same.
        PermissionError, BlockingIOError
            If that folder cannot be written into, or another training is using it.
        FloatingPointError
            If the loss or the gradient is no longer finite: it says at which step, in which layer, and what to try. The
            parameters are the last ones that were good.
        """
        epochs, batch_size = _check.positive_int(epochs, "epochs"), _check.positive_int(batch_size, "batch_size")
        shuffle, bucket, seed = _check.flag(shuffle, "shuffle"), _check.flag(bucket, "bucket"), _check.seed_of(seed)
        if bucket and lengths is None:
            raise ValueError("bucket: expected lengths with bucket=True, got none")
        run = Run(resume)
        data = self._data(x, y, lengths, sample_weight, class_weight)
        held_out = None
        if validation is not None:
            held_out = self._batches(self._data(*parts_of(validation, "lengths")), batch_size)
        seed = self._seed_of_fit(seed, run.state)
        batches = self._batches(data, batch_size, order=seed if shuffle else None, bucket=bucket, seed=seed)
        passed = {"batch_size": batch_size, "shuffle": shuffle, "bucket": bucket, "class_weight": class_weight}
        return self._fit(epochs, batches, held_out, seed, run, progress, **passed)

    def fit_batches(
        self,
        batches: Any,
        *,
        epochs: int,
        batches_per_epoch: int | None = None,
        validation: Any = None,
        seed: int | None = None,
        progress: bool | None = None,
        resume: PathLike | None = None,
    ) -> History:
        """Train on batches that come from elsewhere: a generator, files, data larger than memory.

        Parameters
        ----------
        batches : iterable of (x, y), (x, y, lengths) or (x, y, lengths, weight); or a function
            Walked through once in each epoch. A function of the epoch, from 1 on, or an object with a method
            ``at(epoch)`` (as those of `fastlstm.data`), gives the batches of that epoch: a training that is resumed
            then finds the same ones again. An iterator goes on from epoch to epoch.
        epochs : int
        batches_per_epoch : int, optional
            By default ``len(batches)``, or all that come; schedules that look at the end of the training need it.
        validation : (x, y), (x, y, lengths), or as batches, optional
            Evaluated after each epoch: ``val_loss``.
        seed : int, optional
            Of the dropout masks.
        progress, resume
            As in `fit`; those batches of the interrupted epoch that had been learned from are passed over.

        Examples
        --------
        >>> import fastlstm as fl, numpy as np
        >>> def batches(epoch):
        ...     rng = np.random.default_rng(epoch)
        ...     for _ in range(20):
        ...         x = rng.normal(size=(16, 5, 1))
        ...         yield x, x.sum(1)
        >>> model = fl.Model([fl.LSTM(1, 8), fl.Last(), fl.Dense(8, 1)], seed=0)
        >>> history = fl.Trainer(model, "mse", fl.Adam(0.01)).fit_batches(batches, epochs=10)
        >>> history["loss"][-1] < 0.2 * history["loss"][0]
        True
        """
        epochs, seed, run = _check.positive_int(epochs, "epochs"), _check.seed_of(seed), Run(resume)
        feed = Feed(self.model, self.loss, batches, batches_per_epoch)
        held_out: Source | None = None
        if isinstance(validation, tuple | list) and len(validation) in (2, 3) and not isinstance(validation[0], tuple):
            held_out = self._batches(self._data(*parts_of(validation, "lengths")), 256)
        elif validation is not None:
            held_out = Feed(self.model, self.loss, validation, name="validation")
        return self._fit(epochs, feed, held_out, self._seed_of_fit(seed, run.state), run, progress)

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
        resume: PathLike | None = None,
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
        progress, resume
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
        epochs, seed, run = _check.positive_int(epochs, "epochs"), _check.seed_of(seed), Run(resume)
        windows = as_windows(self.model, self.loss, x, y, starts, sample_weight, window, batch_size)
        held_out = None
        if validation is not None:
            parts = parts_of(validation, "starts")
            held_out = as_windows(self.model, self.loss, *parts, None, window, batch_size)
        seed = self._seed_of_fit(seed, run.state)
        passed = {"window": window, "batch_size": batch_size}
        return self._fit(epochs, windows, held_out, seed, run, progress, carry=True, **passed)

    def evaluate(
        self, x: Any, y: Any, *, batch_size: int = 256, lengths: Any = None, sample_weight: Any = None
    ) -> dict[str, float]:
        """Loss and metrics over all of x and y, without training."""
        data = self._data(x, y, lengths, sample_weight)
        batches = self._batches(data, _check.positive_int(batch_size, "batch_size"))
        return self._objective.evaluate(batches.at(1), self.model.tape())

    def evaluate_sequence(
        self, x: Any, y: Any, *, window: int = 256, batch_size: int = 1, starts: Any = None, sample_weight: Any = None
    ) -> dict[str, float]:
        """Loss and metrics over one long sequence, without training; arguments as in `fit_sequence`.

        The state is carried through all of it, so that the figures do not depend on the window. More than one stream
        is faster, but each begins from a zero state, and up to batch_size - 1 steps are left out.
        """
        windows = as_windows(self.model, self.loss, x, y, starts, sample_weight, window, batch_size)
        return self._objective.evaluate(windows.at(1), self.model.tape(carry=True))

    @property
    def history(self) -> History:
        """Of the last training, also of one that was interrupted."""
        return History() if self._loop is None else self._loop.history

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C has ended the last training."""
        return self._loop is not None and self._loop.progress.interrupted

    @property
    def _objective(self) -> Objective:
        return Objective(self.model, self.loss, self.metrics)

    @property
    def _limits(self) -> Limits:
        return Limits(self.clip_norm, self.clip_value, self.accumulate)

    def _data(self, x: Any, y: Any, lengths: Any = None, weight: Any = None, class_weight: Any = None) -> Batch:
        """All of the data, checked."""
        return as_data(self.model, self.loss, x, y, lengths, weight, class_weight)

    def _batches(
        self, data: Batch, batch_size: int, *, order: int | None = None, bucket: bool = False, seed: int | None = None
    ) -> Batches:
        """The data in batches, in a new order in each epoch by the seed `order`; the other seed is for all else.

        A batch is cut to its longest sequence where T is any number to the model, and to its output.
        """
        shape = self.model.output_shape
        trim = self.model.input_shape[1] == "T" and (len(shape) == 2 or shape[1] == "T")
        per_step = not isinstance(self.loss, Loss) or self.loss.per_step_target
        return Batches(data, batch_size, seed=order, bucket=bucket, trim=trim, per_step=per_step)

    def _seed_of_fit(self, seed: int | None, state: State | None) -> int:
        """The seed, that of the interrupted training, or one that depends on how many fits there were."""
        if state is not None:
            if seed not in (None, state["seed"]):
                raise ValueError(f"seed: expected {state['seed']}, that of the interrupted training, got {seed}")
            seed = int(state["seed"])
        elif seed is None:
            seed = int(np.random.SeedSequence(0, spawn_key=(self._fits,)).generate_state(1)[0])
        self._fits += 1
        return seed

    def _fit(
        self,
        epochs: int,
        batches: Source,
        held_out: Source | None,
        seed: int,
        run: Run,
        progress: bool | None,
        *,
        carry: bool = False,
        **passed: Any,
    ) -> History:
        tapes = self.model.tape(seed, carry=carry), self.model.tape(carry=carry)
        callbacks = [*self.callbacks, *run.callbacks(self.callbacks)]
        if progress is not False:
            callbacks.append(ProgressBar(always=progress is True))
        loop = Loop(
            *(self._objective, self.optimizer, self._limits, callbacks, batches, held_out, tapes, epochs, seed),
            passed,
        )
        self._loop = loop
        with run.alone(callbacks):
            loop.run(run.state)
        if loop.progress.interrupted and not loop.progress.told:
            print(run.word(loop.progress, callbacks), file=sys.stderr)
        return loop.history


def parts_of(validation: Any, third: str) -> tuple[Any, Any, Any]:
    """x, y, and what may come with them."""
    if not isinstance(validation, tuple | list) or len(validation) not in (2, 3):
        raise TypeError(f"validation: expected (x, y) or (x, y, {third}), got {type(validation).__name__}")
    return validation[0], validation[1], validation[2] if len(validation) == 3 else None
