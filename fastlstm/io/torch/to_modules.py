"""The module of PyTorch for each of our layers. Importing this needs torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from fastlstm.io.torch import chain, recurrent
from fastlstm.layers import (
    GRU,
    LSTM,
    Activation,
    Add,
    AttentionPool,
    AveragePool1d,
    BatchNorm,
    Concat,
    Conv1d,
    Dense,
    Dropout,
    Embedding,
    FinalState,
    GRUCell,
    Last,
    Layer,
    LayerNorm,
    LSTMCell,
    MaxPool,
    MaxPool1d,
    MeanPool,
    Residual,
    SimpleRNN,
    Softmax,
    TiedDense,
)
from fastlstm.layers.holder import Holder
from fastlstm.model import Model

KEPT = "fastlstm"
"""The attribute of a module in a chain that has the options of its layer which PyTorch has no place for."""

OURS_ALONE = ("forget_bias", "chrono", "checkpoint_every", "padding", "init", "regularizers", "constraints")
"""These options, as `config` has them."""

FUNCTIONS: dict[str, Callable[[float, float], nn.Module]] = {
    "sigmoid": lambda a, b: nn.Sigmoid(),
    "tanh": lambda a, b: nn.Tanh(),
    "relu": lambda a, b: nn.ReLU(),
    "softsign": lambda a, b: nn.Softsign(),
    "softplus": lambda a, b: nn.Softplus(threshold=80.0),  # from there on it is x to the bit
    "leaky_relu": lambda a, b: nn.LeakyReLU(a),
    "thresholded_relu": lambda a, b: nn.Threshold(a, 0.0),
    "elu": lambda a, b: nn.ELU(a),
    "gelu": lambda a, b: nn.GELU(),
    "gelu_tanh": lambda a, b: nn.GELU("tanh"),
    "silu": lambda a, b: nn.SiLU(),
}
"""Modules by the name of a function; the others are a `chain.Function`."""


def chain_of(model: Model) -> chain.Chain:
    """The module of a model."""
    embeddings: dict[int, nn.Module] = {}
    made = []
    for i, layer in enumerate(model.layers):
        module = module_of(layer, f"layer {i}", kept=True)
        if isinstance(layer, TiedDense):
            module.weight = embeddings[id(layer.embedding)].weight
        embeddings[id(layer)] = module
        made.append(module)
    module = chain.Chain(made)
    setattr(module, KEPT, {"dtype": model.dtype.name})
    return module


def module_of(layer: Layer, place: str, *, kept: bool = False) -> nn.Module:
    """The module of a layer; `kept` says whether it also keeps the options that PyTorch has no place for."""
    make = TABLE.get(type(layer))
    if make is None:
        raise ValueError(
            f"{place}: PyTorch has no {type(layer).__name__}; known are {', '.join(sorted(k.__name__ for k in TABLE))}"
        )
    module = make(layer, place)
    if not isinstance(layer, Holder):
        _fill(module, layer)
    if kept:
        config = layer.config()
        options = {name: config[name] for name in OURS_ALONE if name in config}
        if isinstance(layer, LSTM | GRU | SimpleRNN):
            options["two_biases"] = layer.two_biases
        setattr(module, KEPT, options)
    return module


def cell_of(cell: LSTMCell | GRUCell) -> nn.LSTMCell | nn.GRUCell:
    """The module of a cell."""
    layer = cell.layer
    layer.build()
    assert isinstance(layer, LSTM | GRU)
    recurrent.check(layer, "layer")
    if isinstance(layer, LSTM) and layer.proj_size:
        raise ValueError("layer: expected no options that PyTorch does not have, got proj_size of a cell")
    kind = nn.LSTMCell if isinstance(layer, LSTM) else nn.GRUCell
    module = kind(layer.input_size, layer.hidden_size, layer.bias, dtype=getattr(torch, str(layer.dtype)))
    state = {name.removesuffix("_l0"): torch.from_numpy(array) for name, array in recurrent.state_of(layer).items()}
    module.load_state_dict(state)
    return module


def _fill(module: nn.Module, layer: Layer) -> None:
    """Put the weights of a layer into its module, and freeze what is frozen."""
    if isinstance(layer, LSTM | GRU | SimpleRNN):
        arrays = recurrent.state_of(layer)
        frozen = [part for name in layer.parameter_shapes() if not layer.parameter(name).trainable
                  for part in recurrent.to_names(name)]  # fmt: skip
    else:
        names = [*layer.parameter_shapes(), *layer.buffer_shapes()]
        both = {**layer._parameters, **layer._buffers}
        arrays = {name: both[name].value.copy() for name in names}
        if isinstance(layer, TiedDense):
            arrays["weight"] = layer.parameter("weight").value.copy()
        frozen = [name for name in layer.parameter_shapes() if not both[name].trainable]
    module.to(getattr(torch, str(layer.dtype)))
    own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for name, array in arrays.items():
        own[name].data = torch.from_numpy(array)
    for name in frozen:
        own[name].requires_grad_(False)


def _recurrent(layer: Any, place: str) -> nn.Module:
    recurrent.check(layer, place)
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
    if isinstance(layer, SimpleRNN):
        return nn.RNN(**options, nonlinearity=layer.activation)
    if isinstance(layer, LSTM) and layer.proj_size:
        options["proj_size"] = layer.proj_size
    return nn.LSTM(**options) if isinstance(layer, LSTM) else nn.GRU(**options)


def _activation(layer: Any, place: str) -> nn.Module:
    name, alpha, beta = layer.function
    if (name, alpha, beta) == ("hard_sigmoid", 1 / 6, 0.5):
        return nn.Hardsigmoid()
    return FUNCTIONS[name](alpha, beta) if name in FUNCTIONS else chain.Function(name, alpha, beta)


def _conv(layer: Any, place: str) -> nn.Module:
    sizes = layer.input_size, layer.output_size, layer.windows.size
    windows, options = layer.windows, {"padding_mode": layer.windows.mode, "bias": layer.bias}
    return chain.Conv1d(*sizes, sides=windows.sides, stride=windows.stride, dilation=windows.dilation, **options)


def _residual(layer: Any, place: str) -> nn.Module:
    (inner,) = layer.chains
    return chain.Residual(_inner(inner, place))


def _chains(kind: type[nn.Module]) -> Callable[[Any, str], nn.Module]:
    return lambda layer, place: kind(chain.Chain(_inner(inner, place)) for inner in layer.chains)


def _final_state(layer: Any, place: str) -> nn.Module:
    _require(place, merge=(layer.merge, "concat"), go_backwards=(layer.go_backwards, False))
    return chain.FinalState(layer.bidirectional)


def _attention(layer: Any, place: str) -> nn.Module:
    _require(place, score=(layer.score, "additive"))
    return chain.AttentionPool(layer.input_size, layer.attention_size)


def _require(place: str, **options: tuple[Any, Any]) -> None:
    """Refuse options, each with what it is and what it must be, that the modules of `chain` do not have."""
    for name, (got, expected) in options.items():
        if got != expected:
            raise ValueError(f"{place}: expected {name}={expected!r}, as PyTorch has no other here, got {got!r}")


def _inner(inner: Any, place: str) -> list[nn.Module]:
    return [module_of(one, f"{place}.{own}", kept=True) for own, one in zip(inner.places, inner.layers, strict=True)]


TABLE: dict[type[Layer], Callable[[Any, str], nn.Module]] = {
    **{kind: _recurrent for kind in (LSTM, GRU, SimpleRNN)},
    Dense: lambda layer, place: nn.Linear(layer.input_size, layer.output_size, layer.bias),
    TiedDense: lambda layer, place: nn.Linear(layer.input_size, layer.output_size, layer.bias),
    Embedding: lambda layer, place: nn.Embedding(layer.num_tokens, layer.output_size),
    Dropout: lambda layer, place: nn.Dropout(layer.rate),
    LayerNorm: lambda layer, place: nn.LayerNorm(layer.size, layer.eps),
    BatchNorm: lambda layer, place: chain.BatchNorm(layer.size, layer.eps, layer.momentum),
    Activation: _activation,
    Softmax: lambda layer, place: nn.Softmax(dim=-1),
    Conv1d: _conv,
    MaxPool1d: lambda layer, place: chain.MaxPool1d(layer.windows.size, layer.windows.stride, layer.windows.sides),
    AveragePool1d: lambda layer, place: chain.AveragePool1d(
        *(layer.windows.size, layer.windows.stride, layer.windows.sides), layer.count_padding
    ),
    Last: lambda layer, place: chain.Last(),
    FinalState: _final_state,
    MeanPool: lambda layer, place: chain.MeanPool(),
    MaxPool: lambda layer, place: chain.MaxPool(),
    AttentionPool: _attention,
    Residual: _residual,
    Concat: _chains(chain.Concat),
    Add: _chains(chain.Add),
}
"""Makes the module of each layer, with weights of any kind."""
