"""Layers in a row: what a model and the layers that hold other layers know of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm._check import Shape
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.stage import Call, Stage
from fastlstm.layers.base import Array, Index, Layer
from fastlstm.layers.preparing import caller, lengths_behind, lowest_trained, one_by_one
from fastlstm.workspace import Workspace


def input_shape_of(layers: Sequence[Layer]) -> Shape:
    """The shape of the input. The number of features comes from the first layer that fixes it."""
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
    for own, inner in layer.held().items():
        yield from within(inner, f"{place}.{own}")


def sizes_behind(layer: Layer, x: Array, *, streaming: bool) -> tuple[int, ...]:
    """The shape of what a layer makes of x. In a stream all have steps."""
    shape = layer.output_shape(x.shape)
    return tuple(int(size) for size in ((*x.shape[:2], shape[-1]) if streaming else shape))


Row = tuple[str, Layer, Shape]
"""A layer with its place and the shape of its output."""


def rows_of(layers: Sequence[Layer], shape: Shape, places: Sequence[str] | None = None) -> list[Row]:
    """The rows of a summary: behind each layer those that it holds."""
    rows: list[Row] = []
    places = [str(i) for i in range(len(layers))] if places is None else places
    for place, layer, found in zip(places, layers, shapes_of(layers, shape), strict=True):
        rows.append((place, layer, found))
        for chain in layer.chains if isinstance(layer, Holder) else ():
            rows += rows_of(chain.layers, shape, [f"{place}.{own}" for own in chain.places])
        shape = found
    return rows


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

    def step(self, x: Array, tape: Workspace) -> Array:
        for layer, workspace in zip(self.layers, self.workspaces(tape), strict=True):
            x = layer.step(np.ascontiguousarray(x), workspace)
        return x

    def prepare(
        self, x: Array, tape: Workspace, *, streaming: bool, order: RaggedOrder | None
    ) -> tuple[list[Stage], Array]:
        """As `Layer.prepare`. Layers without stages are called; nothing runs yet."""
        stages: list[Stage] = []
        for layer, workspace in zip(self.layers, self.workspaces(tape), strict=True):
            ready = layer.prepare(x, workspace, streaming=streaming, order=order)
            if ready is None:
                y = np.empty(sizes_behind(layer, x, streaming=streaming), x.dtype)
                function = caller(layer, workspace, order, streaming=streaming)
                ready = [Call(function, x, y, type(layer).__name__)], y
            new, x = ready
            stages += new
        return stages, x


class Holder(Layer, abstract=True):
    """Base of the layers that hold chains of layers, which all read x.

    A subclass writes `output_shape`, `join` and `parts_of`. The parameters of the layers are this layer's own, by their
    places: "0.weight".
    """

    keeps_x = True

    def __init__(self, chains: list[Chain], dtype: Any, seed: int | None) -> None:
        super().__init__(dtype, seed)
        self.chains = chains
        for place, layer in self.held().items():
            check(layer, place)
            for own, arrays in ((self._parameters, layer._parameters), (self._buffers, layer._buffers)):
                own.update({f"{place}.{name}": parameter for name, parameter in arrays.items()})
            if layer.dtype is not None and self._dtype is None:
                self._dtype = layer.dtype
            if layer.dtype not in (None, self._dtype):
                raise ValueError(
                    f"dtype: expected {self._dtype} of all layers, got {layer.dtype} of the one at {place}"
                )
        inner = [layer for _, layer in within(self, "")]
        if len({id(layer) for layer in inner}) < len(inner):
            raise ValueError("layers: expected every layer once, got one twice")
        self.mixes_rows = any(layer.mixes_rows for layer in self.held().values())
        self.penalises = any(layer.penalises for layer in self.held().values())
        self.input_shape = ("N", "T", "F")
        for chain in chains:
            if chain.layers and self.input_shape[-1] == "F":
                self.input_shape = input_shape_of(chain.layers)
        self._per_step = len(self.output_shape(self.input_shape)) == 3

    def held(self) -> dict[str, Layer]:
        return {place: layer for chain in self.chains for place, layer in zip(chain.places, chain.layers, strict=True)}

    def join(self, x: Array, parts: list[Array], tape: Workspace) -> Array:
        """The output, from x and what the chains make of it."""
        raise NotImplementedError(f"{type(self).__name__} must write join")

    def parts_of(self, dy: Array, tape: Workspace) -> tuple[list[Array], Array | None]:
        """The gradient by the output of each chain, and that by x past the chains, if there is any."""
        raise NotImplementedError(f"{type(self).__name__} must write parts_of")

    def build(self, dtype: Any = None, rng: np.random.Generator | None = None) -> None:
        if self._built:
            return
        known = self._dtype if self._dtype is not None else _check.dtype_of(dtype or "float32")
        rng = rng if self._seed is None else np.random.default_rng(self._seed)
        for layer in self.held().values():
            layer.build(known, rng)
        super().build(known, rng)

    def load_parameters(self, arrays: dict[str, Any], dtype: Any) -> None:
        self._dtype = _check.dtype_of(dtype)
        for place, layer in self.held().items():
            layer.load_parameters(part_of(arrays, place), dtype)

    def output_lengths(self, lengths: Index) -> Index | None:
        if not self._per_step:
            return lengths
        found, *others = [chain.output_lengths(lengths) for chain in self.chains]
        if found is not None and not all(other is not None and np.array_equal(found, other) for other in others):
            raise ValueError(f"{type(self).__name__}: expected chains that make the same lengths of those of x")
        return found

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        parts = [chain.forward(x, tape, training=training, lengths=lengths) for chain in self.chains]
        if training and self.penalises:
            paying = [tape.child(place) for place, layer in self.held().items() if layer.penalises]
            tape.notes["penalty"] = sum((workspace.notes["penalty"] for workspace in paying), 0.0)
        return self.join(x, parts, tape)

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        parts, past = self.parts_of(dy, tape)
        gradients = [
            chain.backward(part, tape, input_gradient=input_gradient)
            for chain, part in zip(self.chains, parts, strict=True)
        ]
        if not input_gradient:
            return None
        first, *others = [gradient for gradient in [past, *gradients] if gradient is not None]
        dx = tape.array("dx", first.shape, first.dtype)
        dx[...] = first  # which may be dy itself
        for other in others:
            dx += other
        return dx

    def prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array] | None:
        if order is not None and self.output_lengths(order.given) is not order.given:
            return None
        made = [chain.prepare(x, tape, streaming=streaming, order=order) for chain in self.chains]
        parts = [part for _, part in made]
        y = tape.array("y", sizes_behind(self, x, streaming=streaming), x.dtype)

        def function(x: Array) -> Array:
            return self.join(x, parts, tape)

        return [*[stage for stages, _ in made for stage in stages], Call(function, x, y, type(self).__name__)], y

    def start(self, batch: int, tape: Workspace) -> None:
        for place, layer in self.held().items():
            try:
                layer.start(batch, tape.child(place))
            except ValueError as error:
                raise ValueError(f"layer {place} ({type(layer).__name__}): {error}") from None

    def step(self, x: Array, tape: Workspace) -> Array:
        return self.join(x, [chain.step(x, tape) for chain in self.chains], tape)

    def reset(self, rows: Any, tape: Workspace) -> None:
        for place, layer in self.held().items():
            layer.reset(rows, tape.child(place))

    def running_kinds(self, batch: int, shape: Shape) -> dict[str, tuple[Shape, Any]]:
        found = {}
        for chain in self.chains:
            inner = shape
            for place, layer in zip(chain.places, chain.layers, strict=True):
                kinds = layer.running_kinds(batch, inner)
                found.update({f"{place}.{name}": kind for name, kind in kinds.items()})
                inner = (*shape[:-1], layer.output_shape(inner)[-1])
        return found

    def running(self, tape: Workspace) -> dict[str, Array]:
        return {
            f"{place}.{name}": part
            for place, layer in self.held().items()
            for name, part in layer.running(tape.child(place)).items()
        }

    def go_on(self, state: dict[str, Array], tape: Workspace) -> None:
        for place, layer in self.held().items():
            layer.go_on(part_of(state, place), tape.child(place))

    def carry(self, index: Index, tape: Workspace) -> None:
        for place, layer in self.held().items():
            try:
                layer.carry(index, tape.child(place))
            except ValueError as error:
                raise ValueError(f"layer {place} ({type(layer).__name__}): {error}") from None


def part_of(arrays: dict[str, Any], place: str) -> dict[str, Any]:
    """What is of the layer at a place, by its own names."""
    return {name.removeprefix(place + "."): array for name, array in arrays.items() if name.startswith(place + ".")}


def check(layer: Any, place: str) -> None:
    """Require a layer that another one can hold."""
    if not isinstance(layer, Layer):
        raise TypeError(f"layers: expected layers, got {layer!r:.80} at {place}")
    name = type(layer).__name__
    if layer.takes_tokens or layer.shares() or layer.told_more:
        raise ValueError(
            f"layers: expected layers from numbers to numbers with parameters of their own, got {name} at {place}"
        )
