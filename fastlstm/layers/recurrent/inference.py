"""Inference on packed weights, which needs no copies of batch-first arrays: the layers of an LSTM."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm import threads
from fastlstm._kernels import cpu
from fastlstm._kernels import packed as kernel
from fastlstm._kernels.layout import Walk
from fastlstm._kernels.rows import clear_stage
from fastlstm._kernels.stage import MOST_SIDE_BY_SIDE, SideBySide, Stage
from fastlstm.layers.base import Array
from fastlstm.layers.packed import Packed
from fastlstm.layers.recurrent.packing import Packing
from fastlstm.layers.recurrent.plan import layout, projection, ragged, work
from fastlstm.parameter import Parameter
from fastlstm.workspace import Workspace, aligned_empty, aligned_zeros

State = tuple[Array, Array]

WAVE = 8
"""Steps that a layer of a wavefront is behind the one below, if it projects them at once."""


class PackedDirection(Packed):
    """Weights of one direction of an LSTM layer."""

    def __init__(self, w_ih: Parameter, w_hh: Parameter, bias: Parameter | None, reverse: bool) -> None:
        super().__init__(w_ih, w_hh, bias)
        self._w_ih, self._w_hh, self._bias, self._reverse = w_ih, w_hh, bias, reverse
        self._hidden = w_hh.shape[1]

    def pack(self) -> tuple[Array, Array]:
        w_ih, w_hh = self._w_ih.value, self._w_hh.value
        hidden, inputs, lanes = w_hh.shape[1], w_ih.shape[1], cpu.lanes(w_ih.dtype)
        bias = np.zeros(4 * hidden, w_ih.dtype) if self._bias is None else self._bias.value
        blocks = -(-hidden // lanes)
        panels = aligned_empty((blocks, inputs + hidden, 4, lanes), w_ih.dtype)
        packed_bias = aligned_empty((blocks, 4, lanes), w_ih.dtype)
        kernel.pack(panels, packed_bias, w_ih, w_hh, bias)
        return panels, packed_bias

    def _state(self, n: int, tape: Workspace) -> tuple[Array, Array, Array]:
        return running_state(n, self._hidden, self._w_hh.value.dtype, tape)

    def reset(self, rows: Any, tape: Workspace) -> None:
        """Set the state of these rows of a stream to zero."""
        for part in tape.notes.get("state", ())[:2]:
            part[..., rows, :] = 0

    def prepare(
        self, x: Array, y: Array, column: int, walk: Walk | None, tape: Workspace, team: int, *, wave: bool
    ) -> kernel.Pass:
        """A pass from x (N, T, I) to columns of y (N, T, D·H), from `column` on, with `team` threads to take."""
        panels, bias = self.get()
        n, t, _ = x.shape
        sizes = (x.shape, y.shape, column, self._hidden)
        if walk is None:
            rows = layout(Packing(n, t, None), *sizes, reverse=self._reverse, team=team)
        else:
            rows = ragged(walk, *sizes, reverse=self._reverse, team=team)
        projected, chunk = (np.empty(0, x.dtype), 1) if walk is not None else projection(rows, panels, tape)
        if wave and len(projected):
            chunk = min(chunk, WAVE)
        prepared = kernel.prepare(rows, panels, bias, *self._state(n, tape), projected, chunk)
        prepared.bind(x, y)
        return prepared


class PackedStack:
    """All layers of an LSTM: which of its passes run one after the other, and which side by side."""

    def __init__(self, layers: list[list[PackedDirection]], hidden: int) -> None:
        self._layers, self._hidden = layers, hidden
        self._directions = len(layers[0])

    def prepare(self, x: Array, walk: Walk | None, tape: Workspace) -> tuple[list[Stage], list[kernel.Pass], Array]:
        """Stages for x (N, T, I), the passes that they are made of, layer by layer, and the output (N, T, D·H).

        With a walk, they follow its lengths, and clear what of the output lies beyond them.
        """
        n, t, _ = x.shape
        team = threads.get_num_threads()
        steps = work(n, self._hidden, self._hidden, t)
        pair = self._directions == 2 and team % 2 == 0 and steps >= threads.SMALL
        together = 1  # layers
        # rows of their own need no waiting, so that layers are better one after the other where there are enough rows
        if self._directions == 1 and team > 1 and n < 6 * team and t >= 4 * WAVE and steps >= threads.SMALL:
            together = min(team, len(self._layers), MOST_SIDE_BY_SIDE)
        stages: list[Stage] = []
        passes: list[kernel.Pass] = []
        for k, layer in enumerate(self._layers):
            wave = together > 1 and k < len(self._layers) // together * together
            y = tape.array(f"y_l{k}", (n, t, self._directions * self._hidden), x.dtype)
            for d, direction in enumerate(layer):
                own_team = 1 if wave else team // 2 if pair else team
                own_tape = tape.child(f"l{k}_{d}")
                passes.append(direction.prepare(x, y, d * self._hidden, walk, own_tape, own_team, wave=wave))
                passes[-1].stands(len(passes) - 1, walk)
            x = y
            if pair:
                stages.append(SideBySide(passes[-2:], passes[-1].threads))
            elif not wave:
                stages += passes[-self._directions :]
            else:
                if k % together:
                    passes[-1].after_each(passes[-2])
                if k % together == together - 1:
                    stages.append(SideBySide(passes[-together:], 1))
        if walk is not None:
            stages.append(clear_stage(walk, x))
        return stages, passes, x

    def places(self, tape: Workspace) -> list[tuple[PackedDirection, Workspace]]:
        """Each direction of each layer, in the order of the passes, with its workspace."""
        return [
            (direction, tape.child(f"l{k}_{d}"))
            for k, layer in enumerate(self._layers)
            for d, direction in enumerate(layer)
        ]


def running_state(n: int, hidden: int, dtype: Any, tape: Workspace) -> tuple[Array, Array, Array]:
    """c (N, width), h (2, N, width) and which of the two h is the current one (1), in the workspace.

    All are zeros at first, and padded with zeros.
    """
    width = -(-hidden // cpu.lanes(dtype)) * cpu.lanes(dtype)
    held: tuple[Array, Array, Array] | None = tape.notes.get("state")
    if held is None or held[0].shape != (n, width):
        c, h = aligned_zeros((n, width), dtype), aligned_zeros((2, n, width), dtype)
        held = tape.notes["state"] = (c, h, np.zeros(1, np.intc))
    return held
