"""Files of models: safetensors with the architecture as JSON in the metadata. There is no pickle in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastlstm import _check, tensors
from fastlstm.files import PathLike, reading
from fastlstm.io.architecture import layers_of, to_json
from fastlstm.io.few_bits import kinds_of, narrowed, widenable
from fastlstm.model import Model
from fastlstm.narrow import NUMBERS
from fastlstm.parameter import Parameter
from fastlstm.tensors import Arrays, Words

FORMAT_VERSION = 2
"""The newest version. Files with matrices in fewer bits have it, all others are of version 1."""

KNOWN = {"format", "format_version", "model"}
USER = "user."
"""The prefix of the words that a user has given to `save`."""


def save(model: Model, path: PathLike, *, metadata: Mapping[str, str] | None = None, narrow: bool = False) -> None:
    """Write the architecture and the parameters of a model to a safetensors file, with a checksum.

    The file is written under another name and then renamed, so that it is always whole. A device or a FIFO is not
    replaced, and a link to one is not followed.

    Parameters
    ----------
    model : Model
        It may have 1000 layers.
    path : path
        Its folder must exist.
    metadata : dict of str, optional
        Words of your own to keep in the file; see `read_metadata`.
    narrow : bool, default False
        Whether matrices whose weights inference holds with fewer bits (see `fastlstm.quantize`) are written in
        these bits, too. The file is then about a half or a quarter as large, and a model that is loaded from it takes
        less memory until it is trained. The rest of their bits is lost: that model has the rounded numbers.

    Raises
    ------
    TypeError
        If model is no Model, metadata has something else than str, or narrow is not True or False.
    ValueError
        If a parameter is not finite, also in the fewer bits, or there are more than 1000 layers.
    OSError
        If the file cannot be written.

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
    if not isinstance(model, Model):
        raise TypeError(f"model: expected a Model, got {type(model).__name__}")
    own = {} if metadata is None else metadata
    if not isinstance(own, Mapping) or any(not isinstance(part, str) for item in own.items() for part in item):
        raise TypeError(f"metadata: expected words (str) for words, got {metadata!r:.100}")
    kinds = kinds_of(model) if _check.flag(narrow, "narrow") else {}
    arrays: Arrays = {}
    for name, parameter in arrays_of(model).items():
        value = parameter._glance()
        _check.finite(value, name)
        if id(parameter) in kinds:
            arrays.update(narrowed(name, value, kinds[id(parameter)]))
        else:
            arrays[name] = value
    tensors.write(path, arrays, words_of(model, arrays, own))


def arrays_of(model: Model) -> dict[str, Parameter]:
    """All that a file of a model holds: parameters and buffers, by their names."""
    return {**model.named_parameters(), **model.named_buffers()}


def words_of(model: Model, arrays: Arrays, own: Mapping[str, str]) -> Words:
    """The words of the file of a model with these arrays, and those of its user."""
    narrow = any(array.dtype in NUMBERS.values() for array in arrays.values())
    return {
        **{USER + key: value for key, value in own.items()},
        "format": "fastlstm",
        "format_version": str(FORMAT_VERSION if narrow else 1),
        "model": to_json(model),
    }


def load(path: PathLike) -> Model:
    """Read a model that `save` has written.

    The header is checked against the arrays before layers are built.

    Parameters
    ----------
    path : path

    Returns
    -------
    Model

    Raises
    ------
    OSError
        If the file does not exist, is no regular file (but a folder, a FIFO, a device), or may not be read.
    ValueError
        If the file is damaged, is not one of fastlstm's, or was written by a newer version; the message says which.
    """
    return _load(path)[0]


def load_whole(path: PathLike) -> tuple[Model, str]:
    """A model and the checksum of its file. It raises the errors of `load`."""
    words, arrays = _read(path)
    return model_of(words, arrays, path), checksum_of(words, arrays)


def checksum_of(words: Words, arrays: Arrays) -> str:
    """The checksum of what `checked` has returned; files of earlier versions do not tell it themselves."""
    return words.get(tensors.CHECKSUM) or tensors.checksum(arrays, words)


def load_with(path: PathLike, key: str, what: str) -> tuple[Model, dict[str, Any]]:
    """A model, and the JSON object that an application has saved with it under the word `key`.

    Raises
    ------
    OSError
        As in `load`.
    ValueError
        As in `load`; also if there is no such word. The message then says that `what` is missing.
    """
    model, words = _load(path)
    if USER + key not in words:
        raise ValueError(f"{path}: holds a model, but no {what}; read it with fastlstm.load")
    with reading(path):
        return model, tensors.as_object(words[USER + key])


def read_metadata(path: PathLike) -> dict[str, str]:
    """The words that `save` was given as ``metadata``.

    Raises
    ------
    OSError, ValueError
        As in `load`.
    """
    words, _ = _read(path)
    return {key.removeprefix(USER): value for key, value in words.items() if key.startswith(USER)}


def model_of(words: Words, arrays: Arrays, name: PathLike) -> Model:
    """The model that words and arrays tell of, which `checked` has returned; errors call it by this name."""
    with reading(name):
        narrow = int(words["format_version"]) > 1
        layers, dtype = layers_of(words["model"], widenable(arrays) if narrow else arrays)
        return Model(layers, dtype=dtype, seed=0)


def checked(words: Words, arrays: Arrays, name: PathLike) -> tuple[Words, Arrays]:
    """Words and arrays of a file that `save` has written; anything else is an error that calls it by this name."""
    if words.get("format") != "fastlstm":
        raise ValueError(f"{name}: a safetensors file, but not one that fastlstm.save wrote")
    _check_version(name, words.get("format_version", ""))
    tensors.verify(name, words, arrays, lambda word: word in KNOWN or word.startswith(USER))
    return words, arrays


def _load(path: PathLike) -> tuple[Model, Words]:
    words, arrays = _read(path)
    return model_of(words, arrays, path), words


def _read(path: PathLike) -> tuple[Words, Arrays]:
    return checked(*tensors.read(path), path)


def _check_version(path: PathLike, version: str) -> None:
    if not version.isdecimal() or len(version) > 9 or int(version) < 1:
        raise ValueError(f"{path}: damaged: {version[:20]!r} is no version of the format")
    if int(version) > FORMAT_VERSION:
        raise ValueError(
            f"{path}: written by a newer fastlstm (format {version}, this one reads up to {FORMAT_VERSION}); "
            "install a newer version"
        )
