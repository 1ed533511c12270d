"""The state of a training as a file: safetensors, with everything that is no array as JSON in the metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from fastlstm.files import write_atomically

FORMAT_VERSION = 1

State = dict[str, Any]
"""Dicts and lists of numbers, words, None, and NumPy arrays."""


def write(path: Path, state: State) -> None:
    """Write a state, whole or not at all."""
    from safetensors.numpy import save

    arrays: dict[str, Any] = {}
    text = json.dumps(_without_arrays(state, arrays))
    write_atomically(path, save(arrays, {"format": "fastlstm run", "version": str(FORMAT_VERSION), "state": text}))


def read(path: Path) -> State:
    """The state that `write` has written.

    Raises
    ------
    ValueError
        If the file is damaged, is something else, or was written by a newer version.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            header = dict(file.metadata() or {})
            if header.get("format") != "fastlstm run":
                raise ValueError(f"{path}: a safetensors file, but not the state of a training")
            if header.get("version") != str(FORMAT_VERSION):
                raise ValueError(
                    f"{path}: expected version {FORMAT_VERSION} of the format, got {header.get('version')!r}: "
                    "it was written by another version of fastlstm"
                )
            arrays = {name: file.get_tensor(name) for name in file.keys()}
        state: State = _with_arrays(json.loads(header["state"]), arrays)
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: damaged: {error}") from error
    return state


def _without_arrays(value: Any, arrays: dict[str, Any]) -> Any:
    """The same with a name in place of each array, which is put into `arrays`."""
    if isinstance(value, np.ndarray):
        name = str(len(arrays))
        arrays[name] = np.ascontiguousarray(value)
        return {"array": name}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {"dict": [[key, _without_arrays(item, arrays)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [_without_arrays(item, arrays) for item in value]
    return value


def _with_arrays(value: Any, arrays: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_with_arrays(item, arrays) for item in value]
    if isinstance(value, dict):
        if "array" in value:
            return arrays[value["array"]]
        return {key: _with_arrays(item, arrays) for key, item in value["dict"]}
    return value
