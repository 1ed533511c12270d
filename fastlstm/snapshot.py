"""The state of a training as a file: safetensors, with everything that is no array as JSON in the metadata."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from fastlstm import tensors
from fastlstm.files import reading

FORMAT_VERSION = 1

KNOWN = {"format", "version", "state"}

State = dict[str, Any]
"""Dicts and lists of numbers, words, None, and NumPy arrays."""

FIELDS: dict[str, Any] = {
    "kind": dict,
    "seed": int,
    "epoch": int,
    "batch": int,
    "step": int,
    "complete": bool,
    "stop": bool,
    "history": dict,
    "figures": dict,
    "parameters": dict,
    "optimizer": dict,
    "tape": dict,
    "good": list,
    "callbacks": list,
}
"""What a training writes down, at least; `fastlstm.training.restoring` looks into it."""

MOST = 10**12
"""Epochs, batches and steps of a training."""


def write(path: Path, state: State) -> None:
    """Write a state, whole or not at all, with a checksum."""
    arrays: dict[str, Any] = {}
    text = json.dumps(_without_arrays(state, arrays))
    tensors.write(path, arrays, {"format": "fastlstm run", "version": str(FORMAT_VERSION), "state": text})


def read(path: Path) -> State:
    """The state of a training that `write` has written; its ``"path"`` says where it is from.

    Raises
    ------
    ValueError
        If the file is damaged, is something else, or was written by a newer version.
    """
    words, arrays = tensors.read(path)
    if words.get("format") != "fastlstm run":
        raise ValueError(f"{path}: a safetensors file, but not the state of a training")
    if words.get("version") != str(FORMAT_VERSION):
        raise ValueError(
            f"{path}: expected version {FORMAT_VERSION} of the format, got {words.get('version')!r:.40}: "
            "it was written by another version of fastlstm"
        )
    tensors.verify(path, words, arrays, KNOWN.__contains__)
    with reading(path):
        state: State = _with_arrays(json.loads(words["state"]), arrays)
        check(state)
    return {**state, "path": str(path)}


def to_bytes(state: State) -> bytes:
    """A state as bytes, for another process of the same training; see `from_bytes`."""
    from safetensors.numpy import save

    arrays: dict[str, Any] = {}
    text = json.dumps(_without_arrays(state, arrays)).encode()
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return len(text).to_bytes(8, "little") + text + save(plain)


def from_bytes(content: bytes) -> State:
    """The state that `to_bytes` has made bytes of."""
    from safetensors.numpy import load

    end = 8 + int.from_bytes(content[:8], "little")
    arrays = {name: array.copy() for name, array in load(content[end:]).items()}
    state: State = _with_arrays(json.loads(content[8:end]), arrays)
    return state


def check(state: Any) -> None:
    """That a state has all its parts, each of its kind."""
    if not isinstance(state, dict):
        raise TypeError(f"expected the state of a training, got {state!r:.80}")
    for name, kind in FIELDS.items():
        value: Any = state[name]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise TypeError(f"{name}: expected {kind.__name__}, got {value!r:.80}")
        if kind is int and not 0 <= value <= (math.inf if name == "seed" else MOST):
            raise ValueError(f"{name}: expected 0 to {MOST}, got {value!r:.80}")
    for key, array in state["parameters"].items():
        if not isinstance(array, np.ndarray):
            raise TypeError(f"parameters: expected arrays, got {array!r:.80} for {key!r:.80}")
    for entry in state["callbacks"]:
        if not isinstance(entry, list) or list(map(type, entry)) != [str, dict]:
            raise TypeError(f"callbacks: expected names with their states, got {entry!r:.80}")


def _without_arrays(value: Any, arrays: dict[str, Any]) -> Any:
    """The same with a name in place of each array, which is put into `arrays`."""
    if isinstance(value, np.ndarray):
        name = str(len(arrays))
        arrays[name] = value
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
