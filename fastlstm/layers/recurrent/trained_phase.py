"""Training of one phase of a step, on packed weights: its room, its weights in panels, and its passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastlstm._kernels import backward as back
from fastlstm._kernels import cpu
from fastlstm._kernels import forward as kernel
from fastlstm._kernels.layout import Layout
from fastlstm.layers.base import Array
from fastlstm.layers.recurrent.inference import panel_room, rounding_room, running_state
from fastlstm.layers.recurrent.masks import LayerMasks, for_kernel
from fastlstm.layers.recurrent.plan import Sizes, layout, projection
from fastlstm.layers.recurrent.ragged import RaggedBatch
from fastlstm.layers.recurrent.weights import Arrays, PhaseOf
from fastlstm.workspace import Workspace

if TYPE_CHECKING:
    from fastlstm.layers.recurrent.training import TrainedDirection

SEGMENT = 1024
"""Rows of a segment of the backward pass. After each, the gradients of the weights are added up from gate gradients
that are still in the caches."""

LARGE = 1 << 15
"""The number of weights from which on several threads pack them."""


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
class Room:
    """What a phase keeps: its state c, h and phase, the gradients dh, dc and past, and y, what it puts out."""

    state: tuple[Array, Array, Array]
    gradients: tuple[Array, Array, Array]
    kept: Array
    kept_c: Array
    y: Array
    column: int


class TrainedPhase:
    """One phase. Its packed weights and what it keeps lie in the workspace that it is given."""

    def __init__(self, of: PhaseOf) -> None:
        self.of = of

    def panels(self, kind: Kind, tape: Workspace) -> tuple[Array, Array]:
        """Room for the packed weights and bias in the workspace."""
        dtype, format, of, notes = kind.dtype, kind.format, self.of, tape.packs.notes
        known = (self, cpu.lanes(dtype), dtype, format)
        if notes.get("panels", (None,))[0] != known:
            notes["panels"] = (known, *panel_room(of, dtype, format))
            notes["packed"] = notes["pack"] = None
            notes["no bias"] = np.zeros(of.sums * of.units, dtype)
        found: tuple[Array, Array] = notes["panels"][1:]
        return found

    def pack(self, kind: Kind, values: Arrays, tape: Workspace) -> kernel.Pack:
        """The stage that packs the weights."""
        panels, packed_bias = self.panels(kind, tape)
        w, u, bias, own = self.of.of(values)
        notes = tape.packs.notes
        bias = notes["no bias"] if bias is None else bias
        stage: kernel.Pack | None = notes["pack"]
        team = 1 if panels.size < LARGE else kind.team
        if stage is None or stage.threads != team or not stage.reads(w, u, bias, own):
            arrays = (panels, packed_bias, w, u, bias, own)
            stage = notes["pack"] = kernel.pack_stage(self.of.kernel, *arrays, team, kind.format)
        return stage

    def room(self, kind: Kind, rows: int, y: Array, column: int, before: Room | None, tape: Workspace) -> Room:
        """Room for so many rows of all steps. `before` is that of the phase before, which may hand its c on."""
        n, of, dtype = kind.batch.N, self.of, kind.dtype
        state = running_state(of, n, dtype, tape)
        width = state[1].shape[2]
        kept = tape.array("kept", (rows * of.sums * width,), dtype)
        if before is not None and of.hands_on:
            (_, dc, past), kept_c = before.gradients, before.kept_c
            state = (before.state[0], *state[1:])
            dh = tape.array("dh", (n, width), dtype)
        else:
            kept_c = tape.array("kept_c", (rows * width * of.c_parts,), dtype)
            dh, past = (tape.array(name, (n, width), dtype) for name in ("dh", "past"))
            dc = tape.array("dc", (n, width * max(of.c_parts, 1)), dtype)
        return Room(state, (dh, dc, past), kept, kept_c, y, column)

    def prepare(
        self,
        kind: Kind,
        room: Room,
        x: Array,
        steps: tuple[int, int],
        sizes: Sizes,
        team: int,
        *,
        reverse: bool,
        single: bool,
        tape: Workspace,
    ) -> tuple[kernel.Pass, back.Backward]:
        """The passes over these steps."""
        of, batch, dtype = self.of, kind.batch, kind.dtype
        panels, bias = self.panels(kind, tape)
        shape = (*x.shape[:2], of.inputs)
        forward_rows, backward_rows = (
            layout(
                *(batch, shape, room.y.shape, room.column, sizes._replace(hidden=of.units)),
                reverse=reverse,
                team=team,
                steps=steps,
                rows=most,
            )
            for most in (0, SEGMENT)
        )
        width = room.state[1].shape[2]
        kept_c = room.kept_c[: forward_rows.S * width * max(of.c_parts, int(of.hands_on))]
        own = room.kept[: forward_rows.S * of.sums * width], kept_c
        projected: tuple[Array, int] = np.empty(0, dtype), 1
        if of.inputs:
            projected = projection(forward_rows, panels.nbytes, of.sums * width, dtype, tape)
        rounded = rounding_room(team, batch.N, projected[1], of, kind.format, tape)
        arrays = (panels, bias, *room.state, *projected)
        forward = kernel.prepare(of.kernel, forward_rows, *arrays, kind.format, rounded, of.options, of.seen)
        forward.keep(*own)
        return forward, self._prepare_backward(backward_rows, own, room, bias, kind, single=single, tape=tape)

    def _prepare_backward(
        self,
        rows: Layout,
        kept: tuple[Array, Array],
        room: Room,
        bias: Array,
        kind: Kind,
        *,
        single: bool,
        tape: Workspace,
    ) -> back.Backward:
        of, dtype = self.of, kind.dtype
        sizes = [0] * len(back.SCRATCH)
        if not single:
            sizes = [*back.rooms(of.kernel, rows, dtype == np.float32, kind.format, of.seen)]
        scratch: dict[str, Any] = {
            name: tape.array(f"backward {name}", (size,), dtype) for name, size in zip(back.SCRATCH, sizes, strict=True)
        }
        vectors = cpu.width(of.seen, dtype) // cpu.lanes(dtype)
        strip = min(cpu.STRIP, max(1, vectors // rows.threads)) if rows.by_units else cpu.STRIP
        return back.prepare(
            *(of.kernel, rows, strip, *kept, *room.gradients),
            **scratch,
            format=kind.format,
            bias=bias,
            options=of.options,
            seen=of.seen,
        )

    def leave_out(
        self, masks: LayerMasks, kind: Kind, forward: kernel.Pass, backward: back.Backward, tape: Workspace
    ) -> None:
        """Leave out what the masks say."""
        of, batch, fed = self.of, kind.batch, None
        told = for_kernel(masks.only(of.phase.draws), kind.column, of.seen, batch, tape)
        if told.state is not None:
            fed = tape.array("fed", (forward.threads * batch.N * of.seen,), kind.dtype)
        forward.leave_out(told, fed)
        backward.leave_out(told)
