"""The minimal LSTM, whose gates see the input alone."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.layers.base import Array
from fastlstm.layers.matrix import Kinds
from fastlstm.layers.recurrent import cells
from fastlstm.layers.recurrent.base import Recurrent
from fastlstm.layers.settings import Settings


class MinLSTM(Recurrent[Array]):
    """The minimal LSTM (Feng et al. 2024), whose gates see the input alone.

    At every step, from the input x and the state h that starts at zero::

        f, i = sigmoid(W x + b)     g = W x + b     h = (f h + i g) / (f + i)

    There is no matrix U: all gates and candidates come from one product over all steps, and what is left for each step
    is a mean of h and g with weights that x alone decides. It has 3·H·(I + 1) parameters, and in return its gates know
    nothing of what came before.

    Parameters
    ----------
    input_size, hidden_size : int
        I, features of the input, and H, units of the state.
    num_layers : int, default 1
        Layers on top of each other, each reading the outputs of the one below.
    bidirectional : bool, default False
        Whether each layer also reads sequences from their ends. Outputs of both directions stand side by side: D = 2.
    dropout : float, default 0
        Rate of dropout on the output of each layer but the last, while training. A single layer has none, and a
        UserWarning says so: put a `Dropout` after it.
    bias : bool, default True
        One bias for each gate and unit.
    forget_bias : float, default 1.0
        Starting bias of f; the other biases start at zero, W as Glorot's uniform.
    positive : bool, default False
        Whether g is positive, as in the form of the paper that is computed in logarithms: a + 1/2 for the sum a above
        0, and sigmoid(a) below.
    input_dropout : float, default 0
        Rate of dropout on x, while training.
    variational : bool, default False
        Whether `input_dropout`, and `dropout` between layers, have one mask for all steps of a sequence (Gal and
        Ghahramani 2016), instead of new ones at each step.
    merge, residual, skip, go_backwards, learn_initial_state
        As of an `LSTM`.
    dtype : "float32", "float64" or None
    seed : int or None
    weights : "bfloat16", "int8x16", "int8" or None, or a list of these, default None
        How inference holds the weights; see `fastlstm.quantize`.
    **settings
        How parameters start, ``init``, their ``regularizers`` and ``constraints``, and which are ``trainable``; see
        `fastlstm.layers.settings.Settings`.

    Notes
    -----
    Layer k has the parameters ``weight_ih_l{k}`` (3H, I or the width of what the layer reads) and ``bias_l{k}`` (3H),
    with ``_reverse`` appended for the other direction; their rows are f, i, g.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> layer = fl.MinLSTM(3, 4, num_layers=2, seed=0)
    >>> y, h = layer(np.ones((5, 7, 3)))
    >>> y.shape, h.shape
    ((5, 7, 4), (2, 5, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
        forget_bias: float = 1.0,
        positive: bool = False,
        input_dropout: float = 0.0,
        variational: bool = False,
        merge: Literal["concat", "sum", "mul", "ave", "none"] = "concat",
        residual: bool = False,
        skip: Literal["input", "output", "both"] | None = None,
        go_backwards: bool = False,
        learn_initial_state: bool = False,
        dtype: Any = None,
        seed: int | None = None,
        weights: Kinds = None,
        **settings: Unpack[Settings],
    ) -> None:
        self.forget_bias = _check.number(forget_bias, "forget_bias", -np.inf)
        self.positive = _check.flag(positive, "positive")
        cell = cells.MIN_LSTM_POSITIVE if self.positive else cells.MIN_LSTM
        super().__init__(
            *(cell, input_size, hidden_size, num_layers, bidirectional, dropout, bias, dtype, seed, weights),
            input_dropout=input_dropout,
            variational=variational,
            merge=merge,
            residual=residual,
            skip=skip,
            go_backwards=go_backwards,
            learn_initial_state=learn_initial_state,
            bias_start=partial(bias_of_f, value=self.forget_bias),
            **settings,
        )

    def config(self) -> dict[str, Any]:
        positive = {"positive": True} if self.positive else {}
        return {**super().config(), "forget_bias": self.forget_bias, **positive}


def bias_of_f(rng: np.random.Generator, shape: tuple[int, ...], value: float) -> NDArray[np.float64]:
    """Zeros, and the value for f."""
    bias = np.zeros(shape)
    bias[: shape[0] // 3] = value
    return bias
