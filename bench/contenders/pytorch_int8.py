"""PyTorch's dynamic quantization: weights in int8, x and h rounded to 8 bits in every step."""

from __future__ import annotations

import torch
from torch.ao.nn.quantized.dynamic import GRU, LSTM
from torch.ao.quantization import quantize_dynamic

from bench.contenders import Call, Problem, only
from bench.contenders.pytorch import inference, module_of


def prepare(problem: Problem, mode: str, threads: int) -> Call:
    chain = torch.nn.Sequential(module_of(problem, threads).eval())  # it replaces the modules in another one
    [quantized] = quantize_dynamic(chain, {torch.nn.LSTM, torch.nn.GRU}, dtype=torch.qint8)  # type: ignore[no-untyped-call]
    only(isinstance(quantized, (LSTM, GRU)), "it quantizes LSTMs and GRUs only")
    return inference(quantized, problem, mode)
