"""Starting values of parameters.

A layer takes them by name or as objects: ``init={"weight_hh": "identity", "weight_ih": init.HeUniform()}``, or one for
all its parameters. An initializer is called with a NumPy generator and a shape, and returns a float64 array.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.named import Named

Array = NDArray[np.float64]
Rng = np.random.Generator


class Initializer(Named, family="initializer"):
    """Base of the initializers: a subclass is a frozen dataclass, and writes `draw`.

    Attributes
    ----------
    of_matrices : bool
        Whether it depends on the inputs and outputs of a matrix, so that it cannot serve a bias. Given to a layer as
        one for all its parameters, it is that of the matrices, and the others start as they do without it.
    """

    of_matrices: ClassVar[bool] = False

    def __call__(self, rng: Rng, shape: tuple[int, ...], blocks: int = 1, fan: int | None = None) -> Array:
        """Starting values.

        Parameters
        ----------
        rng : numpy.random.Generator
        shape : tuple of int
            Of a matrix, (blocks·outputs, inputs). The kernels of a convolution (outputs, inputs, K) are a matrix of
            inputs·K inputs.
        blocks : int, default 1
            Matrices that are stacked along the first axis, the gates of a recurrent layer. Each counts for itself.
        fan : int, optional
            The size that PyTorch takes the limit of the layer's parameters from; by default the last axis.
        """
        _check.instance(rng, Rng, "rng", "a numpy.random.Generator")
        if self.of_matrices and len(shape) < 2:
            raise ValueError(
                f"{type(self).__name__}: expected a matrix, got a parameter of shape {_check.describe(shape)}"
            )
        inputs = math.prod(shape[1:])
        parts = (blocks, shape[0] // blocks, *([inputs] if len(shape) > 1 else []))
        last = inputs if len(shape) > 1 else shape[-1]
        return np.asarray(self.draw(rng, parts, last if fan is None else fan).reshape(shape))

    def draw(self, rng: Rng, shape: tuple[int, ...], fan: int) -> Array:
        """Starting values of shape (blocks, outputs, inputs), or (blocks, n) of what is no matrix.

        Parameters
        ----------
        rng : numpy.random.Generator
        shape : (blocks, outputs, inputs), or (blocks, n) of what is no matrix
        fan : int
            As in a call; never None.

        Returns
        -------
        float64 array of this shape
        """
        raise NotImplementedError(f"{type(self).__name__} must write draw")


@dataclass(frozen=True)
class Zeros(Initializer):
    """Zeros."""

    def draw(self, rng: Rng, shape: tuple[int, ...], fan: int) -> Array:
        return np.zeros(shape)


@dataclass(frozen=True)
class Ones(Initializer):
    """Ones."""

    def draw(self, rng: Rng, shape: tuple[int, ...], fan: int) -> Array:
        return np.ones(shape)


@dataclass(frozen=True)
class Constant(Initializer):
    """One number everywhere.

    Parameters
    ----------
    value : float, default 0
        From -1e30 to 1e30.

    Raises
    ------
    TypeError
        If value is not a number.
    ValueError
        If value is not from -1e30 to 1e30.
    """

    value: float = 0.0

    def __post_init__(self) -> None:
        _check.number(self.value, "value", -1e30, 1e30)

    def draw(self, rng: Rng, shape: tuple[int, ...], fan: int) -> Array:
        return np.full(shape, float(self.value))


@dataclass(frozen=True)
class Uniform(Initializer):
    """Uniform from -limit to limit.

    Parameters
    ----------
    limit : float, default 0.05
        From 0 to 1e30.

    Raises
    ------
    TypeError
        If limit is not a number.
    ValueError
        If limit is not from 0 to 1e30.
    """

    limit: float = 0.05

    def __post_init__(self) -> None:
        _check.number(self.limit, "limit", 0, 1e30)

    def draw(self, rng: Rng, shape: tuple[int, ...], fan: int) -> Array:
        return rng.uniform(-self.limit, self.limit, shape)


@dataclass(frozen=True)
class Normal(Initializer):
    """Normal around 0.

    Parameters
    ----------
    std : float, default 0.05
        The standard deviation, from 0 to 1e30.

    Raises
    ------
    TypeError
        If std is not a number.
    ValueError
        If std is not from 0 to 1e30.
    """

    std: float = 0.05

    def __post_init__(self) -> None:
        _check.number(self.std, "std", 0, 1e30)

    def draw(self, rng: Rng, shape: tuple[int, ...], fan: int) -> Array:
        return self.std * rng.standard_normal(shape)


@dataclass(frozen=True)
class TorchUniform(Initializer):
    """Uniform within ±1/sqrt(n), biases too, as PyTorch starts: n is H of a recurrent layer, and I of a `Dense`."""

    def draw(self, rng: Rng, shape: tuple[int, ...], fan: int) -> Array:
        return Uniform(fan**-0.5).draw(rng, shape, fan)


@dataclass(frozen=True)
class GlorotUniform(Initializer):
    """Uniform within ±sqrt(6 / (inputs + outputs)) (Glorot and Bengio 2010), of each gate for itself."""

    of_matrices = True

    def draw(self, rng: Rng, shape: tuple[int, ...], fan: int) -> Array:
        return Uniform(math.sqrt(6 / (shape[1] + shape[2]))).draw(rng, shape, fan)


@dataclass(frozen=True)
class GlorotNormal(Initializer):
    """Normal with a variance of 2 / (inputs + outputs) (Glorot and Bengio 2010), of each gate for itself."""

    of_matrices = True

    def draw(self, rng: Rng, shape: tuple[int, ...], fan: int) -> Array:
        return Normal(math.sqrt(2 / (shape[1] + shape[2]))).draw(rng, shape, fan)


@dataclass(frozen=True)
class HeUniform(Initializer):
    """Uniform within ±sqrt(6 / inputs), for relu (He et al. 2015)."""

    of_matrices = True

    def draw(self, rng: Rng, shape: tuple[int, ...], fan: int) -> Array:
        return Uniform(math.sqrt(6 / shape[2])).draw(rng, shape, fan)


@dataclass(frozen=True)
class HeNormal(Initializer):
    """Normal with a variance of 2 / inputs, for relu (He et al. 2015)."""

    of_matrices = True

    def draw(self, rng: Rng, shape: tuple[int, ...], fan: int) -> Array:
        return Normal(math.sqrt(2 / shape[2])).draw(rng, shape, fan)


@dataclass(frozen=True)
class LecunUniform(Initializer):
    """Uniform within ±sqrt(3 / inputs) (LeCun et al. 1998)."""

    of_matrices = True

    def draw(self, rng: Rng, shape: tuple[int, ...], fan: int) -> Array:
        return Uniform(math.sqrt(3 / shape[2])).draw(rng, shape, fan)


@dataclass(frozen=True)
class LecunNormal(Initializer):
    """Normal with a variance of 1 / inputs (LeCun et al. 1998)."""

    of_matrices = True

    def draw(self, rng: Rng, shape: tuple[int, ...], fan: int) -> Array:
        return Normal(math.sqrt(1 / shape[2])).draw(rng, shape, fan)


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """A random orthogonal matrix for each gate (Saxe et al. 2014).

    One that is not square has orthonormal rows or columns, of which there are fewer.

    Parameters
    ----------
    gain : float, default 1
        What it is multiplied by, from 0 to 1e30.

    Raises
    ------
    TypeError
        If gain is not a number.
    ValueError
        If gain is not from 0 to 1e30.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> lstm = fl.LSTM(3, 4, init={"weight_hh": fl.init.Orthogonal(gain=0.5)}, dtype="float64")
    >>> forget = lstm.parameter("weight_hh_l0").value[4:8]
    >>> np.allclose(forget @ forget.T, 0.25 * np.eye(4))
    True
    """

    gain: float = 1.0
    of_matrices = True

    def __post_init__(self) -> None:
        _check.number(self.gain, "gain", 0, 1e30)

    def draw(self, rng: Rng, shape: tuple[int, ...], fan: int) -> Array:
        blocks, rows, columns = shape
        q, r = np.linalg.qr(rng.standard_normal((blocks, max(rows, columns), min(rows, columns))))
        q *= np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]  # makes the distribution uniform (Mezzadri 2007)
        return np.ascontiguousarray(self.gain * (q if rows >= columns else q.transpose(0, 2, 1)))


@dataclass(frozen=True)
class Identity(Initializer):
    """Ones on the diagonal of each gate's matrix (Le et al. 2015).

    Parameters
    ----------
    gain : float, default 1
        What it is multiplied by, from 0 to 1e30.

    Raises
    ------
    TypeError
        If gain is not a number.
    ValueError
        If gain is not from 0 to 1e30.
    """

    gain: float = 1.0
    of_matrices = True

    def __post_init__(self) -> None:
        _check.number(self.gain, "gain", 0, 1e30)

    def draw(self, rng: Rng, shape: tuple[int, ...], fan: int) -> Array:
        return np.tile(self.gain * np.eye(shape[1], shape[2]), (shape[0], 1, 1))


zeros, ones, uniform = Zeros(), Ones(), Uniform()
glorot_uniform, orthogonal, identity = GlorotUniform(), Orthogonal(), Identity()


def gate_bias(rng: Rng, shape: tuple[int, ...], forget_bias: float = 1.0, *, coupled: bool = False) -> Array:
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


def chrono_bias(
    rng: Rng, shape: tuple[int, ...], longest: float, sums: int, keep: int | None, write: int | None
) -> Array:
    """Zeros, and for the gates of the memory b = log U(1, longest - 1), so that units forget at scales up to `longest`.

    Tallec and Ollivier 2018. Of `sums` blocks, `keep` is that of the gate which keeps the state, and has b, and `write`
    that of the gate which writes into it, and has -b. Where one gate does both, as 1 - z and z, the other is None.
    """
    bias = np.zeros((sums, shape[0] // sums))
    drawn = np.log(rng.uniform(1, longest - 1, bias.shape[1]))
    if keep is not None:
        bias[keep] = drawn
    if write is not None:
        bias[write] = -drawn
    return bias.reshape(shape)
