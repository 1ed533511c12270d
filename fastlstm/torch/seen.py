"""The weights of a module as a layer sees them: in torch's own memory."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fastlstm.layers.base import Layer
from fastlstm.parameter import Parameter

Array = NDArray[Any]

SAMPLES = 16
"""Numbers of a weight that are looked at, at each call."""


ADDRESS, VERSION, NUMBERS = Tensor.data_ptr, attrgetter("_version"), np.ndarray.tobytes
"""What is asked of a weight, and of its sample, at each call."""


class Mark(NamedTuple):
    """What a weight was when it was last seen.

    `sample` is a view of some of its numbers. It keeps the weight's memory, so that no other tensor gets the address.
    """

    address: int
    version: int
    sample: Array
    numbers: bytes

    def holds(self, weight: Tensor) -> bool:
        """Whether the weight is as it was."""
        same = weight.data_ptr() == self.address and version_of(weight) == self.version
        return same and self.sample.tobytes() == self.numbers


class SeenWeights:
    """The weights of a module, which are parameters of a layer.

    A weight has changed if its tensor lies elsewhere, or has been changed in place, as optimizers do, or if one of some
    of its numbers is another. The last is for changes through ``.data``, and by other processes, which torch does not
    count.

    Parameters
    ----------
    layer : Layer
    names : list of str
        Its parameters in the order of the weights.

    Attributes
    ----------
    stamp : int
        Grows whenever a weight has changed.
    parameters : list of Parameter
        Those of the names, from the first call of `look` on.
    """

    def __init__(self, layer: Layer, names: list[str]) -> None:
        self._layer, self._names = layer, names
        self._shapes = layer.parameter_shapes()
        self._marks: list[Mark] = []
        self.parameters: list[Parameter] = []
        self.stamp = 0

    def look(self, weights: Sequence[Tensor]) -> None:
        """Take over what has changed. ValueError for weights that the layer cannot read."""
        if not self._marks:
            return self._take(weights, [*range(len(self._names))])
        try:  # all at once, as nothing has changed at most calls
            if (
                [*map(ADDRESS, weights)] == self._addresses
                and [*map(VERSION, weights)] == self._versions
                and [*map(NUMBERS, self._samples)] == self._numbers
            ):
                return
        except RuntimeError:  # inference tensors have no version
            pass
        changed = [k for k, weight in enumerate(weights) if not self._marks[k].holds(weight)]
        if changed:
            self._take(weights, changed)

    def _take(self, weights: Sequence[Tensor], changed: list[int]) -> None:
        arrays = {self._names[k]: self._array(weights[k], self._names[k]) for k in changed}
        self._layer._see_parameters(arrays)
        if not self.parameters:
            self.parameters = [self._layer.parameter(name) for name in self._names]
            self._marks = [mark_of(weight, arrays[name]) for weight, name in zip(weights, self._names, strict=True)]
        for k in changed:
            self._marks[k] = mark_of(weights[k], arrays[self._names[k]])
        self._addresses, self._versions, self._samples, self._numbers = map(list, zip(*self._marks, strict=True))
        self.stamp += 1

    def _array(self, weight: Tensor, name: str) -> Array:
        """The weight's own memory. Only a weight that is not contiguous is copied."""
        shape, dtype = self._shapes[name], f"torch.{self._layer.dtype}"
        if weight.shape != shape or str(weight.dtype) != dtype or not weight.is_cpu:
            got = f"{tuple(weight.shape)} of {weight.dtype} on {weight.device}"
            raise ValueError(f"{name}: expected {shape} of {dtype} on cpu, got {got}")
        return np.ascontiguousarray(weight.detach().numpy())


def version_of(weight: Tensor) -> int:
    """How often torch knows a tensor to have been changed in place; it does not count that of inference tensors."""
    try:
        return weight._version
    except RuntimeError:
        return -1


def mark_of(weight: Tensor, array: Array) -> Mark:
    flat = array.reshape(-1)
    sample = flat[:: max(1, flat.size // SAMPLES) | 1]  # an odd step sees all columns
    return Mark(weight.data_ptr(), version_of(weight), sample, sample.tobytes())
