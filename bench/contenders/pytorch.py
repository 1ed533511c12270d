"""PyTorch's nn.LSTM, under inference_mode."""

from __future__ import annotations

from typing import Any

import torch

from bench.contenders import STREAMED, Array, Call, Problem


def module_of(problem: Problem, threads: int) -> torch.nn.LSTM:
    torch.set_num_threads(threads)
    case = problem.case
    module = torch.nn.LSTM(
        case.inputs, case.hidden, case.layers, batch_first=True, bidirectional=case.directions == 2
    ).to(getattr(torch, problem.dtype))
    module.load_state_dict({name: torch.tensor(value) for name, value in problem.weights.items()})
    return module


def prepare(problem: Problem, mode: str, threads: int) -> Call:
    module = module_of(problem, threads)
    return training(module, problem) if mode == "training" else inference(module, problem, mode)


def inference(module: Any, problem: Problem, mode: str) -> Call:
    x = torch.tensor(problem.x)
    case = problem.case
    shape = (case.layers * case.directions, case.n, case.hidden)
    zeros = (torch.zeros(shape, dtype=x.dtype), torch.zeros(shape, dtype=x.dtype))
    state = [zeros]

    def infer() -> Any:
        with torch.inference_mode():
            return module(x)[0]

    def step() -> Any:
        with torch.inference_mode():
            y, state[0] = module(x, state[0])
        return y

    def streamed() -> list[Array]:
        state[0] = zeros
        return [step().numpy() for _ in range(STREAMED)][-1:]

    return Call(step, streamed) if mode == "streaming" else Call(infer, lambda: [infer().numpy()])


def training(module: torch.nn.LSTM, problem: Problem) -> Call:
    x = torch.tensor(problem.x, requires_grad=True)
    found: list[Any] = []

    def train() -> None:
        module.zero_grad()
        x.grad = None
        found[:] = [module(x)[0]]
        found[0].sum().backward()

    return Call(train, lambda: [found[0].detach().numpy(), x.grad.numpy(), module.weight_hh_l0.grad.numpy()])
