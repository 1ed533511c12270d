"""Makes a program from a chain of layers: what a pass needs is made once, for all later inputs of the same shape."""

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
    """Run the layers on x in inference, and keep the pass as a program. Its output is ``program.y``.

    Parameters
    ----------
    layers : sequence of Layer
    workspaces : sequence of Workspace
        One for each layer.
    x : array
        As `as_input` of the first layer gives it.
    lengths : (N,) ints, optional
        Number of real steps of each sequence. With them the program also takes other lengths.
    streaming : bool, default False
        Whether the layers go on with the running state in the workspaces.
    turn : Turn, optional
        The turn that all users of the workspaces share; None if there are no others.
    step : bool, default False
        Whether later inputs and outputs have no axis of time.
    copied : bool, default False
        Whether x is used by nobody else.
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
    if not copied and np.may_share_memory(x, y):  # calls and users of y need an array that stays, but x changes
        own = x.copy()
        return prepare(layers, workspaces, own, lengths=lengths, streaming=streaming, turn=turn, step=step, copied=True)
    shape, given = (x.shape[:1] + x.shape[2:], y.shape[:1] + y.shape[2:]) if step else (x.shape, y.shape)
    least = len(shape) - (step and len(x) == 1)
    turn = turn or Turn("this program", "run another one")
    return Program(stages, x, y, seen, turn, shape, least, given, walk, copy=copied)


def call(
    layer: Layer, x: Array, workspace: Workspace, walk: Walk | None, *, streaming: bool
) -> tuple[list[Stage], Array]:
    """Call a layer that has no stages. Returns a stage that calls it again, and the array of its output."""

    given = None
    if walk is not None:
        given = walk.given.view()
        given.flags.writeable = False  # the kernels read it too

    def function(x: Array) -> Array:
        x = np.ascontiguousarray(x)
        if streaming:
            return layer.step(x, workspace)
        return layer.forward(x, workspace, training=False, lengths=given)

    y = np.array(function(x), order="C")
    return [Call(function, x, y, type(layer).__name__)], y


def trained(layers: Sequence[Layer]) -> list[Parameter]:
    """The parameters that the layers read, those that they share with other layers included."""
    return [parameter for layer in layers for part in (layer, *layer.shares()) for parameter in part.parameters()]
