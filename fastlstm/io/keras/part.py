"""A layer of Keras, as a file or a model describes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fastlstm import _check
from fastlstm.io.keras.functions import Function, Functions, function_of, functions_of
from fastlstm.io.keras.weights import Array, fill
from fastlstm.io.parts import Parts
from fastlstm.layers import Layer


@dataclass(frozen=True)
class Origin:
    """Where layers come from.

    Attributes
    ----------
    version : int
        That of the Keras that has written them: 1, 2 or 3.
    told : list of str
        What a user is to be warned of. Layers add to it.
    parts : Parts
        What layers have become. Layers add to it.
    within : str
        What comes before the names of layers there: those of the models that they are in.
    """

    version: int
    told: list[str] = field(default_factory=list)
    parts: Parts = field(default_factory=Parts)
    within: str = ""


@dataclass(frozen=True)
class Part:
    """A layer of Keras, as a file or a model describes it.

    Attributes
    ----------
    kind : str
        The name of its class.
    name : str
        Its own name.
    config : dict
        What ``get_config`` gives.
    arrays : sequence of Array
        What ``get_weights`` gives.
    origin : Origin
    rank : int
        The number of axes of its input; 0 if that is not known.
    """

    kind: str
    name: str
    config: dict[str, Any]
    arrays: Sequence[Array]
    origin: Origin
    rank: int = 0

    @property
    def place(self) -> str:
        return f"layer {self.name!r} ({self.kind})"

    def array(self, k: int, axes: int) -> Array:
        """A weight, whose sizes are those of the layer."""
        if k >= len(self.arrays) or self.arrays[k].ndim != axes:
            got = [array.shape for array in self.arrays]
            raise ValueError(f"{self.place}: expected weight {k} with {axes} axes, got weights of shapes {got}")
        return self.arrays[k]

    def function(self, key: str = "activation", usual: str = "linear") -> Function:
        return function_of(self.config.get(key, usual), self.origin.version, self.place)

    def functions(self) -> Functions:
        """That of a layer which may have several behind it."""
        return functions_of(self.config.get("activation", "linear"), self.origin.version, self.place)

    def require(self, key: str, *allowed: Any, default: Any = None) -> None:
        """Refuse a value of the config for which there is nothing here."""
        value = self.config.get(key, default)
        if value not in allowed:
            expected = " or ".join(repr(one) for one in allowed)
            raise ValueError(f"{self.place}: {key}: expected {expected}, got {value!r:.80}")

    def one(self, key: str, default: int) -> int:
        """A number that a config may hold in a list of one."""
        value = self.config.get(key, default)
        value = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
        return _check.positive_int(value, f"{self.place}: {key}")

    def filled(self, layer: Layer) -> Layer:
        fill(layer, self.arrays, self.place)
        if self.config.get("trainable", True) is False:
            layer.trainable = False
        return layer
