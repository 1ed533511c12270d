"""The simple recurrent network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, Unpack

from fastlstm.layers.base import Array
from fastlstm.layers.matrix import Kinds
from fastlstm.layers.recurrent import cells
from fastlstm.layers.recurrent.base import Recurrent
from fastlstm.layers.recurrent.functions import Activation, shortest
from fastlstm.layers.recurrent.options import cell_for, config_of, options_of
from fastlstm.layers.settings import Settings

CELLS = {"tanh": cells.TANH, "relu": cells.RELU}
"""The cells of the usual activations."""


class SimpleRNN(Recurrent[Array]):
    """The simple recurrent network (Elman 1990), whose state is its last output.

    At every step, from the input x and the state h that starts at zero::

        h = phi(W x + U h + b)

    It has no gates: whatever it remembers goes through U and phi at every step, and so does the gradient on its way
    back, which therefore vanishes or explodes over long times (Bengio et al. 1994). See docs/long-memory.md.

    Parameters
    ----------
    input_size, hidden_size : int
        I, features of the input, and H, units of the state.
    num_layers : int, default 1
        Layers on top of each other, each reading the outputs of the one below.
    bidirectional : bool, default False
        Whether each layer also reads sequences from their ends. Outputs of both directions stand side by side: D = 2.
    activation : str or tuple, default "tanh"
        phi, a function that `LSTM` knows. U starts as a random orthogonal matrix; for relu, max(0, ·), as the identity,
        so that a new network adds up what it sees (Le et al. 2015).
    dropout : float, default 0
        Rate of dropout on the output of each layer but the last, while training. A single layer has none, and a
        UserWarning says so: put a `Dropout` after it.
    bias : bool, default True
        H·(I + H) + H parameters for a layer and direction. b starts at zero, W as Glorot's uniform.
    clip : float, optional
        What phi takes is clipped to plus and minus this (ONNX).
    recurrent_dropout : float, default 0
        Rate of dropout on h where U sees it, while training, with one mask for all steps of a sequence (Gal and
        Ghahramani 2016).
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
        Whether each gate has two biases that are added, as in PyTorch: ``bias_ih_l{k}`` and ``bias_hh_l{k}`` (H each)
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
    Layer k has the parameters ``weight_ih_l{k}`` (H, I or the width of what the layer reads), ``weight_hh_l{k}`` (H, H)
    and ``bias_l{k}`` (H), with ``_reverse`` appended for the other direction.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> rnn = fl.SimpleRNN(3, 4, num_layers=2, seed=0)
    >>> y, h = rnn(np.ones((5, 7, 3)))
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
        activation: Activation = "tanh",
        dropout: float = 0.0,
        bias: bool = True,
        clip: float | None = None,
        recurrent_dropout: float = 0.0,
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
        options = options_of(
            activation=activation, clip=clip, zoneout=(zoneout, 0.0), recurrent_dropout=recurrent_dropout
        )
        self.activation = shortest(options.candidate)
        plain = CELLS.get(self.activation) if isinstance(self.activation, str) else None
        general = cells.SIMPLE_OPTIONS if plain is None else replace(cells.SIMPLE_OPTIONS, recurrent=plain.recurrent)
        cell = cell_for(options, plain, general, options.candidate)
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
            **settings,
        )

    def config(self) -> dict[str, Any]:
        return {**super().config(), **config_of(self.cell.options, of_c=False), "activation": self.activation}
