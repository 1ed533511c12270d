"""Training on packed weights, which needs no copies of batch-first arrays: one direction of one layer of an LSTM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastlstm import threads
from fastlstm._kernels import bptt, cpu
from fastlstm._kernels import packed as kernel
from fastlstm._kernels.layout import Layout
from fastlstm.layers.base import Array
from fastlstm.layers.inference import State, running_state
from fastlstm.layers.packing import Packing
from fastlstm.layers.plan import layout, projection
from fastlstm.parameter import Parameter
from fastlstm.workspace import Workspace, aligned_empty

SEGMENT = 1024
"""Rows after which the gradients of the weights are added up: the gates' gradients are still in the caches then."""

LARGE = 1 << 15
"""Numbers of weights from which on several threads pack them."""

SINGLE = 4
"""Rows of a single step up to which the weights are used as they are."""

LARGE_SINGLE = 1 << 20
"""Numbers of weights from which on several threads read them for a single step."""


@dataclass
class Passes:
    """The passes over a batch, ready to run, in blocks of steps: a single one, unless checkpoints are kept.

    All blocks use the same gates and cells. starts[k] is the state h, c (N, width) at the beginning of block k.
    """

    key: tuple[object, ...]
    x: Array
    y: Array
    forwards: list[kernel.Pass]
    backwards: list[bptt.Backward]
    starts: list[State]
    state: tuple[Array, Array, Array]
    gradients: State
    alone: bool
    fresh: bool = True
    kept: int = 0


class TrainedDirection:
    """One direction of one layer. What it packs and keeps lies in the workspace that it is given."""

    def __init__(self, w_ih: Parameter, w_hh: Parameter, bias: Parameter | None, reverse: bool) -> None:
        self._w_ih, self._w_hh, self._bias, self._reverse = w_ih, w_hh, bias, reverse
        self._inputs, self._hidden = w_ih.shape[1], w_hh.shape[1]

    def forward(
        self, x: Array, y: Array, column: int, start: State | None, packing: Packing, block: int, tape: Workspace
    ) -> None:
        """From x (N, T, I) to columns of y (N, T, ·), from `column` on, keeping the gates of `block` steps at a time."""
        team = threads.get_num_threads()
        passes: Passes | None = tape.notes.get("passes")
        key = (self, packing, column, y.shape[2], block, team, cpu.isa(), x.dtype)
        if passes is None or passes.key != key:
            passes = tape.notes["passes"] = self._prepare(key, x, y, tape)
        if passes.alone:
            bias = None if self._bias is None else self._bias.read()
            passes.forwards[0].alone(self._w_ih.read(), self._w_hh.read(), bias)
        else:
            self._pack(x.dtype, team, tape)
        passes.x, passes.y, passes.fresh = x, y, start is None
        c, h, phase = passes.state
        if start is not None:
            h[phase[0], :, : self._hidden] = packing.pack_batch(start[0])
            c[:, : self._hidden] = packing.pack_batch(start[1])
        for k, prepared in enumerate(passes.forwards):
            prepared.fresh = start is None and k == 0
            if not prepared.fresh:
                passes.starts[k][0][...], passes.starts[k][1][...] = h[phase[0]], c
            prepared.bind(x, y)
            prepared.go()
        passes.kept = len(passes.forwards) - 1

    def final_state(self, y: Array, column: int, end: State, packing: Packing, tape: Workspace) -> None:
        """The state that the forward pass to columns of y has left, into h and c (N, H)."""
        order = np.arange(packing.n) if packing.order is None else packing.order
        last = np.zeros(packing.n, np.intp) if self._reverse else packing.lengths - 1
        end[0][order] = y[order, last, column : column + self._hidden]
        packing.unpack_batch(tape.notes["passes"].state[0][:, : self._hidden], end[1])

    def backward(
        self,
        dy: Array,
        dx: Array | None,
        add_dx: bool,
        end: State | None,
        start: State | None,
        packing: Packing,
        tape: Workspace,
    ) -> None:
        """From dy, which lies as y did, to dx, which lies as x did (None: not wanted), and to the parameters' gradients.

        end and start are the gradients of the final state, None for zeros, and of the initial one, to be written.
        """
        passes: Passes = tape.notes["passes"]
        dh, dc = passes.gradients
        for running, part in zip((dh, dc), end or (0, 0), strict=True):
            running.fill(0)
            if end is not None:
                running[:, : self._hidden] = packing.pack_batch(part)
        weights = (self._w_ih.read(), self._w_hh.read())
        for k in reversed(range(len(passes.backwards))):
            fresh = passes.fresh and k == 0
            if k != passes.kept:
                self._recompute(passes, k)
            accumulators = [None if p is None else p.accumulator() for p in (self._w_ih, self._w_hh, self._bias)]
            grads = tuple(None if found is None else found[0] for found in accumulators)
            add = tuple(found is not None and found[1] for found in accumulators)
            backward = passes.backwards[k]
            backward.bind(passes.x, passes.y, dy, dx, None if fresh else passes.starts[k], weights, grads, add_dx, add)
            backward.go_on(k > 0 or start is not None)
        if start is not None:
            packing.unpack_batch(dh[:, : self._hidden], start[0])
            packing.unpack_batch(dc[:, : self._hidden], start[1])

    def _recompute(self, passes: Passes, k: int) -> None:
        """The gates of block k, from the state at its beginning."""
        c, h, phase = passes.state
        prepared = passes.forwards[k]
        prepared.fresh = passes.fresh and k == 0
        if not prepared.fresh:
            h[phase[0]], c[...] = passes.starts[k]
        prepared.bind(passes.x, passes.y)
        prepared.go()
        passes.kept = k

    def _panels(self, dtype: np.dtype[Any], tape: Workspace) -> State:
        """Room for the packed weights, and the bias, in the workspace."""
        lanes = cpu.lanes(dtype)
        blocks = -(-self._hidden // lanes)
        key = (self, lanes, dtype)
        if tape.notes.get("panels", (None,))[0] != key:
            panels = aligned_empty((blocks, self._inputs + self._hidden, 4, lanes), dtype)
            tape.notes["panels"] = (key, panels, aligned_empty((blocks, 4, lanes), dtype))
            tape.notes["packed"] = None
        found: State = tape.notes["panels"][1:]
        return found

    def _pack(self, dtype: np.dtype[Any], team: int, tape: Workspace) -> None:
        """The weights into the workspace, if they are not what they were."""
        panels, packed_bias = self._panels(dtype, tape)
        version = (cpu.isa(), *[p.version for p in (self._w_ih, self._w_hh, self._bias) if p is not None])
        if tape.notes["packed"] != version:
            bias = np.zeros(4 * self._hidden, dtype) if self._bias is None else self._bias.read()
            used = 1 if panels.size < LARGE else team
            kernel.pack(panels, packed_bias, self._w_ih.read(), self._w_hh.read(), bias, used)
            tape.notes["packed"] = version

    def _prepare(self, key: tuple[object, ...], x: Array, y: Array, tape: Workspace) -> Passes:
        _, packing, column, _, block, team, _, dtype = key
        n, t, lanes = packing.n, len(packing.alive), cpu.lanes(dtype)
        panels, bias = self._panels(dtype, tape)
        blocks = len(panels)
        width = blocks * lanes
        state = running_state(n, self._hidden, dtype, tape)
        gradients = tape.array("dh", (n, width), dtype), tape.array("dc", (n, width), dtype)
        starts = tape.array("starts", (-(-t // block), 2, n, width), dtype)
        alone = packing.size == n <= SINGLE
        if alone and panels.size < LARGE_SINGLE:
            team = 1
        where = (packing, x.shape, y.shape, column, self._hidden)
        edges = [(first, min(first + block, t)) for first in range(0, t, block)]
        size = max(int(packing.before[last] - packing.before[first]) for first, last in edges)
        gates, cells = tape.array("gates", (size * 4 * width,), dtype), tape.array("cells", (size * width,), dtype)
        passes = Passes(key, x, y, [], [], [(start[0], start[1]) for start in starts], state, gradients, alone)
        for steps in edges:
            rows = layout(*where, reverse=self._reverse, team=team, steps=steps)
            forward = kernel.prepare(rows, panels, bias, *state, *projection(rows, panels, tape))
            forward.keep(gates[: rows.S * 4 * width], cells[: rows.S * width])
            passes.forwards.append(forward)
            rows = layout(*where, reverse=self._reverse, team=team, steps=steps, rows=SEGMENT)
            passes.backwards.append(self._backward(rows, blocks, gates, cells, gradients, tape))
            if passes.alone:
                passes.backwards[0].alone()
        return passes

    def _backward(
        self, rows: Layout, blocks: int, gates: Array, cells: Array, gradients: State, tape: Workspace
    ) -> bptt.Backward:
        lanes, width = cpu.lanes(gates.dtype), gradients[0].shape[1]
        scratch = [
            tape.array(name, (size,), gates.dtype)
            for name, size in zip(("turned", "columns", "gradient panels"), bptt.rooms(rows, lanes), strict=True)
        ]
        strip = min(4, max(1, blocks // rows.threads)) if rows.by_units else 4
        return bptt.prepare(rows, strip, gates[: rows.S * 4 * width], cells[: rows.S * width], *gradients, *scratch)
