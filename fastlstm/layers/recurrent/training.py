"""Training of one direction of one layer on packed weights. It reads and writes batch-first arrays where they lie."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fastlstm import threads
from fastlstm._kernels import backward as back
from fastlstm._kernels import cpu
from fastlstm.layers.base import Array
from fastlstm.layers.packed import worth_training
from fastlstm.layers.recurrent.direction import Parts
from fastlstm.layers.recurrent.inference import join, outputs_of, parts_of
from fastlstm.layers.recurrent.masks import Dropped, LayerMasks, drop_weights
from fastlstm.layers.recurrent.plan import sizes_of
from fastlstm.layers.recurrent.ragged import RaggedBatch
from fastlstm.layers.recurrent.trained_passes import Passes
from fastlstm.layers.recurrent.trained_phase import Kind, Room, TrainedPhase
from fastlstm.layers.recurrent.weights import Arrays, Weights
from fastlstm.layers.replay import Calls
from fastlstm.parameter import Parameter
from fastlstm.workspace import Workspace

LARGE_SINGLE = 1 << 20
"""The number of weights from which on several threads share a single step."""


def one_after_other(*calls: Callable[[], Any]) -> None:
    for call in calls:
        call()


class TrainedDirection:
    """One direction of one layer. Its packed weights and what it keeps lie in the workspace that it is given."""

    def __init__(self, weights: Weights) -> None:
        self._weights, self.cell = weights, weights.cell
        self._inputs, self.out, self.hidden = weights.inputs, weights.out, weights.hidden
        self.phases = [TrainedPhase(of) for of in weights.phases]
        self._seen, self._frozen = -1, False

    @property
    def trainable(self) -> bool:
        """Whether any of the weights is trained. The kernel makes the gradients of all of them in one pass."""
        return any(parameter.trainable for parameter in self._weights.parameters)

    def forward(
        self,
        x: Array,
        y: Array,
        column: int,
        between: list[Array],
        start: Parts | None,
        batch: RaggedBatch,
        block: int,
        masks: LayerMasks | None,
        rate: float,
        tape: Workspace,
    ) -> None:
        """Write columns of y (N, T, ·), from `column` on, for x (N, T, I). Keeps the gates of `block` steps.

        `between` is room for what the phases but the last put out, for all directions. Leaves out what the masks say,
        and a part of the state's weights at this rate.
        """
        tape.notes["dropped"] = drop_weights(self._weights.read().w_hh, rate, tape) if rate else None
        kind = self._kind(x, y, column, batch, block, tape)
        passes: Passes | None = tape.notes.get("passes")
        if passes is None or passes.kind != kind:
            passes = tape.notes["passes"] = self._prepare(kind, x, y, between, tape)
        if passes.single:
            passes.forwards[0][0].single(*self._values(tape)[:3])
        else:
            self._pack(kind, tape)
        if masks is not None:
            self._leave_out(masks, passes, tape)
        passes.x, passes.y, passes.fresh = x, y, start is None
        if start is not None:
            for running, part in zip(parts_of(self.cell, *passes.running()), start, strict=True):
                running[:, : part.shape[1]] = batch.gather_states(part)
        for k in range(len(passes.forwards)):
            if k or start is not None:
                for held, running in zip(passes.starts[k], passes.running(), strict=True):
                    held[...] = running
            passes.go(k)

    def _tapes(self, tape: Workspace) -> list[Workspace]:
        """The workspaces of the phases."""
        if len(self.phases) == 1:
            return [tape]
        return [tape, *[tape.child(f"phase {i}") for i in range(1, len(self.phases))]]

    def _values(self, tape: Workspace) -> Arrays:
        """The weights, of which a part of the state's may be left out."""
        dropped: Dropped | None = tape.notes.get("dropped")
        values = self._weights.read()
        return values if dropped is None else values._replace(w_hh=dropped.value)

    def _leave_out(self, masks: LayerMasks, passes: Passes, tape: Workspace) -> None:
        for forwards, backwards in zip(passes.forwards, passes.backwards, strict=True):
            every = zip(self.phases, forwards, backwards, self._tapes(tape), strict=True)
            for phase, forward, backward, own in every:
                if phase.of.options is not None:
                    phase.leave_out(masks, passes.kind, forward, backward, own)

    def _kind(self, x: Array, y: Array, column: int, batch: RaggedBatch, block: int, tape: Workspace) -> Kind:
        weights = self.cell.gates * self.hidden, self._inputs + self.out
        format = "exact" if self._is_single(batch) else worth_training(tape.precision, x.dtype, *weights)
        machine = cpu.isa(), x.dtype, cpu.keeps_order()
        return Kind(self, batch, column, y.shape[2], block, threads.get_num_threads(), format, *machine)

    def _is_single(self, batch: RaggedBatch) -> bool:
        """Whether a pass is a single step of a few rows, for which the weights are not packed."""
        few = batch.size == batch.N <= cpu.SINGLE and not cpu.keeps_order()
        return few and self.cell.options is None and len(self.phases) == 1

    def final_state(self, y: Array, column: int, end: Parts, batch: RaggedBatch, tape: Workspace) -> None:
        """Write the state after a forward pass to columns of y into `end`, each part (N, ·)."""
        last = np.zeros(batch.N, np.intp) if self._weights.reverse else batch.lengths - 1
        places = (last, batch.index) if batch.time_first else (batch.index, last)
        end[0][batch.index] = y[(*places, slice(column, column + self.out))]
        if self.cell.c_parts:
            parts = parts_of(self.cell, end[0], tape.notes["passes"].rooms[self._weights.with_c].state[0])
            for own, part in zip(parts[1:], end[1:], strict=True):
                batch.scatter_states(own[:, : self.hidden], part)

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
        passes.clear_gradients()
        if end is not None:
            for array, part in zip(parts_of(self.cell, *passes.gradients()), end, strict=True):
                array[:, : part.shape[1]] = batch.gather_states(part)
        values, dropped = self._values(tape), tape.notes["dropped"]
        last = len(passes.backwards) - 1
        for k in range(last, -1, -1):
            start_of_block = None if passes.fresh and k == 0 else passes.starts[k]
            if k != passes.kept:
                for running, held in zip(passes.running(), start_of_block or (), strict=False):
                    running[...] = held
                passes.go(k)
            backward = passes.bind_back(k, passes.x, passes.y, dy, dx, add_dx, start_of_block, values)
            frozen = not passes.single and self._is_frozen()
            backward.freeze(frozen)
            if k == 0 and not frozen:  # the last one to run has the sums of all
                du = None if dropped is None else tape.array("du", values.w_hh.shape, values.w_hh.dtype)
                self._bind_gradients(passes.backwards[k], du)
            backward.go_on(k > 0 or start is not None, later=k < last)
        if frozen:
            self._give_start(start, batch, passes)
            return
        for made in self._weights.made:
            made.pass_on()
        if dropped is not None:
            assert self._weights.w_hh is not None
            du = tape.array("du", values.w_hh.shape, values.w_hh.dtype)
            dropped.add_gradient(du, *self._weights.w_hh.accumulator())
        self._give_start(start, batch, passes)

    def _give_start(self, start: Parts | None, batch: RaggedBatch, passes: Passes) -> None:
        """Write the gradients of the initial state into `start`, if there is one."""
        if start is not None:
            for array, part in zip(parts_of(self.cell, *passes.gradients()), start, strict=True):
                batch.scatter_states(array[:, : part.shape[1]], part)

    def _is_frozen(self) -> bool:
        """Whether no weight is trained."""
        changes = Parameter._changes
        if self._seen != changes:
            self._frozen = not self.trainable
            self._seen = changes  # last, since passes of other threads ask too
        return self._frozen

    def _bind_gradients(self, backwards: list[back.Backward], own_du: Array | None = None) -> None:
        """Bind those of the parameters, but that of w_hh to own_du, if there is one."""
        weights, none = self._weights, (None, False)
        if len(backwards) == 1 and weights.w_hh is not None:  # a small step notices how long the way below takes
            dw, add_dw = weights.w_ih.accumulator()
            du, add_du = weights.w_hh.accumulator() if own_du is None else (own_du, False)
            db, add_db = none if weights.bias is None else weights.bias.accumulator()
            dv, add_dv = none if weights.own is None else weights.own.accumulator()
            backwards[0].bind_gradients(dw, add_dw, du, add_du, db, add_db, dv, add_dv)
            return
        gradients, (add_dw, add_du, add_db, add_dv, add_dr) = self._weights.accumulators(own_du)
        for phase, backward in zip(self.phases, backwards, strict=True):
            dw, du, db, dv = phase.of.of(gradients)
            adds = add_dr if phase.of.phase.projects else add_du
            backward.bind_gradients(dw, add_dw, du, adds, db, add_db, dv, add_dv)

    def replay(
        self, x: Array, y: Array, column: int, between: list[Array], batch: RaggedBatch, tape: Workspace
    ) -> tuple[Calls, Callable[[Array, Array | None, bool], Callable[[], None]]]:
        """The calls of `forward` from zero states, and a function from dy, dx and add_dx to the call of `backward`."""
        kind = self._kind(x, y, column, batch, batch.T, tape)
        tape.notes["dropped"] = None
        passes, values = self._prepare(kind, x, y, between, tape), self._weights.read()
        forward = passes.forwards[0][0]
        forward.fresh = True
        forward.bind(x, y)
        made = self._weights.made

        def backward(dy: Array, dx: Array | None, add_dx: bool) -> Callable[[], None]:
            call = partial(self._backward_from_zeros, passes, (x, y, dy, dx, add_dx, None, values))
            return partial(one_after_other, call, *[one.pass_on for one in made]) if made else call

        packs = [phase.pack(kind, values, own).go for phase, own in zip(self.phases, self._tapes(tape), strict=True)]
        return [*[one.refresh for one in made], *packs, forward.go], backward

    def _backward_from_zeros(self, passes: Passes, arrays: tuple[Any, ...]) -> None:
        """Run a backward pass whose gradients of the final state are zero."""
        backward = passes.bind_back(0, *arrays)
        passes.clear_gradients()
        frozen = not passes.single and self._is_frozen()
        backward.freeze(frozen)
        if not frozen:
            self._bind_gradients(passes.backwards[0])
        backward.go_on(False, later=False)

    def _pack(self, kind: Kind, tape: Workspace) -> None:
        """Pack the weights into the workspace if they have changed."""
        tapes = self._tapes(tape)
        for phase, own in zip(self.phases, tapes, strict=True):
            phase.panels(kind, own)
        version = (kind.isa, *[parameter.version for parameter in self._weights.parameters])
        notes = tape.packs.notes
        if notes["packed"] != version or tape.notes["dropped"] is not None:
            values = self._values(tape)
            for phase, own in zip(self.phases, tapes, strict=True):
                phase.pack(kind, values, own).go()
            notes["packed"] = version if tape.notes["dropped"] is None else None

    def _prepare(self, kind: Kind, x: Array, y: Array, between: list[Array], tape: Workspace) -> Passes:
        batch, block = kind.batch, kind.block
        t = batch.longest
        edges = [(first, min(first + block, t)) for first in range(0, t, block)]
        rows = max(int(batch.offset[last] - batch.offset[first]) for first, last in edges)
        tapes, rooms = self._tapes(tape), list[Room]()
        for phase, own, put_out in zip(self.phases, tapes, outputs_of(self._weights.phases, between, y), strict=True):
            column = kind.column // self.out * phase.of.units
            rooms.append(phase.room(kind, rows, put_out, column, rooms[-1] if rooms else None, own))
        widths = (rooms[-1].state[1].shape[2], rooms[self._weights.with_c].state[0].shape[1])
        starts = [
            tuple(
                tape.array(f"start {k} of {name}", (batch.N, width), kind.dtype)
                for name, width in zip(self.cell.parts[:2], widths, strict=False)
            )
            for k in range(len(edges))
        ]
        single = self._is_single(batch)
        passes = Passes(kind, single, self._weights.with_c, rooms, starts, [], [], x, y)
        size = sum(phase.panels(kind, own)[0].size for phase, own in zip(self.phases, tapes, strict=True))
        team = 1 if single and size < LARGE_SINGLE else kind.team
        sizes = sizes_of(self._weights)
        for steps in edges:
            every = [
                phase.prepare(kind, room, x, steps, sizes, team, reverse=self._weights.reverse, single=single, tape=own)
                for phase, room, own in zip(self.phases, rooms, tapes, strict=True)
            ]
            passes.forwards.append([forward for forward, _ in every])
            passes.backwards.append([backward for _, backward in every])
            join(passes.forwards[-1], [room.y for room in rooms])
            for earlier in reversed(passes.backwards[-1][:-1]):
                passes.backwards[-1][-1].then(earlier)
        return passes
