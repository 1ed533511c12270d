"""Training on one long sequence, by truncated back-propagation through time."""

from __future__ import annotations

from typing import Any

from fastlstm import _check
from fastlstm.training.checked import parts_of
from fastlstm.training.history import History
from fastlstm.training.resume import PathLike, Run
from fastlstm.training.sequence import as_windows
from fastlstm.training.session import Session


class Truncated(Session):
    """The part of a `Trainer` that trains and evaluates on one long sequence, window by window."""

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
