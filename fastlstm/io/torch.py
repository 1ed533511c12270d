"""The LSTM layer to and from PyTorch. Only `to_torch` imports torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.layers import LSTM

if TYPE_CHECKING:
    import torch

NAME = re.compile(r"(weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)_l(\d+)(_reverse)?")

BLOCKS = {1: "an RNN", 3: "a GRU"}
"""Other modules, by the number of blocks of hidden_size rows in their weights."""


def from_torch(source: Any) -> LSTM:
    """An LSTM layer with the weights of a ``torch.nn.LSTM``. The two biases of PyTorch are added into one.

    Parameters
    ----------
    source : torch.nn.LSTM, or its state_dict
        A state_dict may hold tensors or NumPy arrays, float32 or float64. The layer gets their dtype. A state_dict does
        not hold the rate of dropout, which is then 0.

    Returns
    -------
    LSTM

    Raises
    ------
    TypeError
        If source is another module, such as a GRU, or its arrays have another dtype.
    ValueError
        If source is the state_dict of another module, has a projection (proj_size), names that are not those of an
        LSTM, or shapes that do not fit.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> shapes = {"weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4), "bias_ih_l0": 16, "bias_hh_l0": 16}
    >>> fl.io.from_torch({name: np.zeros(shape, "float32") for name, shape in shapes.items()}).hidden_size
    4
    """
    state = source.state_dict() if hasattr(source, "state_dict") else source
    if not hasattr(state, "items"):
        raise TypeError(f"source: expected a torch.nn.LSTM or its state_dict, got {type(source).__name__}")
    arrays = {name: _as_array(name, tensor) for name, tensor in state.items()}
    other = _other_kind(arrays)
    if other:
        error = TypeError if hasattr(source, "state_dict") else ValueError
        raise error(f"source: expected a torch.nn.LSTM or its state_dict, got {other}")
    layers = _count_layers(arrays)
    dtype = arrays["weight_ih_l0"].dtype
    for name, array in arrays.items():
        if array.dtype != dtype:
            raise TypeError(f"source: expected {name} in {dtype} as weight_ih_l0, got {array.dtype}")
        _check.finite(array, f"source {name}")
    layer = LSTM(
        input_size=arrays["weight_ih_l0"].shape[-1],
        hidden_size=arrays["weight_hh_l0"].shape[-1],
        num_layers=layers,
        bidirectional="weight_ih_l0_reverse" in arrays,
        dropout=float(getattr(source, "dropout", 0.0)) if layers > 1 else 0.0,
        bias=any(name.startswith("bias") for name in arrays),
        dtype=dtype,
    )
    ours: dict[str, NDArray[Any]] = {}
    used = set()
    for name, shape in layer.parameter_shapes().items():
        parts = [name.replace("bias", "bias_ih"), name.replace("bias", "bias_hh")] if "bias" in name else [name]
        for part in parts:
            got = arrays[part].shape if part in arrays else None
            if got != shape:
                raise ValueError(f"source: expected {part} of shape {shape}, got {got or 'none'}")
        used.update(parts)
        ours[name] = sum((arrays[part] for part in parts[1:]), start=arrays[parts[0]])
    if used != arrays.keys():
        raise ValueError(f"source: does not know what to do with {sorted(arrays.keys() - used)[0]!r}")
    layer.load_parameters(ours, layer.dtype)
    return layer


def _other_kind(arrays: Mapping[str, NDArray[Any]]) -> str:
    """The name of another recurrent module of PyTorch that has these weights; "" if it is an LSTM."""
    for suffix, cell in (("_l0", ""), ("", "Cell")):
        names = f"weight_ih{suffix}", f"weight_hh{suffix}"
        if any(name not in arrays or arrays[name].ndim != 2 for name in names):
            continue
        rows, hidden = arrays[names[1]].shape
        blocks = rows // hidden if hidden and rows % hidden == 0 and len(arrays[names[0]]) == rows else 0
        if blocks == 4 and cell:
            return "an LSTMCell; its state_dict is one of an LSTM with a layer if _l0 is added to the names"
        if blocks in BLOCKS and "weight_hr_l0" not in arrays:
            return f"{BLOCKS[blocks]}{cell}, which is no LSTM: {rows} rows for {hidden} hidden units, not {4 * hidden}"
    return ""


def _count_layers(arrays: Mapping[str, NDArray[Any]]) -> int:
    """The number of layers in the names of the arrays; an error if a name is not that of an LSTM."""
    layers = 0
    for name, array in arrays.items():
        match = NAME.fullmatch(name)
        if match is None:
            raise ValueError(f"source: expected names such as 'weight_ih_l0', got {name!r}")
        if match[1] == "weight_hr":
            raise ValueError("source: an LSTM with a projection (proj_size) is not supported")
        if array.ndim != (2 if "weight" in name else 1):
            raise ValueError(f"source: expected {name} with {2 if 'weight' in name else 1} axes, got {array.ndim}")
        layers = max(layers, 1 + int(match[2]))
    if "weight_ih_l0" not in arrays or "weight_hh_l0" not in arrays:
        raise ValueError("source: expected 'weight_ih_l0' and 'weight_hh_l0', got " + ", ".join(sorted(arrays)))
    if layers > len(arrays):
        raise ValueError(f"source: expected the weights of {layers} layers, got {len(arrays)} arrays")
    return layers


def to_torch(layer: LSTM) -> torch.nn.LSTM:
    """A ``torch.nn.LSTM`` (batch_first) with the weights of an LSTM layer. Its ``bias_hh`` are zero.

    Parameters
    ----------
    layer : LSTM

    Returns
    -------
    torch.nn.LSTM

    Raises
    ------
    TypeError
        If layer is no LSTM.
    ImportError
        If torch is not installed.
    """
    if not isinstance(layer, LSTM):
        raise TypeError(f"layer: expected an LSTM, got {type(layer).__name__}")
    try:
        import torch
    except ImportError as error:
        raise ImportError("to_torch needs PyTorch: pip install torch") from error
    layer.build()
    module = torch.nn.LSTM(
        layer.input_size,
        layer.hidden_size,
        num_layers=layer.num_layers,
        bias=layer.bias,
        batch_first=True,
        dropout=layer.dropout if layer.num_layers > 1 else 0.0,
        bidirectional=layer.bidirectional,
        dtype=getattr(torch, str(layer.dtype)),
    )
    state = {}
    for name in layer.parameter_shapes():
        value = torch.from_numpy(layer.parameter(name).value.copy())
        if "bias" in name:
            state[name.replace("bias", "bias_ih")] = value
            state[name.replace("bias", "bias_hh")] = torch.zeros_like(value)
        else:
            state[name] = value
    module.load_state_dict(state)
    return module


def _as_array(name: Any, tensor: Any) -> NDArray[Any]:
    if not isinstance(name, str):
        raise TypeError(f"source: expected names, got {name!r}")
    if hasattr(tensor, "detach"):
        kind = str(tensor.dtype).removeprefix("torch.")
        array = tensor.detach().cpu().numpy() if kind in ("float32", "float64") else np.empty(0, np.int8)
    else:
        array = np.asarray(tensor)
        kind = str(array.dtype)
    native = array.dtype.newbyteorder("=")
    if native not in (np.dtype("float32"), np.dtype("float64")):
        raise TypeError(f"source: expected {name} in float32 or float64, got {kind}")
    return np.ascontiguousarray(array, native)
