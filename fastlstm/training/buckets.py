"""Gradients that ranks add up in a few large arrays, each as soon as it is ready."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from fastlstm.communicator import Pending
from fastlstm.layers import Layer
from fastlstm.parameter import Parameter
from fastlstm.training.exchange import Exchange
from fastlstm.training.wire import Wire
from fastlstm.workspace import aligned_zeros

Array = NDArray[Any]

LEAST = 1 << 20
"""Bytes that an array has at least, unless the layers below have no more."""


@dataclass
class Bucket:
    """The gradients of some neighbouring layers in one array.

    Attributes
    ----------
    array : (n,)
    places : list of (Parameter, array)
        The parameters, each with the part of the array that holds its gradient.
    layer : int
        The number of the lowest layer. When it has its gradients, all have.
    pending : Pending, optional
        The sum, if it has begun.
    """

    array: Array
    places: list[tuple[Parameter, Array]]
    layer: int
    pending: Pending | None = field(default=None)


class Buckets:
    """The sum of the gradients over all ranks. That of upper layers travels while lower ones are computed.

    Parameters
    ----------
    layers : sequence of Layer
    exchange : Exchange
    wire : Wire, optional
        How they travel, if not as they are; they then travel all together, at the end.
    """

    def __init__(self, layers: Sequence[Layer], exchange: Exchange, wire: Wire | None = None) -> None:
        self._layers, self._exchange, self._wire = layers, exchange, wire
        self._buckets: list[Bucket] = []
        self._frozen: list[Parameter] = []
        self._changes = -1

    def _make(self) -> None:
        """Make the arrays. What is frozen has no place in them."""
        least = LEAST if self._wire is None else 1 << 62
        self._buckets, together, self._changes = [], [], Parameter._changes
        every = [parameter for layer in self._layers for parameter in layer.parameters()]
        self._frozen = [parameter for parameter in every if not parameter.trainable]
        for i in reversed(range(len(self._layers))):
            together += [parameter for parameter in self._layers[i].parameters() if parameter.trainable]
            size = sum(parameter.value.nbytes for parameter in together)
            if together and (size >= least or not any(layer.trainable for layer in self._layers[:i])):
                self._buckets.append(made(together, i))
                together = []

    def attach(self) -> None:
        """Let the parameters keep their gradients in the arrays."""
        if self._changes != Parameter._changes:
            self._make()
        for bucket in self._buckets:
            for parameter, place in bucket.places:
                parameter._keep_grad_in(place)

    def after(self, layer: int) -> None:
        """Begin the sums that are ready when this layer has its gradients, and move on those that have begun."""
        for bucket in self._buckets:
            if bucket.pending is not None:
                bucket.pending.test()
            elif bucket.layer == layer and self._wire is None:
                self._begin(bucket)

    def _begin(self, bucket: Bucket) -> None:
        for parameter, _ in bucket.places:
            parameter.grad  # noqa: B018 # zeros, if no pass has written it
        bucket.pending = self._exchange.begin_sum(bucket.array)

    def finish(self, counted: float) -> float:
        """Wait for all sums. Returns by what the gradients are still to be divided, of `counted`."""
        for parameter in self._frozen:
            parameter.zero_grad()  # one that has been thawed since `attach` joins with the next step
        if self._wire is not None:
            for bucket in self._buckets:
                for parameter, _ in bucket.places:
                    parameter.grad  # noqa: B018
                self._wire.sum(bucket.array, counted)
            return 1.0
        for bucket in self._buckets:
            if bucket.pending is None:
                self._begin(bucket)
        for bucket in self._buckets:
            assert bucket.pending is not None
            self._exchange.finish(bucket.pending, "the gradients of a step")
            bucket.pending = None
        return counted


def made(parameters: list[Parameter], layer: int) -> Bucket:
    """A bucket for these parameters."""
    array = aligned_zeros((sum(parameter.size for parameter in parameters),), parameters[0].value.dtype)
    places, start = [], 0
    for parameter in parameters:
        places.append((parameter, array[start : start + parameter.size].reshape(parameter.shape)))
        start += parameter.size
    return Bucket(array, places, layer)
