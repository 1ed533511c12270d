"""The functions of `Activation`, which `_kernels.activations` computes, by name, and their slopes on whole arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastlstm._kernels import activations as kernels
from fastlstm.layers.base import Array
from fastlstm.layers.recurrent.functions import DEFAULTS as RECURRENT

GELU = 0.7978845608028654
"""sqrt(2 / π)"""

DEFAULTS: dict[str, tuple[float, ...]] = {
    **RECURRENT,
    "gelu": (),
    "gelu_tanh": (),
    "silu": (),
    "exp": (),
}
"""The functions by name, with alpha and beta as far as each has them."""


Slope = Callable[[Array, Array, Array, float, float], object]
"""A function of x, y, out, alpha and beta that writes the derivative at x to `out`; y is the function of x."""


def _sigmoid(x: Array, out: Array) -> Array:
    kernels.activate("sigmoid", x.reshape(-1), out.reshape(-1))
    return out


def _tanh(x: Array, out: Array) -> Array:
    kernels.activate("tanh", x.reshape(-1), out.reshape(-1))
    return out


def _sigmoid_slope(x: Array, y: Array, out: Array, a: float, b: float) -> None:
    np.subtract(1, y, out=out)
    out *= y


def _tanh_slope(x: Array, y: Array, out: Array, a: float, b: float) -> None:
    np.multiply(y, y, out=out)
    np.subtract(1, out, out=out)


def _line(x: Array, out: Array, a: float, b: float) -> Array:
    np.multiply(x, a, out=out)
    out += b
    return out


def _hard_sigmoid_slope(x: Array, y: Array, out: Array, a: float, b: float) -> None:
    line = _line(x, out, a, b)
    np.multiply((line > 0) & (line < 1), a, out=out)


def _softsign_slope(x: Array, y: Array, out: Array, a: float, b: float) -> None:
    np.abs(x, out=out)
    out += 1
    np.divide(1, out, out=out)
    np.multiply(out, out, out=out)


def _elu_slope(x: Array, y: Array, out: Array, a: float, b: float) -> None:
    np.exp(np.minimum(x, 0, out=out), out=out)
    out *= a
    np.copyto(out, 1, where=x > 0)


def _scaled_tanh_slope(x: Array, y: Array, out: Array, a: float, b: float) -> None:
    np.multiply(x, b, out=out)
    _tanh(out, out)
    _tanh_slope(x, out, out, a, b)
    out *= a * b


def _silu_slope(x: Array, y: Array, out: Array, a: float, b: float) -> None:
    s = _sigmoid(x, out)
    s += y * (1 - s)


def _normal(x: Array) -> Array:
    """The distribution function of the normal distribution."""
    from scipy.special import ndtr  # here, because importing it takes long

    return np.asarray(ndtr(x))


def _gelu_slope(x: Array, y: Array, out: Array, a: float, b: float) -> None:
    np.multiply(x, x, out=out)
    out *= -0.5
    np.exp(out, out=out)
    out *= 0.5 * GELU  # the density is exp(-x²/2) / sqrt(2π)
    out *= x
    out += _normal(x)


def _gelu_tanh_slope(x: Array, y: Array, out: Array, a: float, b: float) -> None:
    square = x * x
    t = _tanh(x * (GELU + GELU * 0.044715 * square), out)
    inner = 0.5 * x * (1 - t * t) * (GELU + 3 * GELU * 0.044715 * square)
    t += 1
    t *= 0.5
    t += inner


SLOPES: dict[str, Slope] = {
    "sigmoid": _sigmoid_slope,
    "tanh": _tanh_slope,
    "relu": lambda x, y, out, a, b: np.greater(x, 0, out=out),
    "hard_sigmoid": _hard_sigmoid_slope,
    "softsign": _softsign_slope,
    "softplus": lambda x, y, out, a, b: _sigmoid(x, out),
    "leaky_relu": lambda x, y, out, a, b: np.copyto(out, np.where(x > 0, 1, a)),
    "thresholded_relu": lambda x, y, out, a, b: np.greater(x, a, out=out),
    "elu": _elu_slope,
    "affine": lambda x, y, out, a, b: out.fill(a),
    "scaled_tanh": _scaled_tanh_slope,
    "gelu": _gelu_slope,
    "gelu_tanh": _gelu_tanh_slope,
    "silu": _silu_slope,
    "exp": lambda x, y, out, a, b: np.copyto(out, y),
}
