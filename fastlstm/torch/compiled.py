"""Inference as one operator, for torch.compile."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import torch
from torch import Tensor

from fastlstm.torch.autograd import call
from fastlstm.torch.engine import Engine, Frame
from fastlstm.torch.spec import DTYPES, Spec

MOST_ENGINES = 64
"""How many modules in compiled code keep their engines. An operator is given weights, not the module."""

_engines: dict[tuple[Spec, torch.dtype, int], Engine] = {}
_lock = threading.Lock()


@torch.library.custom_op("fastlstm::recurrent", mutates_args=())
def recurrent(
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    mode: str,
    hidden: int,
    num_layers: int,
    bidirectional: bool,
    bias: bool,
    projection: int,
    batch_first: bool,
) -> list[Tensor]:
    """The outputs and the parts of the final state, for x (N, T, I), or (T, N, I)."""
    spec = Spec(mode, x.shape[2], hidden, num_layers, bidirectional, bias, projection)
    n, t = x.shape[:2] if batch_first else x.shape[1::-1]
    with torch.no_grad():
        return [*call(engine_of(spec, weights[0]), Frame(n, t, not batch_first), None, x, states, weights)]


@recurrent.register_fake
def _shapes(
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    mode: str,
    hidden: int,
    num_layers: int,
    bidirectional: bool,
    bias: bool,
    projection: int,
    batch_first: bool,
) -> list[Tensor]:
    spec = Spec(mode, x.shape[2], hidden, num_layers, bidirectional, bias, projection)
    places, n = num_layers * spec.directions, x.shape[0 if batch_first else 1]
    y = x.new_empty(*x.shape[:2], spec.directions * spec.widths[0])
    return [y, *[x.new_empty(places, n, width) for width in spec.widths]]


def engine_of(spec: Spec, weight: Tensor) -> Engine:
    """That of the module whose first weight this is, which was used last of all that are kept, or a new one."""
    key = spec, weight.dtype, weight.data_ptr()
    with _lock:
        engine = _engines.pop(key, None) or Engine(spec, weight.dtype, 0.0)
        _engines[key] = engine
        if len(_engines) > MOST_ENGINES:
            _engines.pop(next(iter(_engines)))
    return engine


def traced(
    spec: Spec, batch_first: bool, x: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor]
) -> list[Tensor] | None:
    """A call of the operator in compiled code; None where it is none for this operator."""
    every = (x, *states, *weights)
    if torch.is_grad_enabled() and any([one.requires_grad for one in every]):
        return None
    if x.dtype not in DTYPES or any([one.dtype != x.dtype or one.device.type != "cpu" for one in every]):
        return None
    if x.dim() != 3 or 0 in x.shape:
        return None
    _, _, hidden, num_layers, bidirectional, bias, projection = spec
    told = (hidden, num_layers, bidirectional, bias, projection, batch_first)
    found: list[Tensor] = recurrent(x, list(states), list(weights), spec.mode, *told)
    return found
