"""fastlstm by `Trainer.fit`: an epoch of many steps, whose core is what the kernels take."""

from __future__ import annotations

import numpy as np

import fastlstm as fl
from bench.contenders import Array, Call
from bench.steps import BATCHES, BETAS, COMPARED, EPSILON, LARGEST_NORM, LEARNING_RATE, StepProblem
from bench.steps.ours import model_of
from fastlstm._kernels import cpu

ROUNDS = 1000
"""Through the batches in an epoch: what `fit` begins and ends with is nothing beside so many steps."""


class Losses(fl.Callback):
    def __init__(self) -> None:
        self.found: list[float] = []

    def on_batch_end(self, progress: fl.callbacks.Progress) -> None:
        self.found.append(progress.loss)


def prepare(problem: StepProblem, threads: int) -> Call:
    fl.set_num_threads(threads)
    cpu.watch(False)
    model, parameters = model_of(problem)
    optimizer = fl.Adam(LEARNING_RATE, betas=BETAS, eps=EPSILON)

    def trainer(*callbacks: fl.Callback) -> fl.Trainer:
        return fl.Trainer(model, problem.case.loss, optimizer, clip_norm=LARGEST_NORM, callbacks=callbacks)

    losses, size = Losses(), problem.case.n
    x, y = (np.concatenate(arrays) for arrays in zip(*problem.batches, strict=True))
    first = slice(COMPARED * size)
    trainer(losses).fit(x[first], y[first], epochs=1, batch_size=size, shuffle=False, progress=False)
    means = [state["mean"].copy() for state in optimizer.state]
    moved = problem.moved([parameter.value for parameter in parameters])
    found: list[Array] = [np.array(losses.found), *means, moved]

    x, y = (np.concatenate([array] * ROUNDS) for array in (x, y))
    timed = trainer()
    return Call(
        lambda: timed.fit(x, y, epochs=1, batch_size=size, progress=False),
        lambda: found,
        steps=ROUNDS * BATCHES,
        core=lambda count: cpu.watch(True),  # of the calls since it was asked last
    )
