"""Inference on packed weights, for any cell. It reads and writes batch-first arrays where they lie."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from fastlstm import threads
from fastlstm._kernels import cpu
from fastlstm._kernels import forward as kernel
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.rows import clear_stage
from fastlstm._kernels.stage import Call, SideBySide, Stage
from fastlstm.layers.base import Array
from fastlstm.layers.packed import Packed
from fastlstm.layers.recurrent.cells import Cell
from fastlstm.layers.recurrent.joint import Joint
from fastlstm.layers.recurrent.plan import layout, projection, ragged_layout, sizes_of
from fastlstm.layers.recurrent.ragged import RaggedBatch
from fastlstm.layers.recurrent.weights import Weights
from fastlstm.workspace import Workspace, aligned_empty, aligned_zeros

State = tuple[Array, Array]

WAVE = 8
"""Steps by which a layer follows the one below where layers run side by side and project so many steps at a time."""


class PackedDirection(Packed):
    """The packed weights of one direction of a recurrent layer, and its passes."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(*weights.parameters)
        self._weights, self._cell, self._hidden = weights, weights.cell, weights.hidden

    @property
    def sizes(self) -> tuple[int, int]:
        return self._cell.gates * self._hidden, self._weights.inputs + self._hidden

    def pack(self, format: str) -> tuple[Array, Array]:
        weights = self._weights
        w_ih, w_hh = weights.w_ih.glance(), weights.w_hh.glance()
        none = np.zeros(self._cell.sums * self._hidden, w_ih.dtype)
        panels, packed_bias = panel_room(self._cell, weights.inputs, self._hidden, w_ih.dtype, format)
        bias = none if weights.bias is None else weights.bias.value
        own = None if weights.own is None else weights.own.value
        kernel.pack(self._cell.name, panels, packed_bias, w_ih, w_hh, bias, own, format=format)
        return panels, packed_bias

    def reset(self, rows: Any, tape: Workspace) -> None:
        """Set the state of these rows of a stream to zero."""
        for part in tape.notes.get("state", ())[:2]:
            if part.size:
                part[..., rows, :] = 0

    def running(self, out: tuple[Array, ...], tape: Workspace) -> None:
        """Write the state of a stream into `out`, each part (N, H): zeros before the first step."""
        held = tape.notes.get("state")
        for k, part in enumerate(out):
            part[...] = 0 if held is None else self._current(held)[k][:, : self._hidden]

    def go_on(self, state: tuple[Array, ...], tape: Workspace) -> None:
        """Go on from a state, each part (N, H)."""
        held = running_state(self._cell, len(state[0]), self._hidden, state[0].dtype, tape)
        for own, part in zip(self._current(held), state, strict=False):
            own[:, : self._hidden] = part

    @staticmethod
    def _current(held: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        """h and c of a running state."""
        c, h, index = held
        return h[int(index[0])], c

    def prepare(
        self, x: Array, y: Array, column: int, order: RaggedOrder | None, tape: Workspace, team: int, *, wave: bool
    ) -> kernel.Pass:
        """A pass from x (N, T, I) to columns of y (N, T, D·H), from `column` on, on up to `team` threads.

        `wave` says that the layer runs side by side with the one below.
        """
        format = self.used()
        panels, bias = self.get(format)
        n, t, _ = x.shape
        sizes = (x.shape, y.shape, column, sizes_of(self._cell, self._weights.inputs, self._hidden))
        if order is None:
            rows = layout(RaggedBatch(n, t), *sizes, reverse=self._weights.reverse, team=team)
        else:
            rows = ragged_layout(order, *sizes, reverse=self._weights.reverse, team=team)
        projected, chunk, state_width = np.empty(0, x.dtype), 1, cpu.width(self._hidden, x.dtype)
        if order is None:  # whose rows change
            projected, chunk = projection(rows, panels.nbytes, self._cell.sums * state_width, x.dtype, tape)
        if wave and len(projected):
            chunk = min(chunk, WAVE)
        state = running_state(self._cell, n, self._hidden, x.dtype, tape)
        rounded = rounding_room(team, n, chunk, self._weights.inputs, self._hidden, format, tape)
        options = (format, rounded, self._cell.options)
        prepared = kernel.prepare(self._cell.name, rows, panels, bias, *state, projected, chunk, *options)
        prepared.bind(x, y)
        return prepared


class PackedStack:
    """All layers and directions. It decides which passes run one after the other and which side by side."""

    def __init__(self, cell: Cell, layers: list[list[PackedDirection]], joint: Joint) -> None:
        self._cell, self.layers, self._joint, self._hidden = cell, layers, joint, joint.hidden
        self._directions = len(layers[0])

    def prepare(
        self, x: Array, order: RaggedOrder | None, tape: Workspace
    ) -> tuple[list[Stage], list[kernel.Pass], Array]:
        """Stages for x (N, T, I), their passes, layer by layer, and the output (N, T, D·H).

        With a ragged order the stages follow its lengths, and write zeros beyond them.
        """
        n, t, _ = x.shape
        team = threads.get_num_threads()
        steps = cpu.step_work(n, 2 * self._cell.gates * self._hidden**2, t)
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
        for k, layer in enumerate(self.layers):
            pair = may_pair and one_format([layer])
            group = self.layers[k // together * together :][:together]
            wave = together > 1 and len(group) == together and one_format(group)
            y = tape.array(f"y_l{k}", (n, t, self._directions * self._hidden), x.dtype)
            for d, direction in enumerate(layer):
                own_team = 1 if wave else team // 2 if pair else team
                own_tape = tape.child(f"l{k}_{d}")
                passes.append(direction.prepare(x, y, d * self._hidden, order, own_tape, own_team, wave=wave))
                passes[-1].set_place(len(passes) - 1, order)
            given, x = x, y
            if pair:
                stages.append(SideBySide(passes[-2:], passes[-1].threads))
            elif not wave:
                stages += passes[-self._directions :]
            else:
                if k % together:
                    passes[-1].after_each(passes[-2])
                if k % together == together - 1:
                    stages.append(SideBySide(passes[-together:], 1))
            if joins:
                if order is not None:
                    stages.append(clear_stage(order, y))
                x = tape.array(f"joint_l{k}", (n, t, self._joint.width(self._directions)), y.dtype)
                added = given if k and self._joint.residual else None  # the caller's x is not kept
                stages.append(Call(partial(self._join, added, k, tape), y, x, "the joint of two layers"))
        if order is not None and not joins:  # what is joined has been cleared
            stages.append(clear_stage(order, x))
        return stages, passes, x

    def _join(self, given: Array | None, k: int, tape: Workspace, both: Array) -> Array:
        return self._joint.forward(both, given, k, tape)

    def places(self, tape: Workspace) -> list[tuple[PackedDirection, Workspace]]:
        """Each direction of each layer with its workspace, in the order of the passes."""
        return [
            (direction, tape.child(f"l{k}_{d}"))
            for k, layer in enumerate(self.layers)
            for d, direction in enumerate(layer)
        ]


def one_format(layers: list[list[PackedDirection]]) -> bool:
    """Whether the same kernel serves all of them, as it must where they run side by side."""
    return len({direction.used() for layer in layers for direction in layer}) == 1


def panel_room(cell: Cell, inputs: int, hidden: int, dtype: Any, format: str = "exact") -> tuple[Array, Array]:
    """Room for a cell's packed weights and bias."""
    panels, bias = cpu.panel_shapes(cell.name, inputs, hidden, dtype, format)
    return aligned_empty(panels, cpu.number(dtype, format)), aligned_empty(bias, dtype)


def rounding_room(team: int, n: int, chunk: int, inputs: int, hidden: int, format: str, tape: Workspace) -> Array:
    """Room in which each thread rounds n rows of `chunk` steps, and their states, if the format rounds them."""
    of_x, of_h = (cpu.rounded_row(k, np.float32, format) for k in (inputs, hidden))
    return tape.array("rounded", (team, n * (chunk * of_x + of_h)), np.uint32)


def running_state(cell: Cell, n: int, hidden: int, dtype: Any, tape: Workspace) -> tuple[Array, Array, Array]:
    """c (N, width), h (2, N, width) and the index (1) of the current h, in the workspace.

    c has no rows for a cell without c. c and h are zeros at first, and their padding stays zero.
    """
    width = cpu.width(hidden, dtype)
    held: tuple[Array, Array, Array] | None = tape.notes.get("state")
    if held is None or held[1].shape != (2, n, width):
        c = aligned_zeros((n if cell.keeps_c else 0, width), dtype)
        held = tape.notes["state"] = (c, aligned_zeros((2, n, width), dtype), np.zeros(1, np.intc))
    return held
