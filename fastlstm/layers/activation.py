"""A function of each number, between layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm._check import Shape
from fastlstm._kernels.activations import activate, activate_stage
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.stage import Stage
from fastlstm.layers.base import Array, Index, Layer
from fastlstm.layers.elementwise import DEFAULTS, SLOPES
from fastlstm.layers.recurrent.functions import Activation as Function
from fastlstm.layers.recurrent.functions import Function as Chosen
from fastlstm.layers.recurrent.functions import function_of, shortest
from fastlstm.workspace import Workspace


class Activation(Layer):
    """y = f(x), number by number.

    Parameters
    ----------
    function : str or tuple
        A name, or a tuple of a name, alpha and beta, as far as the function has them: "sigmoid", "tanh", "relu",
        "hard_sigmoid" (clip(αx + β, 0, 1), α = 0.2, β = 0.5), "softsign", "softplus", "leaky_relu" (αx below 0,
        α = 0.01), "thresholded_relu" (x above α, else 0; α = 1), "elu" (α(eˣ - 1) below 0, α = 1), "affine" (αx + β,
        α = 1, β = 0) and "scaled_tanh" (α tanh(βx), α = β = 1), which are those of ``LSTM(activation=)`` and of ONNX;
        "gelu" (xΦ(x), Hendrycks and Gimpel 2016), "gelu_tanh" (its approximation by tanh), "silu" or "swish" (xσ(x))
        and "exp".
    dtype : "float32", "float64" or None
        None takes the model's.
    seed : int, optional
        Not used.

    Raises
    ------
    TypeError
        If function is neither a name nor a tuple of a name and one or two numbers.
    ValueError
        If there is no function of this name, or it has fewer numbers.

    Examples
    --------
    >>> import fastlstm as fl
    >>> fl.Activation(("leaky_relu", 0.5))([[[-2.0, 3.0]]])
    array([[[-1.,  3.]]], dtype=float32)
    """

    input_shape = ("N", "T", "F")

    def __init__(self, function: Function, *, dtype: Any = None, seed: int | None = None) -> None:
        super().__init__(dtype, seed)
        name = "silu" if isinstance(function, str) and function == "swish" else function
        self._function = function_of(name, "function", DEFAULTS)

    @property
    def function(self) -> Chosen:
        """The name of the function, alpha and beta; read-only, since prepared passes hold them."""
        return self._function

    def as_input(self, x: Any, name: str = "x", shape: Shape | None = None) -> Array:
        if np.ndim(x) == 2 and shape is None:  # a layer without a model takes x with or without steps
            shape = ("N", "F")
        return super().as_input(x, name, shape)

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        kind, alpha, beta = self.function
        x, y = np.ascontiguousarray(x), tape.array("y", x.shape, x.dtype)
        activate(kind, x.reshape(-1), y.reshape(-1), alpha, beta)
        tape.notes["x"] = x
        return y

    def _prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array] | None:
        if not x.flags.c_contiguous:
            return None
        kind, alpha, beta = self.function
        y = tape.array("y", x.shape, x.dtype)
        return [activate_stage(kind, x.reshape(-1), y.reshape(-1), alpha, beta)], y

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        if not input_gradient:
            return None
        kind, alpha, beta = self.function
        x, y = tape.notes["x"], tape.array("y", dy.shape, dy.dtype)
        dx = tape.array("dx", dy.shape, dy.dtype)
        SLOPES[kind](x, y, dx, alpha, beta)
        dx *= dy
        return dx

    def config(self) -> dict[str, Any]:
        return {"function": shortest(self.function, DEFAULTS)}
