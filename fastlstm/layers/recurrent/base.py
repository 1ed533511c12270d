"""The base of the recurrent layers: everything but the cell and its own arguments."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar, Unpack, cast

import numpy as np

from fastlstm import _check, init
from fastlstm._check import Shape
from fastlstm._kernels import cpu
from fastlstm._kernels.forward import Pass
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.program import Program, Seen, Turn
from fastlstm._kernels.stage import Call, Stage
from fastlstm.layers.base import Array, Index, check_features
from fastlstm.layers.matrix import MatrixLayer
from fastlstm.layers.packed import Packed
from fastlstm.layers.recurrent.beginning import Beginning, FixedState, LearnedState
from fastlstm.layers.recurrent.cells import Cell
from fastlstm.layers.recurrent.direction import Direction, Parts
from fastlstm.layers.recurrent.inference import PackedDirection, PackedStack
from fastlstm.layers.recurrent.joint import joint_of
from fastlstm.layers.recurrent.masks import rates_of
from fastlstm.layers.recurrent.phased_direction import PhasedDirection
from fastlstm.layers.recurrent.ragged import RaggedBatch
from fastlstm.layers.recurrent.shared import SharedWithU, complete, config_of, described, spelled_out
from fastlstm.layers.recurrent.stack import PlainStack, TrainedStack, at
from fastlstm.layers.recurrent.training import TrainedDirection
from fastlstm.layers.recurrent.weights import Weights
from fastlstm.layers.replay import Backward, Calls
from fastlstm.layers.settings import Settings
from fastlstm.masking import Steps, fill_of
from fastlstm.parameter import Initializer
from fastlstm.workspace import Workspace

State = TypeVar("State")
"""A state in the public form: h if the cell has no other part, otherwise the tuple of its parts."""


class Recurrent(MatrixLayer, Generic[State], abstract=True):
    """Base of the layers that read (N, T, I) step by step, in one or more layers and one or both directions.

    A subclass states the arguments of its own, and passes its cell and ``**shared`` to the constructor. Where its
    signature and its docstring have ``**shared``, each shared argument is shown.
    """

    checkpoint_every: int | None = None
    heads = 1
    """Parts of the units, each of which sees no other: a matrix U of each part's own."""

    takes: ClassVar[Any] = SharedWithU
    """Which of the shared arguments the constructor takes as ``**shared``: this or `Shared`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__doc__ = described(cls.__doc__, cls.takes)

    @classmethod
    def _signature(cls) -> inspect.Signature:
        return spelled_out(super()._signature(), cls.takes)

    def __init__(self, cell: Cell, input_size: int, hidden_size: int, **shared: Unpack[SharedWithU]) -> None:
        told, settings = complete(self.takes, shared)
        super().__init__(told["dtype"], told["seed"], **settings)
        self.two_biases = _check.flag(told["two_biases"], "two_biases")
        self.cell = cell = replace(cell, two_biases=True) if self.two_biases else cell
        self.input_size = _check.positive_int(input_size, "input_size")
        self.hidden_size = _check.positive_int(hidden_size, "hidden_size")
        self._units = self.hidden_size // self.heads
        self.num_layers = _check.positive_int(told["num_layers"], "num_layers")
        self.bidirectional = _check.flag(told["bidirectional"], "bidirectional")
        self.directions = 2 if self.bidirectional else 1
        self.dropout = _check.number(told["dropout"], "dropout", 0, 1, open_high=True)
        if self.dropout and self.num_layers == 1:
            name = type(self).__name__
            message = (
                f"dropout: {self.dropout:g} has no effect in {name} of one layer, since it lies between layers; put "
                f"fl.Dropout({self.dropout:g}) after the {name}, or give it num_layers of at least 2"
            )
            warnings.warn(message, stacklevel=4)  # points to the call of the subclass
        self.rates = rates_of(
            told["input_dropout"], self.dropout, told["weight_dropout"], told["variational"], self.num_layers
        )
        self.input_dropout, self.weight_dropout = self.rates.inputs, self.rates.weights
        self.variational = self.rates.variational
        self.go_backwards = _check.flag(told["go_backwards"], "go_backwards")
        if self.go_backwards and self.bidirectional:
            raise ValueError("go_backwards: expected False with bidirectional=True, which goes both ways, got True")
        self.state_size = cell.projection or self.hidden_size
        self.joint = joint_of(
            told["merge"], told["residual"], told["skip"], self.state_size, self.num_layers, self.directions
        )
        self.merge, self.residual, self.skip = self.joint.merge, self.joint.residual, self.joint.skip
        self.output_size = self.joint.output_width(self.num_layers)
        self.keeps_x = self.joint.reads_x
        self.bias = _check.flag(told["bias"], "bias")
        if self.two_biases and not self.bias:
            raise ValueError("two_biases: expected False with bias=False, which leaves both out, got True")
        self.learn_initial_state = _check.flag(told["learn_initial_state"], "learn_initial_state")
        self.input_shape = ("N", "T", self.input_size)
        self._add_parameters(self._bias_start())
        self._make_stacks()
        self.weights = told["weights"]

    def packed(self) -> list[Packed]:
        return [direction for layer in self._packed.layers for direction in layer]

    def _bias_start(self) -> Initializer:
        """How the bias starts."""
        return init.zeros

    def _add_parameters(self, bias_start: Initializer) -> None:
        cell = self.cell
        starts: dict[str, Initializer] = {
            "weight_ih": partial(init.glorot_uniform, blocks=cell.gates),
            "weight_hh": partial(cell.recurrent, blocks=cell.gates),
            "bias": bias_start,
            "bias_ih": bias_start,
            "bias_hh": init.zeros,
            "peephole": init.zeros,
            **dict.fromkeys(("scale_ih", "scale_hh", "scale_c"), init.ones),
            "shift_c": init.zeros,
            "weight_hr": init.glorot_uniform,
        }
        for inputs, suffixes in self._each_layer():
            for suffix in suffixes:
                for name, shape in cell.shapes(inputs, self._units).items():
                    if self.bias or not name.startswith("bias"):
                        blocks = max(1, shape[0] // self._units)
                        self.add(name + suffix, shape, starts[name], blocks=blocks, fan=self._units)
                for part, width in zip(cell.parts, cell.widths(self._units), strict=True):
                    if self.learn_initial_state:
                        self.add(f"{part}0{suffix}", (width,), init.zeros)

    def _make_stacks(self) -> None:
        weights = [
            [
                Weights(self.cell, self._parameters, suffix, reverse=d >= self.heads or self.go_backwards)
                for d, suffix in enumerate(suffixes)
            ]
            for _, suffixes in self._each_layer()
        ]
        packed = [[PackedDirection(own) for own in layer] for layer in weights]
        trained = [[TrainedDirection(own) for own in layer] for layer in weights]
        kind = Direction if len(self.cell.plain_phases) == 1 else PhasedDirection
        plain = [[kind(own) for own in layer] for layer in weights]
        self._beginning: Beginning | None = None
        every = [suffix for _, suffixes in self._each_layer() for suffix in suffixes]
        if self.learn_initial_state:
            self._beginning = LearnedState(self.cell, self._parameters, every)
        elif self.cell.starts:
            self._beginning = FixedState(self.cell, len(every), self._units, lambda: self.dtype)
        self._packed = PackedStack(self.cell, packed, self.joint)
        self._trained = TrainedStack(trained, self.input_size, self.joint, self.rates)
        self._plain = PlainStack(plain, self.input_size, self.joint, self.rates)

    def single(self, k: int) -> Recurrent[State]:
        """Layer k by itself, in inference: it uses the same parameters, and does not add its input."""
        self.build()
        config, off = self.config(), {"dropout": 0.0, "input_dropout": 0.0, "variational": False, "residual": False}
        config = {name: value for name, value in config.items() if name not in Settings.__annotations__}
        config |= {"input_size": self.output_size if k else self.input_size, "num_layers": 1}
        one = type(self).from_config(config | {name: value for name, value in off.items() if name in config})
        for name in one._parameters:
            one._parameters[name] = self._parameters[name.replace("_l0", f"_l{k}")]
        one._dtype, one._built = self._dtype, True
        one._make_stacks()
        for own, packed in zip(one.packed(), self.packed()[k * self.directions * self.heads :], strict=False):
            own.format = packed.format
        return one

    def beginning(self, n: int) -> Parts | None:
        """The state with which n sequences begin; None for zeros."""
        return None if self._beginning is None else self._beginning.rows(n, Workspace(0))

    def _each_layer(self) -> Iterator[tuple[int, list[str]]]:
        """For each layer, the number of input features, and the suffix of the names of each direction and head."""
        for k in range(self.num_layers):
            inputs = self.joint.input_width(k, self.input_size)
            directions = [f"_l{k}", f"_l{k}_reverse"][: self.directions]
            heads = [""] if self.heads == 1 else [f"_head{head}" for head in range(self.heads)]
            yield inputs, [direction + head for direction in directions for head in heads]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Recurrent[State]:
        """A new layer from what `config` has returned.

        Dropout of a single layer has no effect. It is set to 0, so that its warning does not come a second time.
        """
        return cls(**{**config, "dropout": 0.0} if config.get("num_layers", 1) == 1 else config)

    def config(self) -> dict[str, Any]:
        sizes = {"input_size": self.input_size, "hidden_size": self.hidden_size}
        return {**sizes, **config_of(self), **self.settings()}

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            name = type(self).__name__
            raise ValueError(f"{name} takes sequences (N, T, {self.input_size}), got {_check.describe(shape)}")
        check_features(shape, self.input_size)
        if self.merge == "none":
            raise ValueError(
                "merge: 'none' gives two outputs, of which a model can take only one; call the layer itself"
            )
        return (*shape[:2], self.output_size)

    def __call__(
        self, x: Any, state: Any = None, lengths: Any = None, mask: Any = None, fill: str = "zero"
    ) -> tuple[Array, State]:
        """The outputs at all steps and the final state. D is the number of directions.

        Parameters
        ----------
        x : (N, T, I)
        state : optional
            The initial state: h (layers·D, N, H), or for an LSTM the tuple (h, c); by default zeros, or what is learned
            with `learn_initial_state`. The order of the first axis is layer 0, layer 0 reverse, layer 1, ... h is
            clipped to ± the largest float / 2^32, so that sums over it do not overflow. A layer with a function without
            bounds, such as relu, does not clip it.
        lengths : (N,) ints from 0 to T, optional
            Number of real steps of each sequence. One without a step keeps its initial state.
        mask : (N, T) bools, or ints 0 and 1, optional
            Which steps are real, instead of lengths. A step that is not keeps the state, in both directions.
        fill : "zero" or "last", default "zero"
            What the outputs are at steps that are not real: zeros, or the output of the last real step before, and
            zeros before the first one, as in Keras.

        Returns
        -------
        y : (N, T, D·H)
            Or (N, T, H) if `merge` says so; with "none" a tuple of both directions' (N, T, H).
        h, or (h, c) : each (layers·D, N, H)
            The state after the last real step of each sequence; in the reverse direction, after its first one.

        Raises
        ------
        TypeError
            If x, state, lengths or mask are not numbers of the right kind, or the state of an LSTM is not a tuple
            (h, c).
        ValueError
            If a shape does not fit, a number is not finite or out of range, both lengths and mask are given, or fill is
            none of these.
        """
        if mask is not None or fill != "zero":
            y, final = self._masked(x, state, lengths, mask, fill)
        else:
            kept = state is None and self._beginning is None
            found: tuple[Array, Parts] | None = self._kept.run(x, lengths) if kept else None
            y, final = found or self._call(x, state, lengths)
        if self.merge == "none":
            return (y[..., : self.state_size], y[..., self.state_size :]), self.given(final)  # type: ignore[return-value]
        return y, self.given(final)

    def _masked(self, x: Any, state: Any, lengths: Any, mask: Any, fill: Any) -> tuple[Array, Parts]:
        """A call with a mask, or whose outputs are filled."""
        x, fill = self.as_input(x), fill_of(fill)
        steps = Steps(lengths, mask, *x.shape[:2])
        y, final = self._call(steps.gather(x), state, steps.lengths)
        return steps.scatter(y, fill, own=True), final

    def _call(self, x: Any, state: Any, lengths: Any) -> tuple[Array, Parts]:
        """A call with an initial state, or without a kept program."""
        x = self.as_input(x)
        start, lengths = self.as_state(state, len(x)), _check.lengths_of(lengths, *x.shape[:2])
        if self._is_plain() or (lengths is not None and not lengths.all()):
            return self.forward_with_state(x, start, Workspace(0), training=False, lengths=lengths)
        if start is None and self._beginning is not None:
            start = self._beginning.rows(len(x), Workspace(0))
        found: tuple[Array, Parts] | None = self._kept.run(x, lengths, start=start)
        return found or self._run_anew(x, start, lengths)

    def _run_anew(self, x: Array, start: Parts | None, lengths: Index | None) -> tuple[Array, Parts]:
        """Make a program for this call, run it, and keep it."""
        n, t, _ = x.shape
        tape, seen, turn = Workspace(0), Seen(self.parameters()), Turn("this program", "run another one")
        order = None if lengths is None else RaggedOrder(n, t, lengths)
        given, x = x, x.copy() if self.keeps_x else x
        stages, _, y = self._packed.prepare(x, order, tape)
        state = self.state_shapes(n)
        program = Program(stages, x, y, seen, turn, x.shape, 3, y.shape, order, state, copy=self.keeps_x)
        found: tuple[Array, Parts] | None = program.run(given, lengths, np.empty(y.shape, y.dtype), start)
        if found is None:  # the weights or x have changed meanwhile
            return self._call(x, None if start is None else self.given(start), lengths)
        self._kept.add(program, tape.nbytes + program.nbytes)
        return found

    def given(self, state: Parts) -> State:
        """A state in the public form, from its parts."""
        state = self.heads_together(state)
        return cast(State, state if len(state) > 1 else state[0])

    def as_state(self, state: Any, n: int, name: str = "state") -> Parts | None:
        """The parts of a state in the public form, checked and converted; None for None."""
        if state is None:
            return None
        self.build()
        assert self._dtype is not None
        names = ", ".join(self.parts)
        if len(self.parts) == 1:
            state = (state,)
        elif not isinstance(state, tuple | list) or len(state) != len(self.parts):
            got = f"{type(state).__name__} of {len(state)}" if isinstance(state, tuple | list) else type(state).__name__
            raise TypeError(f"{name}: expected a tuple ({names}), got {got}")
        titles = [name] if len(self.parts) == 1 else [f"{name} {part}" for part in self.parts]
        h, *others = (
            _check.real_array(part, title, self._dtype, shape)
            for part, title, shape in zip(state, titles, self._whole_shapes(n), strict=True)
        )
        return self.heads_apart((self.cell.saturated(h), *others))

    def _whole_shapes(self, n: int) -> list[tuple[int, ...]]:
        """The shapes of the parts of a state in the public form."""
        return [(places // self.heads, n, width * self.heads) for places, n, width in self.state_shapes(n)]

    def heads_together(self, state: Parts) -> Parts:
        """A state whose heads stand side by side, each part (layers·D, N, H), from one with each by itself."""
        if self.heads == 1:
            return state
        split = [part.reshape(-1, self.heads, *part.shape[1:]) for part in state]
        return tuple(part.transpose(0, 2, 1, 3).reshape(len(part), part.shape[2], -1) for part in split)

    def heads_apart(self, state: Parts) -> Parts:
        """The reverse: each part (layers·D·heads, N, H/heads)."""
        if self.heads == 1:
            return state
        split = [part.reshape(*part.shape[:2], self.heads, -1).transpose(0, 2, 1, 3) for part in state]
        return tuple(np.ascontiguousarray(part).reshape(-1, *part.shape[2:]) for part in split)

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        if tape.carries:
            return self._carry_on(x, tape, training=training, lengths=lengths)
        return self._forward(x, None, None, tape, training=training, lengths=lengths)

    def forward_with_state(
        self, x: Array, state: Parts | None, tape: Workspace, *, training: bool, lengths: Index | None
    ) -> tuple[Array, Parts]:
        """`forward` from an initial state, None for what every sequence begins with. Also returns the final state."""
        self.build()
        final = self._room("final", len(x), tape, x.dtype)
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
        """`forward_with_state` that writes the final state into `final` if that is given."""
        self.build()
        x = np.ascontiguousarray(x)  # the layer before may return a view
        n, t, _ = x.shape
        batch = self._full_batch(n, t, tape) if lengths is None else RaggedBatch(n, t, lengths)
        tape.notes["batch"], tape.notes["plain"] = batch, self._is_plain()
        if self._beginning is not None:
            tape.notes["begins"] = slice(None) if state is None else None
            state = state or self._beginning.rows(n, tape)
        y = self._run(x, state, final, batch, tape, training=training)
        if final is not None:
            batch.keep_empty(final, state)
        return batch.without_empty(y)

    def _run(
        self, x: Array, state: Parts | None, final: Parts | None, batch: RaggedBatch, tape: Workspace, *, training: bool
    ) -> Array:
        """`_forward` by the kernels, which run a step of sequences without one."""
        n, t, _ = x.shape
        if tape.notes["plain"]:
            final = final or self._room("final", n, tape, x.dtype)
            return self._plain.forward(self.cell.saturated(x), state, final, batch, tape, training=training)
        if training:
            return self._trained.forward(x, state, final, batch, self.checkpoint_every or t, tape)
        stages, passes, y = self._packed.prepare(x, None if batch.full else batch, tape)
        for prepared in passes:
            prepared.begin(state)
        for stage in stages:
            stage.go()
        if final is not None:
            for prepared in passes:
                prepared.end(final)
        return y

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        if tape.notes["plain"] or self._beginning is not None:
            return self.backward_with_state(dy, None, tape, input_gradient=input_gradient)[0]
        batch: RaggedBatch = tape.notes["batch"]
        dy = batch.without_empty(np.ascontiguousarray(dy))
        return self._trained.backward(dy, None, None, batch, tape, wanted=input_gradient)

    def backward_with_state(
        self, dy: Array, dstate: Parts | None, tape: Workspace, *, input_gradient: bool = True
    ) -> tuple[Array | None, Parts]:
        """`backward` with gradients of the final state, None for zeros. Also returns those of the initial state."""
        batch: RaggedBatch = tape.notes["batch"]
        initial = self._room("initial", batch.N, tape, dy.dtype)
        stack = self._plain if tape.notes["plain"] else self._trained
        dy = batch.without_empty(np.ascontiguousarray(dy))
        dend = dstate
        if dstate is not None and batch.empty is not None:
            dend = tuple(part.copy() for part in dstate)
            batch.keep_empty(dend, None)
        dx = stack.backward(dy, dend, initial, batch, tape, wanted=input_gradient)
        batch.keep_empty(initial, dstate)
        if self._beginning is not None and tape.notes["begins"] is not None:
            self._beginning.add_gradient(initial, tape.notes["begins"])
        return dx, initial

    def prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array] | None:
        if self._is_plain():
            return None
        self.build()
        stages, passes, y = self._packed.prepare(np.ascontiguousarray(x), order, tape)
        for prepared in passes:
            prepared.fresh = not streaming
        if self._beginning is not None and not streaming:
            stages.insert(0, self._begin_anew(passes, len(x)))
        return stages, y

    def _begin_anew(self, passes: list[Pass], n: int) -> Stage:
        """A stage that lets passes begin with the state that is learned."""
        assert self._beginning is not None
        start = self._beginning.rows(n, Workspace(0))  # which later passes over the tape leave alone

        def begin(h: Array) -> Array:
            for prepared in passes:
                prepared.begin(start)
            return h

        return Call(begin, start[0], start[0], "the initial state")

    def replay(self, x: Array, tape: Workspace) -> tuple[Calls, Array, Backward] | None:
        n, t, _ = x.shape
        options = self.cell.options
        draws = self.rates.draws(self.num_layers) or (options is not None and options.draws)
        if self._is_plain() or self.checkpoint_every is not None or draws or self.joint.changes(self.num_layers):
            return None
        if n * t <= cpu.SINGLE or self._beginning is not None:
            return None
        return self._trained.replay(x, self._full_batch(n, t, tape), tape)

    def _carry_on(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        """`forward` from the final state of the last pass. Keeps the new final state for the next pass."""
        running: Parts | None = tape.lasting.get("running")
        begins = None if running is None else tape.lasting.pop("begins", None)  # rows that `carry` lets begin anew
        if running is not None and self._beginning is not None and begins is not None:
            running = self._beginning.begin(running, begins[0][0])
        y, final = self.forward_with_state(x, running, tape, training=training, lengths=lengths)
        if begins is not None:
            tape.notes["begins"] = begins[0][0]
        tape.lasting["running"] = self._keep("running", final, tape)
        return y

    def carry(self, index: Index, tape: Workspace) -> None:
        self._goes_forwards("carry its state")
        running: Parts | None = tape.lasting.get("running")
        if running is not None:
            if self._beginning is not None:
                (begins,) = tape.lasting.get("begins", [np.zeros((1, running[0].shape[1]), bool)])
                tape.lasting["begins"] = ((index < 0) | begins[:, index],)
            chosen = tuple(np.where((index < 0)[:, None], 0, part[:, index]) for part in running)
            tape.lasting["running"] = self._keep("running", chosen, tape)

    def start(self, batch: int, tape: Workspace) -> None:
        self._goes_forwards("stream", "; stream(look_ahead=k) reads k steps ahead instead")
        self.build()
        tape.notes["stream"] = self._room("stream", batch, tape, self.dtype)
        if self._beginning is not None and not self._is_plain():
            self._packed.start(batch, tape, self.dtype)
        self.reset(slice(None), tape)

    def step(self, x: Array, tape: Workspace) -> Array:
        y, final = self.forward_with_state(x, tape.notes["stream"], tape, training=False, lengths=None)
        self._keep("stream", final, tape)
        return y

    def reset(self, rows: Any, tape: Workspace) -> None:
        values = None if self._beginning is None else self._beginning.values()
        for k, part in enumerate(tape.notes["stream"]):
            part[:, np.arange(part.shape[1])[rows].reshape(-1)] = 0 if values is None else values[k][:, None]
        for place, (direction, own) in enumerate(self._packed.places(tape)):
            direction.reset(rows, own, at(values, place))  # the state of a stream that runs on packed weights

    def running_kinds(self, batch: int, shape: Shape) -> dict[str, tuple[Shape, Any]]:
        shapes = zip(self.parts, self.state_shapes(batch), strict=True)
        return {part: (shape, self.dtype) for part, shape in shapes}

    def running(self, tape: Workspace) -> dict[str, Array]:
        state = tuple(part.copy() for part in tape.notes["stream"])
        if not self._is_plain():
            for place, (direction, own) in enumerate(self._packed.places(tape)):
                direction.running(tuple(part[place] for part in state), own)
        return dict(zip(self.parts, state, strict=True))

    def go_on(self, state: dict[str, Array], tape: Workspace) -> None:
        h, *others = (state[name] for name in self.parts)
        parts = self._keep("stream", (self.cell.saturated(h), *others), tape)
        if not self._is_plain():
            for place, (direction, own) in enumerate(self._packed.places(tape)):
                direction.go_on(tuple(part[place] for part in parts), own)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts of the state."""
        return self.cell.parts

    def _is_plain(self) -> bool:
        return cpu.isa() == "plain"

    def state_shapes(self, n: int) -> list[tuple[int, ...]]:
        """The shapes of the parts of a state, each head by itself."""
        places = self.num_layers * self.directions * self.heads
        return [(places, n, width) for width in self.cell.widths(self._units)]

    def _room(self, name: str, n: int, tape: Workspace, dtype: Any) -> Parts:
        """Arrays of the tape for the parts of a state."""
        shapes = zip(self.parts, self.state_shapes(n), strict=True)
        return tuple(tape.array(f"{name}_{part}", shape, dtype) for part, shape in shapes)

    def _keep(self, name: str, state: Parts, tape: Workspace) -> Parts:
        """Copy a state into the tape. Returns the copy."""
        kept = self._room(name, state[0].shape[1], tape, state[0].dtype)
        for old, new in zip(kept, state, strict=True):
            old[...] = new
        return kept

    @staticmethod
    def _full_batch(n: int, t: int, tape: Workspace) -> RaggedBatch:
        """The row order of a batch of full sequences. It is kept for the next batch of the same shape."""
        batch: RaggedBatch | None = tape.notes.get("full batch")
        if batch is None or (batch.N, batch.T) != (n, t):
            batch = tape.notes["full batch"] = RaggedBatch(n, t, None)
        return batch

    def _goes_forwards(self, what: str, more: str = "") -> None:
        name = type(self).__name__
        if self.bidirectional:
            raise ValueError(f"a bidirectional {name} cannot {what}: its reverse direction begins at the end{more}")
        if self.go_backwards:
            raise ValueError(f"{name} with go_backwards cannot {what}: it begins at the end{more}")
