"""PyTorch's module through torch.compile, where that works."""

from __future__ import annotations

import torch

from bench.contenders import Call, Problem
from bench.contenders.pytorch import inference, module_of


def prepare(problem: Problem, mode: str, threads: int) -> Call:
    torch._dynamo.reset()
    compiled = torch.compile(module_of(problem, threads))
    made = inference(compiled, problem, mode)
    try:
        made.call()
    except Exception as error:  # it has many ways to fail: no compiler, an unknown operator
        raise LookupError(f"torch.compile: {error}") from error
    return made
