"""Gathers the metrics of a training."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.metrics.base import Mean, Measure, step_weights
from fastlstm.metrics.names import get

Array = NDArray[Any]


class Accumulator:
    """Gathers metrics over the batches of an epoch, or of an evaluation.

    Parameters
    ----------
    metrics : names, functions or Measures, default ()
        A function returns the mean over the steps of a batch. It counts as much as the weights of these steps.
    figures : names, default ()
        Means that are computed elsewhere, such as the loss; see `count`.

    Raises
    ------
    TypeError
        If a metric is neither a name nor a function nor a Measure.
    ValueError
        If there is no metric of a name, or two have the same name.
    ImportError
        If a metric needs a library that is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.metrics import Accumulator
    >>> gathered = Accumulator(["rmse"], figures=["loss"])
    >>> for error in (3.0, 4.0):
    ...     gathered.count("loss", 2 * error, 2)
    ...     gathered.add(np.full((1, 1), error), np.zeros((1, 1)), np.ones(1))
    >>> gathered.means()
    {'loss': 3.5, 'rmse': 3.5355339059327378}
    """

    def __init__(self, metrics: Iterable[Any] = (), figures: Sequence[str] = ()) -> None:
        self._figures = {name: (0.0, 0.0) for name in figures}  # the sums of totals and of weights
        self._measures: dict[str, Measure] = {}
        for metric in metrics:
            name, found = get(metric)
            if name in self._measures or name in self._figures:
                raise ValueError(f"metrics: expected names of their own, got {name!r} twice")
            self._measures[name] = copy.deepcopy(found) if isinstance(found, Measure) else Mean(found)
            self._measures[name].start()

    def add(self, pred: Array, target: Array, weights: Array | None = None) -> None:
        """Add a batch to all metrics.

        Parameters
        ----------
        pred : (N, F) or (N, T, F)
            What the model gives.
        target : array
        weights : (N,) or (N, T), optional
            What each sequence or step counts, from 0; by default 1.

        Raises
        ------
        TypeError
            If a metric that is a function returns no number.
        ValueError
            If a shape does not fit.
        """
        weights = step_weights(pred, weights)
        if weights.any():
            for measure in self._measures.values():
                measure.update(pred, target, weights)

    def count(self, figure: str, total: float, of: float) -> None:
        """Add to the sum of one of the figures.

        Parameters
        ----------
        figure : str
            One of the `figures` of the constructor.
        total : float
            What is added to its sum.
        of : float
            What is added to the weight by which the sum is divided at the end.

        Raises
        ------
        KeyError
            If there is no such figure.
        """
        sums = self._figures[figure]
        self._figures[figure] = (sums[0] + total, sums[1] + of)

    def means(self) -> dict[str, float]:
        """All figures and metrics by name; NaN where nothing has counted.

        Raises
        ------
        TypeError
            If the value of a `Measure` is no number.
        """
        ready = {name: total / of if of else math.nan for name, (total, of) in self._figures.items()}
        found = {name: _check.scalar(measure.value(), f"metric {name}") for name, measure in self._measures.items()}
        return {**ready, **found}

    @property
    def measured(self) -> bool:
        """Whether there are metrics beside the figures."""
        return bool(self._measures)

    def merged(self, states: Sequence[Mapping[str, Array]]) -> Accumulator:
        """The metrics of parts that were gathered apart, with the figures of this accumulator.

        Parameters
        ----------
        states : list of dicts of arrays
            From the `state` of each part's accumulator, in order, this one's included.

        Returns
        -------
        Accumulator

        Raises
        ------
        NotImplementedError
            If a metric cannot be merged.
        """
        found = copy.deepcopy(self)
        for name, measure in found._measures.items():
            measure.start()
            for state in states:
                measure.merge({key: state[f"{name}.{key}"] for key in measure.state()})
        return found

    def _require_mergeable(self) -> None:
        """Refuse metrics that cannot be put together from parts.

        Raises
        ------
        TypeError
            If the class of a metric has not written `Measure.merge`.
        """
        for name, measure in self._measures.items():
            if type(measure).merge is Measure.merge:
                raise TypeError(
                    f"metrics: expected metrics with a method merge, for several ranks, got {name!r} without"
                )

    def _forget_metrics(self) -> None:
        """Start all metrics anew, and leave the figures."""
        for measure in self._measures.values():
            measure.start()

    def state(self) -> dict[str, Array]:
        """What `restore` needs to go on from here: arrays by names such as ``"rmse.sums"``."""
        ready = {f"{name}.sums": np.array(sums) for name, sums in self._figures.items()}
        return ready | {
            f"{name}.{k}": v for name, measure in self._measures.items() for k, v in measure.state().items()
        }

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go on from the arrays that `state` has returned.

        Parameters
        ----------
        state : dict of arrays
            From an Accumulator of the same metrics and figures.

        Raises
        ------
        ValueError
            If an array is missing.
        """
        missing = sorted(self.state().keys() - state.keys())
        if missing:
            raise ValueError(f"state: expected {missing[0]!r} among its keys, got {sorted(state)}")
        self._figures = {name: tuple(np.array(state[f"{name}.sums"], np.float64).tolist()) for name in self._figures}
        for name, measure in self._measures.items():
            measure.restore({key: state[f"{name}.{key}"] for key in measure.state()})
