"""Training on packed weights, which needs no copies of batch-first arrays: one direction of one layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fastlstm import threads
from fastlstm._kernels import backward as back
from fastlstm._kernels import cpu
from fastlstm._kernels import forward as kernel
from fastlstm._kernels.layout import Layout
from fastlstm.layers.base import Array
from fastlstm.layers.recurrent.cells import Cell
from fastlstm.layers.recurrent.direction import Parts
from fastlstm.layers.recurrent.inference import panel_room, running_state
from fastlstm.layers.recurrent.packing import Packing
from fastlstm.layers.recurrent.plan import layout, projection, sizes_of
from fastlstm.layers.replay import Calls
from fastlstm.parameter import Parameter
from fastlstm.workspace import Workspace, aligned_empty

SEGMENT = 1024
"""Rows after which the gradients of the weights are added up: the gates' gradients are still in the caches then."""

LARGE = 1 << 15
"""Numbers of weights from which on several threads pack them."""

LARGE_SINGLE = 1 << 20
"""Numbers of weights from which on several threads read them for a single step."""


class Kind(NamedTuple):
    """What passes are prepared for: columns of y (N, T, width), from `column` on, and blocks of so many steps."""

    direction: TrainedDirection
    packing: Packing
    column: int
    width: int
    block: int
    team: int
    isa: str
    dtype: np.dtype[Any]
    invariant: bool


@dataclass
class Passes:
    """The passes over a batch, ready to run, in blocks of steps: a single one, unless checkpoints are kept.

    All blocks keep what their backward pass reads in the same arrays; that of block `kept` is there. starts[k] is the
    state, each part (N, width), at the beginning of block k.
    """

    kind: Kind
    single: bool
    state: tuple[Array, Array, Array]
    gradients: tuple[Array, Array]
    starts: list[Parts]
    forwards: list[kernel.Pass]
    backwards: list[back.Backward]
    x: Array
    y: Array
    fresh: bool = True
    kept: int = 0

    def running(self) -> Parts:
        """The parts of the running state, each (N, width)."""
        c, h, phase = self.state
        return (h[phase[0]], c) if len(c) else (h[phase[0]],)

    def go(self, k: int) -> None:
        """The forward pass of block k, from the running state."""
        forward = self.forwards[k]
        forward.fresh = self.fresh and k == 0
        forward.bind(self.x, self.y)
        forward.go()
        self.kept = k


class TrainedDirection:
    """One direction of one layer. What it packs and keeps lies in the workspace that it is given."""

    def __init__(
        self, cell: Cell, w_ih: Parameter, w_hh: Parameter, bias: Parameter | None, reverse: bool
    ) -> None:
        self._cell = cell
        self._w_ih, self._w_hh, self._bias, self._reverse = w_ih, w_hh, bias, reverse
        self._parameters = [parameter for parameter in (w_ih, w_hh, bias) if parameter is not None]
        self._inputs, self._hidden = w_ih.shape[1], w_hh.shape[1]

    def forward(
        self, x: Array, y: Array, column: int, start: Parts | None, packing: Packing, block: int, tape: Workspace
    ) -> None:
        """From x (N, T, I) to columns of y (N, T, ·), from `column` on, keeping the gates of `block` steps."""
        kind = self._kind(x, y, column, packing, block)
        passes: Passes | None = tape.notes.get("passes")
        if passes is None or passes.kind != kind:
            passes = tape.notes["passes"] = self._prepare(kind, x, y, tape)
        if passes.single:
            bias = None if self._bias is None else self._bias.read()
            passes.forwards[0].single(self._w_ih.read(), self._w_hh.read(), bias)
        else:
            self._pack(kind, tape)
        passes.x, passes.y, passes.fresh = x, y, start is None
        if start is not None:
            for running, part in zip(passes.running(), start, strict=True):
                running[:, : self._hidden] = packing.pack_batch(part)
        for k in range(len(passes.forwards)):
            if k or start is not None:
                for held, running in zip(passes.starts[k], passes.running(), strict=True):
                    held[...] = running
            passes.go(k)

    def _kind(self, x: Array, y: Array, column: int, packing: Packing, block: int) -> Kind:
        machine = threads.get_num_threads(), cpu.isa(), x.dtype, cpu.keeps_order()
        return Kind(self, packing, column, y.shape[2], block, *machine)

    def final_state(self, y: Array, column: int, end: Parts, packing: Packing, tape: Workspace) -> None:
        """The state that the forward pass to columns of y has left, into h and c (N, H)."""
        order = np.arange(packing.n) if packing.order is None else packing.order
        last = np.zeros(packing.n, np.intp) if self._reverse else packing.lengths - 1
        end[0][order] = y[order, last, column : column + self._hidden]
        if self._cell.keeps_c:
            packing.unpack_batch(tape.notes["passes"].state[0][:, : self._hidden], end[1])

    def backward(
        self,
        dy: Array,
        dx: Array | None,
        add_dx: bool,
        end: Parts | None,
        start: Parts | None,
        packing: Packing,
        tape: Workspace,
    ) -> None:
        """From dy, which lies as y, to dx, which lies as x (None: not wanted), and to the parameters' gradients.

        end and start are the gradients of the final state, None for zeros, and of the initial one, to be written.
        """
        passes: Passes = tape.notes["passes"]
        for array in passes.gradients:
            array.fill(0)
        parts = passes.gradients[: len(self._cell.parts)]
        if end is not None:
            for array, part in zip(parts, end, strict=True):
                array[:, : self._hidden] = packing.pack_batch(part)
        weights = (self._w_ih.read(), self._w_hh.read())
        last = len(passes.backwards) - 1
        for k in range(last, -1, -1):
            before = None if passes.fresh and k == 0 else passes.starts[k]
            if k != passes.kept:
                for running, held in zip(passes.running(), before or (), strict=False):
                    running[...] = held
                passes.go(k)
            backward = passes.backwards[k]
            backward.bind(passes.x, passes.y, dy, dx, add_dx, before, weights)
            if k == 0:  # the last one to go has the parts of all
                self._bind_gradients(backward)
            backward.go_on(k > 0 or start is not None, later=k < last)
        if start is not None:
            for array, part in zip(parts, start, strict=True):
                packing.unpack_batch(array[:, : self._hidden], part)

    def _bind_gradients(self, backward: back.Backward) -> None:
        (dw, add_dw), (du, add_du) = self._w_ih.accumulator(), self._w_hh.accumulator()
        db, add_db = (None, False) if self._bias is None else self._bias.accumulator()
        backward.bind_gradients(dw, add_dw, du, add_du, db, add_db)

    def _panels(self, dtype: np.dtype[Any], tape: Workspace) -> tuple[Array, Array]:
        """Room for the packed weights, and the bias, in the workspace."""
        kind = (self, cpu.lanes(dtype), dtype)
        if tape.notes.get("panels", (None,))[0] != kind:
            tape.notes["panels"] = (kind, *panel_room(self._cell, self._inputs, self._hidden, dtype))
            tape.notes["packed"] = tape.notes["pack"] = None
            tape.notes["no bias"] = np.zeros(self._cell.sums * self._hidden, dtype)
        found: tuple[Array, Array] = tape.notes["panels"][1:]
        return found

    def replay(
        self, x: Array, y: Array, column: int, packing: Packing, tape: Workspace
    ) -> tuple[Calls, Callable[[Array, Array | None, bool], Callable[[], None]]]:
        """The calls of `forward` from zero states, and what gives that of `backward` for dy, dx, add_dx."""
        kind = self._kind(x, y, column, packing, packing.t)
        passes = self._prepare(kind, x, y, tape)
        (forward,), (turning,), weights = passes.forwards, passes.backwards, (self._w_ih.read(), self._w_hh.read())
        forward.fresh = True
        forward.bind(x, y)

        def backward(dy: Array, dx: Array | None, add_dx: bool) -> Callable[[], None]:
            return partial(self._turn, turning, passes.gradients, (x, y, dy, dx, add_dx, None, weights))

        return [self._packing(kind, tape).go, forward.go], backward

    def _turn(self, backward: back.Backward, gradients: tuple[Array, Array], arrays: tuple[Any, ...]) -> None:
        """A backward pass from zero gradients of the final state."""
        backward.bind(*arrays)
        for part in gradients:
            part.fill(0)
        self._bind_gradients(backward)
        backward.go_on(False, later=False)

    def _pack(self, kind: Kind, tape: Workspace) -> None:
        """The weights into the workspace, if they are not what they were."""
        self._panels(kind.dtype, tape)
        version = (kind.isa, *[parameter.version for parameter in self._parameters])
        if tape.notes["packed"] != version:
            self._packing(kind, tape).go()
            tape.notes["packed"] = version

    def _packing(self, kind: Kind, tape: Workspace) -> kernel.Pack:
        """The stage that does so, whatever they are."""
        panels, packed_bias = self._panels(kind.dtype, tape)
        w_ih, w_hh = self._w_ih.read(), self._w_hh.read()
        bias = tape.notes["no bias"] if self._bias is None else self._bias.read()
        stage: kernel.Pack | None = tape.notes["pack"]
        team = 1 if panels.size < LARGE else kind.team
        if stage is None or stage.threads != team or not stage.reads(w_ih, w_hh, bias):
            stage = tape.notes["pack"] = kernel.pack_stage(
                self._cell.name, panels, packed_bias, w_ih, w_hh, bias, team
            )
        return stage

    def _prepare(self, kind: Kind, x: Array, y: Array, tape: Workspace) -> Passes:
        packing, block, dtype = kind.packing, kind.block, kind.dtype
        n, t = packing.n, len(packing.alive)
        panels, bias = self._panels(dtype, tape)
        state = running_state(self._cell, n, self._hidden, dtype, tape)
        width = state[1].shape[2]
        edges = [(first, min(first + block, t)) for first in range(0, t, block)]
        rows = max(int(packing.before[last] - packing.before[first]) for first, last in edges)
        kept = tape.array("kept", (rows * self._cell.sums * width,), dtype)
        kept_c = tape.array("kept_c", (rows * width if self._cell.keeps_c else 0,), dtype)
        gradients = tape.array("dh", (n, width), dtype), tape.array("carried", (n, width), dtype)
        starts = tape.array("starts", (len(edges), len(self._cell.parts), n, width), dtype)
        single = packing.size == n <= cpu.SINGLE and not kind.invariant
        passes = Passes(kind, single, state, gradients, [tuple(start) for start in starts], [], [], x, y)
        team = 1 if single and panels.size < LARGE_SINGLE else kind.team
        sizes = sizes_of(self._cell, self._inputs, self._hidden)
        for steps in edges:
            forward_rows, backward_rows = (
                layout(
                    *(packing, x.shape, y.shape, kind.column, sizes),
                    reverse=self._reverse,
                    team=team,
                    steps=steps,
                    rows=rows,
                )
                for rows in (0, SEGMENT)
            )
            own = kept[: forward_rows.S * self._cell.sums * width], kept_c[: forward_rows.S * width]
            projected = projection(forward_rows, panels, bias.size, tape)
            forward = kernel.prepare(self._cell.name, forward_rows, panels, bias, *state, *projected)
            forward.keep(*own)
            passes.forwards.append(forward)
            passes.backwards.append(self._prepare_backward(backward_rows, own, gradients, tape))
        if single:
            passes.backwards[0].single()
        return passes

    def _prepare_backward(
        self, rows: Layout, kept: tuple[Array, Array], gradients: tuple[Array, Array], tape: Workspace
    ) -> back.Backward:
        dtype = kept[0].dtype
        lanes, width = cpu.lanes(dtype), gradients[0].shape[1]
        sizes = back.rooms(self._cell.name, rows, dtype == np.float32)
        names = ("transposed", "columns", "gradient panels")
        scratch = [tape.array(name, (size,), dtype) for name, size in zip(names, sizes, strict=True)]
        strip = min(4, max(1, width // lanes // rows.threads)) if rows.by_units else 4
        return back.prepare(self._cell.name, rows, strip, *kept, *gradients, *scratch)
