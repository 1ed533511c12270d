"""Training passes over an array that is refilled in place. They are recorded once and then run again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastlstm._kernels import cpu
from fastlstm.layers.preparing import lowest_trained, trained
from fastlstm.parameter import Parameter, unmoved
from fastlstm.threads import get_num_threads
from fastlstm.workspace import Workspace

if TYPE_CHECKING:
    from fastlstm.layers.base import Layer

Array = NDArray[Any]
Calls = list[Callable[[], Any]]
"""The calls of a pass, in order."""

BackwardCalls = tuple[Calls, Array | None]
"""The calls of a backward pass, and the array into which they write the gradient of x."""

Backward = Callable[[Array, bool], BackwardCalls]
"""Makes the calls of a backward pass. Its arguments are dy, and whether the gradient of x is wanted."""


Made = tuple[Array, Calls, list[tuple[int, int]], Array | None]
"""A backward pass: dy, its calls, for each layer its number and where its calls end, and the gradient of x."""


class Replay:
    """The recorded training passes of a chain of layers over an array x. All its sequences are full.

    The constructor runs the forward pass over x. Its output is `y`, which is read-only.

    Parameters
    ----------
    layers : sequence of Layer
    workspaces : sequence of Workspace
        One for each layer.
    x : array
        Later batches must be at the same address.
    """

    def __init__(self, layers: Sequence[Layer], workspaces: Sequence[Workspace], x: Array) -> None:
        self._x, self._shape, self._dtype = x, x.shape, x.dtype
        self._values = [(parameter, parameter.read()) for parameter in trained(layers)]
        self._lowest = lowest_trained(layers)
        self._kind = (get_num_threads(), cpu.isa(), Parameter._changes)
        self._made: dict[bool, Made] = {}  # by whether the gradient of x is wanted
        self._calls, y, self._backwards = record(layers, workspaces, x)
        self.y = y.view()
        self.y.flags.writeable = False  # the backward pass reads it

    def serves(self, x: Array) -> bool:
        """Whether these passes can run on x, a contiguous array.

        x must have the address, shape and dtype of the recorded array. The number of threads, the instruction set, the
        arrays of the parameters and which of them are frozen must be unchanged.
        """
        if x.shape != self._shape or x.dtype != self._dtype:  # also of the recorded array, which may be reshaped
            return False
        if x is not self._x:
            if place(x) != place(self._x):
                return False
            self._x = x
        return self._kind == (get_num_threads(), cpu.isa(), Parameter._changes) and unmoved(self._values)

    def forward(self) -> None:
        """Run the forward pass again."""
        run(self._calls)

    def knows(self, dy: Any) -> bool:
        """Whether a backward pass is recorded for this very array, and it has kept its shape and dtype."""
        known = any(dy is made[0] for made in self._made.values())
        return known and dy.shape == self.y.shape and dy.dtype == self.y.dtype

    def backward(self, dy: Array, *, wanted: bool, after: Callable[[int], None] | None = None) -> Array | None:
        """Add to the gradients of the parameters. Returns the gradient of x if it is wanted.

        `after` is called with the number of each layer when its parameters have their gradients, the last layer first.
        """
        made = self._made.get(wanted)
        if made is None or dy is not made[0]:
            made = self._made[wanted] = self._make_and_run(dy, wanted, after)
        elif after is None:
            run(made[1])
        else:
            first = 0
            for i, last in made[2]:
                run(made[1][first:last])
                after(i)
                first = last
        return made[3]

    def _make_and_run(self, dy: Array, wanted: bool, after: Callable[[int], None] | None) -> Made:
        """Run the backward pass from dy once."""
        calls, ends = Calls(), []
        dx: Array | None = dy
        lowest = 0 if wanted else self._lowest
        for i in reversed(range(lowest, len(self._backwards))):
            assert dx is not None
            new, dx = self._backwards[i](dx, i > lowest or wanted)
            calls += new
            ends.append((i, len(calls)))
            if after is not None:
                after(i)
        return dy, calls, ends, dx if wanted else None


def record(layers: Sequence[Layer], workspaces: Sequence[Workspace], x: Array) -> tuple[Calls, Array, list[Backward]]:
    """Run the forward pass over x. Returns its calls, the output, and what makes and runs the backward pass of each."""
    every, backwards = Calls(), []
    for layer, workspace in zip(layers, workspaces, strict=True):
        calls, x, backward = layer._record(x, workspace)
        every += calls
        backwards.append(backward)
    return every, x, backwards


def recorded(layer: Layer, x: Array, tape: Workspace) -> tuple[Calls, Array, Backward]:
    """The same of one layer, by its `_replay`, or by calls of its passes."""
    ready = layer._replay(x, tape)
    if ready is None:
        return by_calling(layer, x, tape)
    calls, y, make = ready
    run(calls)
    return calls, y, partial(make_and_run, make)


def run(calls: Calls) -> None:
    for call in calls:
        call()


def make_and_run(make: Backward, dy: Array, wanted: bool) -> BackwardCalls:
    """The calls that `make` returns. They are run once."""
    calls, dx = make(dy, wanted)
    run(calls)
    return calls, dx


def place(array: Array) -> int:
    """The address of the first number of an array."""
    found: int = array.__array_interface__["data"][0]
    return found


def by_calling(layer: Layer, x: Array, tape: Workspace) -> tuple[Calls, Array, Backward]:
    """The passes of a layer without `_replay`, as calls of its `forward` and `backward`. Calls `forward` once."""
    forward = partial(layer.forward, x, tape, training=True, lengths=None)
    y = tape.writable(forward())  # which is written if the layer's own lies elsewhere after a larger batch

    def backward(dy: Array, wanted: bool) -> BackwardCalls:
        call = partial(layer.backward, dy, tape, input_gradient=wanted)
        dx = call()
        if dx is None:
            return [call], None
        dx = np.require(dx, None, ["C", "W"])
        return [partial(call_into, call, dx)], dx

    return [partial(call_into, forward, y)], y, backward


def call_into(function: Callable[[], Array | None], out: Array) -> None:
    """Call the function, and copy its result to `out` unless it is there already."""
    found = function()
    assert found is not None
    if found.shape != out.shape:
        raise ValueError(f"a layer's pass gave an array {out.shape}, and for a batch as large {found.shape}")
    if found is not out and (place(found) != place(out) or found.strides != out.strides):
        np.copyto(out, found)
