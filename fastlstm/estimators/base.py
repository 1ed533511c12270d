"""What the estimators share: arguments, input, network and training."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from fastlstm import _check
from fastlstm.callbacks import Callback, EarlyStopping
from fastlstm.estimators.network import network
from fastlstm.estimators.running import Lines, generator, threads
from fastlstm.estimators.sequences import Scale, Sequences, as_sequences, is_sequences, of_table, refuse_series
from fastlstm.losses import softmax_cross_entropy
from fastlstm.model import Model
from fastlstm.optim import Adam
from fastlstm.schedules import Cosine
from fastlstm.training import History, Trainer

Array = NDArray[Any]


@dataclass(kw_only=True, eq=False, repr=False)
class SequenceEstimator(BaseEstimator):
    """Base of the estimators.

    Parameters
    ----------
    hidden_size : int, default 64
        Number of units of each recurrent layer and direction.
    num_layers : int, default 1
        Recurrent layers on top of each other.
    cell : "lstm", "gru", "rnn", "min_lstm" or "slstm", default "lstm"
        The recurrent cell.
    bidirectional : bool, default False
        Whether each layer also reads sequences from their ends.
    dropout : float, default 0
        Rate of dropout, while training, between layers and before the output.
    n_steps : int, optional
        What a table X (n, p) means. None: each row is a sequence of p steps of one feature. k: a sequence of k steps of
        p / k features, those of the first step first.
    scale : bool, default True
        Whether each feature (and each target of a regressor) is brought to mean 0 and deviation 1, by the numbers of
        the training data.
    max_iter : int, default 100
        Largest number of epochs.
    batch_size : int or "auto", default "auto"
        Number of sequences in a mini-batch. "auto" is a sixteenth of the sequences, from 8 to 64.
    learning_rate_init : float, default 0.005
        Learning rate of Adam at its peak.
    learning_rate : "cosine" or "constant", default "cosine"
        How the rate falls over max_iter epochs: by half a cosine, or not at all. In `partial_fit` it is constant.
    clip_norm : float or None, default 1.0
        Largest norm of the gradient.
    early_stopping : bool, default False
        Whether a part of the training data is set aside, and the training ends when the loss on it stops falling. If
        not, it ends when the loss of the training stops falling. The parameters of the best epoch are kept. In the
        part that is set aside all sequences count alike.
    validation_fraction : float, default 0.1
        The share that is set aside.
    n_iter_no_change : int, default 10
        Number of epochs without a new best after which the training ends.
    tol : float, default 1e-4
        By how much a new best must be better.
    warm_start : bool, default False
        Whether `fit` goes on from what the last one has learned.
    random_state : int, RandomState or None, default None
        Seed of starting values, order, dropout and the part that is set aside. The same int gives the same bits. None
        draws a new one.
    verbose : bool, default False
        Whether a line with the figures is printed after each epoch.
    n_threads : int, optional
        Largest number of threads while it trains and predicts; None leaves what `fastlstm.set_num_threads` has set.
        The number is that of the whole process for so long.
    callbacks : sequence of Callback, default ()
        What watches the training; see `fastlstm.callbacks`.
    """

    hidden_size: int = field(default=64, kw_only=False)
    num_layers: int = 1
    cell: str = "lstm"
    bidirectional: bool = False
    dropout: float = 0.0
    n_steps: int | None = None
    scale: bool = True
    max_iter: int = 100
    batch_size: int | str = "auto"
    learning_rate_init: float = 0.005
    learning_rate: str = "cosine"
    clip_norm: float | None = 1.0
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    tol: float = 1e-4
    warm_start: bool = False
    random_state: Any = None
    verbose: bool = False
    n_threads: int | None = None
    callbacks: Any = ()

    _metrics: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        shared = inspect.cleandoc(SequenceEstimator.__doc__ or "").partition("-\n")[2].strip()
        if cls.__doc__:  # there are no docstrings under python -OO, and from 3.13 on they are not indented
            cls.__doc__ = inspect.cleandoc(cls.__doc__).replace("**shared", shared, 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.non_deterministic = self.random_state is None
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """A fitted estimator as words and arrays: of the optimizer what its next step depends on."""
        state = dict(super().__getstate__())
        if "_optimizer" in state:
            state["_optimizer"] = state["_optimizer"].snapshot()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_optimizer" in state:
            self._optimizer = Adam()
            self._optimizer.restore(self.model_.parameters(), state["_optimizer"])

    def _sequences(self, X: Any, *, reset: bool) -> Sequences:
        """X, checked. With `reset`, what is found out about its features is kept."""
        table = not is_sequences(X, self.n_steps)
        if reset:
            self._of_table = table
        if table:
            found = self._of_table_checked(X, reset=reset)
        else:
            found = as_sequences(X)
            if reset:
                self.n_features_in_ = found.features
                self.__dict__.pop("feature_names_in_", None)
        if not reset and found.features != self.model_.input_shape[2]:
            expected, got = self.model_.input_shape[2], found.features
            raise ValueError(f"X: expected {expected} features at each step, as in fit, got {got}")
        return found

    def _of_table_checked(self, X: Any, *, reset: bool) -> Sequences:
        """A table as scikit-learn checks it, by the names of its columns, too, if `fit` got one."""
        refuse_series(X)
        checks: dict[str, Any] = {"dtype": [np.float64, np.float32]}
        known = reset or self._of_table
        array = validate_data(self, X, reset=reset, **checks) if known else check_array(X, **checks)
        return of_table(array, self.n_steps)

    def _fit(
        self, sequences: Sequences, target: Array, weight: Array | None, outputs: int, *, afresh: bool, once: bool
    ) -> Self:
        """Train on checked data: `once`, or for up to max_iter epochs."""
        if afresh:
            self._begin(sequences, weight, outputs)
        epochs = 1 if once else _check.positive_int(self.max_iter, "max_iter")
        rows, held = np.arange(len(sequences)), None
        if _check.flag(self.early_stopping, "early_stopping") and not once:
            rows, held = self._held_out(rows, target)
        trainer = self._trainer([] if once else self._usual_callbacks("loss" if held is None else "val_loss"))
        x = sequences if self.input_scale_ is None else self.input_scale_.apply(sequences)
        train, validation = x.take(rows), None
        if held is not None:
            validation = (x.x[held], target[held], *([] if x.lengths is None else [x.lengths[held]]))
        with threads(self.n_threads):
            history = trainer.fit(
                train.x,
                target[rows],
                epochs=epochs,
                batch_size=self._batch_size(len(rows)),
                validation=validation,
                lengths=train.lengths,
                sample_weight=None if weight is None else weight[rows],
                bucket=train.lengths is not None,
                seed=int(self._rng.integers(1 << 31)),
                progress=False,
            )
        return self._keep(history)

    def _begin(self, sequences: Sequences, weight: Array | None, outputs: int) -> None:
        """A new network and all that goes with it."""
        self._rng = generator(self.random_state)
        self.input_scale_ = Scale.of_steps(sequences, weight) if _check.flag(self.scale, "scale") else None
        layers = network(self, sequences.features, outputs)
        self.model_ = Model(layers, seed=int(self._rng.integers(1 << 31)))
        self._optimizer = Adam()
        self.history_ = History()
        self.__dict__.pop("n_iter_", None)  # which stands for a fit that has come to its end

    def _keep(self, history: History) -> Self:
        """Add the figures of a training to those of the trainings before it."""
        figures = self.history_.to_dict()
        for name, values in history.items():
            figures[name] = [*figures.get(name, []), *values]
        self.history_ = History.from_dict(figures)
        self.loss_curve_ = figures.get("loss", [])  # none after Ctrl-C in the first epoch
        self.n_iter_ = len(self.loss_curve_)
        return self

    def _trainer(self, usual: list[Callback]) -> Trainer:
        """What trains the network, with these callbacks and the user's."""
        self._optimizer.lr = _check.number(self.learning_rate_init, "learning_rate_init", 0, 1e30)
        users = _check.items(self.callbacks, "callbacks", "callbacks")
        return Trainer(
            self.model_,
            self._loss(),
            self._optimizer,
            clip_norm=self.clip_norm,
            metrics=self._metrics,
            callbacks=[*usual, *users, Lines(bool(self.verbose))],
        )

    def _usual_callbacks(self, watched: str) -> list[Callback]:
        """Those of `fit`: when it ends, by the figure of this name, and how the rate falls."""
        if self.learning_rate not in ("cosine", "constant"):
            raise ValueError(f"learning_rate: expected 'cosine' or 'constant', got {self.learning_rate!r:.80}")
        patience = _check.positive_int(self.n_iter_no_change, "n_iter_no_change")
        least = _check.number(self.tol, "tol", 0)
        stopping = EarlyStopping(patience, watched, least=least)
        return [stopping, Cosine()] if self.learning_rate == "cosine" else [stopping]

    def _batch_size(self, n: int) -> int:
        if isinstance(self.batch_size, str):
            if self.batch_size != "auto":
                raise ValueError(f"batch_size: expected a whole number or 'auto', got {self.batch_size!r:.80}")
            return min(64, max(8, n // 16))
        return _check.positive_int(self.batch_size, "batch_size")

    def _held_out(self, rows: Array, target: Array) -> tuple[Array, Array]:
        """Rows to learn from, and rows that are set aside."""
        share = _check.number(self.validation_fraction, "validation_fraction", 0, 1, open_high=True)
        if not share:
            raise ValueError("validation_fraction: expected above 0 with early_stopping=True, got 0")
        seed = int(self._rng.integers(1 << 31))
        kept, held = train_test_split(rows, test_size=share, random_state=seed, stratify=self._strata(target))
        return kept, held

    def _strata(self, target: Array) -> Array | None:
        """What is spread evenly over both parts."""
        return None

    def _loss(self) -> Any:
        """What is made small. Most learn classes."""
        return softmax_cross_entropy

    def _output(self, X: Any) -> tuple[Array, Sequences]:
        """What the network gives for X, in float64, and X."""
        check_is_fitted(self, "n_iter_")
        sequences = self._sequences(X, reset=False)
        x = sequences if self.input_scale_ is None else self.input_scale_.apply(sequences)
        with threads(self.n_threads):
            return self.model_.predict(x.x, lengths=x.lengths).astype(np.float64), sequences

    def _afresh(self, once: bool) -> bool:
        """Whether a training begins anew: if it does not go on, or there is nothing to go on with."""
        return not ((_check.flag(self.warm_start, "warm_start") or once) and hasattr(self, "n_iter_"))
