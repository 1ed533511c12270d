"""fastlstm, as Python calls it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle

import numpy as np

import fastlstm as fl
from bench.contenders import STREAMED, Array, Call, Problem
from bench.timing import timed


def model_of(problem: Problem, threads: int) -> fl.Model:
    fl.set_num_threads(threads)
    case, activation = problem.case, problem.cell.torch.options.get("nonlinearity")
    layer = fl.io.from_torch(problem.weights, activation=activation, two_biases=False)
    head = [fl.Last(), fl.Dense(case.directions * case.hidden, 1)] if case.head else []
    return fl.Model([layer, *head], dtype=problem.dtype, seed=0, weights=problem.precision)


def prepare(problem: Problem, mode: str, threads: int) -> Call:
    model = model_of(problem, threads)
    if mode == "streaming":
        return streaming(model, problem)
    return training(model, problem) if mode in ("training", "ragged") else inference(model, problem)


def inference(model: fl.Model, problem: Problem) -> Call:
    """`predict`, whose core is the prepared pass."""
    x, case = problem.x, problem.case
    lengths, core = cycle(case.ordered_lengths), prepared(model, problem)
    return Call(
        (lambda: model.predict(x, lengths=next(lengths))) if case.ragged else (lambda: model.predict(x)),
        lambda: [model.predict(x, lengths=case.lengths)],
        core=lambda count: 1e6 * timed(core, count),
    )


def prepared(model: fl.Model, problem: Problem) -> Callable[[], Array]:
    """The pass over a tape; for lengths that change from call to call, those of the first."""
    x, tape, lengths = problem.x, model.tape(), problem.case.lengths
    if lengths is None:
        return lambda: model.forward(x, tape)
    return lambda: model.forward(x, tape, lengths=lengths)


def streaming(model: fl.Model, problem: Problem) -> Call:
    stream, x_t = model.stream(problem.case.n), problem.x[:, 0].copy()

    def streamed() -> list[Array]:
        stream.reset()
        return [stream.step(x_t)[:, None] for _ in range(STREAMED)][-1:]

    return Call(lambda: stream.step(x_t), streamed)


def training(model: fl.Model, problem: Problem) -> Call:
    x, case, tape = problem.x, problem.case, model.tape()
    dy = np.ones((case.n, case.t, case.directions * case.hidden), problem.dtype)
    lengths = case.lengths
    found: list[Array] = []

    def train() -> None:
        model.zero_grad()
        y = model.forward(x, tape, training=True, lengths=lengths)
        dx = model.backward(dy, tape)
        assert dx is not None
        found[:] = [y, dx, model.parameters()[1].grad]

    return Call(train, lambda: found)
