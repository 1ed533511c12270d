"""The gated recurrent unit."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, Unpack

from fastlstm import init
from fastlstm.layers.base import Array
from fastlstm.layers.recurrent import cells
from fastlstm.layers.recurrent.base import Recurrent
from fastlstm.layers.recurrent.functions import Activation
from fastlstm.layers.recurrent.options import cell_for, chrono_of, config_of, has_usual_functions, options_of
from fastlstm.layers.recurrent.shared import SharedWithU
from fastlstm.parameter import Initializer


class GRU(Recurrent[Array]):
    """Gated recurrent unit (Cho et al. 2014), whose state is its last output.

    At every step, from the input x and the state h that starts at zero::

        r, z = sigmoid(W x + U h + b)
        n = tanh(W x + b + r (U h + b'))
        h = (1 - z) n + z h

    The update gate z says how much of the state stays. The reset gate r scales the product U h, as in PyTorch, cuDNN
    and Keras; in the paper, and by default in ONNX, it scales h before the product, U (r h): `reset` chooses. A GRU has
    no cell state beside its output, and about three quarters of the parameters of an `LSTM` of the same size.

    Parameters
    ----------
    input_size, hidden_size : int
        I, features of the input, and H, units of the state.
    reset : "after" or "before", default "after"
        Whether the reset gate scales U h + b' or h. Then n = tanh(W x + U (r h) + b) has no b', and a step takes two
        phases (Cho et al. 2014).
    chrono : float, optional
        The longest time, in steps, that the layer is to remember over, from 2, for long memories (Tallec and Ollivier
        2018): the biases of z, the gate that keeps the state, then start at log U(1, chrono - 1).
    activation, recurrent_activation : str or tuple, default "tanh", "sigmoid"
        The functions of the candidate n, and of r and z; see `LSTM`.
    clip : float, optional
        What the functions take is clipped to plus and minus this (ONNX).
    recurrent_dropout : float, default 0
        Rate of dropout within the recurrence, while training.
    recurrent_dropout_on : "state" or "candidate", default "state"
        On h where U sees it, with one mask for all steps of a sequence (Gal and Ghahramani 2016), or on the candidate
        n, with new ones at each step, so that h forgets nothing (Semeniuta et al. 2016).
    zoneout : float, default 0
        Probability that a number of h stays as it was at a step, while training; in inference it is the mean of both
        (Krueger et al. 2017).
    **shared
        What every recurrent layer with a matrix U takes; see `fastlstm.layers.recurrent.shared.SharedWithU`.

    Notes
    -----
    Layer k has the parameters ``weight_ih_l{k}`` (3H, I or the width of what the layer reads), ``weight_hh_l{k}`` (3H,
    H) and ``bias_l{k}`` (4H), with ``_reverse`` appended for the other direction. The rows of the weights are r, z,
    n; the bias holds those of r, z and n, and then b', or (3H) with the reset gate before the product. These are
    3·H·(I + H) + 4·H parameters. b and b' start at zero, W as Glorot's uniform, U orthogonal.

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
        reset: Literal["after", "before"] = "after",
        chrono: float | None = None,
        activation: Activation = "tanh",
        recurrent_activation: Activation = "sigmoid",
        clip: float | None = None,
        recurrent_dropout: float = 0.0,
        recurrent_dropout_on: Literal["state", "candidate"] = "state",
        zoneout: float = 0.0,
        **shared: Unpack[SharedWithU],
    ) -> None:
        self.chrono = chrono_of(chrono, shared.get("bias", True))
        options = options_of(
            activation=activation,
            recurrent_activation=recurrent_activation,
            clip=clip,
            zoneout=(zoneout, 0.0),
            recurrent_dropout=recurrent_dropout,
            recurrent_dropout_on=recurrent_dropout_on,
        )
        if not isinstance(reset, str) or reset not in ("after", "before"):
            raise ValueError(f"reset: expected 'after' or 'before', got {reset!r}")
        self.reset_gate = reset
        plain = cells.GRU if reset == "after" and has_usual_functions(options) else None
        general = cells.GRU_OPTIONS if reset == "after" else cells.GRU_BEFORE
        cell = cell_for(options, plain, general, options.gate, options.candidate)
        super().__init__(cell, input_size, hidden_size, **shared)

    def _bias_start(self) -> Initializer:
        if self.chrono is None:
            return init.zeros
        sums = 3 if self.two_biases else self.cell.sums
        return partial(init.chrono_bias, longest=self.chrono, sums=sums, keep=1, write=None)

    def config(self) -> dict[str, Any]:
        own = {} if self.chrono is None else {"chrono": self.chrono}
        reset = {} if self.reset_gate == "after" else {"reset": self.reset_gate}
        return {**super().config(), **reset, **config_of(self.cell.options, of_c=False), **own}
