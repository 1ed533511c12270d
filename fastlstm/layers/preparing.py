"""Makes and runs programs: the passes of a chain of layers, prepared once for all later inputs of the same shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.program import Kept, Program, Seen, Turn
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
    """Run the layers on x in inference, and keep the pass as a program, whose output is ``program.y``.

    Parameters
    ----------
    layers : sequence of Layer
    workspaces : sequence of Workspace
        One for each layer.
    x : array
        As `as_input` of the first layer gives it.
    lengths : (N,) ints, optional
        Number of real steps of each sequence. The program then also takes other lengths.
    streaming : bool, default False
        Whether the layers continue the running state in the workspaces.
    turn : Turn, optional
        Shared by all users of the workspaces; None if there are no others.
    step : bool, default False
        Whether later inputs and outputs have no axis of time.
    copied : bool, default False
        Whether x is used by nobody else.
    """
    order = None
    if lengths is not None and (lengths != x.shape[1]).any():
        order = RaggedOrder(x.shape[0], x.shape[1], lengths)
    seen = Seen(trained(layers))
    stages: list[Stage] = []
    y = x
    before: list[Layer] = []  # those that change lengths
    for layer, workspace in zip(layers, workspaces, strict=True):
        shared = not copied and np.may_share_memory(x, y)
        ready = None
        if not (shared and layer._keeps_x or before):  # stages follow the lengths of x alone
            ready = layer._prepare(y, workspace, streaming=streaming, order=order)
        if ready is None and shared:
            break
        new, y = ready or call(layer, y, workspace, order, before, streaming=streaming)
        if order is not None and layer.output_lengths(order.given) is not order.given:
            before = [*before, layer]
        for stage in new if ready else ():
            stage.go()
        stages += new
    if not copied and np.may_share_memory(x, y):  # x changes, but calls and users of y need an array that stays
        own = x.copy()
        return prepare(layers, workspaces, own, lengths=lengths, streaming=streaming, turn=turn, step=step, copied=True)
    shape, given = (x.shape[:1] + x.shape[2:], y.shape[:1] + y.shape[2:]) if step else (x.shape, y.shape)
    least = len(shape) - (step and len(x) == 1)
    turn = turn or Turn("this program", "run another one")
    return Program(stages, x, y, seen, turn, shape, least, given, order, copy=copied)


def call(
    layer: Layer,
    x: Array,
    workspace: Workspace,
    order: RaggedOrder | None,
    before: Sequence[Layer] = (),
    *,
    streaming: bool,
) -> tuple[list[Stage], Array]:
    """A stage that calls a layer which has no stages of its own, and the array of its output. Calls it once."""
    function = caller(layer, workspace, order, before, streaming=streaming)
    y = np.array(function(x), order="C")
    return [Call(function, x, y, type(layer).__name__)], y


def caller(
    layer: Layer, workspace: Workspace, order: RaggedOrder | None, before: Sequence[Layer] = (), *, streaming: bool
) -> Callable[[Array], Array]:
    """The function of x that calls a layer in inference. The layers `before` it change the lengths of the order."""
    given = None
    if order is not None:
        given = order.given.view()
        given.flags.writeable = False  # the kernels read it too

    def function(x: Array) -> Array:
        x = np.ascontiguousarray(x)
        if streaming:
            return layer.step(x, workspace)
        return layer.forward(x, workspace, training=False, lengths=lengths_behind(before, given))

    return function


def lowest_trained(layers: Sequence[Layer]) -> int:
    """The number of the lowest layer that has a parameter which is not frozen; the number of layers if there is none.

    Below it no gradient is needed, unless that of the input is.
    """
    return next((i for i, layer in enumerate(layers) if layer.trainable), len(layers))


def trained(layers: Sequence[Layer]) -> list[Parameter]:
    """The parameters that the layers read, frozen ones and those that they share with other layers included."""
    return [parameter for layer in layers for part in (layer, *layer._shares()) for parameter in part.parameters()]


def one_by_one(
    layers: Sequence[Layer], workspaces: Sequence[Workspace], x: Array, lengths: Index | None, *, training: bool = False
) -> Array:
    """The output of the layers for x, one layer after the other, an array of the last workspace."""
    for layer, workspace in zip(layers, workspaces, strict=True):
        x = layer.forward(x, workspace, training=training, lengths=lengths)
        if lengths is not None:
            lengths = layer.output_lengths(lengths)
    return x


def lengths_behind(layers: Sequence[Layer], lengths: Index | None) -> Index | None:
    """The lengths that the layers make of those of their input; None if all sequences are full."""
    for layer in layers:
        if lengths is None:
            return None
        lengths = layer.output_lengths(lengths)
    return lengths


def run_kept(
    kept: Kept, layers: Sequence[Layer], x: Array, lengths: Index | None = None, out: Array | None = None
) -> Array:
    """The output of the layers for x, in `out` or a new array. It uses a kept program, or makes one and keeps it."""
    y: Array | None = kept.run(x, lengths, out=out)
    if y is None:
        workspaces = [Workspace(0) for _ in layers]
        if lengths is not None and not lengths.all():  # programs run a step of each sequence
            y = one_by_one(layers, workspaces, x, lengths)
            if out is None:
                return y.copy()
            out[...] = y
            return out
        program = prepare(layers, workspaces, x, lengths=lengths)
        y = np.empty(program.y.shape, program.y.dtype) if out is None else out
        y[...] = program.y
        kept.add(program, sum(workspace.nbytes for workspace in workspaces) + program.nbytes)
    return y
