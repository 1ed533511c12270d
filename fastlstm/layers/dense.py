"""The dense layer: a linear map of the features."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, Unpack

import numpy as np

from fastlstm import _check, init
from fastlstm._check import Shape
from fastlstm._kernels import blas, cpu
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.stage import Stage
from fastlstm.layers.activation import Activation
from fastlstm.layers.base import Array, Index, Layer, as_rows, check_features
from fastlstm.layers.elementwise import DEFAULTS
from fastlstm.layers.matrix import Kinds, MatrixLayer
from fastlstm.layers.packed import Packed, PackedMatrix, worth_training
from fastlstm.layers.recurrent.functions import Activation as Function
from fastlstm.layers.recurrent.functions import function_of
from fastlstm.layers.replay import Backward, BackwardCalls, Calls
from fastlstm.layers.settings import Settings
from fastlstm.layers.softmax import Softmax
from fastlstm.parameter import Parameter
from fastlstm.workspace import Workspace


class Dense(MatrixLayer):
    """y = x Wᵀ + b on the last axis, the same for every step of every sequence.

    Parameters
    ----------
    input_size : int
        Number of features of x.
    output_size : int
        Number of features of y. W (output_size, input_size) is the parameter ``weight`` and starts from
        `init.glorot_uniform`, b (output_size) is ``bias`` and starts from zeros.
    bias : bool, default True
        Whether there is a b.
    dtype : "float32", "float64" or None
        None takes the model's.
    seed : int, optional
        Seed of the starting values; by default from the model.
    activation : function, optional
        A function as `Activation` takes it, or "softmax". The layer then brings an `Activation` or `Softmax` along, a
        layer of its own that stands behind this one in a model or a chain.
    weights : "bfloat16", "int8x16", "int8" or None, default None
        How inference holds the weights; see `fastlstm.quantize`. None is as they are.
    **settings
        How parameters start, ``init``, their ``regularizers`` and ``constraints``, and which are ``trainable``; see
        `fastlstm.layers.settings.Settings`.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> fl.Dense(3, 2, seed=0)(np.ones((4, 5, 3))).shape
    (4, 5, 2)
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        bias: bool = True,
        activation: Function | Literal["softmax"] | None = None,
        dtype: Any = None,
        seed: int | None = None,
        weights: Kinds = None,
        **settings: Unpack[Settings],
    ) -> None:
        super().__init__(dtype, seed, **settings)
        self.input_size = _check.positive_int(input_size, "input_size")
        self.output_size = _check.positive_int(output_size, "output_size")
        self.bias = _check.flag(bias, "bias")
        self.input_shape = ("N", "T", self.input_size)
        self.add("weight", (self.output_size, self.input_size), init.glorot_uniform)
        if bias:
            self.add("bias", (self.output_size,), init.zeros, fan=self.input_size)
        self.activation = None if activation is None or activation == "linear" else activation
        if self.activation == "softmax":
            self._behind: Layer = Softmax()
        elif self.activation is not None:
            function_of("silu" if self.activation == "swish" else self.activation, "activation", DEFAULTS)
            self._behind = Activation(self.activation)
        self._packed = PackedMatrix(self._parameters["weight"], self._parameters.get("bias"))
        self.weights = weights

    def _with_behind(self) -> list[Layer]:
        return [self] if self.activation is None else [self, self._behind]

    def _shown(self) -> dict[str, Any]:
        return self.config() if self.activation is None else {**self.config(), "activation": self.activation}

    def _matrices(self) -> list[Packed]:
        return [self._packed]

    def as_input(self, x: Any, name: str = "x", shape: Shape | None = None) -> Array:
        if np.ndim(x) == 2 and shape is None:  # a layer without a model takes x with or without steps
            shape = ("N", self.input_size)
        return super().as_input(x, name, shape)

    def output_shape(self, shape: Shape) -> Shape:
        check_features(shape, self.input_size)
        return (*shape[:-1], self.output_size)

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        tape.notes["x"] = x
        ready = None if training else self._prepare(x, tape)
        if ready is not None:
            ready[0][0].go()
            return ready[1]
        y = tape.array("y", (*x.shape[:-1], self.output_size), x.dtype)
        bias = self.parameter("bias").value if self.bias else np.empty(0, x.dtype)
        blas.affine(as_rows(x), self.parameter("weight").value, bias, as_rows(y), self._format(tape))
        return y

    def _format(self, tape: Workspace) -> str:
        """The format in which training takes products; "exact" on the plain path."""
        if self.output_size == 1:  # a single column is an inner product
            return "exact"
        return worth_training(tape.precision, self._dtype, self.output_size, self.input_size)

    def _prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array] | None:
        if cpu.isa() == "plain":
            return None
        y = tape.array("y", (*x.shape[:-1], self.output_size), x.dtype)
        return [self._packed.prepare(as_rows(x), as_rows(y), tape)], y

    def _replay(self, x: Array, tape: Workspace) -> tuple[Calls, Array, Backward]:
        y = tape.array("y", (*x.shape[:-1], self.output_size), x.dtype)
        rows = as_rows(x)

        (weight, bias), format = self._weight_and_bias(), self._format(tape)
        learned = bias if bias is not None and bias.trainable else None

        def backward(dy: Array, wanted: bool) -> BackwardCalls:
            dx = tape.array("dx", x.shape, x.dtype) if wanted else None
            to = None if dx is None else as_rows(dx)
            if not weight.trainable:
                rows_of_dx = np.empty((0, self.input_size), x.dtype) if to is None else to
                return [partial(backward_of_rows, as_rows(dy), rows, rows_of_dx, weight, bias, format)], dx
            stage = blas.affine_backward_stage(as_rows(dy), rows, weight, learned, to, format)
            return [stage.go], dx

        values = weight.read(), None if bias is None else bias.read()
        return [blas.affine_stage(rows, *values, as_rows(y), format).go], y, backward

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        x = tape.notes["x"]
        dx = tape.array("dx", x.shape if input_gradient else (0, self.input_size), x.dtype)
        backward_of_rows(as_rows(dy), as_rows(x), as_rows(dx), *self._weight_and_bias(), self._format(tape))
        return dx if input_gradient else None

    def _weight_and_bias(self) -> tuple[Parameter, Parameter | None]:
        return self.parameter("weight"), self.parameter("bias") if self.bias else None

    def config(self) -> dict[str, Any]:
        return {"input_size": self.input_size, "output_size": self.output_size, "bias": self.bias, **self.settings()}


def backward_of_rows(
    dy: Array, x: Array, dx: Array, weight: Parameter, bias: Parameter | None, format: str = "exact"
) -> None:
    """Write dx, unless it has no rows, and add to the gradients of the parameters that are not frozen."""
    none = np.empty(0, x.dtype)
    learned = bias if bias is not None and bias.trainable else None
    if not weight.trainable:
        if learned is not None:
            learned.grad[...] += dy.sum(0)
        if len(dx):
            blas.affine(dy, np.ascontiguousarray(weight.read().T), none, dx, format)
        return
    dweight, add_weight = weight.accumulator()
    dbias, add_bias = (none, True) if learned is None else learned.accumulator()
    blas.affine_backward(dy, x, weight.read(), dweight, dbias, dx, add_weight, add_bias, format)
