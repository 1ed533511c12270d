"""PyTorch's module over the padding too, whose outputs are then masked: in one direction that gives the same."""

from __future__ import annotations

import torch

from bench.contenders import Call, Problem, only
from bench.contenders.pytorch import module_of, training


def prepare(problem: Problem, mode: str, threads: int) -> Call:
    only(problem.case.directions == 1, "the reverse direction would begin in the padding")
    lengths = torch.tensor(problem.case.lengths)
    mask = (torch.arange(problem.case.t) < lengths[:, None])[..., None].to(getattr(torch, problem.dtype))
    return training(module_of(problem, threads), problem, mask)
