"""The gated recurrent unit."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, Unpack

from fastlstm import init
from fastlstm.layers.base import Array
from fastlstm.layers.matrix import Kinds
from fastlstm.layers.recurrent import cells
from fastlstm.layers.recurrent.base import Recurrent
from fastlstm.layers.recurrent.functions import Activation
from fastlstm.layers.recurrent.options import cell_for, chrono_of, config_of, has_usual_functions, options_of
from fastlstm.layers.settings import Settings


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
    input_dropout : float, default 0
        Rate of dropout on x, while training.
    weight_dropout : float, default 0
        Rate of dropout on the weights U, while training, one mask for a batch (DropConnect, Merity et al. 2018).
    variational : bool, default False
        Whether `input_dropout`, and `dropout` between layers, have one mask for all steps of a sequence (Gal and
        Ghahramani 2016), instead of new ones at each step.
    merge : "concat", "sum", "mul", "ave" or "none", default "concat"
        How the outputs of two directions come together: side by side, added, multiplied, their mean, or, of a single
        layer that is called by itself, each by itself.
    residual : bool, default False
        Whether each layer but the first adds the output of the layer below to its own (He et al. 2016).
    skip : "input", "output", "both" or None, default None
        Connections that go past layers (Graves 2013): each layer above the first also reads x, beside the output of the
        one below; or the output is that of all layers side by side, layers·D·H numbers; or both.
    go_backwards : bool, default False
        Whether sequences are read from their ends only. Outputs stand at their own steps.
    learn_initial_state : bool, default False
        Whether the state that a sequence begins with, where none is given, is trained. There are then the parameters
        ``h0_l{k}`` (H) for each layer and direction, which start at zero.
    two_biases : bool, default False
        Whether each gate has two biases that are added, as in PyTorch: ``bias_ih_l{k}`` and ``bias_hh_l{k}`` (3H each)
        instead of ``bias_l{k}``. Each has the whole gradient, so that plain descent moves their sum twice as fast.
    dtype : "float32", "float64" or None
    seed : int or None
    weights : "bfloat16", "int8x16", "int8" or None, or a list of these, default None
        How inference holds the weights; see `fastlstm.quantize`. None is as they are. A list has one for each layer and
        direction: layer 0, layer 0 reverse, layer 1, ...
    **settings
        How parameters start, ``init``, their ``regularizers`` and ``constraints``, and which are ``trainable``; see
        `fastlstm.layers.settings.Settings`.

    Notes
    -----
    Layer k has the parameters ``weight_ih_l{k}`` (3H, I or the width of what the layer reads), ``weight_hh_l{k}`` (3H,
    H) and ``bias_l{k}`` (4H), with ``_reverse`` appended for the other direction. The rows of the weights are r, z,
    n; the bias holds those of r, z and n, and then b', or (3H) with the reset gate before the product.

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
        reset: Literal["after", "before"] = "after",
        chrono: float | None = None,
        activation: Activation = "tanh",
        recurrent_activation: Activation = "sigmoid",
        clip: float | None = None,
        recurrent_dropout: float = 0.0,
        recurrent_dropout_on: Literal["state", "candidate"] = "state",
        zoneout: float = 0.0,
        input_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        variational: bool = False,
        merge: Literal["concat", "sum", "mul", "ave", "none"] = "concat",
        residual: bool = False,
        skip: Literal["input", "output", "both"] | None = None,
        go_backwards: bool = False,
        learn_initial_state: bool = False,
        two_biases: bool = False,
        dtype: Any = None,
        seed: int | None = None,
        weights: Kinds = None,
        **settings: Unpack[Settings],
    ) -> None:
        self.chrono = chrono_of(chrono, bias)
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
        super().__init__(
            *(cell, input_size, hidden_size, num_layers, bidirectional, dropout, bias, dtype, seed, weights),
            input_dropout=input_dropout,
            weight_dropout=weight_dropout,
            variational=variational,
            merge=merge,
            residual=residual,
            skip=skip,
            go_backwards=go_backwards,
            learn_initial_state=learn_initial_state,
            two_biases=two_biases,
            bias_start=init.zeros
            if self.chrono is None
            else partial(
                init.chrono_bias, longest=self.chrono, sums=3 if two_biases else cell.sums, keep=1, write=None
            ),
            **settings,
        )

    def config(self) -> dict[str, Any]:
        own = {} if self.chrono is None else {"chrono": self.chrono}
        reset = {} if self.reset_gate == "after" else {"reset": self.reset_gate}
        return {**super().config(), **reset, **config_of(self.cell.options, of_c=False), **own}
