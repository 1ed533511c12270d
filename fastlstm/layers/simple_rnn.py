"""The simple recurrent network."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm import _check, init
from fastlstm._check import Shape
from fastlstm._kernels import simple_rnn as kernel
from fastlstm.layers.base import Array, Index, Layer, check_features
from fastlstm.layers.direction import Direction, Parts
from fastlstm.layers.packing import Packing
from fastlstm.layers.stack import PlainStack
from fastlstm.parameter import Parameter
from fastlstm.workspace import Workspace

ACTIVATIONS = ("tanh", "relu")


class SimpleRNN(Layer):
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
        Each layer also walks the sequence from its end, and the outputs of both stand side by side: D = 2.
    activation : "tanh" or "relu", default "tanh"
        phi. U starts as a random orthogonal matrix; for relu, max(0, ·), as the identity, so that a new network adds up
        what it sees (Le et al. 2015).
    dropout : float, default 0
        Rate of dropout on the output of each layer but the last, while training.
    bias : bool, default True
        H·(I + H) + H parameters for a layer and direction. b starts at zero, W as Glorot's uniform.
    dtype : "float32", "float64" or None
    seed : int or None

    Notes
    -----
    Layer k has the parameters ``weight_ih_l{k}`` (H, I or D·H), ``weight_hh_l{k}`` (H, H) and ``bias_l{k}`` (H), with
    ``_reverse`` appended for the other direction.

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
        activation: str = "tanh",
        dropout: float = 0.0,
        bias: bool = True,
        dtype: Any = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(dtype, seed)
        self.input_size = _check.positive_int(input_size, "input_size")
        self.hidden_size = _check.positive_int(hidden_size, "hidden_size")
        self.num_layers = _check.positive_int(num_layers, "num_layers")
        self.bidirectional = _check.flag(bidirectional, "bidirectional")
        self.directions = 2 if bidirectional else 1
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation: expected 'tanh' or 'relu', got {activation!r}")
        self.activation = activation
        self.dropout = _check.number(dropout, "dropout", 0, 1, open_high=True)
        self.bias = _check.flag(bias, "bias")
        self.input_shape = ("N", "T", self.input_size)
        stack: list[list[Direction]] = []
        for k in range(self.num_layers):
            inputs = self.input_size if k == 0 else self.directions * self.hidden_size
            suffixes = [f"_l{k}", f"_l{k}_reverse"][: self.directions]
            for suffix in suffixes:
                self.add("weight_ih" + suffix, (self.hidden_size, inputs), init.glorot_uniform)
                recurrent = init.orthogonal if activation == "tanh" else init.identity
                self.add("weight_hh" + suffix, (self.hidden_size, self.hidden_size), recurrent)
                if bias:
                    self.add("bias" + suffix, (self.hidden_size,), init.zeros)
            stack.append([SimpleDirection(self._parameters, suffix, activation) for suffix in suffixes])
        self._stack = PlainStack(stack, self.input_size, self.hidden_size, self.dropout)

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            raise ValueError(f"SimpleRNN takes sequences (N, T, {self.input_size}), got {_check.describe(shape)}")
        check_features(shape, self.input_size)
        return (*shape[:2], self.directions * self.hidden_size)

    def __call__(self, x: Any, state: Any = None, lengths: Any = None) -> tuple[Array, Array]:
        """Outputs at every step and the final state.

        Parameters
        ----------
        x : (N, T, I)
        state : (layers·D, N, H), optional
            h before the first step; zeros if not given. Order: layer 0, layer 0 reverse, layer 1, ...
        lengths : (N,) ints from 1 to T, optional
            Real steps of each sequence; outputs beyond them are zero.

        Returns
        -------
        y : (N, T, D·H)
        h : (layers·D, N, H)
            The state after each sequence's own last step (for the reverse direction: after its first).
        """
        x = self.as_input(x)
        if state is not None:
            assert self._dtype is not None
            shape = (self.num_layers * self.directions, len(x), self.hidden_size)
            state = _check.real_array(state, "state", self._dtype, shape)
        lengths = _check.lengths_of(lengths, *x.shape[:2])
        return self.forward_with_state(x, state, Workspace(0), training=False, lengths=lengths)

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        running = tape.notes.get("running") if tape.carries else None
        y, final = self.forward_with_state(x, running, tape, training=training, lengths=lengths)
        if tape.carries:
            tape.notes["running"] = self._keep("running", final, tape)
        return y

    def forward_with_state(
        self, x: Array, state: Array | None, tape: Workspace, *, training: bool, lengths: Index | None
    ) -> tuple[Array, Array]:
        """`forward` from an initial state, None for zeros; also returns the final one."""
        self.build()
        n, t, _ = x.shape
        packing = tape.notes["packing"] = Packing(n, t, lengths)
        final = self._state("final", n, tape, x.dtype)
        start = None if state is None else (state,)
        y = self._stack.forward(np.ascontiguousarray(x), start, (final,), packing, tape, training=training)
        return y, final

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        return self.backward_with_state(dy, None, tape, input_gradient=input_gradient)[0]

    def backward_with_state(
        self, dy: Array, dstate: Array | None, tape: Workspace, *, input_gradient: bool = True
    ) -> tuple[Array | None, Array]:
        """`backward` with the gradient of the final state, None for zeros; also returns that of the initial one."""
        packing: Packing = tape.notes["packing"]
        initial = self._state("initial", packing.n, tape, dy.dtype)
        end = None if dstate is None else (dstate,)
        dx = self._stack.backward(np.ascontiguousarray(dy), end, (initial,), packing, tape, wanted=input_gradient)
        return dx, initial

    def _state(self, name: str, n: int, tape: Workspace, dtype: Any) -> Array:
        return tape.array(name, (self.num_layers * self.directions, n, self.hidden_size), dtype)

    def _keep(self, name: str, state: Array, tape: Workspace) -> Array:
        """A copy in the tape."""
        kept = self._state(name, state.shape[1], tape, state.dtype)
        kept[...] = state
        return kept

    def start(self, batch: int, tape: Workspace) -> None:
        if self.bidirectional:
            raise ValueError("a bidirectional SimpleRNN cannot stream: its reverse direction begins at the end")
        self.build()
        tape.notes["stream"] = self._state("stream", batch, tape, self.dtype)
        self.reset(slice(None), tape)

    def step(self, x: Array, tape: Workspace) -> Array:
        y, final = self.forward_with_state(x, tape.notes["stream"], tape, training=False, lengths=None)
        self._keep("stream", final, tape)
        return y

    def reset(self, rows: Any, tape: Workspace) -> None:
        tape.notes["stream"][:, rows] = 0

    def carry(self, index: Index, tape: Workspace) -> None:
        if self.bidirectional:
            raise ValueError(
                "a bidirectional SimpleRNN cannot carry its state: its reverse direction begins at the end"
            )
        running: Array | None = tape.notes.get("running")
        if running is not None:
            chosen = np.where((index < 0)[:, None], 0, running[:, index])
            tape.notes["running"] = self._keep("running", chosen, tape)

    def config(self) -> dict[str, Any]:
        names = ("input_size", "hidden_size", "num_layers", "bidirectional", "activation", "dropout", "bias")
        return {name: getattr(self, name) for name in names}


class SimpleDirection(Direction):
    """One direction of one layer, on packed rows; the state is h alone."""

    def __init__(self, parameters: dict[str, Parameter], suffix: str, activation: str) -> None:
        super().__init__(parameters, suffix)
        self._relu = activation == "relu"

    def forward(
        self, x: Array, start: Parts | None, end: Parts, packing: Packing, tape: Workspace, *, training: bool
    ) -> Array:
        n, size, hidden = packing.n, packing.size, self.hidden
        x = tape.notes["x"] = self.turned(x, packing, tape, "x")
        h = tape.array("h", (n + size, hidden), x.dtype)
        h[:n] = 0 if start is None else packing.pack_batch(start[0])
        bias = np.zeros(hidden, x.dtype) if self._bias is None else self._bias.value
        kernel.forward(h, x, self._w_ih.value, self._w_hh.value, bias, packing.alive, self._relu)
        packing.unpack_batch(h[n + packing.ends], end[0])
        return self.turned(h[n:], packing, tape, "y")

    def backward(
        self, dy: Array, end: Parts | None, start: Parts, packing: Packing, tape: Workspace, *, wanted: bool
    ) -> Array:
        n, size, hidden, dtype = packing.n, packing.size, self.hidden, dy.dtype
        x = tape.notes["x"]
        dy = self.dense(self.turned(dy, packing, tape, "dy"), tape)
        h = tape.array("h", (n + size, hidden), dtype)
        dh = tape.array("dh", (n, hidden), dtype)
        dh[...] = 0 if end is None else packing.pack_batch(end[0])
        da = tape.array("da", (size, hidden), dtype)
        dbias = np.empty(0, dtype) if self._bias is None else self._bias.grad
        dx = tape.array("dx", (size if wanted else 0, x.shape[1]), dtype)
        kernel.backward(
            *(self._w_ih.grad, self._w_hh.grad, dbias, dx, dh, da, dy, x, h),
            *(self._w_ih.value, self._w_hh.value, packing.alive, self._relu),
        )
        packing.unpack_batch(dh, start[0])
        return self.turned(dx, packing, tape, "turned_dx") if wanted else dx
