"""The functions of `Activation` and their slopes, on whole arrays. What an LSTM's kernel has is defined alike there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Elementwise:
    """A function of each number.

    Attributes
    ----------
    value : function of x, out, alpha, beta
        Writes the function of x, a contiguous array, to `out`.
    slope : function of x, y, out, alpha, beta
        Writes its derivative at x to `out`; y is what `value` has written.
    """

    value: Callable[[Array, Array, float, float], object]
    slope: Callable[[Array, Array, Array, float, float], object]


def _sigmoid(x: Array, out: Array) -> Array:
    kernels.sigmoid(x.reshape(-1), out.reshape(-1))
    return out


def _tanh(x: Array, out: Array) -> Array:
    kernels.tanh(x.reshape(-1), out.reshape(-1))
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


def _softsign(x: Array, out: Array, a: float, b: float) -> None:
    np.abs(x, out=out)
    out += 1
    np.divide(x, out, out=out)


def _softsign_slope(x: Array, y: Array, out: Array, a: float, b: float) -> None:
    np.abs(x, out=out)
    out += 1
    np.divide(1, out, out=out)
    np.multiply(out, out, out=out)


def _elu(x: Array, out: Array, a: float, b: float) -> None:
    np.expm1(np.minimum(x, 0, out=out), out=out)
    out *= a
    np.copyto(out, x, where=x > 0)


def _elu_slope(x: Array, y: Array, out: Array, a: float, b: float) -> None:
    np.exp(np.minimum(x, 0, out=out), out=out)
    out *= a
    np.copyto(out, 1, where=x > 0)


def _scaled_tanh(x: Array, out: Array, a: float, b: float) -> None:
    np.multiply(x, b, out=out)
    _tanh(out, out)
    out *= a


def _scaled_tanh_slope(x: Array, y: Array, out: Array, a: float, b: float) -> None:
    np.multiply(x, b, out=out)
    _tanh(out, out)
    _tanh_slope(x, out, out, a, b)
    out *= a * b


def _silu(x: Array, out: Array, a: float, b: float) -> None:
    _sigmoid(x, out)
    out *= x


def _silu_slope(x: Array, y: Array, out: Array, a: float, b: float) -> None:
    s = _sigmoid(x, out)
    s += y * (1 - s)


def _normal(x: Array) -> Array:
    """The distribution function of the normal distribution."""
    from scipy.special import ndtr  # here, because importing it takes long

    return np.asarray(ndtr(x))


def _gelu(x: Array, out: Array, a: float, b: float) -> None:
    np.multiply(x, _normal(x), out=out)


def _gelu_slope(x: Array, y: Array, out: Array, a: float, b: float) -> None:
    np.multiply(x, x, out=out)
    out *= -0.5
    np.exp(out, out=out)
    out *= 0.5 * GELU  # the density is exp(-x²/2) / sqrt(2π)
    out *= x
    out += _normal(x)


def _gelu_tanh(x: Array, out: Array, a: float, b: float) -> None:
    np.multiply(x, x, out=out)
    _line(out, out, GELU * 0.044715, GELU)
    out *= x
    _tanh(out, out)
    out += 1
    out *= x
    out *= 0.5


def _gelu_tanh_slope(x: Array, y: Array, out: Array, a: float, b: float) -> None:
    square = x * x
    t = _tanh(x * (GELU + GELU * 0.044715 * square), out)
    inner = 0.5 * x * (1 - t * t) * (GELU + 3 * GELU * 0.044715 * square)
    t += 1
    t *= 0.5
    t += inner


FUNCTIONS = {
    "sigmoid": Elementwise(lambda x, out, a, b: _sigmoid(x, out), _sigmoid_slope),
    "tanh": Elementwise(lambda x, out, a, b: _tanh(x, out), _tanh_slope),
    "relu": Elementwise(
        lambda x, out, a, b: np.maximum(x, 0, out=out), lambda x, y, out, a, b: np.greater(x, 0, out=out)
    ),
    "hard_sigmoid": Elementwise(lambda x, out, a, b: np.clip(_line(x, out, a, b), 0, 1, out=out), _hard_sigmoid_slope),
    "softsign": Elementwise(_softsign, _softsign_slope),
    "softplus": Elementwise(lambda x, out, a, b: np.logaddexp(x, 0, out=out), lambda x, y, out, a, b: _sigmoid(x, out)),
    "leaky_relu": Elementwise(
        lambda x, out, a, b: np.copyto(np.multiply(x, a, out=out), x, where=x > 0),
        lambda x, y, out, a, b: np.copyto(out, np.where(x > 0, 1, a)),
    ),
    "thresholded_relu": Elementwise(
        lambda x, out, a, b: np.multiply(x, x > a, out=out), lambda x, y, out, a, b: np.greater(x, a, out=out)
    ),
    "elu": Elementwise(_elu, _elu_slope),
    "affine": Elementwise(_line, lambda x, y, out, a, b: out.fill(a)),
    "scaled_tanh": Elementwise(_scaled_tanh, _scaled_tanh_slope),
    "gelu": Elementwise(_gelu, _gelu_slope),
    "gelu_tanh": Elementwise(_gelu_tanh, _gelu_tanh_slope),
    "silu": Elementwise(_silu, _silu_slope),
    "exp": Elementwise(
        lambda x, out, a, b: kernels.exp(x.reshape(-1), out.reshape(-1)), lambda x, y, out, a, b: np.copyto(out, y)
    ),
}
