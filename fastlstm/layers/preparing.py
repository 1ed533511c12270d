"""Layers in a row as a program: all that a pass needs is made once, and serves every later input of the same shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastlstm._kernels.layout import Walk
from fastlstm._kernels.program import Program, Seen, Turn
from fastlstm._kernels.stage import Call, Stage
from fastlstm.parameter import Parameter
from fastlstm.workspace import Workspace

if TYPE_CHECKING:
    from fastlstm.layers.base import Index, Layer

Array = NDArray[Any]


def prepare(
    layers: Sequence[Layer],
    workspaces: Sequence[Workspace],
    x: Array,
    *,
    lengths: Index | None = None,
    streaming: bool = False,
    turn: Turn | None = None,
    step: bool = False,
    copied: bool = False,
) -> Program:
    """Run the layers on x, in inference, and keep what it took. The output is the program's y.

    Parameters
    ----------
    x : array
        As the first layer's `as_input` gives it.
    lengths : (N,) ints, optional
        Then the program is for other lengths, too.
    streaming : bool
        Whether the layers go on with the running state that is in the workspaces.
    turn : Turn, optional
        Of all that use the workspaces; None if nothing else does.
    step : bool
        Whether later inputs, and new arrays with outputs, are without x's axis of time.
    copied : bool
        Whether x is an array that nobody else has.
    """
    walk = None
    if lengths is not None and (lengths != x.shape[1]).any():
        walk = Walk(x.shape[0], x.shape[1], lengths)
    seen = Seen(trained(layers))
    stages: list[Stage] = []
    y = x
    for layer, workspace in zip(layers, workspaces, strict=True):
        ready = layer.prepare(y, workspace, streaming=streaming, walk=walk)
        if ready is None and not copied and np.may_share_memory(x, y):
            break
        new, y = ready or call(layer, y, workspace, walk, streaming=streaming)
        for stage in new if ready else ():
            stage.go()
        stages += new
    if not copied and np.may_share_memory(x, y):  # a call, or who gets y, wants an array, and the next x is another one
        own = x.copy()
        return prepare(layers, workspaces, own, lengths=lengths, streaming=streaming, turn=turn, step=step, copied=True)
    shape, given = (x.shape[:1] + x.shape[2:], y.shape[:1] + y.shape[2:]) if step else (x.shape, y.shape)
    least = len(shape) - (step and len(x) == 1)
    turn = turn or Turn("this program", "run another one")
    return Program(stages, x, y, seen, turn, shape, least, given, walk, copy=copied)


def call(
    layer: Layer, x: Array, workspace: Workspace, walk: Walk | None, *, streaming: bool
) -> tuple[list[Stage], Array]:
    """A layer that has no stages of its own: a stage that calls it, which is done here, and the array of its output."""

    given = None
    if walk is not None:
        given = walk.given.view()
        given.flags.writeable = False  # the kernels read it, too

    def function(x: Array) -> Array:
        x = np.ascontiguousarray(x)
        if streaming:
            return layer.step(x, workspace)
        return layer.forward(x, workspace, training=False, lengths=given)

    y = np.array(function(x), order="C")
    return [Call(function, x, y, type(layer).__name__)], y


def trained(layers: Sequence[Layer]) -> list[Parameter]:
    """The parameters that the layers read, those of others that they share among them."""
    return [parameter for layer in layers for part in (layer, *layer.shares()) for parameter in part.parameters()]
