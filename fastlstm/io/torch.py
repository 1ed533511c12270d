"""LSTM, GRU and SimpleRNN to and from PyTorch. Only `to_torch` imports torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.layers import GRU, LSTM, SimpleRNN
from fastlstm.layers.recurrent.cells import Cell

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]

KNOWN = {
    "input_size",
    "hidden_size",
    "num_layers",
    "bidirectional",
    "dropout",
    "bias",
    "forget_bias",
    "two_biases",
    "proj_size",
    "chrono",
    "checkpoint_every",
    "init",
    "regularizers",
    "constraints",
    "trainable",
}
"""Options of layers that PyTorch has, too, or that change no result."""

NAME = re.compile(r"(weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)_l(\d+)(_reverse)?")

BLOCKS = {4: "LSTM", 3: "GRU", 1: "RNN"}
"""Modules of torch.nn by the number of blocks of hidden_size rows in their weights."""

EXPECTED = "expected a torch.nn.LSTM, GRU or RNN, or its state_dict"


@overload
def from_torch(source: torch.nn.LSTM, *, activation: None = None, two_biases: bool = True) -> LSTM: ...
@overload
def from_torch(source: torch.nn.GRU, *, activation: None = None, two_biases: bool = True) -> GRU: ...
@overload
def from_torch(source: torch.nn.RNN, *, activation: str | None = None, two_biases: bool = True) -> SimpleRNN: ...
@overload
def from_torch(source: Any, *, activation: str | None = None, two_biases: bool = True) -> LSTM | GRU | SimpleRNN: ...
def from_torch(source: Any, *, activation: str | None = None, two_biases: bool = True) -> LSTM | GRU | SimpleRNN:
    """A layer with the weights of a ``torch.nn.LSTM``, ``GRU`` or ``RNN``, which becomes a `SimpleRNN`.

    Parameters
    ----------
    source : torch.nn.LSTM, GRU or RNN, or its state_dict
        A state_dict may hold tensors or NumPy arrays, float32 or float64. The layer gets their dtype. A state_dict does
        not hold the rate of dropout, which is then 0.
    activation : "tanh" or "relu", optional
        The activation of an RNN. It is needed with a state_dict, which does not hold it.
    two_biases : bool, default True
        Whether the layer keeps both biases of each gate, so that `to_torch` gives them back to the bit and a training
        moves them as PyTorch would. If not, it has their sum where PyTorch adds them; its outputs are the same.

    Returns
    -------
    LSTM, GRU or SimpleRNN

    Raises
    ------
    TypeError
        If source is another module, such as a GRUCell, or its arrays have another dtype.
    ValueError
        If source is the state_dict of another module, has names that are not those of such a module, or shapes that do
        not fit; or if `activation` is missing, is not that of the module, or is given for a module that is no RNN.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> shapes = {"weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4), "bias_ih_l0": 16, "bias_hh_l0": 16}
    >>> fl.io.from_torch({name: np.zeros(shape, "float32") for name, shape in shapes.items()}).hidden_size
    4
    """
    state = source.state_dict() if hasattr(source, "state_dict") else source
    if not hasattr(state, "items"):
        raise TypeError(f"source: {EXPECTED}, got {type(source).__name__}")
    arrays = {name: _as_array(name, tensor) for name, tensor in state.items()}
    cell = _single_cell(arrays)
    if cell:
        error = TypeError if hasattr(source, "state_dict") else ValueError
        raise error(f"source: {EXPECTED}, got {cell}")
    layers = _count_layers(arrays)
    kind = _kind(arrays)
    dtype = arrays["weight_ih_l0"].dtype
    for name, array in arrays.items():
        if array.dtype != dtype:
            raise TypeError(f"source: expected {name} in {dtype} as weight_ih_l0, got {array.dtype}")
        _check.finite(array, f"source {name}")
    options: dict[str, Any] = {
        "input_size": arrays["weight_ih_l0"].shape[-1],
        "hidden_size": arrays["weight_hh_l0"].shape[-1],
        "num_layers": layers,
        "bidirectional": "weight_ih_l0_reverse" in arrays,
        "dropout": float(getattr(source, "dropout", 0.0)) if layers > 1 else 0.0,
        "bias": any(name.startswith("bias") for name in arrays),
        "dtype": dtype,
    }
    options["two_biases"] = _check.flag(two_biases, "two_biases") and options["bias"]
    layer: LSTM | GRU | SimpleRNN
    if kind == "RNN":
        layer = SimpleRNN(**options, activation=_activation(activation, getattr(source, "nonlinearity", None)))
    elif activation is not None:
        raise ValueError(f"activation: expected none but for an RNN, got {activation!r} for {_article(kind)} {kind}")
    else:
        layer = GRU(**options) if kind == "GRU" else _lstm(arrays, options)
    layer.load_parameters(_from_names(layer, arrays), dtype)
    return layer


def _single_cell(arrays: Mapping[str, Array]) -> str:
    """The name of a module of PyTorch for single steps that has these weights; "" if there is none."""
    names = "weight_ih", "weight_hh"
    if any(name not in arrays or arrays[name].ndim != 2 for name in names):
        return ""
    rows, hidden = arrays["weight_hh"].shape
    kind = BLOCKS.get(rows // hidden) if hidden and rows % hidden == 0 else None
    if kind is None or len(arrays["weight_ih"]) != rows:
        return ""
    a = _article(kind)
    return f"{a} {kind}Cell; its state_dict is one of {a} {kind} with a layer if _l0 is added to the names"


def _count_layers(arrays: Mapping[str, Array]) -> int:
    """The number of layers in the names of the arrays; an error if a name is not that of a recurrent module."""
    layers = 0
    for name, array in arrays.items():
        match = NAME.fullmatch(name)
        if match is None:
            raise ValueError(f"source: expected names such as 'weight_ih_l0', got {name!r}")
        if array.ndim != (2 if "weight" in name else 1):
            raise ValueError(f"source: expected {name} with {2 if 'weight' in name else 1} axes, got {array.ndim}")
        layers = max(layers, 1 + int(match[2]))
    if "weight_ih_l0" not in arrays or "weight_hh_l0" not in arrays:
        raise ValueError("source: expected 'weight_ih_l0' and 'weight_hh_l0', got " + ", ".join(sorted(arrays)))
    if layers > len(arrays):
        raise ValueError(f"source: expected the weights of {layers} layers, got {len(arrays)} arrays")
    return layers


def _kind(arrays: Mapping[str, Array]) -> str:
    """The module to which weight_hh_l0 belongs: "LSTM", "GRU" or "RNN"."""
    rows, hidden = arrays["weight_hh_l0"].shape
    if "weight_hr_l0" in arrays:
        return "LSTM"
    if not hidden or rows % hidden or rows // hidden not in BLOCKS:
        raise ValueError(
            "source: expected weight_hh_l0 of 4, 3 or 1 times as many rows as columns (of an LSTM, a GRU or an RNN), "
            f"got ({rows}, {hidden})"
        )
    return BLOCKS[rows // hidden]


def _lstm(arrays: Mapping[str, Array], options: dict[str, Any]) -> LSTM:
    """An LSTM, which may have a projection."""
    if "weight_hr_l0" not in arrays:
        return LSTM(**options)
    size, hidden = arrays["weight_hr_l0"].shape
    if not 0 < size < hidden:
        raise ValueError(f"source: expected weight_hr_l0 of fewer rows than columns, got ({size}, {hidden})")
    return LSTM(**{**options, "hidden_size": hidden}, proj_size=size)


def _activation(given: str | None, known: str | None) -> str:
    """The activation of an RNN, from the argument or from the module."""
    if known is not None and given not in (None, known):
        raise ValueError(f"activation: expected {known!r}, that of the module, got {given!r}")
    found = given or known
    if found is None:
        raise ValueError(
            "activation: expected 'tanh' or 'relu', as the state_dict of an RNN does not tell it, got None"
        )
    if found not in ("tanh", "relu"):
        raise ValueError(f"activation: expected 'tanh' or 'relu', got {found!r}")
    return found


def _article(kind: str) -> str:
    return "a" if kind == "GRU" else "an"


def _from_names(layer: LSTM | GRU | SimpleRNN, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The parameters of the layer from those of a module. Their names and shapes are checked."""
    ours: dict[str, Array] = {}
    used = set()
    rows = layer.cell.gates * layer.hidden_size
    for name, shape in layer.parameter_shapes().items():
        biases = [name.replace("bias", "bias_ih"), name.replace("bias", "bias_hh")]
        parts, shape = (biases, (rows,)) if name.startswith("bias_l") else ([name], shape)
        for part in parts:
            got = arrays[part].shape if part in arrays else None
            if got != shape:
                raise ValueError(f"source: expected {part} of shape {shape}, got {got or 'none'}")
        used.update(parts)
        found = [arrays[part] for part in parts]
        ours[name] = found[0] if len(found) == 1 else layer.cell.one_bias(*found)
    if used != arrays.keys():
        raise ValueError(f"source: does not know what to do with {sorted(arrays.keys() - used)[0]!r}")
    return ours


def _two_biases(cell: Cell, bias: Array) -> tuple[Array, Array]:
    """PyTorch's two biases. bias_hh is zero wherever bias_ih can hold the sum of both."""
    blocks = bias.reshape(cell.sums, -1)
    bias_hh = [blocks[k] if k >= cell.gates else np.zeros_like(blocks[k]) for k in cell.state_feeds]
    return blocks[: cell.gates].reshape(-1).copy(), np.concatenate(bias_hh)


@overload
def to_torch(layer: LSTM) -> torch.nn.LSTM: ...
@overload
def to_torch(layer: GRU) -> torch.nn.GRU: ...
@overload
def to_torch(layer: SimpleRNN) -> torch.nn.RNN: ...
def to_torch(layer: LSTM | GRU | SimpleRNN) -> torch.nn.LSTM | torch.nn.GRU | torch.nn.RNN:
    """A ``torch.nn.LSTM``, ``GRU`` or ``RNN`` (batch_first) with the weights of a recurrent layer.

    A layer with `two_biases` has them as they are. Of any other, ``bias_hh`` are zero, except those of the candidate of
    a GRU.

    Parameters
    ----------
    layer : LSTM, GRU or SimpleRNN

    Returns
    -------
    torch.nn.LSTM, GRU or RNN

    Raises
    ------
    TypeError
        If layer is none of the three.
    ValueError
        If it has options that PyTorch does not have.
    ImportError
        If torch is not installed.
    """
    if not isinstance(layer, LSTM | GRU | SimpleRNN):
        raise TypeError(f"layer: expected an LSTM, GRU or SimpleRNN, got {type(layer).__name__}")
    usual = isinstance(layer, SimpleRNN) and layer.activation in ("tanh", "relu")
    others = [name for name in layer.config() if name not in KNOWN and not (usual and name == "activation")]
    if others:
        raise ValueError(
            f"layer: expected no options that PyTorch does not have, got {', '.join(dict.fromkeys(others))}"
        )
    try:
        import torch
    except ImportError as error:
        raise ImportError("to_torch needs PyTorch: pip install torch") from error
    layer.build()
    options: dict[str, Any] = {
        "input_size": layer.input_size,
        "hidden_size": layer.hidden_size,
        "num_layers": layer.num_layers,
        "bias": layer.bias,
        "batch_first": True,
        "dropout": layer.dropout if layer.num_layers > 1 else 0.0,
        "bidirectional": layer.bidirectional,
        "dtype": getattr(torch, str(layer.dtype)),
    }
    module: torch.nn.LSTM | torch.nn.GRU | torch.nn.RNN
    if isinstance(layer, SimpleRNN):
        module = torch.nn.RNN(**options, nonlinearity=layer.activation)
    else:
        size = {"proj_size": layer.proj_size} if isinstance(layer, LSTM) and layer.proj_size else {}
        module = torch.nn.GRU(**options) if isinstance(layer, GRU) else torch.nn.LSTM(**options, **size)
    state = {}
    for name in layer.parameter_shapes():
        value = layer.parameter(name).value.copy()
        if name.startswith("bias_l"):
            for part, bias in zip(("bias_ih", "bias_hh"), _two_biases(layer.cell, value), strict=True):
                state[name.replace("bias", part)] = torch.from_numpy(bias)
        else:
            state[name] = torch.from_numpy(value)
    module.load_state_dict(state)
    return module


def _as_array(name: Any, tensor: Any) -> Array:
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
