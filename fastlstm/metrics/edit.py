"""The distance between sequences of labels."""

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
    """Least number of insertions, deletions and replacements that turn one sequence into another (Levenshtein 1966).

    Parameters
    ----------
    a, b : strings, lists or arrays
        Sequences of letters, words, whole numbers, or anything else that can be compared and hashed.

    Returns
    -------
    int

    Raises
    ------
    TypeError
        If an argument is no sequence, or an item cannot be hashed.

    Examples
    --------
    >>> from fastlstm.metrics import edit_distance
    >>> edit_distance("kitten", "sitting"), edit_distance("to be or not".split(), "to be not".split())
    (3, 1)
    """
    codes: dict[Hashable, int] = {}
    first, second = (
        np.array([codes.setdefault(item, len(codes)) for item in _items(part, name)], np.intp)
        for part, name in ((a, "a"), (b, "b"))
    )
    ramp = np.arange(len(second) + 1)
    row = ramp.copy()  # row[j]: distance from the part of `first` seen so far to the first j of `second`
    for i, item in enumerate(first, start=1):
        best = np.minimum(row[:-1] + (second != item), row[1:] + 1)
        row = np.concatenate(([i], best))
        row = np.minimum.accumulate(row - ramp) + ramp  # insertions: row[j] = min over k <= j of row[k] + j - k
    return int(row[-1])


def error_rate(pairs: Iterable[tuple[Iterable[Hashable], Iterable[Hashable]]]) -> float:
    """Sum of the edit distances of all pairs, divided by the sum of the lengths of the true sequences.

    For words it is the word error rate, for letters the character error rate, for labels the label error rate (Graves
    et al. 2006). It may be above 1.

    Parameters
    ----------
    pairs : iterable of (predicted, true)
        Sequences as in `edit_distance`.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        As in `edit_distance`.
    ValueError
        If the true sequences have no item at all.

    Examples
    --------
    >>> from fastlstm.metrics import error_rate
    >>> error_rate([("kitten", "sitting"), ("abc", "abc")])
    0.3
    """
    distance = length = 0
    for told, truth in pairs:
        truth = list(_items(truth, "pairs"))
        distance, length = distance + edit_distance(told, truth), length + len(truth)
    if not length:
        raise ValueError("pairs: expected at least one true item, got none")
    return distance / length


def label_error_rate(blank: int | None = None) -> Measure:
    """Edit distances between predicted and true labels, divided by the number of true ones.

    The predicted label of a step is that with the highest score. Steps of weight 0 are left out; the weight of a
    sequence is the mean over its other steps. The name is ``"label_error_rate"``.

    Parameters
    ----------
    blank : int, optional
        The blank of connectionist temporal classification (Graves et al. 2006). With it, equal labels in a row count as
        one, and blanks are removed; the targets are (N, L) for any L, filled up with blanks or negative numbers. By
        default the targets are (N, T).

    Returns
    -------
    Measure
        Takes scores (N, T, C).

    Raises
    ------
    TypeError
        If blank is not a whole number.
    ValueError
        If blank is negative; from the measure, if a shape does not fit.

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

    def merge(self, state: Mapping[str, Array]) -> None:
        self._sums = self._sums + state["sums"]


def _items(sequence: Any, name: str) -> Any:
    if not isinstance(sequence, Iterable):
        raise TypeError(f"{name}: expected a sequence of labels, got {type(sequence).__name__}")
    if getattr(sequence, "ndim", 1) == 0:
        raise TypeError(f"{name}: expected a sequence of labels, got {type(sequence).__name__} of shape ()")
    return sequence.tolist() if isinstance(sequence, np.ndarray) else sequence
