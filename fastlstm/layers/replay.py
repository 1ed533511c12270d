"""Training passes over batches that lie where the last one lay: what a pass takes is made once and then only run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastlstm._kernels import cpu
from fastlstm.layers.preparing import trained
from fastlstm.parameter import unmoved
from fastlstm.threads import get_num_threads
from fastlstm.workspace import Workspace

if TYPE_CHECKING:
    from fastlstm.layers.base import Layer

Array = NDArray[Any]
Calls = list[Callable[[], Any]]
Turned = tuple[Calls, Array | None]
Backward = Callable[[Array, bool], Turned]
"""From dy, and whether the gradient of x is wanted, to the calls of a backward pass and the array of that gradient."""


class Replay:
    """The layers' passes in training over x, all of whose sequences are full.

    Parameters
    ----------
    layers, workspaces : sequences of Layer and Workspace
    x : array
        Later batches lie there, too. The forward pass over it is done here; its output is `y`.
    """

    def __init__(self, layers: Sequence[Layer], workspaces: Sequence[Workspace], x: Array) -> None:
        self._x = x
        self._calls: Calls = []
        self._backwards: list[Backward] = []
        self._values = [(parameter, parameter.read()) for parameter in trained(layers)]
        self._machine = (get_num_threads(), cpu.isa())
        self._turned: dict[bool, tuple[Array, Calls, Array | None]] = {}
        y = x
        for layer, workspace in zip(layers, workspaces, strict=True):
            ready = layer.replay(y, workspace)
            if ready is None:
                calls, y, backward = called(layer, y, workspace)
            else:
                calls, y, turn = ready
                backward = partial(turn_and_run, turn)
                run(calls)
            self._calls += calls
            self._backwards.append(backward)
        self.y = y.view()
        self.y.flags.writeable = False  # the backward pass reads it

    def serves(self, x: Array) -> bool:
        """Whether a pass over x, a contiguous array, would be the same."""
        if x is not self._x:
            if x.shape != self._x.shape or x.dtype != self._x.dtype or place(x) != place(self._x):
                return False
            self._x = x
        return self._machine == (get_num_threads(), cpu.isa()) and unmoved(self._values)

    def forward(self) -> None:
        run(self._calls)

    def knows(self, dy: Any) -> bool:
        """Whether it is the array of an earlier gradient."""
        return any(dy is turned[0] for turned in self._turned.values())

    def backward(self, dy: Array, *, wanted: bool) -> Array | None:
        """The gradient of x, if wanted; those of the parameters are added to."""
        turned = self._turned.get(wanted)
        if turned is None or dy is not turned[0]:
            turned = self._turned[wanted] = self._turn(dy, wanted)
        else:
            run(turned[1])
        return turned[2]

    def _turn(self, dy: Array, wanted: bool) -> tuple[Array, Calls, Array | None]:
        """The backward pass, done here, and what it takes from this dy on."""
        calls: Calls = []
        dx: Array | None = dy
        for i in reversed(range(len(self._backwards))):
            assert dx is not None
            new, dx = self._backwards[i](dx, i > 0 or wanted)
            calls += new
        return dy, calls, dx


def run(calls: Calls) -> None:
    for call in calls:
        call()


def turn_and_run(turn: Backward, dy: Array, wanted: bool) -> Turned:
    calls, dx = turn(dy, wanted)
    run(calls)
    return calls, dx


def place(array: Array) -> int:
    """Where it lies."""
    found: int = array.__array_interface__["data"][0]
    return found


def called(layer: Layer, x: Array, tape: Workspace) -> tuple[Calls, Array, Backward]:
    """A layer that has no replay: its `forward`, which is done here, and `backward` are called again and again."""
    forward = partial(layer.forward, x, tape, training=True, lengths=None)
    y = np.require(forward(), None, ["C"])

    def backward(dy: Array, wanted: bool) -> Turned:
        turn = partial(layer.backward, dy, tape, input_gradient=wanted)
        dx = turn()
        if dx is None:
            return [turn], None
        dx = np.require(dx, None, ["C", "W"])
        return [partial(again, turn, dx)], dx

    return [partial(again, forward, y)], y, backward


def again(function: Callable[[], Array | None], before: Array) -> None:
    """What the function returns, to where it lay before."""
    found = function()
    assert found is not None
    if found.shape != before.shape:
        raise ValueError(f"a layer's pass gave an array {before.shape}, and for a batch as large {found.shape}")
    if found is not before and (place(found) != place(before) or found.strides != before.strides):
        np.copyto(before, found)
