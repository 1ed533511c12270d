"""From our layers and models to modules of PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from fastlstm.layers import GRU, LSTM, GRUCell, Layer, LSTMCell, SimpleRNN
from fastlstm.model import Model

if TYPE_CHECKING:
    import torch

    from fastlstm.io.torch.chain import Chain


@overload
def to_torch(layer: LSTM) -> torch.nn.LSTM: ...
@overload
def to_torch(layer: GRU) -> torch.nn.GRU: ...
@overload
def to_torch(layer: SimpleRNN) -> torch.nn.RNN: ...
@overload
def to_torch(layer: LSTMCell) -> torch.nn.LSTMCell: ...
@overload
def to_torch(layer: GRUCell) -> torch.nn.GRUCell: ...
@overload
def to_torch(layer: Model) -> Chain: ...
@overload
def to_torch(layer: Layer) -> torch.nn.Module: ...
def to_torch(layer: Layer | LSTMCell | GRUCell | Model) -> torch.nn.Module:
    """A module of PyTorch with the weights of a layer or of a whole model.

    An `LSTM`, `GRU` or `SimpleRNN` becomes a ``torch.nn.LSTM``, ``GRU`` or ``RNN`` (batch_first). A layer with
    `two_biases` has them as they are; of any other, ``bias_hh`` are zero, except those of the candidate of a GRU. A
    model becomes a `fastlstm.io.torch.chain.Chain`, which takes what the model takes: ``module(x)``, or
    ``module(x, lengths)``, with x (N, T, F) or tokens (N, T). `from_torch` gives the same model back.

    Parameters
    ----------
    layer : Model, Layer, LSTMCell or GRUCell
        Frozen parameters need no gradient there, either.

    Returns
    -------
    torch.nn.Module
        In training mode, as every new module; ``module.eval()`` ends dropout.

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If PyTorch does not have the layer, or an option of it; the message names both, and the place in the model.
    ImportError
        If torch is not installed.
    """
    if not isinstance(layer, Layer | Model | LSTMCell | GRUCell):
        raise TypeError(f"layer: expected a model, a layer or a cell, got {type(layer).__name__}")
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise ImportError("to_torch needs PyTorch: pip install torch") from error
    from fastlstm.io.torch import to_modules

    if isinstance(layer, Model):
        return to_modules.chain_of(layer)
    if isinstance(layer, LSTMCell | GRUCell):
        return to_modules.cell_of(layer)
    layer.build()
    return to_modules.module_of(layer, "layer")
