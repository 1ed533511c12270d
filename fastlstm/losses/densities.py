"""Losses of forecasts that say how sure they are: quantiles, and the parameters of a distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm._kernels import losses as kernels
from fastlstm.losses.base import Loss

Array = NDArray[Any]


class OutputsLoss(Loss):
    """A loss with several outputs for each feature of the target, side by side: pred (..., F·K), target (..., F)."""

    @property
    def outputs(self) -> int:
        """K."""
        raise NotImplementedError

    def as_target(self, target: Any, shape: tuple[int, ...], seen: Array, dtype: Any, name: str = "target") -> Array:
        if shape[-1] % self.outputs:
            raise ValueError(
                f"{self.name}: expected {self.outputs} outputs for each feature of the target, got {shape[-1]} in all"
            )
        narrow = (*shape[:-1], shape[-1] // self.outputs)
        return super().as_target(target, narrow, seen, dtype, name)


class QuantileLoss(OutputsLoss):
    """The pinball loss of quantiles, max(q·(t - p), (q - 1)·(t - p)), a mean over the levels q and the features.

    It is least, on average, where p is the quantile of level q of what t may be (Koenker and Bassett 1978). pred is
    (..., F·Q) and the target (..., F): the Q quantiles of a feature stand side by side. `quantiles` gives them an axis
    of their own.

    Options
    -------
    time : "mean" or "sum"
    levels : floats between 0 and 1, default (0.1, 0.5, 0.9)

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

    def as_option(self, key: str, value: Any) -> tuple[float, ...]:
        return levels_of(value)


class DensityLoss(OutputsLoss):
    """-log of a distribution's density, its parameters by pred."""

    def __init__(self, kernel: Any, doc: str, outputs: int, **options: float) -> None:
        super().__init__(kernel, doc, **options)
        self._outputs = outputs

    @property
    def outputs(self) -> int:
        return self._outputs


def quantiles(pred: Any, levels: Any = (0.1, 0.5, 0.9)) -> Array:
    """What a model trained with `quantile` says: (..., F·Q) to (..., F, Q), each feature's in rising order.

    A model may say that the quantile of a higher level is lower: sorting them never makes them worse (Chernozhukov et
    al. 2010).

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
    """Mean and standard deviation, (..., F) each, from the outputs (..., 2F) of a model trained with `gaussian_nll`.

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
    """Mean, scale and degrees of freedom, (..., F) each, from the outputs (..., 3F) trained with `student_t_nll`.

    The standard deviation is scale · sqrt(degrees / (degrees - 2)).

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
gaussian_nll = DensityLoss(
    kernels.gaussian_nll,
    """-log of the normal density of the target, log(2π)/2 + log s + (t - m)²/(2 s²), a mean over the features.

    pred is (..., 2F) and the target (..., F): the mean m and the raw scale r of a feature stand side by side, and the
    standard deviation is s = log(1 + exp r) + floor. `gaussian_parameters` gives m and s. The option floor, 1e-4, keeps
    the loss from falling without end where a target can be said exactly; standardise the target.
    """,
    outputs=2,
    floor=1e-4,
)
student_t_nll = DensityLoss(
    kernels.student_t_nll,
    """-log of Student's t density of the target, a mean over the features: for targets with rare large errors.

    pred is (..., 3F) and the target (..., F): the mean m, the raw scale r and the raw degrees of freedom d of a feature
    stand side by side. With s = log(1 + exp r) + floor, n = log(1 + exp d) + 2 and z = (t - m)/s, the loss is
    log G(n/2) - log G((n + 1)/2) + log(n π)/2 + log s + (n + 1)/2 · log(1 + z²/n), G the gamma function.
    `student_t_parameters` gives m, s and n.
    """,
    outputs=3,
    floor=1e-4,
)
