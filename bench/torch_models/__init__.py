"""Whole models in PyTorch, as they are and after `fastlstm.torch.accelerate`: training steps, and single steps.

Both begin with the same parameters and take the same batches in turn. Compared are the losses of the first steps and,
of each parameter, the norm of its gradient at the last of these; in inference the outputs and the state.
"""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
import torch

from bench.cases import TorchCase
from bench.contenders import Call
from bench.torch_models.models import Model, Step, Translator, batches_of, loss_of

BATCHES, COMPARED = 4, 2


def prepare(case: TorchCase, dtype: str, threads: int, *, accelerated: bool) -> Call:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    kind: Any = {"translator": Translator, "step": Step}.get(case.model, Model)
    model = kind(case).to(getattr(torch, dtype))
    if accelerated:
        import fastlstm.torch

        fastlstm.torch.accelerate(model)
    return inference(case, model, dtype) if case.model == "step" else training(case, model, dtype)


def training(case: TorchCase, model: torch.nn.Module, dtype: str) -> Call:
    batches = cycle(batches_of(case, getattr(torch, dtype), BATCHES))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def step() -> Any:
        x, lengths, y = next(batches)
        optimizer.zero_grad()
        loss = loss_of(case, model(x, lengths), y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss

    losses = np.array([step().item() for _ in range(COMPARED)])
    norms = np.array([float(parameter.grad.norm()) for parameter in model.parameters() if parameter.grad is not None])
    return Call(step, lambda: [losses, norms])


def inference(case: TorchCase, model: torch.nn.Module, dtype: str) -> Call:
    x = torch.randn(case.of.n, case.of.t, case.of.inputs, dtype=getattr(torch, dtype))
    held: list[Any] = [None]

    def step() -> Any:
        with torch.inference_mode():
            y, held[0] = model(x, held[0])
        return y

    found = [step().numpy().copy() for _ in range(COMPARED)]
    found += [part.numpy().copy() for part in held[0]]
    return Call(step, lambda: found)
