"""The trainer: it trains a model on arrays, on mini-batches from outside, or on one long sequence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fastlstm import _check, losses, optim
from fastlstm.callbacks import Callback
from fastlstm.communicator import Communicator
from fastlstm.hints import hinted, of_model, told
from fastlstm.masking import padded
from fastlstm.model import Model
from fastlstm.optim import Optimizer
from fastlstm.training.checked import parts_of, split_last
from fastlstm.training.feed import Feed
from fastlstm.training.history import History as History
from fastlstm.training.loop import Loop
from fastlstm.training.resume import PathLike, Run
from fastlstm.training.team import Team
from fastlstm.training.truncated import Truncated


@told
class Trainer(Truncated):
    """Trains a model by back-propagation through time.

    Parameters
    ----------
    model : Model
    loss : Loss, its name, or a function
        A function takes (pred, target, weight), and returns the loss and its gradient with respect to pred. If the
        model has an output at each step, all three end at the longest sequence of the batch (target only if it has T
        steps).
    optimizer : Optimizer or its name, optional
        By default ``Adam()``. A name such as "sgd", or a class, is that optimizer with its defaults.
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

    @hinted
    def __init__(
        self,
        model: Model,
        loss: Any,
        optimizer: Optimizer | type[Optimizer] | str | None = None,
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
            raise TypeError(f"model: expected a Model, got {type(model).__name__}{of_model(model)}")
        self.model = model
        self.loss = losses.get(loss)
        self.optimizer = optim.get("Adam" if optimizer is None else optimizer)
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
            self._objective.figures()._require_mergeable()
        self._loop: Loop | None = None
        self._fits = 0

    @hinted
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
        validation_split: float | None = None,
    ) -> History:
        """Train for some epochs.

        Ctrl-C ends the training after the current step. The model keeps what it has learned; see `interrupted`.

        Parameters
        ----------
        x : (N, T, F) numbers, or (N, T) tokens
            A file (`numpy.memmap`) and a view with overlapping windows are read one mini-batch at a time. A list of
            sequences of different lengths, (T, F) or (T,), has its own lengths.
        y : array
            Targets in the shape of the model's output; the last axis may lack if it is 1. For `softmax_cross_entropy`:
            whole numbers, no last axis. Targets of each step of a list of sequences may be a list, too.
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
            Weight of each sequence or step in the loss and the metrics; by default 1. One below the smallest normal
            number of the model's dtype, 1.2e-38 of float32, is 0.
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
            Whether a progress bar is shown; by default only on a terminal and in a notebook.
        resume : path, optional
            A folder for the state of the training. If it holds a state, the training continues from there, and ends at
            the same bits as without the interruption. Make the same call again to resume a training, or one with more
            epochs to continue a finished training. The state is written once a minute and at the end; a `Checkpoint` of
            this folder among the callbacks sets another interval.
        mask : (N, T) bools, or ints 0 and 1, optional
            Which steps are real, instead of lengths: a step that is not keeps the state, and counts for nothing. The
            real steps of each sequence are moved to its front before the training, so that holes cost no time in it.
        validation_split : float, optional
            Share of the sequences, above 0 and below 1, that are not trained on but evaluated after each epoch, instead
            of validation. It is the last one in the given order, as in Keras: shuffle sorted data first.

        Returns
        -------
        History

        Raises
        ------
        TypeError
            If an argument is of the wrong type, or a loss or a metric that is a function returns something else than
            it must.
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
                if bucket and lengths is None and mask is None and padded(x)[1] is None:
                    raise ValueError("bucket: expected lengths with bucket=True, got none")
                held_out = None
                if validation is not None:
                    held_out = self._batches(self._data(*parts_of(validation, "lengths")), batch_size)
                if validation_split is not None:
                    if held_out is not None:
                        raise ValueError("validation_split: expected either this or validation, got both")
                    every = (x, y, lengths, sample_weight, None, mask)
                    (x, y, lengths, sample_weight, _, mask), last = split_last(validation_split, *every)
                    held_out = self._batches(self._data(*last), batch_size)
                data = self._data(x, y, lengths, sample_weight, class_weight, mask)
            run = Run(resume, ranks)
            seed = self._seed_of_fit(seed, run.state)
            batches = self._batches(data, batch_size, order=seed if shuffle else None, bucket=bucket, seed=seed)
            passed = {"batch_size": batch_size, "shuffle": shuffle, "bucket": bucket, "class_weight": class_weight}
            return self._fit(epochs, batches, held_out, seed, run, ranks, progress, **passed)

    @hinted
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

    @hinted
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
