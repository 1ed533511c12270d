"""fastlstm, as Python calls it."""

from __future__ import annotations

import numpy as np

import fastlstm as fl
from bench.contenders import STREAMED, Array, Call, Problem


def model_of(problem: Problem, threads: int) -> fl.Model:
    fl.set_num_threads(threads)
    return fl.Model([fl.io.from_torch(problem.weights)], dtype=problem.dtype)


def prepare(problem: Problem, mode: str, threads: int) -> Call:
    model, x, case = model_of(problem, threads), problem.x, problem.case
    lengths = case.lengths
    if mode == "streaming":
        stream, x_t = model.stream(case.n), problem.x[:, 0].copy()

        def streamed() -> list[Array]:
            stream.reset()
            return [stream.step(x_t)[:, None] for _ in range(STREAMED)][-1:]

        return Call(lambda: stream.step(x_t), streamed)
    tape = model.tape()
    if mode == "inference":
        return Call(lambda: model.forward(x, tape), lambda: [model.forward(x, tape)])
    dy = np.ones((case.n, case.t, case.directions * case.hidden), problem.dtype)
    found: list[Array] = []

    def train() -> None:
        model.zero_grad()
        y = model.forward(x, tape, training=True, lengths=lengths)
        dx = model.backward(dy, tape)
        assert dx is not None
        found[:] = [y, dx, model.parameters()[1].grad]

    return Call(train, lambda: found)
