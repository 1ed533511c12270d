"""The network of Silero's voice activity detector, and its weights from the files of the package silero-vad."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check, tensors
from fastlstm.files import Damaged, PathLike, open_file, reading
from fastlstm.layers import LSTM, Activation, Conv1d, Dense, EachStep, Layer, Magnitude
from fastlstm.layers.chain import walk
from fastlstm.layers.settings import Settings
from fastlstm.model import Model

Arrays = dict[str, NDArray[Any]]

CHUNK, CONTEXT, MIRRORED = 512, 64, 64
"""Samples of a step, those before it that the step sees too, and those that are mirrored at its end."""

HOP = 128
"""Samples from one window of the spectrum to the next; a window has two of them."""

WEIGHTS = "data/silero_vad_16k_sequence.onnx"

LARGEST = 1 << 24
"""Bytes of a file of weights; Silero's have 1.2 million."""

PARTS = {"0.2": "encoder.0", "0.4": "encoder.1", "0.6": "encoder.2", "0.8": "encoder.3", "3": "output"}
"""Our layers with weight and bias, and their names in the graph."""

OLDER = {"stft.forward_basis_buffer": "stft_conv.weight"} | {
    f"{new}.{part}": f"{old}.{part}"
    for new, old in [*((f"encoder.{k}", f"conv{k + 1}") for k in range(4)), ("output", "final_conv")]
    for part in ("weight", "bias")
}
"""The names of the graph, and those of the safetensors file."""

LSTM_PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")

FREE = {"layers", "forget_bias", *Settings.__annotations__}
"""Arguments that may differ: layers within others are looked at by themselves, the rest says how a layer trains."""


def network() -> list[Layer]:
    """The layers of the detector, whose steps are chunks.

    Of each chunk a spectrum, by a convolution; its magnitudes; four convolutions that leave one vector; an LSTM.
    """
    size, bins = (CONTEXT + CHUNK + MIRRORED) // HOP, HOP + 1
    encoder: list[Layer] = [Conv1d(HOP, 2 * bins, 2, bias=False), Magnitude()]
    for inputs, outputs, stride in ((bins, 128, 1), (128, 64, 2), (64, 64, 2), (64, 128, 1)):
        encoder += [Conv1d(inputs, outputs, 3, stride=stride, padding=1), Activation("relu")]
    head: list[Layer] = [Activation("relu"), Dense(128, 1), Activation("sigmoid")]
    return [EachStep(encoder, size, HOP), LSTM(128, 128, two_biases=True), *head]


def require_network(model: Any) -> Model:
    """Require a model with the layers of `network`, whatever its weights, its dtype and what they train with.

    Raises
    ------
    TypeError, ValueError
        If it is no model, or has a layer that is another one. The message names the first of these.
    """
    if not isinstance(model, Model):
        raise TypeError(f"model: expected a Model, got {model!r:.80}")
    wanted, given = dict(walk(network())), dict(walk(model.layers))
    for place in {**wanted, **given}:
        shown = [repr(layers[place])[:200] if place in layers else "no layer" for layers in (wanted, given)]
        if "no layer" in shown or not _alike(wanted[place], given[place]):
            raise ValueError(
                f"model: expected the layers of fastlstm.speech.silero.network(), {shown[0]} at {place}, got {shown[1]}"
            )
    return model


def _alike(one: Layer, other: Layer) -> bool:
    """Whether two layers compute the same with the same weights, but for the layers that they hold."""
    configs = [{key: value for key, value in layer.config().items() if key not in FREE} for layer in (one, other)]
    return type(one) is type(other) and configs[0] == configs[1]


def read(path: PathLike | None = None, dtype: Any = "float32") -> Model:
    """The detector with the weights of a file, ONNX or safetensors; see `VoiceActivity.from_silero`."""
    dtype = _check.dtype_of(dtype)
    path = installed() if path is None else path
    with reading(path):
        if os.fspath(path).endswith(".safetensors"):
            _, found = tensors.read(path)
            arrays = {new: found[old] for new, old in OLDER.items() if old in found}
            arrays |= {name: found[f"lstm_cell.{name}"] for name in LSTM_PARTS if f"lstm_cell.{name}" in found}
        else:
            arrays = of_graph(path)
        return model_of(arrays, dtype)


def installed() -> Path:
    """The weights in the package silero-vad, which need not be imported for that."""
    spec = find_spec("silero_vad")
    for folder in (spec and spec.submodule_search_locations) or ():
        return Path(folder) / WEIGHTS
    raise ImportError(
        "the weights of the voice activity detector are in the package silero-vad: pip install silero-vad"
    )


def of_graph(path: PathLike) -> Arrays:
    """The arrays of the graph in an ONNX file, those of its LSTM by PyTorch's names and in its order."""
    with open_file(path) as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"{path}: expected Silero's weights, at most {LARGEST} bytes, got more")
    try:
        from onnx import ModelProto, TensorProto, numpy_helper
    except ImportError:
        raise ImportError("weights in an ONNX file need the package onnx: pip install onnx") from None
    try:
        graph = ModelProto.FromString(content).graph
    except Exception as error:  # of protobuf, whose own kind it is
        raise Damaged(f"{path}: not an ONNX file, or a damaged one ({error})") from None
    arrays: Arrays = {
        one.name: numpy_helper.to_array(one)
        for one in graph.initializer
        if one.data_type == TensorProto.FLOAT and one.data_location == TensorProto.DEFAULT
    }
    for node in graph.node:
        if node.op_type == "LSTM" and len(node.input) > 3:
            weight_ih, weight_hh = (array_of(arrays, name, (1, 512, 128))[0] for name in node.input[1:3])
            biases = array_of(arrays, node.input[3], (1, 1024)).reshape(2, 512)
            parts = (by_gates(part) for part in (weight_ih, weight_hh, *biases))
            arrays |= zip(LSTM_PARTS, parts, strict=True)
    return arrays


def by_gates(part: NDArray[Any]) -> NDArray[Any]:
    """ONNX has the gates i, o, f, g, and PyTorch i, f, g, o."""
    i, o, f, g = np.split(part, 4)
    return np.concatenate([i, f, g, o])


def model_of(arrays: Arrays, dtype: Any) -> Model:
    """The detector with Silero's arrays, by the names of the graph and of PyTorch's LSTM."""
    basis = array_of(arrays, "stft.forward_basis_buffer", (2 * HOP + 2, 1, 2 * HOP))
    names = {f"{ours}.{part}": f"{theirs}.{part}" for ours, theirs in PARTS.items() for part in ("weight", "bias")}
    names |= {f"1.{part}_l0": part for part in LSTM_PARTS}
    model = Model(network(), dtype=dtype)
    for name, parameter in model.named_parameters().items():
        if name == "0.0.weight":  # windows of two hops of samples
            parameter.value = basis.reshape(-1, 2, HOP).transpose(0, 2, 1)
            continue
        shape = (*parameter.shape, 1) if name == "3.weight" else parameter.shape
        parameter.value = array_of(arrays, names[name], shape).reshape(parameter.shape)
    return model


def array_of(arrays: Arrays, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """An array of the file, checked."""
    if name not in arrays:
        raise ValueError(f"{name}: expected an array {shape}, got none; are these weights of Silero's detector?")
    found = arrays[name]
    if found.shape != shape or found.dtype != np.float32:
        raise ValueError(f"{name}: expected float32 {shape}, got {found.dtype} {found.shape}")
    _check.finite(np.ascontiguousarray(found), name)
    return found
