"""Random LSTM problems of any shape, for every test that compares one LSTM with another."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from reference import ReferenceLSTM

import fastlstm as fl


@dataclass(frozen=True)
class Case:
    """T, N, I, H, number of layers, directions, whether lengths differ."""

    t: int
    n: int
    inputs: int
    hidden: int
    layers: int = 1
    bidirectional: bool = False
    ragged: bool = False
    bias: bool = True

    def __str__(self) -> str:
        flags = "".join(flag for flag, on in (("-bi", self.bidirectional), ("-ragged", self.ragged)) if on)
        return f"T{self.t}-N{self.n}-I{self.inputs}-H{self.hidden}-L{self.layers}{flags}"


@dataclass
class Problem:
    """Weights, input, initial state, and the gradients of outputs and final state."""

    case: Case
    parameters: dict[str, Any]
    x: Any
    h0: Any
    c0: Any
    dy: Any
    dh: Any
    dc: Any
    lengths: Any = field(default=None)

    def reference(self) -> ReferenceLSTM:
        return ReferenceLSTM(self.parameters, self.case.layers, self.case.bidirectional)

    def layer(self, dtype: str = "float64") -> fl.LSTM:
        case = self.case
        layer = fl.LSTM(
            case.inputs,
            case.hidden,
            num_layers=case.layers,
            bidirectional=case.bidirectional,
            bias=case.bias,
            dtype=dtype,
        )
        layer.load_parameters(self.parameters, dtype)
        return layer

    def arrays(self, dtype: str = "float64") -> list[Any]:
        """x, state, dy, dstate in this dtype."""
        x, h0, c0, dy, dh, dc = (a.astype(dtype) for a in (self.x, self.h0, self.c0, self.dy, self.dh, self.dc))
        return [x, (h0, c0), dy, (dh, dc)]


def random_case(case: Case, seed: int = 0) -> Problem:
    rng = np.random.default_rng(seed)
    directions = 2 if case.bidirectional else 1
    state = (case.layers * directions, case.n, case.hidden)
    shapes = fl.LSTM(
        case.inputs, case.hidden, num_layers=case.layers, bidirectional=case.bidirectional, bias=case.bias
    ).parameter_shapes()
    lengths = None
    if case.ragged:
        lengths = rng.integers(1, case.t + 1, case.n)
        lengths[rng.integers(case.n)] = case.t
    return Problem(
        case,
        {name: rng.normal(0, 0.5, shape) for name, shape in shapes.items()},
        rng.normal(size=(case.n, case.t, case.inputs)),
        *(rng.normal(size=state) for _ in "hc"),
        rng.normal(size=(case.n, case.t, directions * case.hidden)),
        *(rng.normal(size=state) for _ in "hc"),
        lengths=lengths,
    )


def run(problem: Problem, dtype: str = "float64", tape: Any = None) -> dict[str, Any]:
    """Outputs, final state and all gradients of fastlstm's layer, copied out of the tape."""
    layer = problem.layer(dtype)
    tape = fl.Workspace(0) if tape is None else tape
    x, state, dy, dstate = problem.arrays(dtype)
    lengths = None if problem.lengths is None else np.asarray(problem.lengths, np.intp)
    y, (h, c) = layer.forward_with_state(x, state, tape, training=True, lengths=lengths)
    found = {"y": y.copy(), "h": h.copy(), "c": c.copy()}
    dx, (dh0, dc0) = layer.backward_with_state(dy, dstate, tape)
    found.update(dx=dx.copy(), dh0=dh0.copy(), dc0=dc0.copy())
    found.update({name: layer.parameter(name).grad.copy() for name in layer.parameter_shapes()})
    return found


def run_reference(problem: Problem) -> dict[str, Any]:
    model = problem.reference()
    y, (h, c) = model.forward(problem.x, (problem.h0, problem.c0), problem.lengths)
    dx, dh0, dc0, grads = model.backward(problem.dy, problem.dh, problem.dc)
    return {"y": y, "h": h, "c": c, "dx": dx, "dh0": dh0, "dc0": dc0, **grads}
