"""Starting values of parameters: functions of a NumPy generator and a shape that return float64 arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return np.zeros(shape)


def ones(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return np.ones(shape)


def uniform(rng: np.random.Generator, shape: tuple[int, ...], limit: float = 0.05) -> NDArray[np.float64]:
    """Uniform from -limit to limit."""
    return rng.uniform(-limit, limit, shape)


def glorot_uniform(rng: np.random.Generator, shape: tuple[int, ...], blocks: int = 1) -> NDArray[np.float64]:
    """Uniform within ±sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010).

    The shape is (blocks·outputs, inputs). Each block, a gate of a recurrent layer, counts as a matrix of its own.
    """
    return uniform(rng, shape, np.sqrt(6 / (shape[0] // blocks + shape[1])))


def orthogonal(rng: np.random.Generator, shape: tuple[int, ...], blocks: int = 1) -> NDArray[np.float64]:
    """Square blocks, stacked along the first axis, each a random orthogonal matrix (Saxe et al. 2014)."""
    q, r = np.linalg.qr(rng.standard_normal((blocks, shape[0] // blocks, shape[1])))
    q *= np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]  # makes the distribution uniform (Mezzadri 2007)
    return np.asarray(q.reshape(shape))


def identity(rng: np.random.Generator, shape: tuple[int, ...], blocks: int = 1) -> NDArray[np.float64]:
    """Ones on the diagonal of each of the blocks stacked along the first axis (Le et al. 2015)."""
    return np.tile(np.eye(shape[0] // blocks, shape[1]), (blocks, 1))


def gate_bias(
    rng: np.random.Generator, shape: tuple[int, ...], forget_bias: float = 1.0, *, coupled: bool = False
) -> NDArray[np.float64]:
    """Zeros, and forget_bias for the forget gate, so that a new LSTM remembers (Jozefowicz et al. 2015).

    Where the forget gate is coupled to the input gate, f = 1 - i, the bias of i is -forget_bias, which is the same for
    f.
    """
    bias = np.zeros(shape)
    if coupled:
        bias[: shape[0] // 3] = -forget_bias
    else:
        hidden = shape[0] // 4
        bias[hidden : 2 * hidden] = forget_bias
    return bias
