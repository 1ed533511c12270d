"""How far two sequences of labels are from each other."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.metrics.base import Measure

Array = NDArray[Any]


def edit_distance(a: Iterable[Hashable], b: Iterable[Hashable]) -> int:
    """Least number of insertions, deletions and replacements that make one sequence of the other (Levenshtein 1966).

    Parameters
    ----------
    a, b : strings, lists or arrays
        Of letters, words, whole numbers: of anything that can be compared and hashed.

    Examples
    --------
    >>> from fastlstm.metrics import edit_distance
    >>> edit_distance("kitten", "sitting"), edit_distance("to be or not".split(), "to be not".split())
    (3, 1)
    """
    codes: dict[Hashable, int] = {}
    first, second = (
        np.array([codes.setdefault(item, len(codes)) for item in _items(part)], np.intp) for part in (a, b)
    )
    ramp = np.arange(len(second) + 1)
    row = ramp.copy()  # row[j]: distance from the part of `first` seen so far to the first j of `second`
    for i, item in enumerate(first, start=1):
        best = np.minimum(row[:-1] + (second != item), row[1:] + 1)
        row = np.concatenate(([i], best))
        row = np.minimum.accumulate(row - ramp) + ramp  # insertions: row[j] = min over k <= j of row[k] + j - k
    return int(row[-1])


def error_rate(pairs: Iterable[tuple[Iterable[Hashable], Iterable[Hashable]]]) -> float:
    """Edit distances of all pairs (told, truth), divided by the lengths of all truths together.

    Over words it is the word error rate, over letters the character error rate, over labels the label error rate
    (Graves et al. 2006). It may be above 1.

    Raises
    ------
    ValueError
        If the truths have no item at all.

    Examples
    --------
    >>> from fastlstm.metrics import error_rate
    >>> error_rate([("kitten", "sitting"), ("abc", "abc")])
    0.3
    """
    distance = length = 0
    for told, truth in pairs:
        truth = list(_items(truth))
        distance, length = distance + edit_distance(told, truth), length + len(truth)
    if not length:
        raise ValueError("pairs: expected at least one true item, got none")
    return distance / length


def label_error_rate(blank: int | None = None) -> Measure:
    """Edit distances between told and true labels, divided by the number of true ones; by name ``"label_error_rate"``.

    The label with the highest score of each step is told; steps of weight 0 are left out. A sequence counts the mean
    weight of its steps.

    Parameters
    ----------
    blank : int, optional
        Of connectionist temporal classification (Graves et al. 2006): runs of the same label are told once, and blanks
        not at all. The targets are then (N, L) for any L, filled up with blanks or negative numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm import metrics
    >>> scores = np.eye(3)[[[1, 1, 0, 1, 2, 2]]]
    >>> metrics.label_error_rate(blank=0)(scores, np.array([[1, 1, 2]]))
    0.0
    """
    return LabelErrorRate(blank)


class LabelErrorRate(Measure):
    """See `label_error_rate`."""

    name = "label_error_rate"

    def __init__(self, blank: int | None = None) -> None:
        self._blank = _check.seed_of(blank, "blank")
        self.start()

    def start(self) -> None:
        self._sums = np.zeros(2)

    def update(self, pred: Array, target: Array, weights: Array) -> None:
        _check.shape_of(pred, "pred", ("N", "T", "C"))
        _check.shape_of(target, "target", pred.shape[:2] if self._blank is None else (len(pred), "L"))
        for best, labels, weight in zip(pred.argmax(-1), target, weights, strict=True):
            seen = weight > 0
            if not seen.any():
                continue
            told, truth = best[seen], labels[seen] if self._blank is None else labels[labels != self._blank]
            if self._blank is not None:
                told = told[np.append(True, told[1:] != told[:-1])]
                told = told[told != self._blank]
            truth = truth[truth >= 0]
            self._sums += float(weight[seen].mean()) * np.array([edit_distance(told, truth), len(truth)])

    def value(self) -> float:
        distance, length = self._sums.tolist()
        return distance / length if length else math.nan

    def state(self) -> dict[str, Array]:
        return {"sums": self._sums.copy()}

    def restore(self, state: Mapping[str, Array]) -> None:
        self._sums = np.array(state["sums"], np.float64)


def _items(sequence: Any) -> Any:
    return sequence.tolist() if isinstance(sequence, np.ndarray) else sequence
