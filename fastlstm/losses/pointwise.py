"""Losses of one number, or one class, at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm._kernels import losses as kernels
from fastlstm.losses.base import Loss, inside

Array = NDArray[Any]


class ProbabilityLoss(Loss):
    """A loss whose targets are probabilities."""

    def as_target(self, target: Any, shape: tuple[int, ...], seen: Array, dtype: Any, name: str = "target") -> Array:
        array = super().as_target(target, shape, seen, dtype, name)
        inside(array, seen[..., None], 0, 1, name)
        return array


class ClassLoss(Loss):
    """A loss of scores, one for each class, whose targets are whole numbers."""

    def as_target(self, target: Any, shape: tuple[int, ...], seen: Array, dtype: Any, name: str = "target") -> Array:
        array = _check.as_numbers(target, name, "iu", "whole numbers")
        _check.shape_of(array, name, shape[:-1])
        inside(array, seen, 0, shape[-1] - 1, name)
        return np.ascontiguousarray(np.where(seen, array, 0), np.intp)


class FocalLoss(ClassLoss):
    """The focal loss, whose gamma may be 0."""

    def as_option(self, key: str, value: Any) -> float:
        return _check.number(value, key, 0)


mse = Loss(kernels.mse, "Squared error, (p - t)².")
mae = Loss(kernels.mae, "Absolute error, |p - t|.")
huber = Loss(
    kernels.huber,
    "Squared near zero, absolute beyond delta: d²/2 where |d| <= delta, delta·(|d| - delta/2) elsewhere (Huber 1964).",
    delta=1.0,
)
softmax_cross_entropy = ClassLoss(
    kernels.softmax_cross_entropy, "-log softmax(p)[t] in nats, for scores p and a whole number t."
)
focal = FocalLoss(
    kernels.focal,
    "-(1 - P)^gamma log P in nats, P = softmax(p)[t], for scores p and a whole number t: what is right already counts "
    "less (Lin et al. 2017). The option gamma is 2; with 0 it is `softmax_cross_entropy`. The paper's alpha, a weight "
    "for each class, is given as the weights of the steps.",
    gamma=2.0,
)
sigmoid_cross_entropy = ProbabilityLoss(
    kernels.sigmoid_cross_entropy,
    "-t log s(p) - (1 - t) log(1 - s(p)) in nats, s the logistic function, for scores p and t from 0 to 1.",
)
