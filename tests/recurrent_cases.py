"""Random problems of any shape for every recurrent cell, for every test that compares one network with another."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from reference import SLSTM, GRUBefore, GRUWithOptions, LSTMWithOptions, MinLSTM, Reference, SimpleWithOptions
from reference_norm import LSTMWithNorm

import fastlstm as fl
from fastlstm.layers.recurrent import plan

CELLS = ("lstm", "gru", "tanh", "relu", "min_lstm", "slstm")
TORCH_CELLS = CELLS[:4]


@dataclass(frozen=True)
class Case:
    """T, N, I, H, number of layers, directions, whether lengths differ, whether there are biases, the cell.

    `options` are further arguments of the layer, in pairs of a name and a value.
    """

    t: int
    n: int
    inputs: int
    hidden: int
    layers: int = 1
    bidirectional: bool = False
    ragged: bool = False
    bias: bool = True
    cell: str = "lstm"
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        flags = "".join(flag for flag, on in (("-bi", self.bidirectional), ("-ragged", self.ragged)) if on)
        flags += "".join(f"-{name}={value}" for name, value in self.options)
        return f"{self.cell}-T{self.t}-N{self.n}-I{self.inputs}-H{self.hidden}-L{self.layers}{flags}"

    def layer(self, dtype: Any = None) -> Any:
        options = {"num_layers": self.layers, "bidirectional": self.bidirectional, "bias": self.bias, "dtype": dtype}
        options.update(self.options)
        if self.cell in ("tanh", "relu"):
            return fl.SimpleRNN(self.inputs, self.hidden, activation=self.cell, **options)
        kinds = {"lstm": fl.LSTM, "gru": fl.GRU, "simple": fl.SimpleRNN, "min_lstm": fl.MinLSTM, "slstm": fl.SLSTM}
        return kinds[self.cell](self.inputs, self.hidden, **options)


def reference_cell(case: Case) -> Any:
    """The cell of a case as a `Reference` takes it."""
    if not case.options:
        return case.cell
    names = {"recurrent_activation": "gate", "activation": "candidate", "cell_activation": "output"}
    only_training = (
        "recurrent_dropout",
        "recurrent_dropout_on",
        "input_dropout",
        "weight_dropout",
        "variational",
        "dropout",
    )
    given = {names.get(name, name): value for name, value in case.options if name not in ("peephole", *only_training)}
    for name in names.values():
        if isinstance(given.get(name), str):
            given[name] = (given[name],)
    before = given.pop("reset", "after") == "before"
    kinds = {
        "lstm": LSTMWithNorm if "layer_norm" in given else LSTMWithOptions,
        "gru": GRUBefore if before else GRUWithOptions,
        "simple": SimpleWithOptions,
        "min_lstm": MinLSTM,
        "slstm": SLSTM,
    }
    return kinds[case.cell](**given)


def each_cell(cases: Any, cells: Any = CELLS) -> list[Case]:
    """The cases, for each of the cells."""
    return [replace(case, cell=cell) for cell in cells for case in cases]


@dataclass
class Problem:
    """Weights, input, initial state, and the gradients of outputs and final state."""

    case: Case
    parameters: dict[str, Any]
    x: Any
    state: tuple[Any, ...]
    dy: Any
    dstate: tuple[Any, ...]
    lengths: Any = None

    def reference(self) -> Reference:
        return Reference(reference_cell(self.case), self.parameters, self.case.layers, self.case.bidirectional)

    def layer(self, dtype: str = "float64") -> Any:
        layer = self.case.layer(dtype)
        layer.load_parameters(self.parameters, dtype)
        return layer

    @property
    def parts(self) -> tuple[str, ...]:
        return ("h", "c", "n")[: len(self.state)]

    def given(self, dtype: str = "float64") -> Any:
        """The state as a call takes it."""
        state = self.arrays(dtype)[1]
        return state if len(state) > 1 else state[0]

    def arrays(self, dtype: str = "float64") -> list[Any]:
        """x, state, dy, dstate in this dtype."""
        state, dstate = (tuple(part.astype(dtype) for part in parts) for parts in (self.state, self.dstate))
        return [self.x.astype(dtype), state, self.dy.astype(dtype), dstate]


def random_case(case: Case, seed: int = 0) -> Problem:
    rng = np.random.default_rng(seed)
    directions = 2 if case.bidirectional else 1
    layer = case.layer()
    widths = layer.cell.widths(case.hidden)
    states = [(case.layers * directions, case.n, width) for width in widths]
    lengths = None
    if case.ragged:
        lengths = rng.integers(1, case.t + 1, case.n)
        lengths[rng.integers(case.n)] = case.t
    return Problem(
        case,
        {name: rng.normal(0, 0.5, shape) for name, shape in layer.parameter_shapes().items()},
        rng.normal(size=(case.n, case.t, case.inputs)),
        tuple(rng.normal(size=state) for state in states),
        rng.normal(size=(case.n, case.t, directions * widths[0])),
        tuple(rng.normal(size=state) for state in states),
        lengths,
    )


def forced(monkeypatch: Any, threads: int, by_units: bool) -> None:
    """Let so many threads share the units, or the rows, of work that is too small for them."""
    fl.set_num_threads(threads)
    monkeypatch.setattr(plan, "plan", lambda available, *_: (available, by_units))


def parts_of(state: Any) -> tuple[Any, ...]:
    """The parts of a state that a call has given."""
    return state if isinstance(state, tuple) else (state,)


def called(problem: Problem, dtype: str = "float64") -> dict[str, Any]:
    """Outputs and final state of a call, in inference."""
    y, state = problem.layer(dtype)(problem.arrays(dtype)[0], problem.given(dtype), problem.lengths)
    return {"y": y, **dict(zip(problem.parts, parts_of(state), strict=True))}


def run(problem: Problem, dtype: str = "float64", tape: Any = None) -> dict[str, Any]:
    """Outputs, final state and all gradients of fastlstm's layer, copied out of the tape."""
    layer = problem.layer(dtype)
    tape = fl.Workspace(0) if tape is None else tape
    x, state, dy, dstate = problem.arrays(dtype)
    lengths = None if problem.lengths is None else np.asarray(problem.lengths, np.intp)
    y, final = layer.forward_with_state(x, state, tape, training=True, lengths=lengths)
    found = named(problem, y, final)
    dx, initial = layer.backward_with_state(dy, dstate, tape)
    found.update(gradients(problem, dx, initial))
    found.update({name: layer.parameter(name).grad.copy() for name in layer.parameter_shapes()})
    return found


def run_reference(problem: Problem) -> dict[str, Any]:
    model = problem.reference()
    y, final = model.forward(problem.x, problem.state, problem.lengths)
    dx, initial, grads = model.backward(problem.dy, problem.dstate)
    return {**named(problem, y, final), **gradients(problem, dx, initial), **grads}


def named(problem: Problem, y: Any, final: Any) -> dict[str, Any]:
    return {"y": y.copy(), **{name: part.copy() for name, part in zip(problem.parts, final, strict=True)}}


def gradients(problem: Problem, dx: Any, initial: Any) -> dict[str, Any]:
    names = (f"d{part}0" for part in problem.parts)
    return {"dx": dx.copy(), **{name: part.copy() for name, part in zip(names, initial, strict=True)}}


def loss_of(problem: Problem, y: Any, final: Any) -> float:
    """The number whose gradients by y and the final state are dy and dstate."""
    return (y * problem.dy).sum() + sum((a * b).sum() for a, b in zip(final, problem.dstate, strict=True))
