"""Layers in a row: what a model and the layers that hold other layers know of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm._check import Shape
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.stage import Call, Stage
from fastlstm.layers.base import Array, Index, Layer
from fastlstm.layers.preparing import caller, lengths_behind, lowest_trained, one_by_one
from fastlstm.layers.replay import Backward, BackwardCalls, Calls
from fastlstm.workspace import Workspace


def input_shape_of(layers: Sequence[Layer]) -> Shape:
    """The shape of the input. The number of features comes from the first layer that fixes it."""
    for i, layer in enumerate(layers):
        if not hasattr(layer, "input_shape"):
            raise TypeError(f"layer {i}: {type(layer).__name__} must set input_shape, such as ('N', 'T', 3)")
    shape: Shape = layers[0].input_shape
    for layer in layers:
        if shape[-1] != "F":
            break
        wanted = layer.input_shape[-1]
        shape = (*shape[:-1], wanted)
        if wanted == "F" and layer.output_shape(shape)[-1] != "F":
            break
    return shape


def shapes_of(layers: Sequence[Layer], shape: Shape) -> list[Shape]:
    """The output shape of each layer. A size that is not fixed is a name, such as "N"."""
    shapes = []
    for i, layer in enumerate(layers):
        try:
            shape = layer.output_shape(shape)
        except ValueError as error:
            raise ValueError(f"layer {i} ({type(layer).__name__}): {error}") from None
        shapes.append(shape)
    return shapes


def walk(layers: Sequence[Layer]) -> Iterator[tuple[str, Layer]]:
    """Each layer with its place, and behind it those that it holds: those of layer 2 are at "2.0", "2.1" and so on."""
    for i, layer in enumerate(layers):
        yield from within(layer, str(i))


def within(layer: Layer, place: str) -> Iterator[tuple[str, Layer]]:
    """A layer at a place, and all that it holds, with theirs."""
    yield place, layer
    for own, inner in layer._held().items():
        yield from within(inner, f"{place}.{own}")


def sizes_behind(layer: Layer, x: Array, *, streaming: bool) -> tuple[int, ...]:
    """The shape of what a layer makes of x. In a stream all have steps."""
    shape = layer.output_shape(x.shape)
    return tuple(int(size) for size in ((*x.shape[:2], shape[-1]) if streaming else shape))


class Row(tuple[Layer, ...]):
    """Layers that are in a row already, so that none brings another one along."""


def in_a_row(layers: Iterable[Layer], name: str) -> list[Any]:
    """A list of layers that a user has given, behind each the one that it brings along, unless that stands there."""
    found = _check.items(layers, name, "layers")
    if isinstance(layers, Row):
        return found
    row: list[Any] = []
    for one, following in zip(found, [*found[1:], None], strict=False):
        parts = one._with_behind() if isinstance(one, Layer) else [one]
        row += parts[:1] if parts[-1] is following else parts
    return row


def chains_of(chains: Sequence[Iterable[Layer]]) -> list[Chain]:
    """Chains that a user has given, each with its own number in the places: "1.0" is the first layer of the second."""
    found = [in_a_row(chain, f"chain {k}") for k, chain in enumerate(chains)]
    if len(found) < 2:
        raise ValueError(f"chains: expected at least two, got {len(found)}")
    return [Chain(chain, [f"{k}.{i}" for i in range(len(chain))]) for k, chain in enumerate(found)]


class Chain:
    """Layers in a row that another layer holds. None are the identity.

    Parameters
    ----------
    layers : sequence of Layer
    places : list of str
        Where each stands in the layer that holds it, which is also the name of its workspace there.
    """

    def __init__(self, layers: Sequence[Layer], places: list[str]) -> None:
        self.layers, self.places = tuple(layers), places

    def workspaces(self, tape: Workspace) -> list[Workspace]:
        """The workspace of each layer, from that of the layer that holds them."""
        return [tape.child(place) for place in self.places]

    def output_shape(self, shape: Shape) -> Shape:
        return shapes_of(self.layers, shape)[-1] if self.layers else shape

    def output_lengths(self, lengths: Index) -> Index | None:
        return lengths_behind(self.layers, lengths)

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        return one_by_one(self.layers, self.workspaces(tape), x, lengths, training=training)

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool) -> Array | None:
        """As `Layer.backward`. It ends at the lowest layer that has something to learn."""
        dx: Array | None = dy
        lowest = 0 if input_gradient else lowest_trained(self.layers)
        workspaces = self.workspaces(tape)
        for i in reversed(range(lowest, len(self.layers))):
            assert dx is not None
            dx = self.layers[i].backward(dx, workspaces[i], input_gradient=i > lowest or input_gradient)
        return dx if input_gradient else None

    def record_backward(self, backwards: list[Backward], dy: Array, wanted: bool) -> BackwardCalls:
        """Run the backward pass, and return its calls; `backwards` come from `_record`."""
        calls, dx = Calls(), dy
        lowest = 0 if wanted else lowest_trained(self.layers)
        for i in reversed(range(lowest, len(self.layers))):
            new, found = backwards[i](dx, i > lowest or wanted)
            calls += new
            if found is not None:
                dx = found
        return calls, dx if wanted else None

    def step(self, x: Array, tape: Workspace) -> Array:
        for layer, workspace in zip(self.layers, self.workspaces(tape), strict=True):
            x = layer.step(np.ascontiguousarray(x), workspace)
        return x

    def prepare(
        self, x: Array, tape: Workspace, *, streaming: bool, order: RaggedOrder | None
    ) -> tuple[list[Stage], Array]:
        """As `Layer._prepare`. Layers without stages are called; nothing runs yet."""
        stages: list[Stage] = []
        for layer, workspace in zip(self.layers, self.workspaces(tape), strict=True):
            ready = layer._prepare(x, workspace, streaming=streaming, order=order)
            if ready is None:
                y = np.empty(sizes_behind(layer, x, streaming=streaming), x.dtype)
                function = caller(layer, workspace, order, streaming=streaming)
                ready = [Call(function, x, y, type(layer).__name__)], y
            new, x = ready
            stages += new
        return stages, x
