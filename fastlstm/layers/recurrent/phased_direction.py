"""A direction on the plain path whose steps have several phases: each phase of each step is a call of the kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fastlstm._kernels import plain as kernel
from fastlstm._kernels.options import Masks
from fastlstm.layers.base import Array
from fastlstm.layers.recurrent.direction import Direction, Parts
from fastlstm.layers.recurrent.masks import LayerMasks, drop_weights, for_rows
from fastlstm.layers.recurrent.ragged import RaggedBatch
from fastlstm.layers.recurrent.weights import Arrays, PhaseOf
from fastlstm.workspace import Workspace


class Step(NamedTuple):
    """The rows of a step, those of the states before it, and how many they are."""

    rows: slice
    before: slice
    size: int


def steps_of(batch: RaggedBatch) -> Iterator[Step]:
    """The steps, the first one first. States have the N initial ones before those of the rows."""
    before = 0
    for t in range(batch.longest):
        first, m = int(batch.offset[t]), int(batch.alive[t])
        yield Step(slice(first, first + m), slice(before, before + m), m)
        before = batch.N + first


class PhasedDirection(Direction):
    """One direction of one layer on its weights, phase by phase."""

    def forward(
        self, x: Array, start: Parts | None, end: Parts, batch: RaggedBatch, tape: Workspace, *, training: bool
    ) -> Array:
        n = batch.N
        x = tape.notes["x"] = self.reversed(x, batch, tape, "x")
        state = self.state(batch, tape, x.dtype, training=True)
        for k, part in enumerate(state):
            part[:n] = 0 if start is None else batch.gather_states(start[k])
        rate, drawn = tape.notes["rate of weights"], tape.notes["masks"]
        values = self._weights.read()
        dropped = tape.notes["dropped"] = drop_weights(values.w_hh, rate, tape) if rate else None
        values = tape.notes["values"] = values if dropped is None else values._replace(w_hh=dropped.value)
        masks = tape.notes["masks of phases"] = [
            self._masks_of(of, drawn, batch, tape) for of in self._weights.plain_phases
        ]
        for step in steps_of(batch):
            self._step(x, state, values, masks, step, batch, tape)
        for part, final in zip(state, end, strict=True):
            batch.scatter_states(part[n + batch.ends], final)
        return self.reversed(state[0][n:], batch, tape, "y")

    def _step(
        self,
        x: Array,
        state: Parts,
        values: Arrays,
        masks: list[LayerMasks | None],
        step: Step,
        batch: RaggedBatch,
        tape: Workspace,
    ) -> None:
        phases, n, m = self._weights.plain_phases, batch.N, step.size
        after = slice(n + step.rows.start, n + step.rows.stop)
        seen = np.ascontiguousarray(state[0][step.before])
        c = self._c(batch, tape, x.dtype)
        for i, of in enumerate(phases):
            h = np.zeros((2 * m, of.units), x.dtype)  # the state before, then that after
            if i == len(phases) - 1:
                h[:m] = state[0][step.before]
            parts = [h]
            if of.c_parts:
                both = np.zeros((2 * m, of.units), x.dtype)
                both[:m] = c[after] if i else c[step.before]
                parts.append(both)
            w, u, bias, own = of.of(values)
            bias = np.zeros(of.sums * of.units, x.dtype) if bias is None else bias
            sums, own_x = self._sums(i, batch, tape, x.dtype)[step.rows], x[step.rows][:, : of.inputs]
            own, told = self._own_of(of, own, x.dtype), self._at(masks[i], of, step)
            weights = w, u, bias
            kernel.forward(of.kernel, tuple(parts), sums, own_x, *weights, np.array([m]), own, of.options, told, seen)
            seen = h[m:]
            self._put_out(i, batch, tape, x.dtype)[step.rows] = seen
            if of.c_parts:
                c[after] = parts[1][m:]
        state[0][after] = seen

    def backward(
        self, dy: Array, end: Parts | None, start: Parts, batch: RaggedBatch, tape: Workspace, *, wanted: bool
    ) -> Array:
        n, dtype, x = batch.N, dy.dtype, tape.notes["x"]
        dy = self.contiguous(self.reversed(dy, batch, tape, "dy"), tape)
        dstate = [np.zeros((n, part.shape[1]), dtype) for part in self.state(batch, tape, dtype, training=True)]
        for k, running in enumerate(dstate):
            running[...] = 0 if end is None else batch.gather_states(end[k])
        dx = np.zeros((batch.size if wanted else 0, x.shape[1]), dtype)
        gradients, dropped = self._weights.gradients(), tape.notes["dropped"]
        if dropped is not None:
            gradients = gradients._replace(w_hh=tape.zeros("du", gradients.w_hh.shape, dtype))
        for step in reversed(list(steps_of(batch))):
            self._step_back(dy, dx, dstate, gradients, step, batch, tape)
        for made in self._weights.made:
            made.pass_on()
        if dropped is not None:
            dropped.add_gradient(gradients.w_hh, self._weights.gradients().w_hh, True)
        for running, initial in zip(dstate, start, strict=True):
            batch.scatter_states(running, initial)
        return self.reversed(dx, batch, tape, "reversed_dx") if wanted else dx

    def _step_back(
        self,
        dy: Array,
        dx: Array,
        dstate: list[Array],
        gradients: Arrays,
        step: Step,
        batch: RaggedBatch,
        tape: Workspace,
    ) -> None:
        phases, n, m, dtype = self._weights.plain_phases, batch.N, step.size, dy.dtype
        after = slice(n + step.rows.start, n + step.rows.stop)
        (state, *_), c, x = self.state(batch, tape, dtype, training=True), self._c(batch, tape, dtype), tape.notes["x"]
        masks, values = tape.notes["masks of phases"], tape.notes["values"]
        dh, dc = dstate[0][:m].copy(), np.zeros((m, self.hidden), dtype)
        past = np.zeros_like(dh)
        if self.cell.c_parts:
            dc[...] = dstate[1][:m]
        for i in reversed(range(len(phases))):
            of, last, first = phases[i], i == len(phases) - 1, i == 0
            seen = state[step.before] if first else self._put_out(i - 1, batch, tape, dtype)[step.rows]
            h = np.zeros((2 * m, of.units), dtype)
            if last:
                h[:m] = state[step.before]
            parts, running = [h], [dh]
            if of.c_parts:
                parts.append(np.concatenate([c[step.before] if first else c[after], c[after]]))
                running.append(dc)
            (dw, du, db, dv), (w, u, bias, own) = of.of(gradients), of.of(values)
            reads = of.inputs > 0 and len(dx) > 0
            own_dx = np.empty((m if reads else 0, of.inputs), dtype)
            dseen = np.empty((m, of.seen), dtype)
            above = dy[step.rows] if last else np.zeros((m, of.units), dtype)
            given = np.zeros(of.own * of.units, dtype) if dv is None else dv
            kernel.backward(
                *(of.kernel, dw, du, np.empty(0, dtype) if bias is None or db is None else db, own_dx, tuple(running)),
                *(
                    self._sums(i, batch, tape, dtype)[step.rows],
                    above,
                    x[step.rows][:, : of.inputs],
                    tuple(parts),
                    w,
                    u,
                ),
                *(np.array([m]), self._own_of(of, own, dtype), given, of.options, self._at(masks[i], of, step)),
                *(np.ascontiguousarray(seen), dseen),
            )
            if reads:
                dx[step.rows] += own_dx
            if last:
                past = dh
            dh = dseen
        dstate[0][:m] = past + dh
        if self.cell.c_parts:
            dstate[1][:m] = dc

    def _masks_of(
        self, of: PhaseOf, drawn: LayerMasks | None, batch: RaggedBatch, tape: Workspace
    ) -> LayerMasks | None:
        """The masks that a phase reads, of rows in the order in which they are worked through."""
        if drawn is None or not of.phase.draws:
            return None
        order, own = batch.reversed if self.reverse else None, tape.notes["column"] // self._weights.out
        told = for_rows(drawn.only(of.phase.draws), own * of.units, of.units, own * of.seen, of.seen, batch, order)
        return LayerMasks(told.zone_h, told.zone_c, told.candidate, told.state)

    @staticmethod
    def _at(masks: LayerMasks | None, of: PhaseOf, step: Step) -> Masks | None:
        """The masks of a step."""
        if masks is None:
            return None
        first = step.rows.start * of.units
        zone_h, zone_c, candidate = (None if mask is None else mask[first:] for mask in masks.bytes)
        return Masks(zone_h, zone_c, candidate, None if masks.state is None else masks.state[: step.size])

    @staticmethod
    def _own_of(of: PhaseOf, own: Array | None, dtype: np.dtype) -> Array:
        return np.zeros(of.own * of.units, dtype) if own is None else own

    def _sums(self, i: int, batch: RaggedBatch, tape: Workspace, dtype: np.dtype) -> Array:
        of = self._weights.plain_phases[i]
        return tape.array(f"sums {i}" if i else "sums", (batch.size, of.sums * of.units), dtype)

    def _put_out(self, i: int, batch: RaggedBatch, tape: Workspace, dtype: np.dtype) -> Array:
        """The states of phase i after each step, (S, ·)."""
        return tape.array(f"put out {i}", (batch.size, self._weights.plain_phases[i].units), dtype)

    def _c(self, batch: RaggedBatch, tape: Workspace, dtype: np.dtype) -> Array:
        """The c of the first phase before the first step and after each, (N + S, H)."""
        return tape.array("c", (batch.N + batch.size, self.hidden), dtype)
