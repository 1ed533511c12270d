"""Training of one direction of one layer on packed weights. It reads and writes batch-first arrays where they lie."""

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
from fastlstm.layers.packed import worth_training
from fastlstm.layers.recurrent.direction import Parts
from fastlstm.layers.recurrent.inference import panel_room, rounding_room, running_state
from fastlstm.layers.recurrent.masks import Dropped, LayerMasks, drop_weights, for_kernel
from fastlstm.layers.recurrent.plan import layout, projection, sizes_of
from fastlstm.layers.recurrent.ragged import RaggedBatch
from fastlstm.layers.recurrent.weights import Weights
from fastlstm.layers.replay import Calls
from fastlstm.workspace import Workspace

SEGMENT = 1024
"""Rows of a segment of the backward pass. After each, the gradients of the weights are added up from gate gradients
that are still in the caches."""

LARGE = 1 << 15
"""The number of weights from which on several threads pack them."""

LARGE_SINGLE = 1 << 20
"""The number of weights from which on several threads share a single step."""


class Kind(NamedTuple):
    """What passes are prepared for: columns of y (N, T, width) from `column` on, in blocks of `block` steps."""

    direction: TrainedDirection
    batch: RaggedBatch
    column: int
    width: int
    block: int
    team: int
    format: str
    isa: str
    dtype: np.dtype[Any]
    invariant: bool


@dataclass
class Passes:
    """The passes over a batch, ready to run. There is one block of steps, or several if checkpoints are kept.

    All blocks keep what their backward pass reads in the same arrays, which hold that of block `kept`. starts[k] is the
    state at the beginning of block k, each part (N, width).
    """

    kind: Kind
    single: bool
    state: tuple[Array, Array, Array]
    gradients: tuple[Array, Array, Array]
    starts: list[Parts]
    forwards: list[kernel.Pass]
    backwards: list[back.Backward]
    x: Array
    y: Array
    fresh: bool = True
    kept: int = 0

    def running(self) -> Parts:
        """The running state, each part (N, width)."""
        c, h, phase = self.state
        return (h[phase[0]], c) if len(c) else (h[phase[0]],)

    def go(self, k: int) -> None:
        """Run the forward pass of block k from the running state."""
        forward = self.forwards[k]
        forward.fresh = self.fresh and k == 0
        forward.bind(self.x, self.y)
        forward.go()
        self.kept = k


class TrainedDirection:
    """One direction of one layer. Its packed weights and what it keeps lie in the workspace that it is given."""

    def __init__(self, weights: Weights) -> None:
        self._weights, self.cell = weights, weights.cell
        self._inputs, self._hidden = weights.inputs, weights.hidden

    def forward(
        self,
        x: Array,
        y: Array,
        column: int,
        start: Parts | None,
        batch: RaggedBatch,
        block: int,
        masks: LayerMasks | None,
        rate: float,
        tape: Workspace,
    ) -> None:
        """Write columns of y (N, T, ·), from `column` on, for x (N, T, I). Keeps the gates of `block` steps.

        Leaves out what the masks say, and a part of the state's weights at this rate.
        """
        tape.notes["dropped"] = drop_weights(self._weights.w_hh.read(), rate, tape) if rate else None
        kind = self._kind(x, y, column, batch, block, tape)
        passes: Passes | None = tape.notes.get("passes")
        if passes is None or passes.kind != kind:
            passes = tape.notes["passes"] = self._prepare(kind, x, y, tape)
        if passes.single:
            bias = None if self._weights.bias is None else self._weights.bias.read()
            passes.forwards[0].single(*self._matrices(tape), bias)
        else:
            self._pack(kind, tape)
        if masks is not None:
            self._leave_out(masks, passes, tape)
        passes.x, passes.y, passes.fresh = x, y, start is None
        if start is not None:
            for running, part in zip(passes.running(), start, strict=True):
                running[:, : self._hidden] = batch.gather_states(part)
        for k in range(len(passes.forwards)):
            if k or start is not None:
                for held, running in zip(passes.starts[k], passes.running(), strict=True):
                    held[...] = running
            passes.go(k)

    def _matrices(self, tape: Workspace) -> tuple[Array, Array]:
        """The weights of x and of the state, of which a part may be left out."""
        dropped: Dropped | None = tape.notes.get("dropped")
        return self._weights.read() if dropped is None else (self._weights.w_ih.read(), dropped.value)

    def _leave_out(self, masks: LayerMasks, passes: Passes, tape: Workspace) -> None:
        kind, width = passes.kind, passes.gradients[0].shape[1]
        batch, fed = kind.batch, None
        told = for_kernel(masks, kind.column, self._hidden, width, batch, tape)
        if told.state is not None:
            fed = tape.array("fed", (kind.team * batch.N * self._hidden,), kind.dtype)
        for forward, backward in zip(passes.forwards, passes.backwards, strict=True):
            forward.leave_out(told, None if fed is None else fed[: forward.threads * batch.N * self._hidden])
            backward.leave_out(told)

    def _kind(self, x: Array, y: Array, column: int, batch: RaggedBatch, block: int, tape: Workspace) -> Kind:
        weights = self.cell.gates * self._hidden, self._inputs + self._hidden
        format = "exact" if self._is_single(batch) else worth_training(tape.precision, x.dtype, *weights)
        machine = cpu.isa(), x.dtype, cpu.keeps_order()
        return Kind(self, batch, column, y.shape[2], block, threads.get_num_threads(), format, *machine)

    def _is_single(self, batch: RaggedBatch) -> bool:
        """Whether a pass is a single step of a few rows, for which the weights are not packed."""
        return batch.size == batch.N <= cpu.SINGLE and not cpu.keeps_order() and self.cell.options is None

    def final_state(self, y: Array, column: int, end: Parts, batch: RaggedBatch, tape: Workspace) -> None:
        """Write the state after a forward pass to columns of y into `end`, each part (N, H)."""
        last = np.zeros(batch.N, np.intp) if self._weights.reverse else batch.lengths - 1
        end[0][batch.index] = y[batch.index, last, column : column + self._hidden]
        if self.cell.keeps_c:
            batch.scatter_states(tape.notes["passes"].state[0][:, : self._hidden], end[1])

    def backward(
        self,
        dy: Array,
        dx: Array | None,
        add_dx: bool,
        end: Parts | None,
        start: Parts | None,
        batch: RaggedBatch,
        tape: Workspace,
    ) -> None:
        """Write dx, unless it is None, and the parameters' gradients, from dy. dx lies as x does, and dy as y.

        `end` holds the gradients of the final state, None for zeros. Those of the initial state are written into
        `start`, if there is one.
        """
        passes: Passes = tape.notes["passes"]
        for array in passes.gradients:
            array.fill(0)
        parts = passes.gradients[: len(self.cell.parts)]
        if end is not None:
            for array, part in zip(parts, end, strict=True):
                array[:, : self._hidden] = batch.gather_states(part)
        weights, dropped = self._matrices(tape), tape.notes["dropped"]
        last = len(passes.backwards) - 1
        for k in range(last, -1, -1):
            start_of_block = None if passes.fresh and k == 0 else passes.starts[k]
            if k != passes.kept:
                for running, held in zip(passes.running(), start_of_block or (), strict=False):
                    running[...] = held
                passes.go(k)
            backward = passes.backwards[k]
            backward.bind(passes.x, passes.y, dy, dx, add_dx, start_of_block, weights)
            if k == 0:  # the last one to run has the sums of all
                du = None if dropped is None else tape.array("du", weights[1].shape, weights[1].dtype)
                self._bind_gradients(backward, du)
            backward.go_on(k > 0 or start is not None, later=k < last)
        if dropped is not None:
            dropped.add_gradient(
                tape.array("du", weights[1].shape, weights[1].dtype), *self._weights.w_hh.accumulator()
            )
        if start is not None:
            for array, part in zip(parts, start, strict=True):
                batch.scatter_states(array[:, : self._hidden], part)

    def _bind_gradients(self, backward: back.Backward, own_du: Array | None = None) -> None:
        """Bind those of the parameters, but that of w_hh to own_du, if there is one."""
        dw, add_dw = self._weights.w_ih.accumulator()
        du, add_du = self._weights.w_hh.accumulator() if own_du is None else (own_du, False)
        db, add_db = (None, False) if self._weights.bias is None else self._weights.bias.accumulator()
        dv, add_dv = (None, False) if self._weights.own is None else self._weights.own.accumulator()
        backward.bind_gradients(dw, add_dw, du, add_du, db, add_db, dv, add_dv)

    def _panels(self, kind: Kind, tape: Workspace) -> tuple[Array, Array]:
        """Room for the packed weights and bias in the workspace."""
        dtype, format = kind.dtype, kind.format
        known = (self, cpu.lanes(dtype), dtype, format)
        if tape.notes.get("panels", (None,))[0] != known:
            tape.notes["panels"] = (known, *panel_room(self.cell, self._inputs, self._hidden, dtype, format))
            tape.notes["packed"] = tape.notes["pack"] = None
            tape.notes["no bias"] = np.zeros(self.cell.sums * self._hidden, dtype)
        found: tuple[Array, Array] = tape.notes["panels"][1:]
        return found

    def replay(
        self, x: Array, y: Array, column: int, batch: RaggedBatch, tape: Workspace
    ) -> tuple[Calls, Callable[[Array, Array | None, bool], Callable[[], None]]]:
        """The calls of `forward` from zero states, and a function from dy, dx and add_dx to the call of `backward`."""
        kind = self._kind(x, y, column, batch, batch.T, tape)
        passes = self._prepare(kind, x, y, tape)
        (forward,), (kernel_pass,), weights = passes.forwards, passes.backwards, self._weights.read()
        forward.fresh = True
        forward.bind(x, y)

        def backward(dy: Array, dx: Array | None, add_dx: bool) -> Callable[[], None]:
            arrays = (x, y, dy, dx, add_dx, None, weights)
            return partial(self._backward_from_zeros, kernel_pass, passes.gradients, arrays)

        return [self._pack_stage(kind, tape).go, forward.go], backward

    def _backward_from_zeros(
        self, backward: back.Backward, gradients: tuple[Array, Array, Array], arrays: tuple[Any, ...]
    ) -> None:
        """Run a backward pass whose gradients of the final state are zero."""
        backward.bind(*arrays)
        for part in gradients:
            part.fill(0)
        self._bind_gradients(backward)
        backward.go_on(False, later=False)

    def _pack(self, kind: Kind, tape: Workspace) -> None:
        """Pack the weights into the workspace if they have changed."""
        self._panels(kind, tape)
        version = (kind.isa, *[parameter.version for parameter in self._weights.parameters])
        if tape.notes["packed"] != version or tape.notes["dropped"] is not None:
            self._pack_stage(kind, tape).go()
            tape.notes["packed"] = version if tape.notes["dropped"] is None else None

    def _pack_stage(self, kind: Kind, tape: Workspace) -> kernel.Pack:
        """The stage that packs the weights."""
        panels, packed_bias = self._panels(kind, tape)
        w_ih, w_hh = self._matrices(tape)
        bias = tape.notes["no bias"] if self._weights.bias is None else self._weights.bias.read()
        own = None if self._weights.own is None else self._weights.own.read()
        stage: kernel.Pack | None = tape.notes["pack"]
        team = 1 if panels.size < LARGE else kind.team
        if stage is None or stage.threads != team or not stage.reads(w_ih, w_hh, bias, own):
            arrays = (panels, packed_bias, w_ih, w_hh, bias, own)
            stage = tape.notes["pack"] = kernel.pack_stage(self.cell.name, *arrays, team, kind.format)
        return stage

    def _prepare(self, kind: Kind, x: Array, y: Array, tape: Workspace) -> Passes:
        batch, block, dtype, format = kind.batch, kind.block, kind.dtype, kind.format
        n, t = batch.N, batch.longest
        panels, bias = self._panels(kind, tape)
        state = running_state(self.cell, n, self._hidden, dtype, tape)
        width = state[1].shape[2]
        edges = [(first, min(first + block, t)) for first in range(0, t, block)]
        rows = max(int(batch.offset[last] - batch.offset[first]) for first, last in edges)
        kept = tape.array("kept", (rows * self.cell.sums * width,), dtype)
        kept_c = tape.array("kept_c", (rows * width if self.cell.keeps_c else 0,), dtype)
        dh, dc, past = (tape.array(name, (n, width), dtype) for name in ("dh", "dc", "past"))
        gradients = dh, dc, past
        starts = tape.array("starts", (len(edges), len(self.cell.parts), n, width), dtype)
        single = self._is_single(batch)
        passes = Passes(kind, single, state, gradients, [tuple(start) for start in starts], [], [], x, y)
        team = 1 if single and panels.size < LARGE_SINGLE else kind.team
        sizes = sizes_of(self.cell, self._inputs, self._hidden)
        for steps in edges:
            forward_rows, backward_rows = (
                layout(
                    *(batch, x.shape, y.shape, kind.column, sizes),
                    reverse=self._weights.reverse,
                    team=team,
                    steps=steps,
                    rows=most,
                )
                for most in (0, SEGMENT)
            )
            own = kept[: forward_rows.S * self.cell.sums * width], kept_c[: forward_rows.S * width]
            projected = projection(forward_rows, panels.nbytes, self.cell.sums * width, dtype, tape)
            rounded = rounding_room(team, n, projected[1], self._inputs, self._hidden, format, tape)
            arrays = (panels, bias, *state, *projected)
            forward = kernel.prepare(self.cell.name, forward_rows, *arrays, format, rounded, self.cell.options)
            forward.keep(*own)
            passes.forwards.append(forward)
            passes.backwards.append(self._prepare_backward(backward_rows, own, gradients, bias, kind, tape))
        return passes

    def _prepare_backward(
        self,
        rows: Layout,
        kept: tuple[Array, Array],
        gradients: tuple[Array, Array, Array],
        bias: Array,
        kind: Kind,
        tape: Workspace,
    ) -> back.Backward:
        dtype = kind.dtype
        lanes, width = cpu.lanes(dtype), gradients[0].shape[1]
        sizes = [0] * len(back.SCRATCH)
        if not self._is_single(kind.batch):
            sizes = [*back.rooms(self.cell.name, rows, dtype == np.float32, kind.format)]
        scratch: dict[str, Any] = {
            name: tape.array(f"backward {name}", (size,), dtype) for name, size in zip(back.SCRATCH, sizes, strict=True)
        }
        strip = min(cpu.STRIP, max(1, width // lanes // rows.threads)) if rows.by_units else cpu.STRIP
        (dh, dc, past), options = gradients, self.cell.options
        return back.prepare(
            *(self.cell.name, rows, strip, *kept, dh, dc, past),
            **scratch,
            format=kind.format,
            bias=bias,
            options=options,
        )
