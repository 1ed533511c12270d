"""fastlstm on a block of a stream: the time of a step inside the kernel."""

from __future__ import annotations

import numpy as np

from bench.contenders import STREAMED, Call, Problem
from bench.contenders.ours import model_of

STEPS = 1000


def prepare(problem: Problem, mode: str, threads: int) -> Call:
    stream = model_of(problem, threads).stream(problem.case.n)
    long, short = (np.repeat(problem.x, steps, axis=1) for steps in (STEPS, STREAMED))

    def results() -> list[np.ndarray]:
        stream.reset()
        return [stream.run(short)[:, -1:]]

    return Call(lambda: stream.run(long), results, STEPS)
