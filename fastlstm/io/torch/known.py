"""Which module of PyTorch is which layer of ours, and what each must be like. Importing this needs torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from fastlstm.io.torch import chain
from fastlstm.layers import (
    GRU,
    Activation,
    AttentionPool,
    AveragePool1d,
    BatchNorm,
    Conv1d,
    Dense,
    Dropout,
    Embedding,
    FinalState,
    Last,
    Layer,
    LayerNorm,
    MaxPool,
    MaxPool1d,
    MeanPool,
    Softmax,
)


def _only(module: Any, usual: dict[str, Any]) -> None:
    """Require that attributes are what we can do."""
    for name, value in usual.items():
        if getattr(module, name) != value:
            raise ValueError(f"expected {name}={value!r}, got {getattr(module, name)!r}")


def _one(size: Any) -> int:
    """A size of PyTorch, a number or a tuple of one."""
    (found,) = size if isinstance(size, tuple | list) else (size,)
    return int(found)


def _embedding(module: Any, **kept: Any) -> Layer:
    _only(module, {"max_norm": None, "scale_grad_by_freq": False})
    return Embedding(module.num_embeddings, module.embedding_dim, **kept)


def _layer_norm(module: Any, **kept: Any) -> Layer:
    if len(module.normalized_shape) != 1:
        raise ValueError(f"expected normalized_shape of one axis, got {tuple(module.normalized_shape)}")
    return LayerNorm(module.normalized_shape[0], module.eps, **kept)


def _batch_norm(module: Any, **kept: Any) -> Layer:
    _only(module, {"track_running_stats": True})
    if module.momentum is None:
        raise ValueError("expected a number as momentum, got None, an average of all batches")
    return BatchNorm(module.num_features, module.momentum, module.eps, **kept)


def _conv(module: Any, **kept: Any) -> Layer:
    _only(module, {"groups": 1})
    padding = module.padding if isinstance(module.padding, str) else _one(module.padding)
    return _conv_of(module, padding, **kept)


def _conv_of(module: Any, padding: Any, **kept: Any) -> Layer:
    return Conv1d(
        module.in_channels,
        module.out_channels,
        _one(module.kernel_size),
        stride=_one(module.stride),
        dilation=_one(module.dilation),
        padding=padding,
        padding_mode=module.padding_mode,
        bias=module.bias is not None,
        **kept,
    )


def _max_pool(module: Any, **kept: Any) -> Layer:
    _only(module, {"ceil_mode": False, "return_indices": False})
    if _one(module.dilation) != 1:
        raise ValueError(f"expected dilation=1, got {module.dilation!r}")
    return MaxPool1d(_one(module.kernel_size), _one(module.stride), padding=_one(module.padding))


def _average_pool(module: Any, **kept: Any) -> Layer:
    _only(module, {"ceil_mode": False})
    sizes = _one(module.kernel_size), _one(module.stride)
    return AveragePool1d(*sizes, padding=_one(module.padding), count_padding=module.count_include_pad)


def _softplus(module: Any, **kept: Any) -> Layer:
    _only(module, {"beta": 1})
    if module.threshold < 20:
        raise ValueError(f"expected threshold of at least 20, got {module.threshold!r}")
    return Activation("softplus")


def _threshold(module: Any, **kept: Any) -> Layer:
    _only(module, {"value": 0})
    return Activation(("thresholded_relu", module.threshold))


def _padding(module: Any) -> Any:
    return "same" if module.sides is None else module.sides


def _function(module: Any, **kept: Any) -> Layer:
    return Activation("exp" if module.name == "exp" else (module.name, module.alpha, module.beta))


TABLE: dict[type[nn.Module], Callable[..., Layer]] = {
    **{kind: GRU for kind in (nn.LSTM, nn.GRU, nn.RNN)},  # made by `recurrent.layer_of`
    nn.Linear: lambda m, **kept: Dense(m.in_features, m.out_features, bias=m.bias is not None, **kept),
    nn.Embedding: _embedding,
    nn.Dropout: lambda m, **kept: Dropout(m.p),
    nn.LayerNorm: _layer_norm,
    nn.BatchNorm1d: _batch_norm,
    nn.Conv1d: _conv,
    nn.MaxPool1d: _max_pool,
    nn.AvgPool1d: _average_pool,
    nn.ReLU: lambda m, **kept: Activation("relu"),
    nn.Tanh: lambda m, **kept: Activation("tanh"),
    nn.Sigmoid: lambda m, **kept: Activation("sigmoid"),
    nn.Hardsigmoid: lambda m, **kept: Activation(("hard_sigmoid", 1 / 6)),
    nn.GELU: lambda m, **kept: Activation("gelu_tanh" if m.approximate == "tanh" else "gelu"),
    nn.SiLU: lambda m, **kept: Activation("silu"),
    nn.LeakyReLU: lambda m, **kept: Activation(("leaky_relu", m.negative_slope)),
    nn.ELU: lambda m, **kept: Activation(("elu", m.alpha)),
    nn.Softplus: _softplus,
    nn.Softsign: lambda m, **kept: Activation("softsign"),
    nn.Threshold: _threshold,
    nn.Softmax: lambda m, **kept: Softmax(),
    chain.BatchNorm: _batch_norm,
    chain.Conv1d: lambda m, **kept: _conv_of(m, **{"padding": _padding(m), **kept}),
    chain.MaxPool1d: lambda m, **kept: MaxPool1d(m.size, m.step, **{"padding": _padding(m), **kept}),
    chain.AveragePool1d: lambda m, **kept: AveragePool1d(
        *(m.size, m.step), **{"padding": _padding(m), **kept}, count_padding=m.count_padding
    ),
    chain.Function: _function,
    chain.Last: lambda m, **kept: Last(),
    chain.FinalState: lambda m, **kept: FinalState(m.bidirectional),
    chain.MeanPool: lambda m, **kept: MeanPool(),
    chain.MaxPool: lambda m, **kept: MaxPool(),
    chain.AttentionPool: lambda m, **kept: AttentionPool(m.weight.shape[1], m.weight.shape[0], **kept),
}
"""Makes the layer of a module of each class, without its weights."""

HOLDERS = (chain.Residual, chain.Concat, chain.Add)
CELLS = (nn.LSTMCell, nn.GRUCell)


def kind_of(module: nn.Module) -> type[nn.Module] | None:
    """The class that is known here whose forward the module has; None without one."""
    own = type(module)
    for kind in own.__mro__:
        if kind in TABLE or kind in CELLS or kind in HOLDERS:
            same = own.forward is kind.forward or own.__module__.startswith("fastlstm.torch.")
            return kind if same else None
    return None
