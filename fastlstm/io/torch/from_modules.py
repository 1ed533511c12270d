"""Our layer for each module of PyTorch. Importing this needs torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch import nn

from fastlstm.io.parts import Parts
from fastlstm.io.torch import chain, recurrent
from fastlstm.io.torch.arrays import array_of, finite_array_of
from fastlstm.io.torch.known import CELLS, TABLE, kind_of
from fastlstm.io.torch.to_modules import KEPT
from fastlstm.layers import (
    Add,
    Concat,
    Embedding,
    GRUCell,
    Layer,
    LSTMCell,
    Residual,
    TiedDense,
)
from fastlstm.layers.holder import Holder
from fastlstm.model import Model

Named = tuple[str, nn.Module]
"""A module and its place, such as "2.0"."""

CHANNELS_FIRST = (nn.Conv1d, nn.MaxPool1d, nn.AvgPool1d)
FEATURES_LAST = (nn.Linear, nn.LayerNorm, nn.Embedding, nn.RNNBase)


def is_chain(module: nn.Module) -> bool:
    """Whether it is modules in a row whose order is known."""
    own = type(module)
    return own is chain.Chain or (isinstance(module, nn.Sequential) and own.forward is nn.Sequential.forward)


def model_of(module: nn.Module, two_biases: bool = True) -> Model:
    """The model of a `torch.nn.Sequential` or a `chain.Chain`."""
    parts = [*_flat(module, "")]
    if not isinstance(module, chain.Chain):
        check_axes(parts)
    layers, dtype = layers_of(parts, two_biases)
    if not layers:
        raise ValueError(f"source: expected at least one module that does something, got none in {_name(module)}")
    return Model(layers, dtype or getattr(module, KEPT, {}).get("dtype", "float32"))


def layers_of(parts: list[Named], two_biases: bool) -> tuple[list[Layer], np.dtype[Any] | None]:
    """Their layers, and the dtype of these; None without parameters."""
    layers: list[Layer] = []
    dtype: np.dtype[Any] | None = None
    embeddings: dict[int, Embedding] = {}
    for place, module in parts:
        tied = embeddings.get(id(module.weight)) if type(module) is nn.Linear else None
        layer = layer_of(module, f"layer {place}", two_biases, tied)
        if isinstance(layer, Embedding):
            embeddings[id(module.weight)] = layer
        if layer.dtype is not None and dtype is not None and layer.dtype != dtype:
            raise TypeError(f"source: expected all modules in {dtype}, got {layer.dtype} of layer {place}")
        dtype = layer.dtype or dtype
        layers.append(layer)
    return layers, dtype


def _flat(module: nn.Module, place: str) -> Iterator[Named]:
    require_no_hooks(module, f"layer {place.rstrip('.')}" if place else "the module")
    for name, inner in module.named_children():
        if isinstance(inner, nn.Identity):
            continue
        if is_chain(inner):
            yield from _flat(inner, f"{place}{name}.")
        else:
            yield f"{place}{name}", inner


def tell(module: nn.Module, layers: Sequence[Layer], told: Parts) -> None:
    """Say what each part of a module that became a model has become."""
    _tell_chain(module, "", layers, told)
    for name, part in module.named_modules():
        if isinstance(part, nn.Identity):
            told.add(name, _name(part), why="changes nothing")


def _tell_chain(module: nn.Module, place: str, layers: Sequence[Layer], told: Parts) -> None:
    for (name, inner), layer in zip(_flat(module, place), layers, strict=True):
        told.add(name, _name(inner), [layer])
        if isinstance(layer, Residual):
            _tell_chain(inner, f"{name}.", layer.chains[0].layers, told)
        elif isinstance(layer, Holder):
            for (own, part), held in zip(inner.named_children(), layer.chains, strict=True):
                _tell_chain(part, f"{name}.{own}.", held.layers, told)


def check_axes(parts: list[Named]) -> None:
    """Require that a Sequential of PyTorch means the same for (N, T, F), the features last, as ours has them.

    There Conv1d and the pools of windows take (N, C, T), and Linear the last axis, whichever that is.
    """
    first = [(place, module) for place, module in parts if isinstance(module, CHANNELS_FIRST)]
    last = [(place, module) for place, module in parts if isinstance(module, FEATURES_LAST)]
    rows = any(isinstance(module, nn.BatchNorm1d) for _, module in parts)
    if first and last:
        (place, module), (other, mixing) = first[0], last[0]
        raise ValueError(
            f"source: layer {place} ({_name(module)}) takes (N, C, T), and layer {other} ({_name(mixing)}) mixes its "
            "last axis, which is that of time: the same layers here, which have the features last, would be another "
            "network; convert parts of it, or pass model= and names="
        )
    if rows and any(isinstance(module, nn.Embedding | nn.RNNBase) for _, module in parts):
        raise ValueError(
            "source: a BatchNorm1d behind sequences (N, T, F) normalises each step, and ours each feature: convert "
            "parts of it, or pass model= and names="
        )
    dims = (1, -2) if first else (1, -1) if rows else (-1,)
    for place, part in parts:
        if isinstance(part, nn.Softmax) and part.dim not in dims:
            raise ValueError(f"source: layer {place} (Softmax): expected dim={dims[-1]}, that of the features, got "
                             f"dim={part.dim}")  # fmt: skip
        if isinstance(part, nn.RNNBase) and part is not parts[-1][1]:
            raise ValueError(
                f"source: layer {place} ({_name(part)}) gives outputs and a state, which the next module of a "
                "torch.nn.Sequential cannot take"
            )


def unknown(module: nn.Module, place: str) -> str:
    """The message that a module is not known here."""
    known = sorted({one.__name__ for one in (*TABLE, *CELLS) if one.__module__.startswith("torch.")})
    return (
        f"source: {place} ({_name(module)}) is not known here; known are {', '.join(known)}, Sequential and Identity. "
        "Convert the parts around it, or pass model= and names="
    )


def require_no_hooks(module: nn.Module, place: str) -> None:
    if module._forward_hooks or module._forward_pre_hooks:
        raise ValueError(
            f"source: {place} ({_name(module)}) has hooks, which may change what it does: remove them first"
        )


def layer_of(module: nn.Module, place: str, two_biases: bool = True, tied: Embedding | None = None) -> Layer:
    """The layer of a module, with its weights; frozen ones stay frozen."""
    kind = kind_of(module)
    if kind is None or kind in CELLS:
        raise ValueError(unknown(module, place))
    require_no_hooks(module, place)
    try:
        layer = _read(module, kind, two_biases, tied)
    except (TypeError, ValueError) as error:
        if str(error).startswith("source: layer "):
            raise
        raise type(error)(f"source: {place} ({_name(module)}): {re.sub('^source:? ', '', str(error))}") from None
    _freeze(layer, module)
    return layer


def _read(module: Any, kind: type[nn.Module], two_biases: bool, tied: Embedding | None) -> Layer:
    kept = dict(getattr(module, KEPT, {}))
    if issubclass(kind, nn.RNNBase):
        options = {"two_biases": two_biases, **kept}
        return recurrent.layer_of(
            weights_of(module), dropout=module.dropout, nonlinearity=getattr(module, "nonlinearity", None), **options
        )
    if tied is not None:
        layer: Layer = TiedDense(tied, bias=module.bias is not None, **kept)
    elif kind is chain.Residual:
        return Residual(_inner(module))
    elif kind in (chain.Concat, chain.Add):
        return (Concat if kind is chain.Concat else Add)(*[_inner(part) for part in module.children()])
    else:
        layer = TABLE[kind](module, **kept)
    names = [*layer.parameter_shapes(), *layer.buffer_shapes()]
    if all(getattr(module, name) is None for name in names):  # a norm starts with what it is then
        return layer
    arrays = {name: _array(module, name, layer) for name in names}
    layer.load_parameters(arrays, next(iter(arrays.values())).dtype)
    return layer


def _array(module: Any, name: str, layer: Layer) -> Any:
    """A weight. Norms without weights scale by ones and shift by zeros."""
    value = getattr(module, name)
    if value is None:
        shape = {**layer.parameter_shapes(), **layer.buffer_shapes()}[name]
        known = [part for part in (*module.parameters(), *module.buffers()) if part.is_floating_point()]
        dtype = array_of(name, known[0]).dtype
        return (np.zeros if name == "bias" else np.ones)(shape, dtype)
    return finite_array_of(name, value)


def _freeze(layer: Layer, module: nn.Module) -> None:
    """Freeze what needs no gradient there, or is not there."""
    if isinstance(layer, Holder):
        return
    for name in layer.parameter_shapes():
        parts = [getattr(module, part, None) for part in recurrent.to_names(name)]
        if all(part is None for part in parts):
            parts = [getattr(module, name, None)]
        if not any(part is not None and (part.requires_grad or part.grad_fn is not None) for part in parts):
            layer._parameters[name].trainable = False  # without building it


def weights_of(module: Any) -> dict[str, Any]:
    """The weights of a recurrent module. Those of a parametrization are what it makes of its parameters."""
    return {name: array_of(name, getattr(module, name)) for name in module._flat_weights_names}


def cell_of(module: Any, two_biases: bool) -> LSTMCell | GRUCell:
    """Our cell of an LSTMCell or GRUCell."""
    arrays = {f"{name}_l0": array_of(name, one) for name, one in module.named_parameters()}
    cell = (LSTMCell if kind_of(module) is nn.LSTMCell else GRUCell)(module.input_size, module.hidden_size)
    layer = recurrent.layer_of(arrays, two_biases=two_biases)
    cell.layer = layer  # which may have both biases
    return cell


def _name(module: nn.Module) -> str:
    return type(module).__name__


def _inner(module: nn.Module) -> list[Layer]:
    return layers_of([*_flat(module, "")], True)[0]
