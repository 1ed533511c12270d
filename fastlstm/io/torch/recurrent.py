"""The weights of LSTM, GRU and SimpleRNN by PyTorch's names, and back. Nothing here needs torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.layers import GRU, LSTM, SimpleRNN
from fastlstm.layers.recurrent.cells import Cell

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

CELL = re.compile(r"weight_ih|weight_hh|bias_ih|bias_hh")


def layer_of(
    arrays: Mapping[str, Array],
    *,
    dropout: float = 0.0,
    activation: str | None = None,
    nonlinearity: str | None = None,
    two_biases: bool = True,
    **more: Any,
) -> LSTM | GRU | SimpleRNN:
    """The layer with these arrays of a module; `activation` is what a user says, `nonlinearity` what the module says.

    `more` are options of the layer that PyTorch does not have.
    """
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
        "dropout": dropout if layers > 1 else 0.0,
        "bias": any(name.startswith("bias") for name in arrays),
        "dtype": dtype,
        **more,
    }
    options["two_biases"] = _check.flag(two_biases, "two_biases") and options["bias"]
    layer: LSTM | GRU | SimpleRNN
    if kind == "RNN":
        layer = SimpleRNN(**options, activation=_activation(activation, nonlinearity))
    elif activation is not None:
        raise ValueError(f"activation: expected none but for an RNN, got {activation!r} for {_article(kind)} {kind}")
    else:
        layer = GRU(**options) if kind == "GRU" else _lstm(arrays, options)
    layer.load_parameters(from_names(layer, arrays), dtype)
    return layer


def single_cell(arrays: Mapping[str, Any]) -> str:
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


def to_names(name: str) -> list[str]:
    """PyTorch's names of what a parameter of this name holds: a bias is the sum of two."""
    return [name.replace("bias", "bias_ih"), name.replace("bias", "bias_hh")] if name.startswith("bias_l") else [name]


def from_names(layer: LSTM | GRU | SimpleRNN, arrays: Mapping[str, Array], name: str = "source") -> dict[str, Array]:
    """The parameters of the layer from those of a module. Their names and shapes are checked."""
    ours: dict[str, Array] = {}
    used = set()
    rows = layer.cell.gates * layer.hidden_size
    for own, shape in layer.parameter_shapes().items():
        parts = to_names(own)
        shape = (rows,) if len(parts) > 1 else shape
        for part in parts:
            got = arrays[part].shape if part in arrays else None
            if got != shape:
                raise ValueError(f"{name}: expected {part} of shape {shape}, got {got or 'none'}")
        used.update(parts)
        found = [arrays[part] for part in parts]
        ours[own] = found[0] if len(found) == 1 else layer.cell.one_bias(*found)
    if used != arrays.keys():
        raise ValueError(f"{name}: does not know what to do with {sorted(arrays.keys() - used)[0]!r}")
    return ours


def _two_biases(cell: Cell, bias: Array) -> tuple[Array, Array]:
    """PyTorch's two biases. bias_hh is zero wherever bias_ih can hold the sum of both."""
    blocks = bias.reshape(cell.sums, -1)
    bias_hh = [blocks[k] if k >= cell.gates else np.zeros_like(blocks[k]) for k in cell.state_feeds]
    return blocks[: cell.gates].reshape(-1).copy(), np.concatenate(bias_hh)


def like(shapes: Mapping[str, tuple[int, ...]]) -> LSTM | GRU | SimpleRNN:
    """A layer, without values, with weights of these names and shapes. An RNN is taken to have tanh."""
    arrays = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    options: dict[str, Any] = {
        "input_size": shapes["weight_ih_l0"][1],
        "hidden_size": shapes["weight_hh_l0"][1],
        "num_layers": _count_layers(arrays),
        "bidirectional": "weight_ih_l0_reverse" in shapes,
        "bias": any(name.startswith("bias") for name in shapes),
    }
    kind = _kind(arrays)
    if kind == "LSTM":
        return _lstm(arrays, {**options, "two_biases": options["bias"]})
    return (GRU if kind == "GRU" else SimpleRNN)(**options, two_biases=options["bias"])


def check(layer: LSTM | GRU | SimpleRNN, name: str = "layer") -> None:
    """Require a layer without options that PyTorch does not have."""
    usual = isinstance(layer, SimpleRNN) and layer.activation in ("tanh", "relu")
    others = [own for own in layer.config() if own not in KNOWN and not (usual and own == "activation")]
    if others:
        raise ValueError(
            f"{name}: expected no options that PyTorch does not have, got {', '.join(dict.fromkeys(others))}"
        )


def state_of(layer: LSTM | GRU | SimpleRNN) -> dict[str, Array]:
    """The parameters of a layer by PyTorch's names, in new arrays."""
    state: dict[str, Array] = {}
    for name in layer.parameter_shapes():
        value, parts = layer.parameter(name).value.copy(), to_names(name)
        state.update(zip(parts, _two_biases(layer.cell, value) if len(parts) > 1 else [value], strict=True))
    return state
