"""Arrays and words in one safetensors file, with a checksum of its whole content. There is no pickle in it."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.files import Damaged, PathLike, open_file, reading, write_atomically

Array = NDArray[Any]
Words = dict[str, str]
Arrays = dict[str, Array]

CHECKSUM = "checksum"
"""The word that holds the checksum. Files of earlier versions have none."""

LONGEST_HEADER = 100_000_000
"""Bytes; the same limit as in safetensors."""


def write(path: PathLike, arrays: Mapping[str, Array], words: Mapping[str, str]) -> None:
    """Write a file, whole or not at all, with a checksum over the arrays and the words."""
    write_atomically(path, to_bytes(arrays, words))


def to_bytes(arrays: Mapping[str, Array], words: Mapping[str, str]) -> bytes:
    """The content of the file that `write` writes: the same for the same arrays and words."""
    from safetensors.numpy import save

    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return _in_order(save(plain, {**words, CHECKSUM: checksum(plain, words)}))


def _in_order(content: bytes) -> bytes:
    """The same with a header in the order of the alphabet; safetensors writes it in any."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return b"".join((len(header).to_bytes(8, "little"), header, memoryview(content)[end:]))


def read(path: PathLike) -> tuple[Words, Arrays]:
    """The words and the arrays of a safetensors file. The arrays are writable. `verify` checks the checksum.

    Raises
    ------
    OSError
        If the file does not exist, is no regular file, or may not be read.
    ValueError
        If the file is damaged, or is no safetensors file.
    """
    with open_file(path) as file, reading(path):
        _check_start(path, file.read(9), os.fstat(file.fileno()).st_size)
        file.seek(0)
        return from_bytes(file.read(), path)


def from_bytes(content: bytes, name: PathLike) -> tuple[Words, Arrays]:
    """The same of the content of a file; errors call it by this name."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    with reading(name):
        header = _check_start(name, content[:9], len(content))
        try:
            arrays = load(content)
        except SafetensorError as error:
            raise Damaged(f"{name}: {_not_whole(len(content))} ({error})") from error
        words = json.loads(content[8:header]).get("__metadata__") or {}
        return words, {key: array if array.flags.writeable else array.copy() for key, array in arrays.items()}


def _check_start(name: PathLike, start: bytes, size: int) -> int:
    """Where the header of a file ends that starts with these 9 bytes and has so many in all."""
    header = 8 + int.from_bytes(start[:8], "little")
    if size >= 9 and (start[8:] != b"{" or header > 8 + LONGEST_HEADER):
        raise Damaged(f"{name}: not a safetensors file")
    if size < max(9, header):
        raise Damaged(f"{name}: {_not_whole(size)}")
    return header


def verify(path: PathLike, words: Words, arrays: Arrays, known: Callable[[str], bool]) -> None:
    """Check that the content of a file is what was written.

    Parameters
    ----------
    path : path
    words, arrays
        What `read` has returned.
    known : function of str
        Whether a word of this name may be in the file. Any other word is damage: its name may have been "checksum".

    Raises
    ------
    ValueError
        If there is an unknown word, or the checksum is wrong.
    """
    rest = {key: value for key, value in words.items() if key != CHECKSUM}
    strange = sorted(key for key in rest if not known(key))
    if strange:
        raise Damaged(f"{path}: damaged: there is a word {strange[0][:80]!r} in its header that nobody knows")
    if CHECKSUM in words and words[CHECKSUM] != checksum(arrays, rest):
        raise Damaged(f"{path}: damaged: its checksum is not that of its content")


def checksum(arrays: Mapping[str, Array], words: Mapping[str, str]) -> str:
    """SHA-256 over names, dtypes, shapes and numbers of the arrays, and over the words. Their order does not count."""
    plain = {name: np.ascontiguousarray(array, array.dtype.newbyteorder("<")) for name, array in arrays.items()}
    names = sorted(plain)
    table = [sorted(words.items()), [[name, plain[name].dtype.name, plain[name].shape] for name in names]]
    digest = hashlib.sha256(json.dumps(table).encode(), usedforsecurity=False)
    for name in names:
        digest.update(plain[name].reshape(-1).view(np.uint8).data)
    return f"sha256:{digest.hexdigest()}"


def as_object(text: str) -> dict[str, Any]:
    """The object that a JSON text holds. All its numbers must be finite.

    >>> from fastlstm.tensors import as_object
    >>> as_object('{"horizon": 12}')
    {'horizon': 12}
    """
    value = json.loads(text, parse_constant=_finite, parse_float=_finite)
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, got {value!r:.80}")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"expected finite numbers, got {text}")
    return value


def _not_whole(size: int) -> str:
    return f"truncated or damaged: {size} bytes are not a whole safetensors file"
