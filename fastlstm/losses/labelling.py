"""Connectionist temporal classification: the order of the labels is known, but not their times."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm._check import describe
from fastlstm._kernels import ctc as kernels
from fastlstm.losses.base import Loss, refuse
from fastlstm.workspace import Workspace

Array = NDArray[Any]


class CTC(Loss):
    """-log of the probability of a sequence of labels, in nats, over all paths that spell it (Graves et al. 2006).

    A path has one class at each step: the blank or a label. It spells labels in this way: of equal classes in a row one
    is kept, then the blanks are removed. P(path) is the product of the softmax of its scores, and the probability of
    labels is the sum over all paths that spell them.

    Other Parameters
    ----------------
    time : "mean" or "sum", default "mean"
        "mean" divides the loss of a sequence by its number of labels (by 1 if there are none), and takes the weighted
        mean over the sequences. "sum" does not divide by the labels, and divides the weighted sum over the sequences
        by N.
    blank : int, default 0
        The class that is no label.
    zero_infinity : bool, default False
        Whether a sequence with too few steps for its labels counts as a loss of 0; otherwise it is an error. n labels
        need n steps, and one more wherever a label comes twice in a row.

    Parameters
    ----------
    pred : (N, T, C)
        Scores of the C classes at each step, float32 or float64.
    target : (N, S) whole numbers
        Labels from 0 to C - 1 without the blank, and -1 after the last label of a sequence. S may be any number.
    weight : (N,) or (N, T), optional
        The weight of a sequence is that of its first step, and the sequence ends after its last step with a weight
        above 0. `Trainer` sets the weights beyond ``lengths`` to 0.
    workspace : Workspace, optional
        Holds the gradient until the next call with it.

    Returns
    -------
    value : float
    dpred : (N, T, C)

    Raises
    ------
    TypeError
        If pred is not float32 or float64, or the target is not of whole numbers.
    ValueError
        If a shape does not fit; if a label is no class, is the blank, or follows a -1; if a sequence has too few steps
        for its labels and zero_infinity is False; or if no sequence has a weight above 0.

    Examples
    --------
    >>> import numpy as np, fastlstm as fl
    >>> scores = np.zeros((1, 3, 4))  # three steps, at each of which four classes are equally likely
    >>> value, dpred = fl.ctc(scores, [[2, 1]])
    >>> paths = 5  # 0 2 1, 2 0 1, 2 1 0, 2 2 1, 2 1 1
    >>> bool(np.isclose(value, -np.log(paths / 4**3) / 2))
    True
    """

    _per_step_target = False

    def _as_option(self, key: str, value: Any) -> Any:
        if key == "zero_infinity":
            return _check.flag(value, key)
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise TypeError(f"{key}: expected a whole number, got {value!r}")
        return int(_check.number(value, key, 0))

    def _prepared(self, pred: Array, target: Array, weight: Array, workspace: Workspace) -> tuple[float, Array]:
        n, t, _ = pred.shape
        dpred = workspace.array("dpred", pred.shape, pred.dtype)
        losses = workspace.array("losses", (n,), np.float64)
        room = workspace.array("ctc", kernels.room(n, t, target.shape[1]), np.float64)
        divisor, per_label = self._normaliser(weight), self.time == "mean"
        value = self._kernel(pred, target, weight, dpred, losses, room, divisor, per_label, **self.options)
        return value, dpred

    def _normaliser(self, weights: Array) -> float:
        """The divisor of the weighted sum over the sequences: the sum of their weights, or their number."""
        return super()._normaliser(weights[:, 0])

    def _as_target(self, target: Any, shape: tuple[int, ...], seen: Array, dtype: Any, name: str = "target") -> Array:
        blank = self.options["blank"]
        if len(shape) != 3:
            raise ValueError(f"ctc: expected scores at every step of sequences, (N, T, C), got {describe(shape)}")
        if not 0 <= blank < shape[2]:
            raise ValueError(f"blank: expected 0 to {shape[2] - 1}, the classes, got {blank}")
        if seen.any() and not seen[:, 0].any():
            raise ValueError("weight: expected at least one sequence whose first step has one above 0, got none")
        array = _check.as_numbers(target, name, "iu", "whole numbers")
        if array.ndim != 2 or len(array) != shape[0]:
            raise ValueError(f"{name}: expected shape ({shape[0]}, S), labels, got {describe(array.shape)}")
        real = seen[:, :1] & (array != -1)
        wrong = real & ((array < 0) | (array >= shape[2]) | (array == blank))
        refuse(array, wrong, name, f"0 to {shape[2] - 1} but the blank {blank}, and -1 beyond the last label")
        refuse(array, np.diff(real, axis=1, prepend=True) & real, name, "-1 alone after a -1")
        labels = np.ascontiguousarray(np.where(real, array.astype(np.intp), -1))
        if not self.options["zero_infinity"]:
            self._fits(labels, real, seen, name)
        return labels

    @staticmethod
    def _fits(labels: Array, real: Array, seen: Array, name: str) -> None:
        """Raise ValueError for the first sequence with too few steps for its labels."""
        count = real.sum(1)
        wanted = count + (real[:, 1:] & (labels[:, 1:] == labels[:, :-1])).sum(1)
        steps = seen.shape[1] - seen[:, ::-1].argmax(1)
        short = np.flatnonzero(seen[:, 0] & (wanted > steps))
        if len(short):
            n = short[0]
            raise ValueError(
                f"{name}: expected labels that fit into their sequence, got {count[n]}, which want {wanted[n]} steps, "
                f"for the {steps[n]} of sequence {n} (equal ones in a row want a blank between them); "
                "ctc.with_options(zero_infinity=True) leaves such sequences out"
            )


ctc = CTC(kernels.ctc, CTC.__doc__ or "", blank=0, zero_infinity=False)
