"""What the applications share: one file for a network and what it needs beside it, and a recipe in numbers."""

from __future__ import annotations

import dataclasses
import inspect
import json
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from fastlstm import _check
from fastlstm.files import PathLike, reading
from fastlstm.io import native
from fastlstm.layers import LSTM
from fastlstm.model import Model

T = TypeVar("T")

LARGEST = 2**31 - 1
"""The largest size that a recipe may ask for."""


class Application:
    """Base of the applications: a network that is fitted for one purpose, with what it needs beside it.

    A subclass defines `_parts` and `_of_parts`; this class writes the parts to one file, and reads them again.

    Attributes
    ----------
    interrupted : bool
        Whether Ctrl-C has ended the last `fit`.
    """

    word: ClassVar[str]
    """The word in the header of the file that holds all parts but the network."""

    kind: ClassVar[str | None] = None
    """Tells applications with the same word apart."""

    known_kinds: ClassVar[tuple[str | None, ...]] = ()
    """The kinds that `load` reads, also those of earlier versions; by default the own one."""

    noun: ClassVar[str] = ""
    """What errors call it; by default the name of the class."""

    def __init__(self) -> None:
        self.interrupted = False

    def save(self, path: PathLike, **words: str) -> None:
        """Write the network, what it needs beside it and the recipe to one safetensors file.

        Parameters
        ----------
        path : path
            Its folder must exist. The file is written whole or not at all.
        **words : str
            Words of your own to keep in the file.

        Raises
        ------
        RuntimeError
            If nothing has been learned yet.
        ValueError
            If one of the words has the name under which the file keeps its own.
        """
        if self.word in words:
            raise ValueError(f"words: expected other names than {self.word!r}, which the file itself needs")
        model, beside = self._parts()
        own = beside if self.kind is None else {"kind": self.kind, **beside}
        native.save(model, path, metadata={**words, self.word: json.dumps(own, default=_plain)})

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """Read what `save` has written.

        Raises
        ------
        OSError
            If the file does not exist, is no regular file, or may not be read.
        ValueError
            If the file is damaged, or holds a model of another kind.
        """
        noun = cls.noun or cls.__name__
        model, beside = native.load_with(path, cls.word, noun)
        if beside.pop("kind", None) not in (cls.known_kinds or (cls.kind,)):
            raise ValueError(f"{path}: holds a model, but no {noun}")
        with reading(path):
            return cls._of_parts(model, beside)

    def _parts(self) -> tuple[Model, dict[str, Any]]:
        """The network, and the other parts as JSON can hold them."""
        raise NotImplementedError

    @classmethod
    def _of_parts(cls, model: Model, beside: dict[str, Any]) -> Self:
        """Make the application from the parts of a file. Each part has to be checked."""
        raise NotImplementedError

    def _learned(self, left: T | None) -> T:
        """What `fit` has left; RuntimeError if it has not run yet."""
        if left is None:
            raise RuntimeError(f"the {self.noun or type(self).__name__} has not learned anything yet: call fit first")
        return left


class Recipe:
    """Base of the recipes: the numbers by which a network is built and trained, in a frozen dataclass.

    A subclass lists its fields by their ranges in `_SIZES`, `_RATES` and `_NUMBERS`. It also has the fields ``epochs``,
    a whole number from 1 or None, and ``seed``.
    """

    _SIZES: ClassVar[tuple[str, ...]]
    """Whole numbers from 1."""

    _RATES: ClassVar[tuple[str, ...]]
    """Numbers from 0 to below 1."""

    _NUMBERS: ClassVar[tuple[str, ...]]
    """Numbers from 0."""

    epochs: int | None
    seed: int

    def __post_init__(self) -> None:
        for name in self._SIZES:
            _check.positive_int(getattr(self, name), name, LARGEST)
        if self.epochs is not None:
            _check.positive_int(self.epochs, "epochs", LARGEST)
        _check.seed_of(self.seed)
        for name in self._RATES:
            _check.number(getattr(self, name), name, 0, 1, open_high=True)
        for name in self._NUMBERS:
            _check.number(getattr(self, name), name, 0)

    def config(self) -> dict[str, Any]:
        """The arguments of the constructor, for a file."""
        return options_of(self)


def options_of(thing: object) -> dict[str, Any]:
    """The arguments of the constructor of an object, by name, as JSON can hold them.

    Each argument must be an attribute of the same name. A dataclass becomes a dict.

    >>> from fastlstm.text import Vocabulary
    >>> options_of(Vocabulary(["a", "b"]))
    {'tokens': ['a', 'b'], 'words': False}
    """
    found: dict[str, Any] = {}
    for kind in reversed(type(thing).__mro__[:-1]):
        if "__init__" not in vars(kind):
            continue
        for name, parameter in inspect.signature(kind).parameters.items():
            if parameter.kind is not parameter.VAR_KEYWORD:
                value = getattr(thing, name)
                plain = dataclasses.is_dataclass(value) and not isinstance(value, type)
                found[name] = dataclasses.asdict(value) if plain else value
    return found


def check_hidden_size(model: Model, hidden_size: int) -> None:
    """Require that a network from a file has one LSTM, of the size that the options of the file name."""
    sizes = [layer.hidden_size for layer in model.layers if isinstance(layer, LSTM)]
    if sizes != [hidden_size]:
        raise ValueError(f"hidden_size: expected that of the network, {sizes}, got {hidden_size}")


def _plain(value: object) -> object:
    """A NumPy number as one of Python's, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"expected what JSON can hold, got {value!r:.80}")
