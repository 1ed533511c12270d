"""What a source of weights holds: tensors or arrays by their names, from a state_dict, a module or a file."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check, tensors
from fastlstm.files import Damaged, PathLike, open_file, read_bytes, reading

Array = NDArray[Any]

MOST_PICKLED = 4_000_000
"""Bytes of the part of a .pt file that says which tensors there are: some 20,000 of them."""

MOST_TIMES = 4
"""How many times the size of a .pt file its tensors may have: two names may stand for the same numbers."""

GLOBALS = {
    "collections OrderedDict",
    "torch Size",
    "torch.nn.parameter Parameter",
    *(f"torch._utils _rebuild_{kind}" for kind in ("tensor", "tensor_v2", "parameter")),
    *(
        f"torch {kind}Storage"
        for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
    ),
}
"""All that the state_dict in a .pt file may name. torch's own list has more, some of which takes memory at will."""


class WrongDtype(TypeError):
    """The error for a tensor that is neither in float32 nor in float64."""


def array_of(name: Any, tensor: Any) -> Array:
    """A tensor, or an array, as an array in float32 or float64, whose numbers are finite."""
    if not isinstance(name, str):
        raise TypeError(f"source: expected names, got {name!r}")
    if hasattr(tensor, "detach"):
        kind = str(tensor.dtype).removeprefix("torch.")
        if tensor.is_meta:
            raise ValueError(f"source: expected {name} with numbers, got a tensor on the device 'meta'")
        array = tensor.detach().cpu().numpy() if kind in ("float32", "float64") else np.empty(0, np.int8)
    else:
        array = np.asarray(tensor)
        kind = str(array.dtype)
    native = array.dtype.newbyteorder("=")
    if native not in (np.dtype("float32"), np.dtype("float64")):
        raise WrongDtype(f"source: expected {name} in float32 or float64, got {kind}")
    return np.ascontiguousarray(array, native)


def finite_array_of(name: Any, tensor: Any) -> Array:
    """The same, whose numbers must be finite."""
    array = array_of(name, tensor)
    _check.finite(array, f"source {name}")
    return array


def read_state(path: PathLike) -> dict[str, Any]:
    """The tensors or arrays of a file of a state_dict: safetensors, or .pt of PyTorch from 1.6 on.

    Raises
    ------
    OSError
        If the file does not exist, is no regular file, or may not be read.
    ValueError
        If it is damaged, or holds something else.
    ImportError
        If it is a .pt file, and torch is not installed.
    """
    with open_file(path) as file:
        start = file.read(4)
    if start == b"PK\x03\x04":
        return _read_archive(path)
    if str(path).endswith((".pt", ".pth")):
        raise Damaged(
            f"{path}: expected an archive of PyTorch from 1.6 on, got something else; load it with torch, and pass the "
            "state_dict, or save that once more"
        )
    try:
        words, arrays = tensors.read(path)
    except Damaged as error:
        if isinstance(error.__cause__, KeyError):  # what NumPy has no dtype for
            found = error.__cause__.args[0]
            raise Damaged(f"{path}: expected tensors in float32 or float64, got {found!r:.80}") from None
        raise
    if words.get("format") == "fastlstm":
        raise Damaged(f"{path}: expected weights of PyTorch, got a file of fastlstm: read it by fastlstm.load")
    return dict(arrays)


def _read_archive(path: PathLike) -> dict[str, Any]:
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"{path}: a .pt file needs PyTorch: pip install torch; a file of safetensors does not"
        ) from error
    size = os.stat(path).st_size
    with reading(path, Exception):  # what torch raises for a damaged file is not listed
        state = torch.load(io.BytesIO(_checked(path)), map_location="cpu", weights_only=True)
    if not isinstance(state, Mapping):
        raise Damaged(f"{path}: expected a state_dict, got {type(state).__name__}")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise Damaged(
                f"{path}: expected a state_dict, names with tensors, got {type(tensor).__name__} at {name!r:.80}; if "
                "that is the state_dict, load the file by torch.load(..., weights_only=True) and pass it"
            )
    taken = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if taken > MOST_TIMES * size:
        raise Damaged(f"{path}: expected tensors of at most {MOST_TIMES} times the file, {size} bytes, got {taken}")
    return dict(state)


def _checked(path: PathLike) -> bytes:
    """The archive, written anew from its records: so torch finds in it what was checked, and nothing else."""
    content, whole = read_bytes(path), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(whole, "w") as written:
        records = archive.infolist()
        if len({record.filename for record in records}) < len(records):
            raise Damaged(f"{path}: damaged: two records have the same name")
        if any(record.compress_type != zipfile.ZIP_STORED or record.flag_bits & 1 for record in records):
            raise Damaged(f"{path}: expected records as PyTorch writes them, got compressed ones")
        if sum(record.file_size for record in records) > len(content):
            raise Damaged(f"{path}: damaged: its records are larger than the file")
        if any("/code/" in record.filename for record in records):
            raise Damaged(
                f"{path}: expected a state_dict, got TorchScript; save torch.jit.load(path).state_dict() and pass that"
            )
        for record in records:
            part = archive.read(record)
            if record.filename.endswith(".pkl"):
                _check_names(path, part)
            written.writestr(zipfile.ZipInfo(record.filename), part)
    return whole.getvalue()


def _check_names(path: PathLike, pickled: bytes) -> None:
    """Look for names that no state_dict needs in the instructions that torch will follow. None is followed here."""
    import pickletools

    if len(pickled) > MOST_PICKLED:
        raise Damaged(f"{path}: expected at most {MOST_PICKLED} bytes that say which tensors there are")
    for code, argument, _ in pickletools.genops(pickled):
        if code.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"):
            raise Damaged(f"{path}: expected instructions as PyTorch writes them, got {code.name}")
        if code.name == "GLOBAL" and argument not in GLOBALS:
            named = ".".join(str(argument).split())
            raise Damaged(
                f"{path}: expected the tensors of a state_dict and nothing else, got {named:.80}; of a whole module, "
                "save module.state_dict()"
            )
