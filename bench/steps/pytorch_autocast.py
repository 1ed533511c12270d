"""PyTorch's training under torch.autocast, as its users write it: parameters, gradients and Adam stay in float32."""

from __future__ import annotations

import torch

from bench.contenders import Call
from bench.steps import StepProblem, pytorch


def prepare(problem: StepProblem, threads: int) -> Call:
    return pytorch.prepare(problem, threads, torch.autocast("cpu", dtype=torch.bfloat16))
