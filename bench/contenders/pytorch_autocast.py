"""PyTorch's module in float32 under torch.autocast, which computes in bfloat16 where it can."""

from __future__ import annotations

from typing import Any

import torch

from bench.contenders import Call, Problem
from bench.contenders.pytorch import inference, module_of


def prepare(problem: Problem, mode: str, threads: int) -> Call:
    module = module_of(problem, threads).eval()

    def cast(*arguments: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return module(*arguments)

    return inference(cast, problem, mode)
