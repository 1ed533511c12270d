"""How well classes, labels and the next token are told."""

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

    Where the target holds whole numbers of pred's shape without its last axis, the class of the highest score counts;
    where it has pred's own shape, each score by its sign: above 0 means 1.
    """
    weights = step_weights(pred, weights)
    if target.shape == pred.shape:
        right = ((pred > 0) == (target > 0.5)).mean(-1)
    else:
        _check.shape_of(target, "target", pred.shape[:-1])
        right = pred.argmax(-1) == target
    return float(np.average(right, weights=weights))


def top_k(k: int) -> Measure:
    """Share of steps whose class is among the k highest scores; by name ``"top_5"``. Of equal scores the first counts.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm import metrics
    >>> metrics.top_k(2)(np.array([[0.1, 0.9, 0.5], [0.1, 0.9, 0.5]]), np.array([2, 0]))
    0.5
    """
    k = _check.positive_int(k, "k")

    def share(pred: Array, target: Array, weights: Array | None = None) -> float:
        scores, labels, counts = labelled(pred, target, step_weights(pred, weights))
        own = np.take_along_axis(scores, labels[:, None], -1)
        ahead = (scores > own) | ((scores == own) & (np.arange(scores.shape[-1]) < labels[:, None]))
        return float(np.average(ahead.sum(-1) < k, weights=counts))

    return Mean(share, f"top_{k}")


def cross_entropy(pred: Array, target: Array, weights: Array | None = None) -> float:
    """Mean of -log softmax(p)[t], in nats."""
    scores, labels, counts = labelled(pred, target, step_weights(pred, weights))
    shifted = scores.astype(np.float64) - scores.max(-1, keepdims=True)
    own = np.take_along_axis(shifted, labels[:, None], -1)[:, 0]
    return float(np.average(np.log(np.exp(shifted).sum(-1)) - own, weights=counts))


def _exp(value: float) -> float:
    return math.exp(value) if value < 709 else math.inf


perplexity: Measure = Mean(cross_entropy, "perplexity", _exp)
bits_per_character: Measure = Mean(cross_entropy, "bits_per_character", lambda nats: nats / math.log(2))


def f1(average: str = "macro") -> Measure:
    """F1 score, the harmonic mean of precision and recall, computed by scikit-learn from counts of all batches.

    Targets that are whole numbers of pred's shape without its last axis are classes, told by the highest score. Targets
    of pred's own shape are labels, 0 or 1, each told by the sign of its score.

    Parameters
    ----------
    average : "macro", "micro" or "binary"
        The mean over the classes or labels; the score of all answers taken together; that of class 1 of two, or of a
        single label. By name ``"f1"``, ``"f1_micro"``, ``"f1_binary"``.

    Raises
    ------
    ImportError
        Where it is first used, if scikit-learn is not installed.
    """
    return F1(average)


class F1(Measure):
    """See `f1`. Keeps the weight of every pair of true and told: of C classes (C, C), of K labels (K, 2, 2)."""

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

    def _of(self, counts: Array, average: str) -> float:
        truth, told = np.nonzero(counts)
        score = _sklearn(self.name).f1_score
        return float(score(truth, told, sample_weight=counts[truth, told], average=average, zero_division=0.0))


class AUC(Measure):
    """Area under the ROC curve, by scikit-learn, from the scores of all steps, which it keeps.

    Targets of pred's own shape are labels, 0 or 1, and the area is the mean over the labels. Whole numbers of pred's
    shape without its last axis are classes: of two the area is that of class 1, of more it is the mean over the
    classes, each against the rest, by its probability. Labels and classes without both answers are left out of the
    mean; NaN if all are. By name ``"auc"``.

    Raises
    ------
    ImportError
        Where it is first used, if scikit-learn is not installed.
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


auc: Measure = AUC()


def labelled(pred: Array, target: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Scores (n, C), labels (n,) and weights (n,) of the steps that count, whatever stands in the others."""
    _check.shape_of(target, "target", pred.shape[:-1])
    seen = weights > 0
    labels = _check.as_numbers(target, "target", "iu", "whole numbers")[seen]
    outside = labels[(labels < 0) | (labels >= pred.shape[-1])]
    if len(outside):
        raise ValueError(f"target: expected 0 to {pred.shape[-1] - 1}, got {outside[0]}")
    return pred[seen], labels.astype(np.intp, copy=False), weights[seen]


def _pairs(truth: Array, told: Array, weights: Array, classes: int) -> Array:
    """(C, C): the weight of every pair of a true class and a told one."""
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
