"""PyTorch's nn.LSTM, GRU or RNN, under inference_mode."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from bench.contenders import STREAMED, Array, Call, Problem


def module_of(problem: Problem, threads: int) -> torch.nn.RNNBase:
    torch.set_num_threads(threads)
    case, named = problem.case, problem.cell.torch
    options = {**named.options, "batch_first": True, "bidirectional": case.directions == 2}
    module: torch.nn.RNNBase = getattr(torch.nn, named.name)(case.inputs, case.hidden, case.layers, **options)
    module.to(getattr(torch, problem.dtype))
    module.load_state_dict({name: torch.tensor(value) for name, value in problem.weights.items()})
    return module


def prepare(problem: Problem, mode: str, threads: int) -> Call:
    module = module_of(problem, threads)
    return inference(module, problem, mode) if mode in ("inference", "streaming") else training(module, problem)


def inference(module: Any, problem: Problem, mode: str, dtype: torch.dtype | None = None) -> Call:
    """With a dtype, x is converted to it before the clock starts, and the results back after it."""
    x = torch.tensor(problem.x, dtype=dtype)
    case = problem.case
    shape = (case.layers * case.directions, case.n, case.hidden)
    parts = tuple(torch.zeros(shape, dtype=x.dtype) for _ in problem.cell.parts)
    zeros: Any = parts if len(parts) > 1 else parts[0]
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
        return [array_of(step()) for _ in range(STREAMED)][-1:]

    return Call(step, streamed) if mode == "streaming" else Call(infer, lambda: [array_of(infer())])


def array_of(y: torch.Tensor) -> Array:
    """NumPy has no bfloat16."""
    found: Array = (y.float() if y.dtype == torch.bfloat16 else y).numpy()
    return found


def training(module: torch.nn.RNNBase, problem: Problem, mask: Any = None) -> Call:
    """Ragged sequences are packed, or with a mask (N, T, 1) go through as they are, padding and all."""
    x = torch.tensor(problem.x, requires_grad=True)
    lengths = None if problem.case.lengths is None else torch.tensor(problem.case.lengths)
    found: list[Any] = []

    def forward() -> Any:
        if lengths is None:
            return module(x)[0]
        if mask is not None:
            return module(x)[0] * mask
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(module(packed)[0], batch_first=True)[0]

    def train() -> None:
        module.zero_grad()
        x.grad = None
        found[:] = [forward()]
        found[0].sum().backward()

    def trained() -> list[Array]:
        recurrent: Any = module.weight_hh_l0
        assert x.grad is not None
        return [found[0].detach().numpy(), x.grad.numpy(), recurrent.grad.numpy()]

    return Call(train, trained)
