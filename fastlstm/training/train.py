"""The trainer: it trains a model on arrays, on mini-batches from outside, or on one long sequence."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fastlstm import _check, losses
from fastlstm.callbacks import Callback, ProgressBar
from fastlstm.communicator import Communicator
from fastlstm.losses import Loss
from fastlstm.model import Model
from fastlstm.optim import Adam, Optimizer
from fastlstm.snapshot import State
from fastlstm.training.batch import Batch, Source
from fastlstm.training.batches import Batches
from fastlstm.training.checked import as_data
from fastlstm.training.feed import Feed
from fastlstm.training.gradients import Limits
from fastlstm.training.history import History as History
from fastlstm.training.loop import Loop
from fastlstm.training.objective import Objective
from fastlstm.training.ranks import Ranks
from fastlstm.training.resume import PathLike, Run
from fastlstm.training.sequence import as_windows
from fastlstm.training.team import Team


class Trainer:
    """Trains a model by back-propagation through time.

    Parameters
    ----------
    model : Model
    loss : Loss, its name, or a function
        A function takes (pred, target, weight), and returns the loss and its gradient with respect to pred. If the
        model has an output at each step, all three end at the longest sequence of the batch (target only if it has T
        steps).
    optimizer : Optimizer, optional
        By default ``Adam()``.
    clip_norm : float, optional
        Largest norm of the gradients of all parameters together. Larger gradients are scaled down to it.
    clip_value : float, optional
        Largest absolute value in the gradients. Values are clipped before the norm is.
    accumulate : int, default 1
        Number of mini-batches whose gradients are added up for one step of the optimizer. The step is the same as for
        one large batch, but needs less memory. The last step of an epoch may have fewer mini-batches.
    metrics : list of names or metrics, default ()
        Metrics that are reported beside the loss, see `fastlstm.metrics`.
    callbacks : list of Callback, default ()
    precision : "bfloat16" or None, default None
        With "bfloat16", recurrent and dense layers round to 16 bits what their products multiply: weights, inputs,
        states and gradients, forwards and backwards. Parameters, states, sums, gradients of parameters and the
        optimizer stay in float32. It is for large layers on processors that multiply bfloat16 (AVX512_BF16, Armv8.6);
        on others, and for small layers, training is in float32. See docs/quantization.md.
    communicator : Communicator, optional
        The other processes that train the same model, from `fastlstm.distributed.mpi` or `fastlstm.distributed.torch`.
        Every process makes the same calls with the same arguments, and works on its share of each batch; batch_size is
        that of all together. See docs/distributed.md.
    reproducible : bool or int, default False
        Whether a training has the same bits on any number of processes, which takes longer. The gradients of 8 pieces
        of each batch (or so many, if it is a number) are then added up in a fixed order.
    wire : "bfloat16", "float16" or None, default None
        With it, gradients travel between processes in 16 bits. What is lost by rounding is added to the next ones.
    average_every : int, optional
        With it, each process takes steps of its own with the gradients of its share, and the parameters are averaged
        every so many steps and at the end of each epoch (local SGD, Stich 2019). That is another training: measure its
        loss.

    Raises
    ------
    TypeError
        If an argument is of the wrong type, or a metric cannot be put together from several processes.
    ValueError
        If there is no loss or metric of a name, two metrics have the same name, clip_norm or clip_value is below 0,
        accumulate is below 1, or precision is none of these, or is given for a model in float64; if reproducible asks
        for fewer pieces than there are processes, or is given for a model with BatchNorm or beside wire; if wire is
        none of these; or if average_every is below 1, or given beside reproducible or wire.
    ImportError
        If a metric needs a library that is not installed.

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
        precision: str | None = None,
        communicator: Communicator | None = None,
        reproducible: bool | int = False,
        wire: str | None = None,
        average_every: int | None = None,
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
        self._objective.figures()  # raises the error for an unknown metric now
        self.callbacks = _check.items(callbacks, "callbacks", "callbacks")
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(f"callbacks: expected objects of Callback, got {callback!r}")
        self.precision = _check.precision_of(precision, model.dtype)
        self.team = Team(model, communicator, reproducible, wire, average_every)
        if self.team.size > 1:
            self._objective.figures().require_mergeable()
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
        mask: Any = None,
    ) -> History:
        """Train for some epochs.

        Ctrl-C ends the training after the current step. The model keeps what it has learned; see `interrupted`.

        Parameters
        ----------
        x : (N, T, F) numbers, or (N, T) tokens
            A file (`numpy.memmap`) and a view with overlapping windows are read one mini-batch at a time.
        y : array
            Targets in the shape of the model's output. For `softmax_cross_entropy`: whole numbers, no last axis.
        epochs : int
            Number of epochs. It includes the epochs before an interruption.
        batch_size : int, default 32
            Number of sequences in a mini-batch.
        validation : (x, y) or (x, y, lengths), optional
            Data that are evaluated after each epoch. Their loss is ``val_loss``. A mask may stand in place of lengths.
        lengths : (N,) ints from 0 to T, optional
            Number of real steps of each sequence; by default T. If the model has an output at each step, outputs beyond
            the length do not count. Each batch is cut to its longest sequence.
        sample_weight : (N,) or (N, T), optional
            Weight of each sequence or step in the loss and the metrics; by default 1.
        class_weight : dict, or "balanced", optional
            Weight of each class, by its number. With "balanced" all classes have the same total weight. It multiplies
            sample_weight. Classes that are not in the dict have weight 1.
        shuffle : bool, default True
            Whether each epoch has a new random order.
        bucket : bool, default False
            Whether sequences of similar lengths share a batch, which is faster if lengths differ much. The sequences of
            every 50 batches are sorted by length. The batches are then shuffled if shuffle is True.
        seed : int, optional
            Seed of the order and of the dropout masks. The same seed gives the same bits. By default the seed depends
            only on the number of earlier trainings of this trainer.
        progress : bool, optional
            Whether a progress bar is shown; by default only on a terminal.
        resume : path, optional
            A folder for the state of the training. If it holds a state, the training continues from there, and ends at
            the same bits as without the interruption. Make the same call again to resume a training, or one with more
            epochs to continue a finished training. The state is written once a minute and at the end; a `Checkpoint` of
            this folder among the callbacks sets another interval.
        mask : (N, T) bools, or ints 0 and 1, optional
            Which steps are real, instead of lengths: a step that is not keeps the state, and counts for nothing. The
            real steps of each sequence are moved to its front before the training, so that holes cost no time in it.

        Returns
        -------
        History

        Raises
        ------
        TypeError
            If an argument is of the wrong type.
        ValueError
            If a shape does not fit, a number is not finite or out of range, no step has a weight above 0, or bucket is
            True without lengths. With `resume`, also if the state is damaged, or its training had other settings: the
            model, optimizer, loss, metrics, clipping, batch_size, seed and so on must be the same.
        NotADirectoryError, PermissionError, FileExistsError
            If the path is a file, no file can be written into the folder, or its ``.lock`` is not a regular file.
        BlockingIOError
            If another training is using the folder, or that of a `Checkpoint` among the callbacks.
        FloatingPointError
            If the loss, the norm of the gradients or a parameter is not finite. The message says at which step, in
            which layer, and what to try. The model keeps its last finite parameters.
        """
        with self.team.meet() as ranks:
            with ranks.together("the arguments of fit"):
                epochs, batch_size = _check.positive_int(epochs, "epochs"), self._batch_size(batch_size)
                shuffle, bucket = _check.flag(shuffle, "shuffle"), _check.flag(bucket, "bucket")
                seed = _check.seed_of(seed)
                if bucket and lengths is None and mask is None:
                    raise ValueError("bucket: expected lengths with bucket=True, got none")
                data, held_out = self._data(x, y, lengths, sample_weight, class_weight, mask), None
                if validation is not None:
                    held_out = self._batches(self._data(*parts_of(validation, "lengths")), batch_size)
            run = Run(resume, ranks)
            seed = self._seed_of_fit(seed, run.state)
            batches = self._batches(data, batch_size, order=seed if shuffle else None, bucket=bucket, seed=seed)
            passed = {"batch_size": batch_size, "shuffle": shuffle, "bucket": bucket, "class_weight": class_weight}
            return self._fit(epochs, batches, held_out, seed, run, ranks, progress, **passed)

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
        """Train on mini-batches from outside: from a generator, from files, or from data larger than memory.

        Parameters
        ----------
        batches : iterable of (x, y), (x, y, lengths) or (x, y, lengths, weight); or a function
            A mask (N, T), as in `fit`, may stand in place of lengths.
            An iterable gives the batches of every epoch, but an iterator is not restarted: it continues from epoch to
            epoch. A function of the epoch, from 1 on, or an object with a method ``at(epoch)`` (as in `fastlstm.data`)
            returns the batches of that epoch. A resumed training then finds the same batches again.
        epochs : int
            As in `fit`.
        batches_per_epoch : int, optional
            By default ``len(batches)``, or all batches if there is no length. Schedules that depend on the end of the
            training need this number.
        validation : (x, y), (x, y, lengths), or as batches, optional
            Data that are evaluated after each epoch. Their loss is ``val_loss``.
        seed : int, optional
            Seed of the dropout masks, as in `fit`.
        progress, resume
            As in `fit`. A resumed training skips the batches of the interrupted epoch that it has learned from.

        Returns
        -------
        History

        Raises
        ------
        TypeError
            If an argument is of the wrong type, or an item of batches is not such a tuple of arrays.
        ValueError
            If a batch does not fit the model or the loss (the message has its number), an epoch has no batch, or a
            number is out of range. With `resume` also as in `fit`.
        NotADirectoryError, PermissionError, FileExistsError, BlockingIOError, FloatingPointError
            As in `fit`.

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
        with self.team.meet() as ranks:
            with ranks.together("the arguments of fit_batches"):
                epochs, seed = _check.positive_int(epochs, "epochs"), _check.seed_of(seed)
                feed, held_out = Feed(self.model, self.loss, batches, batches_per_epoch), self._held_out(validation)
            run = Run(resume, ranks)
            return self._fit(epochs, feed, held_out, self._seed_of_fit(seed, run.state), run, ranks, progress)

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
        """Train on one long sequence, window by window: truncated back-propagation through time.

        Each window starts from the final state of the window before, so the state depends on all earlier steps.
        Gradients flow back only to the first step of the window. The windows come in the order of time. For the
        optimizer and the callbacks, a window is a mini-batch.

        Parameters
        ----------
        x : (L, F) numbers, or (L,) tokens
        y : (L, ...) targets
            One target for each step: (L, G) for G outputs. For `softmax_cross_entropy`, whole numbers (L,).
        window : int
            Number of steps in a window: the most steps that a gradient flows back. The last window of an epoch may have
            fewer.
        batch_size : int, default 1
            Number of streams. x is cut into streams of S = L // batch_size steps, which run side by side. Each stream
            starts from a zero state in each epoch. The last L - S * batch_size steps, fewer than batch_size, are left
            out.
        epochs : int, default 1
            As in `fit`.
        starts : rising ints from 0 to L - 1, optional
            Steps at which a document begins. The state is zero there, and no gradient flows back beyond.
        sample_weight : (L,), optional
            Weight of each step; by default 1. A step of weight 0 still changes the state.
        validation : (x, y) or (x, y, starts), optional
            A sequence that is evaluated after each epoch with the same window and batch_size. Its loss is ``val_loss``.
        seed : int, optional
            Seed of the dropout masks, as in `fit`.
        progress, resume
            As in `fit`.

        Returns
        -------
        History

        Raises
        ------
        TypeError
            If an argument is of the wrong type.
        ValueError
            If the model has no output at each step, a layer cannot carry its state (such as a bidirectional one), a
            shape does not fit, x has fewer than batch_size steps, starts do not rise, a number is not finite or out of
            range, or no step has a weight above 0. With `resume` also as in `fit`.
        NotADirectoryError, PermissionError, FileExistsError, BlockingIOError, FloatingPointError
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
        with self.team.meet() as ranks:
            with ranks.together("the arguments of fit_sequence"):
                epochs, batch_size = _check.positive_int(epochs, "epochs"), self._batch_size(batch_size)
                seed = _check.seed_of(seed)
                windows = as_windows(self.model, self.loss, x, y, starts, sample_weight, window, batch_size)
                held_out = None
                if validation is not None:
                    parts = parts_of(validation, "starts")
                    held_out = as_windows(self.model, self.loss, *parts, None, window, batch_size)
            run = Run(resume, ranks)
            seed = self._seed_of_fit(seed, run.state)
            passed = {"window": window, "batch_size": batch_size}
            return self._fit(epochs, windows, held_out, seed, run, ranks, progress, carry=True, **passed)

    def evaluate(
        self,
        x: Any,
        y: Any,
        *,
        batch_size: int = 256,
        lengths: Any = None,
        sample_weight: Any = None,
        mask: Any = None,
    ) -> dict[str, float]:
        """The loss and the metrics over all of x and y, without training.

        Parameters
        ----------
        x, y, lengths, sample_weight, mask
            As in `fit`.
        batch_size : int, default 256
            Number of sequences in a mini-batch.

        Returns
        -------
        dict
            ``"loss"`` and the metrics by name.

        Raises
        ------
        TypeError
            If an argument is of the wrong type.
        ValueError
            If a shape does not fit, a number is not finite or out of range, or no step has a weight above 0.
        """
        with self.team.meet() as ranks:
            with ranks.together("the arguments of evaluate"):
                data = self._data(x, y, lengths, sample_weight, mask=mask)
                batches = self._batches(data, _check.positive_int(batch_size, "batch_size"))
            return ranks.evaluate(self._objective, batches.parts(1, 0, ranks.shares), ranks.tapes(self.model))

    def evaluate_sequence(
        self, x: Any, y: Any, *, window: int = 256, batch_size: int = 1, starts: Any = None, sample_weight: Any = None
    ) -> dict[str, float]:
        """The loss and the metrics over one long sequence, without training.

        The state is carried through the whole sequence, so the results do not depend on the window.

        Parameters
        ----------
        x, y, starts, sample_weight
            As in `fit_sequence`.
        window : int, default 256
            Number of steps in a window.
        batch_size : int, default 1
            Number of streams, as in `fit_sequence`. More streams are faster, but each starts from a zero state, and up
            to batch_size - 1 steps are left out.

        Returns
        -------
        dict
            ``"loss"`` and the metrics by name.

        Raises
        ------
        TypeError
            If an argument is of the wrong type.
        ValueError
            As in `fit_sequence`.
        """
        with self.team.meet() as ranks:
            with ranks.together("the arguments of evaluate_sequence"):
                windows = as_windows(self.model, self.loss, x, y, starts, sample_weight, window, batch_size)
            return ranks.evaluate(
                self._objective, windows.parts(1, 0, ranks.shares), ranks.tapes(self.model, carry=True)
            )

    @property
    def history(self) -> History:
        """The history of the last training, even if it was interrupted. It is empty before the first training."""
        return History() if self._loop is None else self._loop.history

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the last training."""
        return self._loop is not None and self._loop.progress.interrupted

    @property
    def _objective(self) -> Objective:
        return Objective(self.model, self.loss, self.metrics)

    def _batch_size(self, batch_size: Any) -> int:
        """Checked: every rank has at least a sequence of each full batch."""
        size = self.team.size
        if _check.positive_int(batch_size, "batch_size") < size:
            raise ValueError(f"batch_size: expected at least {size}, one sequence for each rank, got {batch_size}")
        return int(batch_size)

    def _held_out(self, validation: Any) -> Source | None:
        """The validation data of `fit_batches`: arrays, or batches."""
        if isinstance(validation, tuple | list) and len(validation) in (2, 3) and not isinstance(validation[0], tuple):
            return self._batches(self._data(*parts_of(validation, "lengths")), 256)
        return None if validation is None else Feed(self.model, self.loss, validation, name="validation")

    def _data(
        self, x: Any, y: Any, lengths: Any = None, weight: Any = None, class_weight: Any = None, mask: Any = None
    ) -> Batch:
        """All of the data, checked and converted."""
        return as_data(self.model, self.loss, x, y, lengths, weight, class_weight, mask=mask)

    def _batches(
        self, data: Batch, batch_size: int, *, order: int | None = None, bucket: bool = False, seed: int | None = None
    ) -> Batches:
        """The data in mini-batches. `order` is the seed of their order, and `seed` that of everything else.

        A batch is cut to its longest sequence if the model takes any T, and its output has T steps or no time axis.
        """
        shape = self.model.output_shape
        trim = self.model.input_shape[1] == "T" and (len(shape) == 2 or shape[1] == "T")
        per_step = not isinstance(self.loss, Loss) or self.loss.per_step_target
        return Batches(data, batch_size, seed=order, bucket=bucket, trim=trim, per_step=per_step)

    def _seed_of_fit(self, seed: int | None, state: State | None) -> int:
        """The given seed, that of the interrupted training, or one made from the number of earlier trainings."""
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
        ranks: Ranks,
        progress: bool | None,
        *,
        carry: bool = False,
        **passed: Any,
    ) -> History:
        tapes = (
            ranks.tapes(self.model, seed, carry=carry, precision=self.precision),
            ranks.tapes(self.model, carry=carry),
        )
        callbacks = [*self.callbacks, *run.callbacks(self.callbacks)]
        if progress is not False:
            callbacks.append(ProgressBar(always=progress is True))
        team = {"pieces": ranks.pieces, "wire": self.team.wire, "average_every": self.team.average_every}
        passed |= {"precision": self.precision, **team}
        limits = Limits(self.clip_norm, self.clip_value, self.accumulate)
        loop = Loop(
            *(self._objective, self.optimizer, limits, callbacks, batches, held_out, tapes, ranks, epochs, seed),
            passed,
        )
        self._loop = loop
        with run.alone(callbacks):
            loop.run(run.state)
        if loop.progress.interrupted and not loop.progress.told and not ranks.rank:
            print(run.word(loop.progress, callbacks), file=sys.stderr)
        return loop.history


def parts_of(validation: Any, third: str) -> tuple[Any, Any, Any]:
    """x, y and the third part of `validation`, which is None if it is not given."""
    if not isinstance(validation, tuple | list) or len(validation) not in (2, 3):
        raise TypeError(f"validation: expected (x, y) or (x, y, {third}), got {type(validation).__name__}")
    return validation[0], validation[1], validation[2] if len(validation) == 3 else None
