"""Normalisation: of each step over its features, or of each feature over a batch."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from fastlstm import _check, init
from fastlstm._check import Shape
from fastlstm._kernels import norm as kernel
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.rows import gather
from fastlstm._kernels.stage import Stage
from fastlstm.layers.base import Array, Index, Layer, as_rows, check_features
from fastlstm.layers.settings import Settings
from fastlstm.workspace import Workspace


class Norm(Layer, abstract=True):
    """Base of both layers: y = x̂ weight + bias on the last axis, where x̂ has mean 0 and variance 1 over some axis."""

    def __init__(self, size: int, eps: float, dtype: Any, seed: int | None, settings: Settings) -> None:
        super().__init__(dtype, seed, **settings)
        self.size = _check.positive_int(size, "size")
        self.input_shape = ("N", "T", self.size)
        self.add("weight", (self.size,), init.ones)
        self.add("bias", (self.size,), init.zeros)
        self.eps = eps

    @property
    def eps(self) -> float:
        """What keeps the divisor from 0."""
        return self._eps

    @eps.setter
    def eps(self, eps: float) -> None:
        self._eps = _check.number(eps, "eps", 0)
        self._parameters["weight"].touch()  # prepared passes then look again

    def as_input(self, x: Any, name: str = "x", shape: Shape | None = None) -> Array:
        if np.ndim(x) == 2 and shape is None:  # a layer without a model takes x with or without steps
            shape = ("N", self.size)
        return super().as_input(x, name, shape)

    def output_shape(self, shape: Shape) -> Shape:
        check_features(shape, self.size, "size")
        return shape


class LayerNorm(Norm):
    """Shifts and scales each step of each sequence to mean 0 and variance 1 over its features.

    y = (x - mean) / sqrt(variance + eps) · weight + bias (Ba et al. 2016). Training, inference and streams are the
    same, because no step depends on another.

    Parameters
    ----------
    size : int
        F, the number of features. The parameters ``weight`` (F) and ``bias`` (F) start at ones and zeros.
    eps : float, default 1e-5
        Keeps the divisor from 0; from 0.
    dtype : "float32", "float64" or None
        None takes the model's.
    seed : int, optional
        Seed of the starting values; by default from the model.
    **settings
        How parameters start, ``init``, their ``regularizers`` and ``constraints``, and which are ``trainable``; see
        `fastlstm.layers.settings.Settings`.

    Examples
    --------
    >>> import fastlstm as fl
    >>> fl.LayerNorm(2)([[[1.0, 3.0], [10.0, 30.0]]]).round(3)
    array([[[-1.,  1.],
            [-1.,  1.]]], dtype=float32)
    """

    def __init__(
        self,
        size: int,
        eps: float = 1e-5,
        *,
        dtype: Any = None,
        seed: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        super().__init__(size, eps, dtype, seed, settings)

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        tape.notes["x"] = x = np.ascontiguousarray(x)
        (stage,), y = self._prepare(x, tape)
        stage.go()
        return y

    def _prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array]:
        y, rows = tape.array("y", x.shape, x.dtype), as_rows(x)
        mean, scale = (tape.array(name, (len(rows),), x.dtype) for name in ("mean", "scale"))
        weight, bias = self.parameter("weight").value, self.parameter("bias").value
        return [kernel.forward(rows, weight, bias, self.eps, as_rows(y), mean, scale)], y

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        x = as_rows(tape.notes["x"])
        mean, scale = (tape.array(name, (len(x),), x.dtype) for name in ("mean", "scale"))
        sums = tape.array("sums", (kernel.BLOCKS, 2, self.size), x.dtype)
        dx = tape.array("dx", dy.shape if input_gradient else (0, self.size), dy.dtype)
        dweight, add_weight = self.parameter("weight").accumulator()
        dbias, add_bias = self.parameter("bias").accumulator()
        rows, weight = as_rows(np.ascontiguousarray(dy)), self.parameter("weight").value
        kernel.backward(rows, x, weight, mean, scale, sums, as_rows(dx), dweight, dbias, add_weight, add_bias)
        return dx if input_gradient else None

    def config(self) -> dict[str, Any]:
        return {"size": self.size, "eps": self.eps, **self.settings()}


class BatchNorm(Norm):
    """Shifts and scales each feature to mean 0 and variance 1 over all real steps of all sequences.

    y = (x - mean) / sqrt(variance + eps) · weight + bias (Ioffe and Szegedy 2015), as in ``torch.nn.BatchNorm1d``. In
    training, mean and variance are those of the batch, and running ones follow them. Inference and streams use the
    running ones. Padding does not count, and becomes zeros; so does what comes of a sequence without a step. The layer
    takes (N, T, F) and (N, F).

    Parameters
    ----------
    size : int
        F, the number of features. The parameters ``weight`` (F) and ``bias`` (F) start at ones and zeros.
    momentum : float, default 0.1
        From 0 to 1: after each training pass ``running = (1 - momentum)·running + momentum·batch``, with the unbiased
        variance of the batch. The buffers ``running_mean`` and ``running_var`` are saved with the layer, but not
        trained.
    eps : float, default 1e-5
        Keeps the divisor from 0; from 0.
    dtype : "float32", "float64" or None
        None takes the model's.
    seed : int, optional
        Seed of the starting values; by default from the model.
    **settings
        How parameters start, ``init``, their ``regularizers`` and ``constraints``, and which are ``trainable``; see
        `fastlstm.layers.settings.Settings`.

    Raises
    ------
    ValueError
        If a training batch has fewer than two real steps: then it has no variance.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> model = fl.Model([fl.BatchNorm(1)], seed=0)
    >>> x = np.array([[[8.0], [10.0]], [[12.0], [10.0]]])
    >>> model.forward(x, model.tape(), training=True)[0, :, 0].round(3)
    array([-1.414,  0.   ], dtype=float32)
    >>> model.buffers()[0].value
    array([1.], dtype=float32)
    """

    mixes_rows = True

    def __init__(
        self,
        size: int,
        momentum: float = 0.1,
        eps: float = 1e-5,
        *,
        dtype: Any = None,
        seed: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        super().__init__(size, eps, dtype, seed, settings)
        self.momentum = _check.number(momentum, "momentum", 0, 1)
        self.add_buffer("running_mean", (self.size,), init.zeros)
        self.add_buffer("running_var", (self.size,), init.ones)

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        tape.notes["real"] = None if lengths is None else real_steps(x.shape[:-1], lengths)
        rows = self._real(np.ascontiguousarray(x), tape)
        normal = tape.array("normal", rows.shape, x.dtype)
        mean, variance = self._batch_statistics(rows, normal, tape) if training else self._running_statistics()
        np.subtract(rows, mean, out=normal)
        scale = tape.notes["scale"] = 1 / np.sqrt(variance + x.dtype.type(self.eps))
        normal *= scale
        scaled = tape.array("scaled", rows.shape, x.dtype)
        np.multiply(normal, self.parameter("weight").value, out=scaled)
        scaled += self.parameter("bias").value
        return self._padded(scaled, x.shape, "y", tape)

    def _batch_statistics(self, rows: Array, apart: Array, tape: Workspace) -> tuple[Array, Array]:
        """Mean and variance of the features. The running ones are moved towards them. `apart` is a buffer (R, F)."""
        count, mean = self._mean(rows, tape)
        tape.notes["count"] = count
        if count < 2:
            raise ValueError(f"BatchNorm: expected at least 2 real steps in a training batch, got {count}")
        np.subtract(rows, mean, out=apart)
        squares = np.einsum("rf,rf->f", apart, apart)
        if tape.part.sum is not None:
            squares *= not tape.part.spare
            tape.part.sum(squares)
        variance = squares / rows.dtype.type(count)
        if np.isfinite(variance).all():  # otherwise the loss fails, and the running ones stay good
            for name, new in (("running_mean", mean), ("running_var", variance * (count / (count - 1)))):
                buffer = self.buffer(name)
                buffer.value = (1 - self.momentum) * buffer.value + self.momentum * new
        return mean, variance

    @staticmethod
    def _mean(rows: Array, tape: Workspace) -> tuple[int, Array]:
        """The number of rows and their mean over the features, with those of all other parts of the batch."""
        if tape.part.sum is None:
            return len(rows), rows.mean(0)
        sums = np.append(rows.sum(0, np.float64), len(rows)) * (not tape.part.spare)
        tape.part.sum(sums)
        return int(sums[-1]), (sums[:-1] / sums[-1]).astype(rows.dtype)

    def _running_statistics(self) -> tuple[Array, Array]:
        return self.buffer("running_mean").value, self.buffer("running_var").value

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        rows = self._real(np.ascontiguousarray(dy), tape)
        normal = tape.array("normal", rows.shape, dy.dtype)
        total, along = self._parameter_gradients(rows, normal)
        if not input_gradient:
            return None
        if tape.part.sum is not None:
            both = np.stack([total, along])
            tape.part.sum(both)
            total, along = both
        count = dy.dtype.type(tape.notes["count"])
        normal *= along / -count
        normal += rows
        normal -= total / count
        normal *= self.parameter("weight").value * tape.notes["scale"]
        if tape.part.spare:
            normal.fill(0)  # the row is in no statistics
        return self._padded(normal, dy.shape, "dx", tape)

    def _parameter_gradients(self, dy: Array, normal: Array) -> tuple[Array, Array]:
        """Add to the gradients of the parameters; returns the sums over all rows of dy and of dy x̂."""
        sums = dy.sum(0), np.einsum("rf,rf->f", dy, normal)
        for name, gradient in zip(("bias", "weight"), sums, strict=True):
            total, add = self.parameter(name).accumulator()
            total[...] = total + gradient if add else gradient
        return sums

    @staticmethod
    def _real(x: Array, tape: Workspace) -> Array:
        """The real steps of all sequences as rows, (R, F)."""
        if tape.notes["real"] is None:
            return as_rows(x)
        real, _ = tape.notes["real"]
        rows = tape.array("real", (len(real), x.shape[-1]), x.dtype)
        gather(as_rows(x), real, rows)
        return rows

    @staticmethod
    def _padded(rows: Array, shape: tuple[int, ...], name: str, tape: Workspace) -> Array:
        """The rows at their places in an array of this shape, with zeros in the padding."""
        if tape.notes["real"] is None:
            return rows.reshape(shape)
        _, place = tape.notes["real"]
        padded = tape.array(name, shape, rows.dtype)
        gather(rows, place, as_rows(padded))
        return padded

    def config(self) -> dict[str, Any]:
        return {"size": self.size, "momentum": self.momentum, "eps": self.eps, **self.settings()}


def real_steps(shape: tuple[int, ...], lengths: Index) -> tuple[Index, Index] | None:
    """The rows of (N·T) that are real steps, and the place of each row among these, -1 for padding; None if all are.

    `shape` is (N, T), or (N,) where each row is made of a whole sequence: it is real if the sequence has a step.
    """
    n, t = (*shape, 1)[:2]
    if (lengths >= t).all():
        return None
    real = np.flatnonzero(np.arange(t) < lengths[:, None])
    place = np.full(n * t, -1, np.intp)
    place[real] = np.arange(len(real))
    return real, place
