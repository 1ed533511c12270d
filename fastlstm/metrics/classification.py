"""How well classes, labels and the next token are predicted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.metrics.base import Mean, Measure, step_weights

Array = NDArray[Any]


def accuracy(pred: Array, target: Array, weights: Array | None = None) -> float:
    """Share of right answers.

    Parameters
    ----------
    pred : (N, F) or (N, T, F)
        Scores.
    target : (N,) or (N, T) whole numbers, or array of pred's shape
        Either the class of each step, which is predicted by the highest score; or labels, 0 or 1, each of which is
        predicted by the sign of its score: above 0 means 1.
    weights : (N,) or (N, T), optional
        What each sequence or step counts, from 0; by default 1.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If a shape does not fit.
    ZeroDivisionError
        If no weight is above 0.
    """
    weights, target = step_weights(pred, weights), np.asarray(target)
    if target.shape == pred.shape:
        right = ((pred > 0) == (target > 0.5)).mean(-1)
    else:
        _check.shape_of(target, "target", pred.shape[:-1])
        right = pred.argmax(-1) == target
    return float(np.average(right, weights=weights))


def top_k(k: int) -> Measure:
    """Share of steps whose class is among the k highest scores. Its name is such as ``"top_5"``.

    Of equal scores the first counts as the highest.

    Parameters
    ----------
    k : int
        From 1.

    Returns
    -------
    Measure
        Takes scores (N, C) or (N, T, C) and the numbers of the classes, (N,) or (N, T).

    Raises
    ------
    TypeError
        If k is not a whole number; from the measure, if the targets are not.
    ValueError
        If k is below 1; from the measure, if a shape does not fit or a target is no class.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm import metrics
    >>> metrics.top_k(2)(np.array([[0.1, 0.9, 0.5], [0.1, 0.9, 0.5]]), np.array([2, 0]))
    0.5
    """
    k = _check.positive_int(k, "k")

    def share(pred: Array, target: Array, weights: Array | None = None) -> float:
        """Share of steps whose class is among the k highest scores."""
        scores, labels, counts = labelled(pred, target, step_weights(pred, weights))
        own = np.take_along_axis(scores, labels[:, None], -1)
        ahead = (scores > own) | ((scores == own) & (np.arange(scores.shape[-1]) < labels[:, None]))
        return float(np.average(ahead.sum(-1) < k, weights=counts))

    return Mean(share, f"top_{k}")


def cross_entropy(pred: Array, target: Array, weights: Array | None = None) -> float:
    """Mean of -log softmax(p)[t], in nats.

    Parameters
    ----------
    pred : (N, C) or (N, T, C)
        Scores p.
    target : (N,) or (N, T) whole numbers
        Classes t from 0 to C - 1.
    weights : (N,) or (N, T), optional
        What each sequence or step counts, from 0; by default 1.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        If the targets are not whole numbers.
    ValueError
        If a shape does not fit, or a target that counts is no class.
    ZeroDivisionError
        If no weight is above 0.
    """
    scores, labels, counts = labelled(pred, target, step_weights(pred, weights))
    shifted = scores.astype(np.float64) - scores.max(-1, keepdims=True)
    own = np.take_along_axis(shifted, labels[:, None], -1)[:, 0]
    return float(np.average(np.log(np.exp(shifted).sum(-1)) - own, weights=counts))


def _exp(value: float) -> float:
    return math.exp(value) if value < 709 else math.inf


NEXT_TOKEN = """

Parameters
----------
pred : (N, C) or (N, T, C)
    Scores p.
target : (N,) or (N, T) whole numbers
    Classes t from 0 to C - 1.
weights : (N,) or (N, T), optional
    What each sequence or step counts, from 0; by default 1.

Returns
-------
float
    NaN if no weight is above 0.

Raises
------
TypeError
    If the targets are not whole numbers.
ValueError
    If a shape does not fit, or a target that counts is no class.
"""

perplexity: Measure = Mean(
    cross_entropy, "perplexity", _exp, "Exponential of the mean of -log softmax(p)[t] in nats." + NEXT_TOKEN
)
bits_per_character: Measure = Mean(
    cross_entropy,
    "bits_per_character",
    lambda nats: nats / math.log(2),
    "Mean of -log2 softmax(p)[t], in bits a step." + NEXT_TOKEN,
)


def f1(average: str = "macro") -> Measure:
    """F1 score, the harmonic mean of precision and recall, computed by scikit-learn from counts of all batches.

    Targets of pred's shape without its last axis are classes, which are predicted by the highest score. Targets of
    pred's own shape are labels, 0 or 1, each of which is predicted by the sign of its score.

    Parameters
    ----------
    average : "macro", "micro" or "binary", default "macro"
        "macro" is the mean over the classes or labels, "micro" the score of all answers taken together, "binary" the
        score of class 1 of two, or of a single label. The names are ``"f1"``, ``"f1_micro"`` and ``"f1_binary"``.

    Returns
    -------
    Measure

    Raises
    ------
    TypeError
        From the measure, if the targets are classes but not whole numbers.
    ValueError
        If average is none of the three; from the measure, if a shape does not fit, or "binary" gets more than two
        classes or one label.
    ImportError
        From the measure, if scikit-learn is not installed.
    """
    return F1(average)


class F1(Measure):
    """See `f1`. It keeps the weight of every pair of true and predicted class: (C, C), or (K, 2, 2) for K labels."""

    def __init__(self, average: str) -> None:
        if average not in ("macro", "micro", "binary"):
            raise ValueError(f"average: expected 'macro', 'micro' or 'binary', got {average!r}")
        self.name = "f1" if average == "macro" else f"f1_{average}"
        self._average = average
        self._counts = np.zeros((0, 0))

    def start(self) -> None:
        _sklearn(self.name)
        self._counts = np.zeros((0, 0))

    def update(self, pred: Array, target: Array, weights: Array) -> None:
        if self._average == "binary" and pred.shape[-1] != (1 if target.shape == pred.shape else 2):
            raise ValueError(f"pred: expected two classes or one label for the binary F1, got shape {pred.shape}")
        if target.shape == pred.shape:
            seen = weights > 0
            truth, told, of = (target[seen] > 0.5).astype(int), (pred[seen] > 0).astype(int), weights[seen]
            counts = np.stack([_pairs(t, p, of, 2) for t, p in zip(truth.T, told.T, strict=True)])
        else:
            scores, labels, of = labelled(pred, target, weights)
            counts = _pairs(labels, scores.argmax(-1), of, pred.shape[-1])
        self._counts = self._counts + counts if self._counts.size else counts

    def value(self) -> float:
        if not self._counts.any():
            return math.nan
        if self._counts.ndim == 2:
            return self._of(self._counts, self._average)
        if self._average == "macro":
            return float(np.mean([self._of(counts, "binary") for counts in self._counts]))
        return self._of(self._counts.sum(0), "binary")

    def state(self) -> dict[str, Array]:
        return {"counts": self._counts.copy()}

    def restore(self, state: Mapping[str, Array]) -> None:
        self._counts = np.array(state["counts"])

    def merge(self, state: Mapping[str, Array]) -> None:
        if state["counts"].size:
            self._counts = self._counts + state["counts"] if self._counts.size else np.array(state["counts"])

    def _of(self, counts: Array, average: str) -> float:
        truth, told = np.nonzero(counts)
        score = _sklearn(self.name).f1_score
        return float(score(truth, told, sample_weight=counts[truth, told], average=average, zero_division=0.0))


class AUC(Measure):
    """Area under the ROC curve, computed by scikit-learn from the scores of all steps, which are kept.

    The result for labels is the mean of their areas. For two classes it is the area of class 1, for more classes the
    mean over them, each against the rest, by its probability. Labels and classes without both answers are left out of
    the mean. The name is ``"auc"``.

    Parameters
    ----------
    pred : (N, F) or (N, T, F)
        Scores.
    target : (N,) or (N, T) whole numbers, or array of pred's shape
        Either the class of each step; or labels, 0 or 1.
    weights : (N,) or (N, T), optional
        What each sequence or step counts, from 0; by default 1.

    Returns
    -------
    float
        NaN if all labels or classes are left out.

    Raises
    ------
    TypeError
        If the targets are classes but not whole numbers.
    ValueError
        If a shape does not fit, or a target is no class.
    ImportError
        If scikit-learn is not installed.
    """

    name = "auc"

    def __init__(self) -> None:
        self._kept: dict[str, list[Array]] = {}

    def start(self) -> None:
        _sklearn(self.name)
        self._kept = {"scores": [], "truth": [], "weights": []}

    def update(self, pred: Array, target: Array, weights: Array) -> None:
        if target.shape == pred.shape:
            seen = weights > 0
            scores, truth, weights = pred[seen], target[seen] > 0.5, weights[seen]
        else:
            scores, labels, weights = labelled(pred, target, weights)
            if scores.shape[-1] == 2:
                scores, truth = scores[:, 1:] - scores[:, :1], labels[:, None] == 1
            else:
                scores, truth = _softmax(scores), labels[:, None] == np.arange(scores.shape[-1])
        for name, part in (("scores", scores), ("truth", truth), ("weights", weights)):
            self._kept[name].append(part.copy())

    def value(self) -> float:
        scores, truth, weights = self.state().values()
        area = _sklearn(self.name).roc_auc_score
        both = np.flatnonzero(truth.any(0) & ~truth.all(0)) if len(truth) else ()
        areas = [area(truth[:, k], scores[:, k], sample_weight=weights) for k in both]
        return float(np.mean(areas)) if areas else math.nan

    def state(self) -> dict[str, Array]:
        return {name: np.concatenate(parts) if parts else np.empty(0) for name, parts in self._kept.items()}

    def restore(self, state: Mapping[str, Array]) -> None:
        self._kept = {name: [state[name].copy()] if len(state[name]) else [] for name in self._kept}

    def merge(self, state: Mapping[str, Array]) -> None:
        for name, parts in self._kept.items():
            parts.extend([state[name]] if len(state[name]) else [])


auc: Measure = AUC()


def labelled(pred: Array, target: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Scores (n, C), labels (n,) and weights (n,) of the n steps that count; the other steps may hold anything."""
    _check.shape_of(target, "target", pred.shape[:-1])
    seen = weights > 0
    labels = _check.as_numbers(target, "target", "iu", "whole numbers")[seen]
    outside = labels[(labels < 0) | (labels >= pred.shape[-1])]
    if len(outside):
        raise ValueError(f"target: expected 0 to {pred.shape[-1] - 1}, got {outside[0]}")
    return pred[seen], labels.astype(np.intp, copy=False), weights[seen]


def _pairs(truth: Array, told: Array, weights: Array, classes: int) -> Array:
    """The weight of every pair of a true class and a predicted one, (C, C)."""
    return np.bincount(truth * classes + told, weights, classes * classes).reshape(classes, classes)


def _softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    probabilities: Array = powers / powers.sum(-1, keepdims=True)
    return probabilities


def _sklearn(name: str) -> Any:
    try:
        from sklearn import metrics
    except ImportError:
        raise ImportError(f"the metric {name} needs scikit-learn: pip install 'fastlstm[sklearn]'") from None
    return metrics
