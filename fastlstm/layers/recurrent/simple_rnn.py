"""The simple recurrent network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Unpack

from fastlstm.layers.base import Array
from fastlstm.layers.recurrent import cells
from fastlstm.layers.recurrent.base import Recurrent
from fastlstm.layers.recurrent.functions import Activation, shortest
from fastlstm.layers.recurrent.options import cell_for, config_of, options_of
from fastlstm.layers.recurrent.shared import SharedWithU

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
    activation : str or tuple, default "tanh"
        phi, a function that `LSTM` knows. U starts as a random orthogonal matrix; for relu, max(0, ·), as the identity,
        so that a new network adds up what it sees (Le et al. 2015).
    clip : float, optional
        What phi takes is clipped to plus and minus this (ONNX).
    recurrent_dropout : float, default 0
        Rate of dropout on h where U sees it, while training, with one mask for all steps of a sequence (Gal and
        Ghahramani 2016).
    zoneout : float, default 0
        Probability that a number of h stays as it was at a step, while training; in inference it is the mean of both
        (Krueger et al. 2017).
    **shared
        What every recurrent layer with a matrix U takes; see `fastlstm.layers.recurrent.shared.SharedWithU`.

    Notes
    -----
    Layer k has the parameters ``weight_ih_l{k}`` (H, I or the width of what the layer reads), ``weight_hh_l{k}`` (H, H)
    and ``bias_l{k}`` (H), with ``_reverse`` appended for the other direction: H·(I + H) + H parameters. b starts at
    zero, W as Glorot's uniform.

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
        activation: Activation = "tanh",
        clip: float | None = None,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        **shared: Unpack[SharedWithU],
    ) -> None:
        options = options_of(
            activation=activation, clip=clip, zoneout=(zoneout, 0.0), recurrent_dropout=recurrent_dropout
        )
        self.activation = shortest(options.candidate)
        plain = CELLS.get(self.activation) if isinstance(self.activation, str) else None
        general = cells.SIMPLE_OPTIONS if plain is None else replace(cells.SIMPLE_OPTIONS, recurrent=plain.recurrent)
        cell = cell_for(options, plain, general, options.candidate)
        super().__init__(cell, input_size, hidden_size, **shared)

    def config(self) -> dict[str, Any]:
        return {**super().config(), **config_of(self.cell.options, of_c=False), "activation": self.activation}
