"""Losses of single numbers and single classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm._kernels import losses as kernels
from fastlstm.losses.base import Loss, described, inside

Array = NDArray[Any]


class ProbabilityLoss(Loss):
    """A loss whose targets are probabilities."""

    def _as_target(self, target: Any, shape: tuple[int, ...], seen: Array, dtype: Any, name: str = "target") -> Array:
        array = super()._as_target(target, shape, seen, dtype, name)
        inside(array, seen[..., None], 0, 1, name)
        return array


class ClassLoss(Loss):
    """A loss of scores, one for each class. The targets are the numbers of the classes."""

    def _as_target(self, target: Any, shape: tuple[int, ...], seen: Array, dtype: Any, name: str = "target") -> Array:
        array = _check.as_array(target, name)
        if array.shape == shape and array.ndim and shape[-1] > 1:
            raise ValueError(
                f"{name}: expected classes as whole numbers of shape {_check.describe(shape[:-1])}, got shape "
                f"{_check.describe(shape)}; of rows with a 1 each these are {name}.argmax(-1)"
            )
        if array.dtype.kind in "UTO":
            raise TypeError(
                f"{name}: expected classes as whole numbers, got dtype {array.dtype}; np.unique({name}, "
                "return_inverse=True) gives the classes and their numbers"
            )
        array = _check.as_numbers(array, name, "iu", "whole numbers")
        if array.shape == (*shape[:-1], 1):
            array = array[..., 0]
        _check.shape_of(array, name, shape[:-1])
        inside(array, seen, 0, shape[-1] - 1, name)
        return np.ascontiguousarray(np.where(seen, array, 0), np.intp)


class FocalLoss(ClassLoss):
    """The focal loss, whose gamma may be 0."""

    def _as_option(self, key: str, value: Any) -> float:
        return _check.number(value, key, 0)


NUMBERS = "(N, F) or (N, T, F)\n    Real numbers t, in pred's shape."
PROBABILITIES = "(N, F) or (N, T, F)\n    Probabilities t from 0 to 1, in pred's shape."
CLASSES = "(N,) or (N, T)\n    Whole numbers t from 0 to F - 1, in pred's shape without its last axis."

mse = Loss(kernels.mse, described("Squared error, (p - t)².", NUMBERS))
mae = Loss(kernels.mae, described("Absolute error, ``|p - t|``.", NUMBERS))
huber = Loss(
    kernels.huber,
    described(
        "Squared error near zero, absolute beyond delta: d²/2 where d = ``|p - t|`` <= delta, else "
        "delta·(d - delta/2) (Huber 1964).",
        NUMBERS,
        "delta : float, default 1\n    Above 0, in the units of the target.\n",
    ),
    delta=1.0,
)
softmax_cross_entropy = ClassLoss(
    kernels.softmax_cross_entropy,
    described("Cross-entropy of classes, -log softmax(p)[t] in nats, for scores p.", CLASSES),
)
focal = FocalLoss(
    kernels.focal,
    described(
        "Cross-entropy in which what is right already counts less, -(1 - P)^gamma log P in nats, P = softmax(p)[t] "
        "(Lin et al. 2017).\n\nThe paper's alpha, a weight for each class, is given as the weights of the steps.",
        CLASSES,
        "gamma : float, default 2\n    From 0; with 0 it is `softmax_cross_entropy`.\n",
    ),
    gamma=2.0,
)
sigmoid_cross_entropy = ProbabilityLoss(
    kernels.sigmoid_cross_entropy,
    described(
        "Cross-entropy of yes and no, -t log s(p) - (1 - t) log(1 - s(p)) in nats, for scores p; s is the logistic "
        "function.",
        PROBABILITIES,
    ),
)
