"""Models of ours as models of Keras 3, which is imported here alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fastlstm.io.keras.functions import name_of
from fastlstm.io.keras.recurrent import Step, cannot, ending_of, recurrent_steps
from fastlstm.io.keras.weights import arrays_of
from fastlstm.layers import (
    Activation,
    Add,
    AveragePool1d,
    BatchNorm,
    Concat,
    Conv1d,
    Dense,
    Dropout,
    Embedding,
    Layer,
    LayerNorm,
    MaxPool,
    MaxPool1d,
    MeanPool,
    Residual,
    Softmax,
)
from fastlstm.layers.holder import Holder
from fastlstm.layers.recurrent.base import Recurrent
from fastlstm.model import Model


def to_keras(model: Model) -> Any:
    """A model of Keras 3 with the layers and weights of a model.

    Parameters
    ----------
    model : Model
        Of layers that `from_keras` gives: recurrent layers without options that Keras does not have, in stacks, too,
        Dense, Embedding, Conv1d, MaxPool1d, AveragePool1d, MeanPool, MaxPool, Dropout, LayerNorm, BatchNorm,
        Activation, Softmax, Residual, Add and Concat; `Last` and `FinalState` right behind a recurrent layer.

    Returns
    -------
    keras.Sequential or keras.Model
        A functional model where the model has layers that hold others. `from_keras` takes it back to the bit, but for
        stacks, which become layers of their own, and two biases of an LSTM or SimpleRNN, which are added.

    Raises
    ------
    TypeError
        If model is no Model.
    ValueError
        If it has a layer, or an option of one, that Keras does not have, or does not say how many features it takes.
    ImportError
        If Keras 3 is not installed.
    """
    if not isinstance(model, Model):
        raise TypeError(f"model: expected a Model, got {type(model).__name__}")
    try:
        import keras  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise ImportError("to_keras needs Keras: pip install keras") from error
    if int(keras.__version__.partition(".")[0]) < 3:
        raise ImportError(f"to_keras needs Keras 3: pip install 'keras>=3', got {keras.__version__}")
    features = model.input_shape[2:]
    if features and isinstance(features[0], str):
        raise ValueError("model: expected a model whose first layer says how many features it takes, got any number")
    dtype = str(model.dtype) if features else "int32"
    x = keras.Input((None, *features), dtype=dtype)
    writer = _Writer(keras, str(model.dtype))
    if not any(isinstance(layer, Holder) for layer in model.layers):
        steps = list(writer.steps(model.layers, ""))
        found = keras.Sequential([x, *[layer for layer, _ in steps]])
    else:
        steps = writer.made
        found = keras.Model(x, writer.applied(model.layers, x, ""))
    for layer, source in steps:
        layer.set_weights(source.arrays)
        layer.trainable = source.trainable
    return found


class _Writer:
    """What makes layers of Keras, and applies them.

    Attributes
    ----------
    made : list
        The layers of Keras that `applied` has made, each with its weights.
    """

    def __init__(self, keras: Any, dtype: str) -> None:
        self.keras, self.dtype = keras, dtype
        self.made: list[tuple[Any, Step]] = []

    def steps(self, layers: Sequence[Layer], within: str, first: int = 0) -> Iterator[tuple[Any, Step]]:
        """The layers of Keras for layers in a row, none of which holds others, each with its weights.

        Places in errors begin with `within`, and with the number of the first layer.
        """
        taken = False
        for i, layer in enumerate(layers):
            if taken:  # the layer before gives its last outputs alone
                taken = False
                continue
            place = f"layer {within}{first + i} ({type(layer).__name__})"
            if isinstance(layer, Recurrent):
                ending = ending_of(layer, layers[i + 1] if i + 1 < len(layers) else None)
                found, taken = recurrent_steps(layer, ending, self.keras, place), ending is not None
            elif type(layer) in WRITERS:
                kind, config = WRITERS[type(layer)](layer, self.keras, place)
                found = [Step(kind, config, arrays_of(layer), layer.trainable or not layer.parameters())]
            else:
                raise cannot(place, "a layer that Keras has", type(layer).__name__)
            for step in found:
                made = step.kind if step.config is None else step.kind(**step.config, dtype=self.dtype)
                yield made, step

    def applied(self, layers: Sequence[Layer], x: Any, within: str) -> Any:
        """What layers in a row make of a symbolic tensor."""
        start = 0
        for i, layer in enumerate(layers):
            if not isinstance(layer, Holder):
                continue
            x = self._applied_row(layers, start, i, x, within)
            start = i + 1
            chains = [
                self.applied(chain.layers, x, f"{within}{i}.{k}." if len(layer.chains) > 1 else f"{within}{i}.")
                for k, chain in enumerate(layer.chains)
            ]
            if isinstance(layer, Concat):
                x = self.keras.layers.Concatenate(dtype=self.dtype)(chains)
            elif isinstance(layer, Residual | Add):
                both = [x, *chains] if isinstance(layer, Residual) else chains
                x = self.keras.layers.Add(dtype=self.dtype)(both)
            else:
                raise cannot(f"layer {within}{i}", "a Residual, Add or Concat", type(layer).__name__)
        return self._applied_row(layers, start, len(layers), x, within)

    def _applied_row(self, layers: Sequence[Layer], start: int, end: int, x: Any, within: str) -> Any:
        for made, step in self.steps(layers[start:end], within, start):
            x = made(x)
            self.made.append((made, step))
        return x


Written = tuple[Any, dict[str, Any] | None]


def _dense(layer: Any, keras: Any, place: str) -> Written:
    return keras.layers.Dense, {"units": layer.output_size, "use_bias": layer.bias}


def _conv(layer: Any, keras: Any, place: str) -> Written:
    padding = "valid" if layer.padding in (0, (0, 0), [0, 0]) else layer.padding
    if not isinstance(padding, str):
        raise cannot(place, "padding 'valid', 'same' or 'causal'", padding)
    if layer.windows.mode != "zeros":
        raise cannot(place, "padding_mode 'zeros'", layer.windows.mode)
    return keras.layers.Conv1D, {
        "filters": layer.output_size,
        "kernel_size": layer.windows.size,
        "strides": layer.windows.stride,
        "dilation_rate": layer.windows.dilation,
        "padding": padding,
        "use_bias": layer.bias,
    }


def _window_pool(layer: Any, keras: Any, place: str) -> Written:
    padding = "valid" if layer.padding in (0, (0, 0), [0, 0]) else layer.padding
    if padding not in ("valid", "same"):
        raise cannot(place, "padding 'valid' or 'same'", padding)
    sizes = {"pool_size": layer.windows.size, "strides": layer.windows.stride}
    if isinstance(layer, MaxPool1d):
        return keras.layers.MaxPooling1D, {**sizes, "padding": padding}
    if layer.count_padding and padding == "same":
        raise cannot(place, "count_padding=False with padding 'same'", True)
    return keras.layers.AveragePooling1D, {**sizes, "padding": padding}


def _activation(layer: Any, keras: Any, place: str) -> Written:
    kind, scale, offset = layer.function
    if kind == "affine" and (scale, offset) != (1, 0):
        return keras.layers.Rescaling, {"scale": scale, "offset": offset}
    found = name_of(layer.function, keras, place)
    return (keras.layers.Activation, {"activation": found}) if isinstance(found, str) else (found, None)


def _batch_norm(layer: Any, keras: Any, place: str) -> Written:
    return keras.layers.BatchNormalization, {"momentum": 1 - layer.momentum, "epsilon": layer.eps}


WRITERS: dict[type[Layer], Callable[[Any, Any, str], Written]] = {
    Dense: _dense,
    Conv1d: _conv,
    AveragePool1d: _window_pool,
    MaxPool1d: _window_pool,
    Activation: _activation,
    BatchNorm: _batch_norm,
    Embedding: lambda layer, keras, place: (
        keras.layers.Embedding,
        {"input_dim": layer.num_tokens, "output_dim": layer.output_size},
    ),
    Dropout: lambda layer, keras, place: (keras.layers.Dropout, {"rate": layer.rate}),
    LayerNorm: lambda layer, keras, place: (keras.layers.LayerNormalization, {"epsilon": layer.eps}),
    MaxPool: lambda layer, keras, place: (keras.layers.GlobalMaxPooling1D, {}),
    MeanPool: lambda layer, keras, place: (keras.layers.GlobalAveragePooling1D, {}),
    Softmax: lambda layer, keras, place: (keras.layers.Softmax, {}),
}
"""The class in Keras of each layer that is not recurrent, and its config; or a layer of Keras itself, and None."""
