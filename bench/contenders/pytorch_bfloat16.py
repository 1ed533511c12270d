"""PyTorch's module in bfloat16: its weights, its input and its output."""

from __future__ import annotations

import torch

from bench.contenders import Call, Problem
from bench.contenders.pytorch import inference, module_of


def prepare(problem: Problem, mode: str, threads: int) -> Call:
    module = module_of(problem, threads).to(torch.bfloat16).eval()
    return inference(module, problem, mode, torch.bfloat16)
