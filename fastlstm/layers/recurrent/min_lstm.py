"""The minimal LSTM, whose gates see the input alone."""

from __future__ import annotations

from functools import partial
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.layers.base import Array
from fastlstm.layers.recurrent import cells
from fastlstm.layers.recurrent.base import Recurrent
from fastlstm.layers.recurrent.shared import Shared
from fastlstm.parameter import Initializer


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
    forget_bias : float, default 1.0
        Starting bias of f; the other biases start at zero, W as Glorot's uniform.
    positive : bool, default False
        Whether g is positive, as in the form of the paper that is computed in logarithms: a + 1/2 for the sum a above
        0, and sigmoid(a) below.
    **shared
        What every recurrent layer takes; see `fastlstm.layers.recurrent.shared.Shared`.

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

    _takes = Shared

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        forget_bias: float = 1.0,
        positive: bool = False,
        **shared: Unpack[Shared],
    ) -> None:
        self.forget_bias = _check.number(forget_bias, "forget_bias", -np.inf)
        self.positive = _check.flag(positive, "positive")
        cell = cells.MIN_LSTM_POSITIVE if self.positive else cells.MIN_LSTM
        super().__init__(cell, input_size, hidden_size, **shared)

    def _bias_start(self) -> Initializer:
        return partial(bias_of_f, value=self.forget_bias)

    def config(self) -> dict[str, Any]:
        positive = {"positive": True} if self.positive else {}
        return {**super().config(), "forget_bias": self.forget_bias, **positive}


def bias_of_f(rng: np.random.Generator, shape: tuple[int, ...], value: float) -> NDArray[np.float64]:
    """Zeros, and the value for f."""
    bias = np.zeros(shape)
    bias[: shape[0] // 3] = value
    return bias
