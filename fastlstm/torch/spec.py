"""What a module computes, and the layer that computes the same."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from fastlstm import layers
from fastlstm.layers.recurrent.base import Recurrent

DTYPES = {torch.float32: "float32", torch.float64: "float64"}
"""Those that the kernels know, by torch's."""


class Spec(NamedTuple):
    """What decides which layer it is.

    `mode` is torch's: "LSTM", "GRU", "RNN_TANH" or "RNN_RELU".
    """

    mode: str
    inputs: int
    hidden: int
    num_layers: int = 1
    bidirectional: bool = False
    bias: bool = True
    projection: int = 0

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def widths(self) -> tuple[int, ...]:
        """The numbers of each part of the state."""
        seen = self.projection or self.hidden
        return (seen, self.hidden) if self.mode == "LSTM" else (seen,)

    @property
    def names(self) -> list[str]:
        """The layer's parameters, in the order of torch's weights."""
        kinds = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if self.bias else [])]
        kinds += ["weight_hr"] if self.projection else []
        suffixes = ["", "_reverse"][: self.directions]
        return [f"{kind}_l{k}{suffix}" for k in range(self.num_layers) for suffix in suffixes for kind in kinds]


def layer_of(spec: Spec, dtype: torch.dtype, dropout: float) -> Recurrent[Any]:
    """The layer. It has no values yet; while training it leaves out this part of what goes from layer to layer."""
    shared: dict[str, Any] = {
        "num_layers": spec.num_layers,
        "bidirectional": spec.bidirectional,
        "bias": spec.bias,
        "two_biases": spec.bias,
        "dropout": dropout,
        "dtype": DTYPES[dtype],
        "seed": 0,
    }
    if spec.mode == "LSTM":
        return layers.LSTM(spec.inputs, spec.hidden, proj_size=spec.projection or None, **shared)
    if spec.mode == "GRU":
        return layers.GRU(spec.inputs, spec.hidden, **shared)
    activation = spec.mode.removeprefix("RNN_").lower()
    return layers.SimpleRNN(spec.inputs, spec.hidden, activation=activation, **shared)
