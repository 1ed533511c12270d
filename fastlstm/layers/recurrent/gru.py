"""The gated recurrent unit."""

from __future__ import annotations

from typing import Any

from fastlstm.layers.base import Array
from fastlstm.layers.matrix import Kinds
from fastlstm.layers.recurrent import cells
from fastlstm.layers.recurrent.base import Recurrent


class GRU(Recurrent[Array]):
    """Gated recurrent unit (Cho et al. 2014), whose state is its last output.

    At every step, from the input x and the state h that starts at zero::

        r, z = sigmoid(W x + U h + b)
        n = tanh(W x + b + r (U h + b'))
        h = (1 - z) n + z h

    The update gate z says how much of the state stays. The reset gate r scales the product U h, as in PyTorch, cuDNN
    and Keras; in the paper it scales h before the product. A GRU has no cell state beside its output, and about three
    quarters of the parameters of an `LSTM` of the same size.

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
        3·H·(I + H) + 4·H parameters for a layer and direction. b and b' start at zero, W as Glorot's uniform, U
        orthogonal.
    dtype : "float32", "float64" or None
    seed : int or None
    weights : "bfloat16", "int8x16", "int8" or None, or a list of these, default None
        How inference holds the weights; see `fastlstm.quantize`. None is as they are. A list has one for each layer and
        direction: layer 0, layer 0 reverse, layer 1, ...

    Notes
    -----
    Layer k has the parameters ``weight_ih_l{k}`` (3H, I or D·H), ``weight_hh_l{k}`` (3H, H) and ``bias_l{k}`` (4H),
    with ``_reverse`` appended for the other direction. The rows of the weights are r, z, n; the bias holds those of r,
    z and n, and then b'.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> gru = fl.GRU(3, 4, num_layers=2, seed=0)
    >>> y, h = gru(np.ones((5, 7, 3)))
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
        dtype: Any = None,
        seed: int | None = None,
        weights: Kinds = None,
    ) -> None:
        super().__init__(
            cells.GRU, input_size, hidden_size, num_layers, bidirectional, dropout, bias, dtype, seed, weights
        )
