"""fastlstm's own files: safetensors, with the architecture as JSON in the metadata. No pickle anywhere."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.files import write_atomically
from fastlstm.layers import Layer
from fastlstm.model import Model

FORMAT_VERSION = 1

PathLike = str | os.PathLike[str]


def save(model: Model, path: PathLike, *, metadata: Mapping[str, str] | None = None) -> None:
    """Write the architecture and the parameters of a model to a safetensors file.

    The file is written beside its place and then renamed, so that there is always a whole one.

    Parameters
    ----------
    model : Model
    path : path
        Its folder must be there.
    metadata : dict of str, optional
        Words of your own to keep in the file; see `read_metadata`.

    Examples
    --------
    >>> import fastlstm as fl, tempfile, os
    >>> model = fl.Model([fl.LSTM(3, 8)], seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fl.save(model, os.path.join(folder, "m.safetensors"))
    ...     print(repr(fl.load(os.path.join(folder, "m.safetensors"))))
    Model([LSTM(input_size=3, hidden_size=8, num_layers=1, bidirectional=False, dropout=0.0, bias=True, \
forget_bias=1.0)], dtype='float32')
    """
    from safetensors.numpy import save as to_bytes

    if not isinstance(model, Model):
        raise TypeError(f"model: expected a Model, got {type(model).__name__}")
    own = dict(metadata or {})
    if any(not isinstance(part, str) for item in own.items() for part in item):
        raise TypeError("metadata: expected words (str) for words")
    layers = [
        {"type": type(layer).__name__, "config": _by_place(layer.config(), model.layers)} for layer in model.layers
    ]
    header = {
        **{f"user.{key}": value for key, value in own.items()},
        "format": "fastlstm",
        "format_version": str(FORMAT_VERSION),
        "model": json.dumps({"dtype": model.dtype.name, "layers": layers}),
    }
    kept = {**model.named_parameters(), **model.named_buffers()}
    arrays = {name: np.ascontiguousarray(parameter.value) for name, parameter in kept.items()}
    for name, array in arrays.items():
        _check.finite(array, name)
    content = to_bytes(arrays, metadata=header)
    write_atomically(Path(path), content)


def load(path: PathLike) -> Model:
    """Read a model that `save` wrote.

    Raises
    ------
    FileNotFoundError
    ValueError
        If the file is damaged, is not fastlstm's, or was written by a newer version; the message says which.
    """
    header, arrays = _read(path)
    try:
        config = json.loads(header["model"])
        dtype = _check.dtype_of(config["dtype"])
        layers: list[Layer] = []
        for entry in config["layers"]:
            layers.append(_layer(entry, layers))
        shapes = [{**layer.parameter_shapes(), **layer.buffer_shapes()} for layer in layers]
        wanted = {f"{i}.{key}": shape for i, own in enumerate(shapes) for key, shape in own.items()}
        for name in sorted(wanted.keys() | arrays.keys()):
            got = arrays[name].shape if name in arrays else None
            if got != wanted.get(name):
                raise ValueError(f"{name}: expected shape {wanted.get(name)}, got {got}")
            if arrays[name].dtype != dtype:
                raise ValueError(f"{name}: expected {dtype}, got {arrays[name].dtype}")
        for i, (layer, own) in enumerate(zip(layers, shapes, strict=True)):
            layer.load_parameters({name: arrays[f"{i}.{name}"] for name in own}, dtype)
        return Model(layers, dtype=dtype, seed=0)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        reason = repr(error) if isinstance(error, KeyError) else error
        raise ValueError(f"{path}: damaged: {reason}") from error


def read_metadata(path: PathLike) -> dict[str, str]:
    """The words that were given to `save`."""
    header, _ = _read(path, tensors=False)
    return {key.removeprefix("user."): value for key, value in header.items() if key.startswith("user.")}


def _by_place(config: dict[str, Any], layers: list[Layer]) -> dict[str, Any]:
    """The config of a layer as JSON can say it: another layer by its place in the model."""
    places = {id(layer): {"layer": place} for place, layer in enumerate(layers)}
    return {key: places[id(value)] if isinstance(value, Layer) else value for key, value in config.items()}


def _layer(entry: dict[str, Any], earlier: list[Layer]) -> Layer:
    kind = entry["type"]
    if kind not in Layer.registry:
        raise ValueError(f"unknown layer {kind!r}; if it is one of your own, import it before loading")
    config = dict(entry["config"])
    for key, value in config.items():
        if isinstance(value, dict) and value.keys() == {"layer"}:
            place = value["layer"]
            if not isinstance(place, int) or not 0 <= place < len(earlier):
                raise ValueError(f"{key}: expected the place of an earlier layer, got {place!r}")
            config[key] = earlier[place]
    return Layer.registry[kind].from_config(config)


def _read(path: PathLike, *, tensors: bool = True) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if path.is_dir():
        raise IsADirectoryError(f"{path}: expected a file, got a folder")
    try:
        with safe_open(path, "numpy") as file:
            header = dict(file.metadata() or {})
            if header.get("format") != "fastlstm":
                raise ValueError(f"{path}: a safetensors file, but not one that fastlstm.save wrote")
            _check_version(path, header.get("format_version", ""))
            return header, {name: file.get_tensor(name) for name in file.keys()} if tensors else {}
    except SafetensorError as error:
        raise ValueError(f"{path}: {_diagnose(path)} ({error})") from error
    except TypeError as error:  # a dtype that NumPy does not know
        raise ValueError(f"{path}: damaged: {error}") from error


def _check_version(path: Path, version: str) -> None:
    if not version.isdecimal() or len(version) > 9 or int(version) < 1:
        raise ValueError(f"{path}: damaged: {version[:20]!r} is no version of the format")
    if int(version) > FORMAT_VERSION:
        raise ValueError(
            f"{path}: written by a newer fastlstm (format {version}, this one reads up to {FORMAT_VERSION}); "
            "install a newer version"
        )


def _diagnose(path: Path) -> str:
    """Whether a file that safetensors cannot read looks like one that was cut off, or like something else."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(9)
    header = int.from_bytes(start[:8], "little")
    if size < 9 or (start[8:] == b"{" and header < 1 << 27):
        return f"truncated or damaged: {size} bytes are not a whole safetensors file"
    return "not a safetensors file"
