"""The base of layers that hold chains of layers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm._check import Shape
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.stage import Stage
from fastlstm.layers.base import Array, Index, Layer
from fastlstm.layers.chain import Chain, input_shape_of, shapes_of, sizes_behind, within
from fastlstm.layers.replay import Backward, BackwardCalls, Calls, record
from fastlstm.workspace import Workspace


class Holder(Layer, abstract=True):
    """Base of the layers that hold chains of layers.

    The parameters of the layers are this layer's own, by their places: "0.weight".
    """

    def __init__(self, chains: list[Chain], dtype: Any, seed: int | None) -> None:
        super().__init__(dtype, seed)
        self.chains = chains
        for place, layer in self._held().items():
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
        self.mixes_rows = any(layer.mixes_rows for layer in self._held().values())
        self._penalises = any(layer._penalises for layer in self._held().values())

    def _held(self) -> dict[str, Layer]:
        return {place: layer for chain in self.chains for place, layer in zip(chain.places, chain.layers, strict=True)}

    def build(self, dtype: Any = None, rng: np.random.Generator | None = None) -> None:
        if self._built:
            return
        known = self._dtype if self._dtype is not None else _check.dtype_of(dtype or "float32")
        rng = rng if self._seed is None else np.random.default_rng(self._seed)
        for layer in self._held().values():
            layer.build(known, rng)
        super().build(known, rng)

    def load_parameters(self, arrays: dict[str, Any], dtype: Any) -> None:
        self._dtype = _check.dtype_of(dtype)
        for place, layer in self._held().items():
            layer.load_parameters(part_of(arrays, place), dtype)

    def _inner_shape(self, shape: Shape) -> Shape:
        """The shape of what the chains see of an input of this shape."""
        return shape

    def _penalty(self, tape: Workspace) -> float:
        """The sum of the penalties of the layers in the last pass over the workspace in which theirs are."""
        paying = [tape.child(place) for place, layer in self._held().items() if layer._penalises]
        return sum((workspace.notes["penalty"] for workspace in paying), 0.0)


class Parallel(Holder, abstract=True):
    """Base of the layers that hold chains of layers which all read x.

    A subclass writes `output_shape`, `_join_parts`, `_joining` and `_parts_of`.
    """

    _keeps_x = True

    def __init__(self, chains: list[Chain], dtype: Any, seed: int | None) -> None:
        super().__init__(chains, dtype, seed)
        self.input_shape = ("N", "T", "F")
        for chain in chains:
            if chain.layers and self.input_shape[-1] == "F":
                self.input_shape = input_shape_of(chain.layers)
        self._per_step = len(self.output_shape(self.input_shape)) == 3

    def _join_parts(self, x: Array, parts: list[Array], tape: Workspace) -> Array:
        """The output, from x and what the chains make of it."""
        raise NotImplementedError(f"{type(self).__name__} must write join")

    def _joining(self, x: Array, parts: list[Array], y: Array) -> list[Stage]:
        """Stages that do the same in inference, from arrays that stay where they lie."""
        raise NotImplementedError(f"{type(self).__name__} must write joining")

    def _parts_of(self, dy: Array, tape: Workspace) -> tuple[list[Array], Array | None]:
        """The gradient by the output of each chain, and that by x past the chains, if there is any."""
        raise NotImplementedError(f"{type(self).__name__} must write parts_of")

    def output_lengths(self, lengths: Index) -> Index | None:
        if not self._per_step:
            return lengths
        found, *others = [chain.output_lengths(lengths) for chain in self.chains]
        if found is not None and not all(other is not None and np.array_equal(found, other) for other in others):
            raise ValueError(f"{type(self).__name__}: expected chains that make the same lengths of those of x")
        return found

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        parts = [chain.forward(x, tape, training=training, lengths=lengths) for chain in self.chains]
        if training and self._penalises:
            self._add_penalties(tape)
        return self._join_parts(x, parts, tape)

    def _add_penalties(self, tape: Workspace) -> None:
        tape.notes["penalty"] = self._penalty(tape)

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        parts, past = self._parts_of(dy, tape)
        gradients = [
            chain.backward(part, tape, input_gradient=input_gradient)
            for chain, part in zip(self.chains, parts, strict=True)
        ]
        return self._added([past, *gradients], tape) if input_gradient else None

    def _added(self, gradients: list[Array | None], tape: Workspace) -> Array:
        """The sum of the gradients by x of the chains and of what goes past them."""
        first, *others = [gradient for gradient in gradients if gradient is not None]
        dx = tape.array("dx", first.shape, first.dtype)
        dx[...] = first  # which may be dy itself
        for other in others:
            dx += other
        return dx

    def _record(self, x: Array, tape: Workspace) -> tuple[Calls, Array, Backward]:
        calls, parts, backwards = Calls(), [], []
        for chain in self.chains:
            own, part, backward_of_chain = record(chain.layers, chain.workspaces(tape), x)
            calls += own
            parts.append(part)
            backwards.append(backward_of_chain)
        if self._penalises:
            self._add_penalties(tape)
            calls.append(partial(self._add_penalties, tape))
        y = self._join_parts(x, parts, tape)
        calls.append(partial(self._join_parts, x, parts, tape))

        def backward(dy: Array, wanted: bool) -> BackwardCalls:
            dparts, past = self._parts_of(dy, tape)
            calls: Calls = [partial(self._parts_of, dy, tape)]
            gradients = [past]
            for chain, dpart, own in zip(self.chains, dparts, backwards, strict=True):
                new, gradient = chain.record_backward(own, dpart, wanted)
                calls += new
                gradients.append(gradient)
            if not wanted:
                return calls, None
            calls.append(partial(self._added, gradients, tape))
            return calls, self._added(gradients, tape)

        return calls, y, backward

    def _prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array] | None:
        if order is not None and self.output_lengths(order.given) is not order.given:
            return None
        made = [chain.prepare(x, tape, streaming=streaming, order=order) for chain in self.chains]
        parts = [part for _, part in made]
        y = tape.array("y", sizes_behind(self, x, streaming=streaming), x.dtype)
        return [*[stage for stages, _ in made for stage in stages], *self._joining(x, parts, y)], y

    def start(self, batch: int, tape: Workspace) -> None:
        for place, layer in self._held().items():
            try:
                layer.start(batch, tape.child(place))
            except ValueError as error:
                raise ValueError(f"layer {place} ({type(layer).__name__}): {error}") from None

    def step(self, x: Array, tape: Workspace) -> Array:
        return self._join_parts(x, [chain.step(x, tape) for chain in self.chains], tape)

    def reset(self, rows: Any, tape: Workspace) -> None:
        for place, layer in self._held().items():
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
            for place, layer in self._held().items()
            for name, part in layer.running(tape.child(place)).items()
        }

    def go_on(self, state: dict[str, Array], tape: Workspace) -> None:
        for place, layer in self._held().items():
            layer.go_on(part_of(state, place), tape.child(place))

    def carry(self, index: Index, tape: Workspace) -> None:
        for place, layer in self._held().items():
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
    if layer.takes_tokens or layer._shares() or layer.told_more:
        raise ValueError(
            f"layers: expected layers from numbers to numbers with parameters of their own, got {name} at {place}"
        )


Row = tuple[str, Layer, Shape]
"""A layer with its place and the shape of its output."""


def rows_of(layers: Sequence[Layer], shape: Shape, places: Sequence[str] | None = None) -> list[Row]:
    """The rows of a summary: behind each layer those that it holds."""
    rows: list[Row] = []
    places = [str(i) for i in range(len(layers))] if places is None else places
    for place, layer, found in zip(places, layers, shapes_of(layers, shape), strict=True):
        rows.append((place, layer, found))
        if isinstance(layer, Holder):
            inner = layer._inner_shape(shape)
            for chain in layer.chains:
                rows += rows_of(chain.layers, inner, [f"{place}.{own}" for own in chain.places])
        shape = found
    return rows
