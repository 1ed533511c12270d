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
from fastlstm.layers import Layer
from fastlstm.model import Model

FORMAT_VERSION = 1

Path_ = str | os.PathLike[str]


def save(model: Model, path: Path_, *, metadata: Mapping[str, str] | None = None) -> None:
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
    layers = [{"type": type(layer).__name__, "config": layer.config()} for layer in model.layers]
    header = {
        **{f"user.{key}": value for key, value in own.items()},
        "format": "fastlstm",
        "format_version": str(FORMAT_VERSION),
        "model": json.dumps({"dtype": model.dtype.name, "layers": layers}),
    }
    content = to_bytes({p.name: np.ascontiguousarray(p.value) for p in model.parameters()}, metadata=header)
    write_atomically(Path(path), content)


def load(path: Path_) -> Model:
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
        layers = [_layer(entry) for entry in config["layers"]]
        wanted = {f"{i}.{key}": s for i, layer in enumerate(layers) for key, s in layer.parameter_shapes().items()}
        found = {name: array.shape for name, array in arrays.items()}
        if wanted != found:
            name = sorted(set(wanted.items()) ^ set(found.items()))[0][0]
            raise ValueError(f"{name}: expected shape {wanted.get(name)}, got {found.get(name)}")
        for i, layer in enumerate(layers):
            layer.load_parameters({name: arrays[f"{i}.{name}"] for name in layer.parameter_shapes()}, dtype)
        return Model(layers, dtype=dtype, seed=0)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path}: damaged: {error!r}" if isinstance(error, KeyError) else f"{path}: damaged: {error}"
        ) from error


def read_metadata(path: Path_) -> dict[str, str]:
    """The words that were given to `save`."""
    header, _ = _read(path, tensors=False)
    return {key.removeprefix("user."): value for key, value in header.items() if key.startswith("user.")}


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside and rename: at no moment is there half a file under this name."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _layer(entry: dict[str, Any]) -> Layer:
    kind = entry["type"]
    if kind not in Layer.registry:
        raise ValueError(f"unknown layer {kind!r}; if it is one of your own, import it before loading")
    return Layer.registry[kind](**entry["config"])


def _read(path: Path_, *, tensors: bool = True) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
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
            if not header.get("format_version", "").isdecimal():
                raise ValueError(f"{path}: damaged: no version of the format")
            if int(header["format_version"]) > FORMAT_VERSION:
                raise ValueError(
                    f"{path}: written by a newer fastlstm (format {header['format_version']}, this one reads up to "
                    f"{FORMAT_VERSION}); install a newer version"
                )
            return header, {name: file.get_tensor(name) for name in file.keys()} if tensors else {}
    except SafetensorError as error:
        size = path.stat().st_size
        raise ValueError(f"{path}: {_diagnose(path, size)} ({error})") from error


def _diagnose(path: Path, size: int) -> str:
    """Whether a file that safetensors cannot read looks like one that was cut off, or like something else."""
    with open(path, "rb") as file:
        start = file.read(9)
    header = int.from_bytes(start[:8], "little")
    looks_right = len(start) == 9 and start[8:] == b"{" and header < 1 << 27
    if size == 0 or looks_right:
        return f"truncated or damaged: {size} bytes are not a whole safetensors file"
    return "not a safetensors file"
