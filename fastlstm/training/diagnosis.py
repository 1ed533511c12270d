"""Finds out where numbers that are not finite come from."""

from __future__ import annotations

import numpy as np

from fastlstm._kernels import rows
from fastlstm.layers.preparing import lengths_behind
from fastlstm.model import Model
from fastlstm.training.batch import Batch


def of_loss(model: Model, batch: Batch) -> str:
    """Says which parameter, or else which output on the way to the loss, is the first that is not finite.

    Outputs are those of inference.
    """
    spoilt = of_parameters(model)
    if spoilt:
        return f"{spoilt} holds numbers that are not finite"
    x, tape, lengths = batch.x, model.tape(), batch.lengths
    for i, (layer, workspace) in enumerate(zip(model.layers, tape.workspaces, strict=True)):
        x = layer.forward(x, workspace, training=False, lengths=lengths)
        lengths = lengths_behind([layer], lengths)
        if not np.isfinite(x).all():
            return f"the first output that is not finite is that of layer {i} ({type(layer).__name__})"
    return f"all outputs are finite, up to {np.abs(x).max():.3g}: it is the loss that overflows"


def of_gradient(model: Model) -> str:
    """Names the layer nearest to the loss whose gradient is not finite. The error comes from there."""
    for i in reversed(range(len(model.layers))):
        for parameter in model.layers[i].parameters():
            if not np.isfinite(parameter.grad).all():
                return f"nearest to the loss it is {parameter.name}, of layer {i} ({type(model.layers[i]).__name__})"
    return "each part of it is finite: their squares overflow"


def of_parameters(model: Model) -> str:
    """The name of the first parameter that is not finite, or an empty string."""
    for name, parameter in model.named_parameters().items():
        if rows.first_nonfinite(parameter.read().reshape(-1)) >= 0:
            return name
    return ""
