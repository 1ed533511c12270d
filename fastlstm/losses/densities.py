"""Losses of forecasts that say how sure they are: by quantiles, or by the parameters of a distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm._kernels import losses as kernels
from fastlstm.losses.base import Loss, described

Array = NDArray[Any]


class OutputsLoss(Loss):
    """Base of losses with K outputs for each feature of the target, side by side: pred (..., F·K), target (..., F)."""

    @property
    def outputs(self) -> int:
        """The number K of outputs for each feature."""
        raise NotImplementedError

    def _as_target(self, target: Any, shape: tuple[int, ...], seen: Array, dtype: Any, name: str = "target") -> Array:
        if shape[-1] % self.outputs:
            raise ValueError(
                f"{self.name}: expected {self.outputs} outputs for each feature of the target, got {shape[-1]} in all"
            )
        narrow = (*shape[:-1], shape[-1] // self.outputs)
        return super()._as_target(target, narrow, seen, dtype, name)


class QuantileLoss(OutputsLoss):
    """The pinball loss of quantiles, max(q·(t - p), (q - 1)·(t - p)), a mean over the levels q and the features.

    On average it is least where p is the quantile of level q of what t may be (Koenker and Bassett 1978). The Q
    quantiles of a feature stand side by side in pred; `quantiles` gives them an axis of their own.

    Other Parameters
    ----------------
    time : "mean" or "sum", default "mean"
        How the steps are put together, see `Loss`.
    levels : floats, default (0.1, 0.5, 0.9)
        The Q levels: different numbers above 0 and below 1.

    Parameters
    ----------
    pred : (N, F·Q) or (N, T, F·Q)
        Predictions, float32 or float64.
    target : (N, F) or (N, T, F)
        Real numbers t.
    weight : (N,) or (N, T), optional
        What each sequence or step counts, from 0; by default 1.
    workspace : Workspace, optional
        Holds the gradient until the next call with it.

    Returns
    -------
    value : float
    dpred : array of pred's shape

    Raises
    ------
    TypeError
        As in `Loss.__call__`.
    ValueError
        As in `Loss.__call__`, and if the last axis of pred is no multiple of Q.

    Examples
    --------
    >>> import numpy as np, fastlstm as fl
    >>> value, dpred = fl.quantile.with_options(levels=(0.1, 0.9))(np.array([[1.0, 5.0]]), [[3.0]])
    >>> round(value, 3), dpred.round(3).tolist()
    (0.2, [[-0.05, 0.05]])
    """

    @property
    def outputs(self) -> int:
        return len(self.options["levels"])

    def _as_option(self, key: str, value: Any) -> tuple[float, ...]:
        return levels_of(value)


class DensityLoss(OutputsLoss):
    """-log of the density of a distribution whose parameters are in pred."""

    def __init__(self, kernel: Any, doc: str, outputs: int, **options: float) -> None:
        super().__init__(kernel, doc, **options)
        self._outputs = outputs

    @property
    def outputs(self) -> int:
        return self._outputs


def quantiles(pred: Any, levels: Any = (0.1, 0.5, 0.9)) -> Array:
    """The quantiles that a model trained with `quantile` predicts, in rising order.

    A model may predict a lower quantile for a higher level. Sorting never makes the quantiles worse (Chernozhukov et
    al. 2010).

    Parameters
    ----------
    pred : (..., F·Q)
        What the model predicts.
    levels : floats, default (0.1, 0.5, 0.9)
        The Q levels that it was trained with.

    Returns
    -------
    (..., F, Q)
        Float32 if pred is, else float64.

    Raises
    ------
    TypeError
        If pred or the levels are not real numbers.
    ValueError
        If the levels are not different numbers above 0 and below 1, or the last axis of pred is no multiple of Q.

    Examples
    --------
    >>> from fastlstm.losses import quantiles
    >>> quantiles([[1.0, 3.0, 2.0]], levels=(0.1, 0.5, 0.9)).tolist()
    [[[1.0, 2.0, 3.0]]]
    """
    levels = np.array(levels_of(levels))
    values = np.sort(_side_by_side(pred, len(levels)), axis=-1)
    ordered: Array = values[..., levels.argsort().argsort()]
    return ordered


def gaussian_parameters(pred: Any, floor: float = 1e-4) -> tuple[Array, Array]:
    """Mean and standard deviation that a model trained with `gaussian_nll` predicts.

    Parameters
    ----------
    pred : (..., 2F)
        What the model predicts.
    floor : float, default 1e-4
        That of the loss, in the units of the target.

    Returns
    -------
    mean, std : (..., F)
        Float32 if pred is, else float64.

    Raises
    ------
    TypeError
        If pred is not of real numbers.
    ValueError
        If the last axis of pred is no multiple of 2.

    Examples
    --------
    >>> from fastlstm.losses import gaussian_parameters
    >>> mean, std = gaussian_parameters([[1.0, 0.0]])
    >>> mean.tolist(), std.round(4).tolist()
    ([[1.0]], [[0.6932]])
    """
    parts = _side_by_side(pred, 2)
    return parts[..., 0].copy(), _softplus(parts[..., 1]) + parts.dtype.type(floor)


def student_t_parameters(pred: Any, floor: float = 1e-4) -> tuple[Array, Array, Array]:
    """Mean, scale and degrees of freedom that a model trained with `student_t_nll` predicts.

    The standard deviation is scale · sqrt(degrees / (degrees - 2)).

    Parameters
    ----------
    pred : (..., 3F)
        What the model predicts.
    floor : float, default 1e-4
        That of the loss, in the units of the target.

    Returns
    -------
    mean, scale, degrees : (..., F)
        Float32 if pred is, else float64.

    Raises
    ------
    TypeError
        If pred is not of real numbers.
    ValueError
        If the last axis of pred is no multiple of 3.

    Examples
    --------
    >>> from fastlstm.losses import student_t_parameters
    >>> mean, scale, degrees = student_t_parameters([[1.0, 0.0, 0.0]])
    >>> mean.tolist(), scale.round(4).tolist(), degrees.round(4).tolist()
    ([[1.0]], [[0.6932]], [[2.6931]])
    """
    parts = _side_by_side(pred, 3)
    scale, degrees = _softplus(parts[..., 1]) + parts.dtype.type(floor), _softplus(parts[..., 2]) + 2
    return parts[..., 0].copy(), scale, degrees


def levels_of(value: Any) -> tuple[float, ...]:
    """Levels of quantiles, checked."""
    levels = tuple(_check.number(level, "levels", 0, 1) for level in _check.items(value, "levels", "numbers"))
    if not levels or not all(0 < level < 1 for level in levels) or len(set(levels)) < len(levels):
        raise ValueError(f"levels: expected different numbers above 0 and below 1, got {levels}")
    return levels


def _side_by_side(pred: Any, outputs: int) -> Array:
    """(..., F·K) to (..., F, K)."""
    array = _check.as_numbers(pred, "pred", "fiub", "real numbers")
    array = np.asarray(array, np.float32 if array.dtype == np.float32 else np.float64)
    if array.ndim == 0 or array.shape[-1] % outputs or array.shape[-1] == 0:
        shape = _check.describe(array.shape)
        raise ValueError(f"pred: expected shape (..., {outputs}F), {outputs} outputs for each feature, got {shape}")
    return array.reshape(*array.shape[:-1], -1, outputs)


def _softplus(x: Array) -> Array:
    """log(1 + exp x)"""
    result: Array = np.logaddexp(x.dtype.type(0), x)
    return result


quantile = QuantileLoss(kernels.quantile, QuantileLoss.__doc__ or "", levels=(0.1, 0.5, 0.9))
FLOOR = "floor : float, default 1e-4\n    The least {}, above 0, in the units of the target.\n"
TARGET = "(N, F) or (N, T, F)\n    Real numbers t; standardise them."

gaussian_nll = DensityLoss(
    kernels.gaussian_nll,
    described(
        """-log of the normal density of the target, log(2π)/2 + log s + (t - m)²/(2 s²), a mean over the features.

The mean m and the raw scale r of a feature stand side by side in pred. The standard deviation is
s = log(1 + exp r) + floor: the floor keeps the loss from falling without end where a target can be predicted exactly.
`gaussian_parameters` gives m and s.""",
        TARGET,
        FLOOR.format("standard deviation"),
        "2",
    ),
    outputs=2,
    floor=1e-4,
)
student_t_nll = DensityLoss(
    kernels.student_t_nll,
    described(
        """-log of Student's t density of the target, a mean over the features: for targets with rare large errors.

The mean m, the raw scale r and the raw degrees of freedom d of a feature stand side by side in pred. With
s = log(1 + exp r) + floor, n = log(1 + exp d) + 2 and z = (t - m)/s, the loss is
log G(n/2) - log G((n + 1)/2) + log(n π)/2 + log s + (n + 1)/2 · log(1 + z²/n), G the gamma function.
`student_t_parameters` gives m, s and n.""",
        TARGET,
        FLOOR.format("scale"),
        "3",
    ),
    outputs=3,
    floor=1e-4,
)
