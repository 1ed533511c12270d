"""The same by torch's own code, as a part of its graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastlstm.torch.engine import Frame
from fastlstm.torch.spec import Spec

CALLS: dict[str, Any] = {"LSTM": torch.lstm, "GRU": torch.gru, "RNN_TANH": torch.rnn_tanh, "RNN_RELU": torch.rnn_relu}
"""torch's functions by mode."""


def own_sequences(
    spec: Spec, frame: Frame, x: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor]
) -> list[Tensor]:
    """The outputs and the parts of the final state, without dropout. x and the states may have any shape."""
    places = spec.num_layers * spec.directions
    if states:
        given = [part.reshape(places, frame.n, width) for part, width in zip(states, spec.widths, strict=True)]
    else:
        given = [x.new_zeros(places, frame.n, width) for width in spec.widths]
    state = tuple(given) if len(given) > 1 else given[0]
    told = [list(weights), spec.bias, spec.num_layers, 0.0, False, spec.bidirectional]
    function = CALLS[spec.mode]
    if frame.lengths is None:
        y, *final = function(x.reshape(frame.shape(spec.inputs)), state, *told, not frame.time_first)
    else:
        lengths = torch.from_numpy(frame.lengths)
        sizes = (lengths > torch.arange(frame.t)[:, None]).sum(1)
        y, *final = function(x, sizes, state, *told)
    return [y, *final]
