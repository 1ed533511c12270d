"""The long short-term memory."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from fastlstm import _check, init
from fastlstm._kernels import cpu
from fastlstm._kernels.layout import Walk
from fastlstm._kernels.program import Program, Seen, Turn
from fastlstm._kernels.stage import Stage
from fastlstm.layers.base import Array, Index
from fastlstm.layers.recurrent.base import Recurrent
from fastlstm.layers.recurrent.direction import Direction, Parts
from fastlstm.layers.recurrent.gates import Gates, read_gates
from fastlstm.layers.recurrent.inference import PackedDirection, PackedStack
from fastlstm.layers.recurrent.packing import Packing
from fastlstm.layers.recurrent.stack import PlainStack, TrainedStack
from fastlstm.layers.recurrent.training import SINGLE, TrainedDirection
from fastlstm.layers.replay import Backward, Calls
from fastlstm.workspace import Workspace


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber 1997; forget gate by Gers et al. 2000).

    At every step, from the input x and the state h, c that starts at zero::

        i, f, o = sigmoid(W x + U h + b)     g = tanh(W x + U h + b)
        c = f c + i g                        h = o tanh(c)

    Parameters
    ----------
    input_size, hidden_size : int
        I, features of the input, and H, units of the state.
    num_layers : int, default 1
        Layers on top of each other, each reading the outputs of the one below.
    bidirectional : bool, default False
        Each layer also walks the sequence from its end, and the outputs of both stand side by side: D = 2.
    dropout : float, default 0
        Rate of dropout on the output of each layer but the last, while training. One layer alone has none, and says so
        (a UserWarning): put a `Dropout` after it.
    bias : bool, default True
        One bias for each gate and unit: 4·(H·(I + H) + H) parameters for a layer and direction.
    forget_bias : float, default 1.0
        Starting bias of the forget gate; the other biases start at zero, W as Glorot's uniform, U orthogonal.
    checkpoint_every : int, optional
        While training, keep the gates of no more than so many steps, k, and the state at every k-th; the backward pass
        computes the gates anew from there. Memory for T/k states and k steps instead of T steps, for a second forward
        pass, and the same bits of outputs and gradients. About the square root of T is best. (The plain path,
        ``FASTLSTM_ISA=plain``, keeps all.)
    dtype : "float32", "float64" or None
    seed : int or None

    Notes
    -----
    Layer k has the parameters ``weight_ih_l{k}`` (4H, I or D·H), ``weight_hh_l{k}`` (4H, H) and ``bias_l{k}`` (4H),
    with ``_reverse`` appended for the other direction; their rows are the gates i, f, g, o.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> lstm = fl.LSTM(3, 4, num_layers=2, seed=0)
    >>> y, (h, c) = lstm(np.ones((5, 7, 3)))
    >>> y.shape, h.shape, c.shape
    ((5, 7, 4), (2, 5, 4), (2, 5, 4))
    """

    parts = ("h", "c")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
        forget_bias: float = 1.0,
        checkpoint_every: int | None = None,
        dtype: Any = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, bidirectional, dropout, bias, dtype, seed)
        self.forget_bias = _check.number(forget_bias, "forget_bias", -np.inf)
        self.checkpoint_every = (
            None if checkpoint_every is None else _check.positive_int(checkpoint_every, "checkpoint_every")
        )
        gates = 4 * self.hidden_size
        stack: list[list[Direction]] = []
        for inputs, suffixes in self.each_layer():
            for suffix in suffixes:
                self.add("weight_ih" + suffix, (gates, inputs), partial(init.glorot_uniform, blocks=4))
                self.add("weight_hh" + suffix, (gates, self.hidden_size), partial(init.orthogonal, blocks=4))
                if bias:
                    self.add("bias" + suffix, (gates,), partial(init.gate_bias, forget_bias=self.forget_bias))
            stack.append([Direction(self._parameters, suffix) for suffix in suffixes])
        packed = [[PackedDirection(*d.parameters, d.reverse) for d in layer] for layer in stack]
        trained = [[TrainedDirection(*d.parameters, d.reverse) for d in layer] for layer in stack]
        self._packed = PackedStack(packed, self.hidden_size)
        self._trained = TrainedStack(trained, self.input_size, self.hidden_size, self.dropout)
        self._plain = PlainStack(stack, self.input_size, self.hidden_size, self.dropout)
        self._watched = PlainStack(stack, self.input_size, self.hidden_size, 0.0)

    def __call__(self, x: Any, state: Any = None, lengths: Any = None) -> tuple[Array, Parts]:
        """Outputs at every step and the final state.

        Parameters
        ----------
        x : (N, T, I)
        state : tuple of (layers·D, N, H) and (layers·D, N, H), optional
            h and c before the first step; zeros if not given. Order: layer 0, layer 0 reverse, layer 1, ... An h beyond
            a 2^32nd of the largest number counts as that: the sums over it must not overflow.
        lengths : (N,) ints from 1 to T, optional
            Real steps of each sequence; outputs beyond them are zero.

        Returns
        -------
        y : (N, T, D·H)
        (h, c) : each (layers·D, N, H)
            The state after each sequence's own last step (for the reverse direction: after its first).
        """
        if state is None:
            found: tuple[Array, Parts] | None = self._kept.run(x, lengths)
            if found is not None:
                return found
        x = self.as_input(x)
        start, lengths = self.as_state(state, len(x)), _check.lengths_of(lengths, *x.shape[:2])
        if cpu.isa() == "plain":
            return self.forward_with_state(x, start, Workspace(0), training=False, lengths=lengths)
        found = self._kept.run(x, lengths, start=start)
        return found or self._run_anew(x, start, lengths)

    def _run_anew(self, x: Array, start: Parts | None, lengths: Index | None) -> tuple[Array, Parts]:
        """A call by a program that is then kept."""
        n, t, _ = x.shape
        tape, seen, turn = Workspace(0), Seen(self.parameters()), Turn("this program", "run another one")
        walk = None if lengths is None else Walk(n, t, lengths)
        stages, _, y = self._packed.prepare(x, walk, tape)
        shape = (self.num_layers * self.directions, n, self.hidden_size)
        program = Program(stages, x, y, seen, turn, x.shape, 3, y.shape, walk, shape, len(self.parts))
        found: tuple[Array, Parts] | None = program.run(x, lengths, np.empty(y.shape, y.dtype), start)
        if found is None:  # the weights, or x, have changed meanwhile
            return self(x, start, lengths)
        self._kept.add(program, tape.nbytes + program.nbytes)
        return found

    def gates(self, x: Any, state: Any = None, lengths: Any = None, *, layer: int = 0, reverse: bool = False) -> Gates:
        """Gates, candidate and state of one layer at every step of a pass in inference.

        Parameters
        ----------
        x, state, lengths
            As in a call.
        layer : int, default 0
            Counted from the input; -1 is the top one.
        reverse : bool, default False
            Whether those of the direction that walks from the end; step t is still that of x[:, t].

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
        packing, tape = Packing(n, t, _check.lengths_of(lengths, n, t)), Workspace(0)
        final = self.room("final", n, tape, x.dtype)
        self._watched.forward(self.bounded(x), self.as_state(state, n), final, packing, tape, training=True)
        direction = self._watched.layers[layer][int(reverse)]
        return read_gates(direction, packing, tape.child(direction.suffix))

    def as_state(self, state: Any, n: int) -> Parts | None:
        """(h, c), checked and converted."""
        if state is None:
            return None
        if not isinstance(state, tuple | list) or len(state) != 2:
            got = f"{type(state).__name__} of {len(state)}" if isinstance(state, tuple | list) else type(state).__name__
            raise TypeError(f"state: expected a tuple (h, c), got {got}")
        self.build()
        assert self._dtype is not None
        shape = (self.num_layers * self.directions, n, self.hidden_size)
        h, c = (
            _check.real_array(part, f"state {name}", self._dtype, shape) for name, part in zip("hc", state, strict=True)
        )
        return self.bounded(h), c

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        if tape.carries:
            return self.carry_on(x, tape, training=training, lengths=lengths)
        return self._forward(x, None, None, tape, training=training, lengths=lengths)

    def forward_with_state(
        self, x: Array, state: Parts | None, tape: Workspace, *, training: bool, lengths: Index | None
    ) -> tuple[Array, Parts]:
        self.build()
        final = self.room("final", len(x), tape, x.dtype)
        return self._forward(x, state, final, tape, training=training, lengths=lengths), final

    def _forward(
        self,
        x: Array,
        state: Parts | None,
        final: Parts | None,
        tape: Workspace,
        *,
        training: bool,
        lengths: Index | None,
    ) -> Array:
        """The final state is written if there is room for it."""
        self.build()
        x = np.ascontiguousarray(x)  # what another layer gives may be a view
        n, t, _ = x.shape
        plain = cpu.isa() == "plain"
        packing = self._full_packing(n, t, tape) if lengths is None else Packing(n, t, lengths)
        tape.notes["packing"], tape.notes["plain"] = packing, plain
        if plain:
            final = final or self.room("final", n, tape, x.dtype)
            return self._plain.forward(self.bounded(x), state, final, packing, tape, training=training)
        if training:
            return self._trained.forward(x, state, final, packing, self.checkpoint_every or t, tape)
        stages, passes, y = self._packed.prepare(x, None if lengths is None else Walk(n, t, lengths), tape)
        for prepared in passes:
            prepared.begin(state)
        for stage in stages:
            stage.go()
        if final is not None:
            for prepared in passes:
                prepared.end(final)
        return y

    def prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, walk: Walk | None = None
    ) -> tuple[list[Stage], Array] | None:
        if cpu.isa() == "plain":
            return None
        self.build()
        stages, passes, y = self._packed.prepare(np.ascontiguousarray(x), walk, tape)
        for prepared in passes:
            prepared.fresh = not streaming
        return stages, y

    def replay(self, x: Array, tape: Workspace) -> tuple[Calls, Array, Backward] | None:
        n, t, _ = x.shape
        masked = self.dropout > 0 and self.num_layers > 1
        if cpu.isa() == "plain" or self.checkpoint_every is not None or masked or n * t <= SINGLE:
            return None
        return self._trained.replay(x, self._full_packing(n, t, tape), tape)

    @staticmethod
    def _full_packing(n: int, t: int, tape: Workspace) -> Packing:
        """The packing of sequences of equal length, kept for the next batch of the same shape."""
        packing: Packing | None = tape.notes.get("full packing")
        if packing is None or (packing.n, packing.t) != (n, t):
            packing = tape.notes["full packing"] = Packing(n, t, None)
        return packing

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        if tape.notes["plain"]:
            return self.backward_with_state(dy, None, tape, input_gradient=input_gradient)[0]
        dy = np.ascontiguousarray(dy)
        return self._trained.backward(dy, None, None, tape.notes["packing"], tape, wanted=input_gradient)

    def backward_with_state(
        self, dy: Array, dstate: Parts | None, tape: Workspace, *, input_gradient: bool = True
    ) -> tuple[Array | None, Parts]:
        """`backward` with the gradients of the final state, None for zeros; also returns those of the initial one."""
        packing: Packing = tape.notes["packing"]
        initial = self.room("initial", packing.n, tape, dy.dtype)
        stack = self._plain if tape.notes["plain"] else self._trained
        dy = np.ascontiguousarray(dy)
        return stack.backward(dy, dstate, initial, packing, tape, wanted=input_gradient), initial

    def reset(self, rows: Any, tape: Workspace) -> None:
        super().reset(rows, tape)
        for direction, part in self._packed.places(tape):  # the packed kernels keep the state of a stream themselves
            direction.reset(rows, part)

    def config(self) -> dict[str, Any]:
        names = ("input_size", "hidden_size", "num_layers", "bidirectional", "dropout", "bias", "forget_bias")
        config = {name: getattr(self, name) for name in names}
        return config if self.checkpoint_every is None else {**config, "checkpoint_every": self.checkpoint_every}
