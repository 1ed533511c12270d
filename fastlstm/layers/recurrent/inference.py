"""Inference on packed weights, for any cell. It reads and writes batch-first arrays where they lie."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from fastlstm import threads
from fastlstm._kernels import cpu
from fastlstm._kernels import forward as kernel
from fastlstm._kernels.layout import Layout, RaggedLayout, RaggedOrder
from fastlstm._kernels.stage import Call, SideBySide, Stage
from fastlstm._kernels.steps import clear_stage
from fastlstm.layers.base import Array
from fastlstm.layers.packed import Packed
from fastlstm.layers.recurrent.cells import Cell
from fastlstm.layers.recurrent.direction import Parts
from fastlstm.layers.recurrent.joint import Joint
from fastlstm.layers.recurrent.plan import layout, projection, ragged_layout, sizes_of
from fastlstm.layers.recurrent.ragged import RaggedBatch
from fastlstm.layers.recurrent.weights import PhaseOf, Weights
from fastlstm.workspace import Workspace, aligned_empty, aligned_zeros

State = tuple[Array, Array]

WAVE = 8
"""Steps by which a layer follows the one below where layers run side by side and project so many steps at a time."""


class PackedDirection(Packed):
    """The packed weights of one direction of a recurrent layer, and its passes."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(*weights.parameters)
        self._weights, self._cell, self.out = weights, weights.cell, weights.out

    @property
    def sizes(self) -> tuple[int, int]:
        return self._cell.gates * self._weights.hidden, self._weights.inputs + self._weights.phases[0].seen

    def pack(self, format: str) -> tuple[Array, ...]:
        """Panels and bias of each phase, one after the other."""
        values, found = self._weights.glance(), list[Array]()
        for of in self._weights.phases:
            w, u, bias, own = of.of(values)
            panels, packed_bias = panel_room(of, w.dtype, format)
            bias = np.zeros(of.sums * of.units, w.dtype) if bias is None else bias
            kernel.pack(of.kernel, panels, packed_bias, w, u, bias, own, format=format)
            found += [panels, packed_bias]
        return tuple(found)

    def reset(self, rows: Any, tape: Workspace, start: Parts | None = None) -> None:
        """Set the state of these rows of a stream to zero, or to these h (K) and c (H), if there is a state."""
        tapes = self.tapes(tape)
        if "state" not in tape.notes:
            return
        h, c = tapes[-1].notes["state"][1], tapes[self._weights.with_c].notes["state"][0]
        widths, parts = self._cell.widths(self._weights.hidden), parts_of(self._cell, h, c)
        for k, (part, width) in enumerate(zip(parts, widths, strict=True)):
            part[..., rows, :width] = 0 if start is None else start[k]

    def tapes(self, tape: Workspace) -> list[Workspace]:
        """The workspaces of the phases."""
        return [tape, *[tape.child(f"phase {i}") for i in range(1, len(self._weights.phases))]]

    def running(self, out: tuple[Array, ...], tape: Workspace) -> None:
        """Write the state of a stream into `out`, each part (N, ·): zeros before the first step."""
        if "state" not in tape.notes:
            for part in out:
                part[...] = 0
        else:
            for part, own in zip(out, self._current(len(out[0]), out[0].dtype, tape), strict=True):
                part[...] = own[:, : part.shape[1]]

    def go_on(self, state: tuple[Array, ...], tape: Workspace) -> None:
        """Go on from a state, each part (N, ·)."""
        for own, part in zip(self._current(len(state[0]), state[0].dtype, tape), state, strict=True):
            own[:, : part.shape[1]] = part

    def start(self, n: int, dtype: Any, tape: Workspace) -> None:
        """Make the state of a stream."""
        self._current(n, dtype, tape)

    def _current(self, n: int, dtype: Any, tape: Workspace) -> Parts:
        """h of the last phase, and the parts of c."""
        phases = zip(self._weights.phases, self.tapes(tape), strict=True)
        states = [running_state(of, n, dtype, own) for of, own in phases]
        _, h, index = states[-1]
        return parts_of(self._cell, h[int(index[0])], states[self._weights.with_c][0])

    def prepare(
        self,
        x: Array,
        y: Array,
        column: int,
        order: RaggedOrder | None,
        tape: Workspace,
        team: int,
        *,
        wave: bool,
        time_first: bool = False,
    ) -> kernel.Pass:
        """A pass from x (N, T, I) to columns of y (N, T, D·H), from `column` on, on up to `team` threads.

        `wave` says that the layer runs side by side with the one below, and `time_first` that arrays lie as (T, N, ·).
        """
        format, every = self.used(), self._weights.phases
        between = [
            tape.array(f"between {i}", (*x.shape[:2], of.units), x.dtype)
            for i, of in enumerate(every[:-1])
            if of.puts_out
        ]
        outputs, phases = outputs_of(every, between, y), list[kernel.Pass]()
        c: Array | None = None
        n, t = x.shape[1::-1] if time_first else x.shape[:2]
        packed, batch = self.get(format), RaggedBatch(n, t, time_first=time_first) if order is None else None
        for i, (of, own) in enumerate(zip(every, self.tapes(tape), strict=True)):
            rows = self._rows(of, x, outputs[i], column if outputs[i] is y else 0, order, batch, team)
            panels, bias = packed[2 * i : 2 * i + 2]
            phase, c = self._phase(of, rows, panels, bias, c, format, team, own, wave=wave)
            if of.phase.part is not None:
                kept = own.array("kept", (n * of.sums * cpu.width(of.units, x.dtype),), x.dtype)
                phase.keep_step(kept, np.zeros(t, np.intp))
            phases.append(phase)
        prepared = join(phases, outputs)
        prepared.bind(x, y)
        return prepared

    def _rows(
        self,
        of: PhaseOf,
        x: Array,
        y: Array,
        column: int,
        order: RaggedOrder | None,
        batch: RaggedBatch | None,
        team: int,
    ) -> Layout:
        sizes = ((*x.shape[:2], of.inputs), y.shape, column, sizes_of(self._weights)._replace(hidden=of.units))
        if batch is not None:
            return layout(batch, *sizes, reverse=self._weights.reverse, team=team)
        assert order is not None
        return ragged_layout(order, *sizes, reverse=self._weights.reverse, team=team)

    def _phase(
        self,
        of: PhaseOf,
        rows: Layout,
        panels: Array,
        bias: Array,
        before: Array | None,
        format: str,
        team: int,
        tape: Workspace,
        *,
        wave: bool,
    ) -> tuple[kernel.Pass, Array]:
        """The pass of one phase, and its c. `before` is the c of the phase before, which may be handed on."""
        n, dtype = rows.N, bias.dtype
        projected, chunk = np.empty(0, dtype), 1
        if of.inputs and not isinstance(rows, RaggedLayout):  # whose rows change
            step = of.sums * cpu.width(of.units, dtype)
            projected, chunk = projection(rows, panels.nbytes, step, dtype, tape)
        if wave and len(projected):
            chunk = min(chunk, WAVE)
        c, h, index = running_state(of, n, dtype, tape)
        if before is not None and of.hands_on:
            c = before
        rounded = rounding_room(team, n, chunk, of, format, tape)
        arrays = (panels, bias, c, h, index, projected, chunk)
        return kernel.prepare(of.kernel, rows, *arrays, format, rounded, of.options, of.seen), c


class PackedStack:
    """All layers and directions. It decides which passes run one after the other and which side by side."""

    def __init__(self, cell: Cell, layers: list[list[PackedDirection]], joint: Joint) -> None:
        self._cell, self.layers, self._joint = cell, layers, joint
        self._out, self._directions = layers[0][0].out, len(layers[0])

    def prepare(
        self, x: Array, order: RaggedOrder | None, tape: Workspace, *, time_first: bool = False
    ) -> tuple[list[Stage], list[kernel.Pass], Array]:
        """Stages for x (N, T, I), their passes, layer by layer, and the output (N, T, D·H).

        With a ragged order the stages follow its lengths, and write zeros beyond them. Full sequences may lie as
        (T, N, ·), all of them.
        """
        n, t = x.shape[1::-1] if time_first else x.shape[:2]
        team = threads.get_num_threads()
        steps = cpu.step_work(n, 2 * self._cell.gates * self._out**2, t)
        may_pair = self._directions == 2 and team % 2 == 0 and steps >= cpu.WORTH_SHARING
        together = 1  # layers
        # threads with rows of their own need not wait: with enough rows, layers had better run one after the other
        joins = self._joint.changes(len(self.layers))
        if (
            self._directions == 1
            and not joins
            and team > 1
            and n < 6 * team
            and t >= 4 * WAVE
            and steps >= cpu.WORTH_SHARING
        ):
            together = min(team, len(self.layers), cpu.MOST_SIDE_BY_SIDE)
        stages: list[Stage] = []
        passes: list[kernel.Pass] = []
        inputs, below, outputs = x, x, list[Array]()
        for k, layer in enumerate(self.layers):
            pair = may_pair and one_format([layer])
            group = self.layers[k // together * together :][:together]
            wave = together > 1 and len(group) == together and one_format(group)
            y = tape.array(f"y_l{k}", (*x.shape[:2], self._directions * self._out), x.dtype)
            for d, direction in enumerate(layer):
                own_team = 1 if wave else team // 2 if pair else team
                own_tape = tape.child(f"l{k}_{d}")
                told = {"wave": wave, "time_first": time_first}
                passes.append(direction.prepare(x, y, d * self._out, order, own_tape, own_team, **told))
                passes[-1].set_place(len(passes) - 1, order)
            if pair:
                stages.append(SideBySide(passes[-2:], passes[-1].threads))
            elif not wave:
                stages += passes[-self._directions :]
            else:
                if k % together:
                    passes[-1].after_each(passes[-2])
                if k % together == together - 1:
                    stages.append(SideBySide(passes[-together:], 1))
            given, below = below, y
            if joins and order is not None:
                stages.append(clear_stage(order, y))
            if self._joint.combines(k):
                below = tape.array(f"joint_l{k}", (*x.shape[:2], self._joint.width), y.dtype)
                added = given if k else None  # the caller's x is not kept
                stages.append(Call(partial(self._join, added, k, tape), y, below, "the joint of two layers"))
            outputs.append(below)
            x = below
            if self._joint.reads_x and k + 1 < len(self.layers):
                x = self._joint.read(below, inputs, k + 1, tape)
                stages.append(Call(partial(self._read, inputs, k + 1, tape), below, x, "what a layer reads"))
        if self._joint.gives_all:
            x = self._joint.given(outputs, tape)
            stages.append(Call(partial(self._give, outputs, tape), below, x, "the outputs of all layers"))
        if order is not None and not joins:  # what is joined has been cleared
            stages.append(clear_stage(order, x))
        return stages, passes, x

    def _join(self, given: Array | None, k: int, tape: Workspace, both: Array) -> Array:
        return self._joint.forward(both, given, k, tape)

    def _read(self, inputs: Array, k: int, tape: Workspace, below: Array) -> Array:
        return self._joint.read(below, inputs, k, tape)

    def _give(self, outputs: list[Array], tape: Workspace, _: Array) -> Array:
        return self._joint.given(outputs, tape)

    def start(self, batch: int, tape: Workspace, dtype: Any) -> None:
        """Make the states of a stream, which `PackedDirection.reset` sets, before its first pass does."""
        for direction, own in self.places(tape):
            direction.start(batch, dtype, own)

    def places(self, tape: Workspace) -> list[tuple[PackedDirection, Workspace]]:
        """Each direction of each layer with its workspace, in the order of the passes."""
        return [
            (direction, tape.child(f"l{k}_{d}"))
            for k, layer in enumerate(self.layers)
            for d, direction in enumerate(layer)
        ]


def join(phases: list[kernel.Pass], outputs: list[Array]) -> kernel.Pass:
    """The pass of all phases, each of which but the last writes its output."""
    first, *others = phases
    for phase, y in zip(phases[:-1], outputs, strict=False):
        phase.hand_on(y)
    for other in others:
        first.then(other)
    return first.closed()


def parts_of(cell: Cell, h: Array, c: Array | None = None) -> Parts:
    """The parts of a state, from h and from c, in which all others stand side by side (N, C·width)."""
    if not cell.c_parts or c is None:
        return (h,)
    return h, *((c,) if cell.c_parts == 1 else np.split(c, cell.c_parts, axis=-1))


def outputs_of(phases: list[PhaseOf], between: list[Array], y: Array) -> list[Array]:
    """Where each phase puts out: `between` has room for those that do, but the last. Others have that of the next."""
    rest = [*between, y]
    return [rest.pop(0) if of.puts_out else rest[0] for of in phases]


def one_format(layers: list[list[PackedDirection]]) -> bool:
    """Whether the same kernel serves all of them, as it must where they run side by side."""
    return len({direction.used() for layer in layers for direction in layer}) == 1


def panel_room(of: PhaseOf, dtype: Any, format: str = "exact") -> tuple[Array, Array]:
    """Room for a phase's packed weights and bias."""
    panels, bias = cpu.panel_shapes(of.kernel, of.inputs, of.units, dtype, format, of.seen)
    return aligned_empty(panels, cpu.number(dtype, format)), aligned_empty(bias, dtype)


def rounding_room(team: int, n: int, chunk: int, of: PhaseOf, format: str, tape: Workspace) -> Array:
    """Room in which each thread rounds n rows of `chunk` steps, and their states, if the format rounds them."""
    of_x, of_h = (cpu.rounded_row(k, np.float32, format) for k in (of.inputs, of.seen))
    return tape.array("rounded", (team, n * (chunk * of_x + of_h)), np.uint32)


def running_state(of: PhaseOf, n: int, dtype: Any, tape: Workspace) -> tuple[Array, Array, Array]:
    """c (N, C·width), h (2, N, width) and the index (1) of the current h, in the workspace.

    All parts of c stand side by side; it has no rows for a cell without c. c and h are zeros at first, and their
    padding stays zero.
    """
    width = cpu.width(of.units, dtype)
    held: tuple[Array, Array, Array] | None = tape.notes.get("state")
    if held is None or held[1].shape != (2, n, width):
        c = aligned_zeros((n if of.c_parts else 0, width * max(of.c_parts, 1)), dtype)
        held = tape.notes["state"] = (c, aligned_zeros((2, n, width), dtype), np.zeros(1, np.intc))
    return held
