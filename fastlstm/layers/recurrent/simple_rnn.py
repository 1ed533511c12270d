"""The simple recurrent network."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm import _check, init
from fastlstm._kernels import simple_rnn as kernel
from fastlstm.layers.base import Array, Index
from fastlstm.layers.recurrent.base import Recurrent
from fastlstm.layers.recurrent.direction import Direction, Parts
from fastlstm.layers.recurrent.packing import Packing
from fastlstm.layers.recurrent.stack import PlainStack
from fastlstm.parameter import Parameter
from fastlstm.workspace import Workspace

ACTIVATIONS = ("tanh", "relu")


class SimpleRNN(Recurrent):
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
        Rate of dropout on the output of each layer but the last, while training. One layer alone has none, and says so
        (a UserWarning): put a `Dropout` after it.
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

    parts = ("h",)

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
        super().__init__(input_size, hidden_size, num_layers, bidirectional, dropout, bias, dtype, seed)
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation: expected 'tanh' or 'relu', got {activation!r}")
        self.activation = activation
        stack: list[list[Direction]] = []
        for inputs, suffixes in self.each_layer():
            for suffix in suffixes:
                self.add("weight_ih" + suffix, (self.hidden_size, inputs), init.glorot_uniform)
                recurrent = init.orthogonal if activation == "tanh" else init.identity
                self.add("weight_hh" + suffix, (self.hidden_size, self.hidden_size), recurrent)
                if bias:
                    self.add("bias" + suffix, (self.hidden_size,), init.zeros)
            stack.append([SimpleDirection(self._parameters, suffix, activation) for suffix in suffixes])
        self._stack = PlainStack(stack, self.input_size, self.hidden_size, self.dropout)

    def __call__(self, x: Any, state: Any = None, lengths: Any = None) -> tuple[Array, Array]:
        """Outputs at every step and the final state.

        Parameters
        ----------
        x : (N, T, I)
        state : (layers·D, N, H), optional
            h before the first step; zeros if not given. Order: layer 0, layer 0 reverse, layer 1, ... For tanh, numbers
            beyond a 2^32nd of the largest one count as that: the sums over them must not overflow.
        lengths : (N,) ints from 1 to T, optional
            Real steps of each sequence; outputs beyond them are zero.

        Returns
        -------
        y : (N, T, D·H)
        h : (layers·D, N, H)
            The state after each sequence's own last step (for the reverse direction: after its first).
        """
        x = self.as_input(x)
        start = None
        if state is not None:
            assert self._dtype is not None
            shape = (self.num_layers * self.directions, len(x), self.hidden_size)
            h = _check.real_array(state, "state", self._dtype, shape)
            start = (self.bounded(h) if self.activation == "tanh" else h,)
        lengths = _check.lengths_of(lengths, *x.shape[:2])
        y, (h,) = self.forward_with_state(x, start, Workspace(0), training=False, lengths=lengths)
        return y, h

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        if tape.carries:
            return self.carry_on(x, tape, training=training, lengths=lengths)
        return self.forward_with_state(x, None, tape, training=training, lengths=lengths)[0]

    def forward_with_state(
        self, x: Array, state: Parts | None, tape: Workspace, *, training: bool, lengths: Index | None
    ) -> tuple[Array, Parts]:
        self.build()
        n, t, _ = x.shape
        packing = tape.notes["packing"] = Packing(n, t, lengths)
        final = self.room("final", n, tape, x.dtype)
        return self._stack.forward(np.ascontiguousarray(x), state, final, packing, tape, training=training), final

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        return self.backward_with_state(dy, None, tape, input_gradient=input_gradient)[0]

    def backward_with_state(
        self, dy: Array, dstate: Parts | None, tape: Workspace, *, input_gradient: bool = True
    ) -> tuple[Array | None, Parts]:
        """`backward` with the gradient of the final state, None for zeros; also returns that of the initial one."""
        packing: Packing = tape.notes["packing"]
        initial = self.room("initial", packing.n, tape, dy.dtype)
        dx = self._stack.backward(np.ascontiguousarray(dy), dstate, initial, packing, tape, wanted=input_gradient)
        return dx, initial

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
