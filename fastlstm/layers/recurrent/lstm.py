"""The long short-term memory."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, Literal, Unpack

import numpy as np

from fastlstm import _check, init
from fastlstm.layers.base import Array
from fastlstm.layers.recurrent import cells
from fastlstm.layers.recurrent.base import Recurrent
from fastlstm.layers.recurrent.functions import Activation
from fastlstm.layers.recurrent.gates import Gates, read_gates
from fastlstm.layers.recurrent.masks import Rates
from fastlstm.layers.recurrent.options import (
    cell_for,
    chrono_of,
    config_of,
    has_usual_functions,
    options_of,
    projection_of,
    zones_of,
)
from fastlstm.layers.recurrent.ragged import RaggedBatch
from fastlstm.layers.recurrent.shared import SharedWithU
from fastlstm.layers.recurrent.stack import PlainStack
from fastlstm.masking import Steps
from fastlstm.parameter import Initializer
from fastlstm.workspace import Workspace


class LSTM(Recurrent[tuple[Array, Array]]):
    """Long short-term memory (Hochreiter and Schmidhuber 1997; forget gate by Gers et al. 2000).

    At every step, from the input x and the state h, c that starts at zero::

        i, f, o = sigmoid(W x + U h + b)     g = tanh(W x + U h + b)
        c = f c + i g                        h = o tanh(c)

    Its options change this cell; they are in `docs/lstm.md`, and combine.

    Parameters
    ----------
    input_size, hidden_size : int
        I, features of the input, and H, units of the state.
    forget_bias : float, default 1.0
        Starting bias of the forget gate; the other biases start at zero, W as Glorot's uniform, U orthogonal.
    chrono : float, optional
        The longest time, in steps, that the layer is to remember over, from 2, for long memories (Tallec and Ollivier
        2018): the biases of f then start at log U(1, chrono - 1), those of i at the negative of it, and `forget_bias`
        does not count. If `coupled`, the bias of i alone does so.
    peephole : bool, default False
        Whether the gates see the cell (Gers and Schmidhuber 2000): i and f that before the step, o that after it, each
        with a weight for each unit: 3·H parameters more, which start at zero.
    coupled : bool, default False
        Whether the forget gate is 1 - i (Greff et al. 2017), which saves a quarter of the work and of the parameters.
        forget_bias then makes the bias of i start at -forget_bias.
    activation, recurrent_activation : str or tuple, default "tanh", "sigmoid"
        The functions of the candidate g, and of the gates: "sigmoid", "tanh", "relu", "hard_sigmoid", "softsign",
        "softplus", "leaky_relu", "thresholded_relu", "elu", "affine" or "scaled_tanh", as ONNX defines them. Other
        numbers than ONNX's for alpha and beta come in a tuple: ("elu", 0.5), ("scaled_tanh", 1.7, 0.67).
        "hard_sigmoid" is that of ONNX and of Keras before 3, 0.2 x + 0.5 from 0 to 1; that of Keras 3 and PyTorch is
        ("hard_sigmoid", 1 / 6).
    cell_activation : str or tuple, optional
        The function of c in h = o tanh(c). None is that of `activation`.
    clip : float, optional
        What the functions of gates and candidate take is clipped to plus and minus this (ONNX).
    cell_clip : float, optional
        c is clipped to plus and minus this (TensorFlow, cuDNN).
    proj_size : int, optional
        P: h is a product of o tanh(c) with a matrix (P, H), so that U, the outputs and the layer above have P numbers
        instead of H (Sak et al. 2014). P is less than H; 0 is as None.
    layer_norm : bool or float, default False
        Whether W x and U h, each over the sums of all gates, and c before its function have a layer norm (Ba et al.
        2016), with scales of their own, and a shift of c: 10·H parameters more, or 8·H if `coupled`. A number, such as
        1e-3, is added to the variance instead of 1e-5.
    recurrent_dropout : float, default 0
        Rate of dropout within the recurrence, while training.
    recurrent_dropout_on : "state" or "candidate", default "state"
        On h where U sees it, with one mask for all steps of a sequence (Gal and Ghahramani 2016), or on the candidate
        g, with new ones at each step, so that c forgets nothing (Semeniuta et al. 2016).
    zoneout : float or (float, float), default 0
        Probability that a number of h, and of c, stays as it was at a step, while training; in inference each is the
        mean of both (Krueger et al. 2017). One number is for both.
    checkpoint_every : int, optional
        k: while training, keep the gates of no more than k steps, and the state at every k-th step. The backward pass
        computes the gates anew from there. This takes memory for T/k states and k steps instead of T steps, costs a
        second forward pass, and changes no bit of outputs and gradients. About the square root of T is best. The plain
        path (``FASTLSTM_ISA=plain``) keeps the gates of all steps.
    **shared
        What every recurrent layer with a matrix U takes; see `fastlstm.layers.recurrent.shared.SharedWithU`.

    Notes
    -----
    Layer k has the parameters ``weight_ih_l{k}`` (4H, I or the width of what the layer reads), ``weight_hh_l{k}`` (4H,
    H) and ``bias_l{k}`` (4H), with ``_reverse`` appended for the other direction: 4·(H·(I + H) + H) parameters. Their
    rows are the gates i, f, g, o, or i, g, o (3H) if coupled. With peepholes there is ``peephole_l{k}``, the weights of
    i, f, o, or of i, o. With `proj_size`, ``weight_hh_l{k}`` is (4H, P), there is ``weight_hr_l{k}`` (P, H), and h has
    P numbers wherever H are spoken of. With `layer_norm` there are the scales of W x and U h, ``scale_ih_l{k}`` and
    ``scale_hh_l{k}`` (4H, or 3H if coupled), and of c, ``scale_c_l{k}`` (H), which start at one, and ``shift_c_l{k}``
    (H), which starts at zero.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> lstm = fl.LSTM(3, 4, num_layers=2, seed=0)
    >>> y, (h, c) = lstm(np.ones((5, 7, 3)))
    >>> y.shape, h.shape, c.shape
    ((5, 7, 4), (2, 5, 4), (2, 5, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        forget_bias: float = 1.0,
        chrono: float | None = None,
        peephole: bool = False,
        coupled: bool = False,
        activation: Activation = "tanh",
        recurrent_activation: Activation = "sigmoid",
        cell_activation: Activation | None = None,
        clip: float | None = None,
        cell_clip: float | None = None,
        proj_size: int | None = None,
        layer_norm: bool | float = False,
        recurrent_dropout: float = 0.0,
        recurrent_dropout_on: Literal["state", "candidate"] = "state",
        zoneout: float | tuple[float, float] = 0.0,
        checkpoint_every: int | None = None,
        **shared: Unpack[SharedWithU],
    ) -> None:
        self.forget_bias = _check.number(forget_bias, "forget_bias", -np.inf)
        if checkpoint_every is not None:
            self.checkpoint_every = _check.positive_int(checkpoint_every, "checkpoint_every")
        self.chrono = chrono_of(chrono, shared.get("bias", True))
        self.peephole, self.coupled = _check.flag(peephole, "peephole"), _check.flag(coupled, "coupled")
        options = options_of(
            activation=activation,
            recurrent_activation=recurrent_activation,
            cell_activation=cell_activation,
            clip=clip,
            cell_clip=cell_clip,
            zoneout=zones_of(zoneout),
            recurrent_dropout=recurrent_dropout,
            recurrent_dropout_on=recurrent_dropout_on,
            layer_norm=layer_norm,
        )
        plain = has_usual_functions(options) and not (self.peephole or self.coupled or options.norm)
        if options.norm and shared.get("two_biases"):
            given = shared["two_biases"]
            raise ValueError(f"two_biases: expected False with layer_norm, which has a bias a gate, got {given!r:.80}")
        general = (cells.LSTM_OPTIONS, cells.LSTM_COUPLED, cells.LSTM_NORM, cells.LSTM_NORM_COUPLED)
        self.proj_size = projection_of(proj_size, _check.positive_int(hidden_size, "hidden_size"))
        cell = cell_for(
            *(options, cells.LSTM if plain else None, general[2 * (options.norm > 0) + self.coupled]),
            *(options.gate, options.candidate, options.output),
            peephole=self.peephole,
        )
        cell = replace(cell, projection=self.proj_size)
        super().__init__(cell, input_size, hidden_size, **shared)

    def _bias_start(self) -> Initializer:
        if self.chrono is None:
            return partial(init.gate_bias, forget_bias=self.forget_bias, coupled=self.coupled)
        gates = {"sums": 3, "keep": None, "write": 0} if self.coupled else {"sums": 4, "keep": 1, "write": 0}
        return partial(init.chrono_bias, longest=self.chrono, **gates)

    def gates(
        self,
        x: Any,
        state: Any = None,
        lengths: Any = None,
        *,
        mask: Any = None,
        layer: int = 0,
        reverse: bool = False,
    ) -> Gates:
        """The gates, the candidate and the state of one layer at every step of a pass in inference.

        Parameters
        ----------
        x, state, lengths, mask
            As in a call.
        layer : int, default 0
            Counted from the input; -1 is the top layer.
        reverse : bool, default False
            Whether to read the direction that begins at the end. Step t is that of x[:, t] in either case.

        Returns
        -------
        Gates
            Arrays (N, T, H): ``input``, ``forget``, ``candidate``, ``output``, ``cell``, ``hidden``. They are computed
            on the plain path, so that the last bits may differ from those of a call.

        Examples
        --------
        >>> import fastlstm as fl, numpy as np
        >>> gates = fl.LSTM(3, 4, seed=0).gates(np.ones((2, 5, 3)))
        >>> gates.forget.shape
        (2, 5, 4)
        >>> kept = gates.forget[:, 1:] * gates.cell[:, :-1]
        >>> np.allclose(gates.cell[:, 1:], kept + gates.input[:, 1:] * gates.candidate[:, 1:])
        True
        """
        if not isinstance(layer, int | np.integer) or isinstance(layer, bool):
            raise TypeError(f"layer: expected a whole number, got {layer!r}")
        if not -self.num_layers <= layer < self.num_layers:
            raise ValueError(f"layer: expected {-self.num_layers} to {self.num_layers - 1}, got {layer}")
        if _check.flag(reverse, "reverse") and not self.bidirectional:
            raise ValueError("reverse: expected False for an LSTM of one direction, got True")
        x = self.as_input(x)
        n, t, _ = x.shape
        steps = Steps(lengths, mask, n, t)
        batch, tape = RaggedBatch(n, t, steps.lengths), Workspace(0)
        final, start = self._room("final", n, tape, x.dtype), self._as_state(state, n)
        if start is None and self._beginning is not None:
            start = self._beginning.rows(n, tape)
        watched = PlainStack(self._plain.layers, self.input_size, self._joint, Rates())
        watched.forward(
            *(self.cell.saturated(steps.gather(x)), start, final, batch, tape), training=True, leaves_out=False
        )
        direction = watched.layers[layer][int(reverse)]
        return read_gates(direction, batch, steps, tape.child(direction.suffix))

    def config(self) -> dict[str, Any]:
        """Newer arguments are left out where they are what they are by default, so that files stay what they were."""
        names = ("chrono", "peephole", "coupled", "proj_size", "checkpoint_every")
        own = {name: getattr(self, name) for name in names}
        options = config_of(self.cell.options, of_c=True)
        config = {**super().config(), "forget_bias": self.forget_bias, **options}
        return {**config, **{name: value for name, value in own.items() if value}}
