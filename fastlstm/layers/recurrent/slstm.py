"""The sLSTM: an LSTM with exponential gates."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, Unpack

import numpy as np

from fastlstm import _check, init
from fastlstm.layers.base import Array
from fastlstm.layers.recurrent import cells
from fastlstm.layers.recurrent.base import Recurrent
from fastlstm.layers.recurrent.options import chrono_of
from fastlstm.layers.recurrent.shared import SharedWithU
from fastlstm.parameter import Initializer


class SLSTM(Recurrent[tuple[Array, Array, Array]]):
    """The LSTM with exponential gates of the xLSTM (Beck et al. 2024).

    At every step, from the input x and the state h, C and N that starts at zero::

        i = exp(W x + U h + b)          z = tanh(W x + U h + b)
        f, o = sigmoid(W x + U h + b)   C = f C + i z     N = f N + i     h = o C / N

    What a step writes may outweigh all that has been written before, as no sigmoid can. C and N grow beyond what a
    number holds. So the state has c = C / N, the mean of all z by their weights, and n = log N. In the paper's terms
    its c / n is c, and its m + log n, with the stabiliser m, is n. See Notes for other forms of a state.

    Parameters
    ----------
    input_size, hidden_size : int
        I, features of the input, and H, units of the state.
    heads : int, default 1
        Parts of the units, H / heads each: a unit's gates see h of its own part alone. U then has H·H·4 / heads
        numbers, and takes as much less time.
    forget_gate : "sigmoid" or "exp", default "sigmoid"
        What f is of its sum.
    forget_bias : float, default 1.0
        Starting bias of f; the other biases start at zero, W as Glorot's uniform, U orthogonal.
    chrono : float, optional
        The longest time, in steps, that the layer is to remember over; see `LSTM`.
    **shared
        What every recurrent layer with U takes; see `fastlstm.layers.recurrent.shared.SharedWithU`.

    Notes
    -----
    Layer k has the parameters ``weight_ih_l{k}`` (4H, I or the width of what the layer reads), ``weight_hh_l{k}``
    (4H, H) and ``bias_l{k}`` (4H), with ``_reverse`` appended for the other direction; their rows are i, f, z, o. With
    several heads each has its own, with H / heads in the place of H, and starts by itself: ``weight_ih_l{k}_head0`` and
    so on.

    The state is the tuple (h, c, n), each (layers·D, N, H). A state of the paper's (h, c, n, m) is
    ``(h, c / n, m + log(n))`` here, and one of here is ``(h, c, 1, n)`` there. Before the first step h and c are 0, and
    n is -1e30, a logarithm of as good as nothing. That cannot be learned: `learn_initial_state` is refused.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> layer = fl.SLSTM(3, 8, heads=2, seed=0)
    >>> y, (h, c, n) = layer(np.ones((5, 7, 3)))
    >>> y.shape, h.shape, c.shape, n.shape
    ((5, 7, 8), (1, 5, 8), (1, 5, 8), (1, 5, 8))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        heads: int = 1,
        forget_gate: Literal["sigmoid", "exp"] = "sigmoid",
        forget_bias: float = 1.0,
        chrono: float | None = None,
        **shared: Unpack[SharedWithU],
    ) -> None:
        self.heads = _check.positive_int(heads, "heads")
        if _check.positive_int(hidden_size, "hidden_size") % self.heads:
            raise ValueError(f"heads: expected a number that divides hidden_size, {hidden_size}, got {heads}")
        if not isinstance(forget_gate, str) or forget_gate not in ("sigmoid", "exp"):
            raise ValueError(f"forget_gate: expected 'sigmoid' or 'exp', got {forget_gate!r}")
        if shared.get("learn_initial_state"):
            raise ValueError("learn_initial_state: expected False of an SLSTM, which begins with nothing, got True")
        self.forget_gate = forget_gate
        self.forget_bias = _check.number(forget_bias, "forget_bias", -np.inf)
        self.chrono = chrono_of(chrono, shared.get("bias", True))
        cell = cells.SLSTM if forget_gate == "sigmoid" else cells.SLSTM_EXP
        super().__init__(cell, input_size, hidden_size, **shared)

    def _bias_start(self) -> Initializer:
        if self.chrono is None:
            return partial(init.gate_bias, forget_bias=self.forget_bias, coupled=False)
        return partial(init.chrono_bias, longest=self.chrono, sums=4, keep=1, write=0)

    def config(self) -> dict[str, Any]:
        usual = {"heads": 1, "forget_gate": "sigmoid", "chrono": None}
        own = {name: getattr(self, name) for name, value in usual.items() if getattr(self, name) != value}
        return {**super().config(), "forget_bias": self.forget_bias, **own}
