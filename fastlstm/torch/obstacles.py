"""What the kernels cannot do, so that torch's own code runs, and the warning that says so."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter

DTYPES = frozenset((torch.float32, torch.float64, torch.bfloat16))

KINDS = frozenset((Tensor, Parameter))

_told: set[str] = set()


def obstacle(x: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor]) -> str | None:
    """Why torch's own code must run on these tensors; None if it need not."""
    if not KINDS.issuperset(map(type, (x, *states, *weights))):
        others = {*map(type, (x, *states, *weights))} - KINDS
        return f"a tensor is of the type {others.pop().__name__}, whose operations may be its own"
    if not x.is_cpu or not weights[0].is_cpu:
        return (
            f"a tensor is on {weights[0].device.type if x.is_cpu else x.device.type}, and its kernels are for the CPU"
        )
    if x.dtype not in DTYPES:
        return f"it computes in float32, float64 and bfloat16, and a tensor is of {x.dtype}"
    if torch._C._are_functorch_transforms_active():
        return "it has no rules for the transforms of torch.func"
    if forward_ad._current_level >= 0:
        return "it has no derivatives in forward mode"
    if torch.is_autocast_enabled("cpu"):
        return "it does not know torch.autocast"
    if torch._C._get_tracing_state() is not None:
        return "it cannot be traced"
    return None


def tell(reason: str, stacklevel: int = 6) -> None:
    """Warn, once for each reason. The level is that of the call of a module."""
    if reason not in _told:
        _told.add(reason)
        warnings.warn(f"torch's own code runs instead of fastlstm's: {reason}", stacklevel=stacklevel)
