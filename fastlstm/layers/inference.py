"""One direction of one LSTM layer in inference, on packed weights, which needs no copies of batch-first arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm import threads
from fastlstm._kernels import packed as kernel
from fastlstm.layers.base import Array
from fastlstm.layers.packing import Packing
from fastlstm.parameter import Parameter
from fastlstm.workspace import Workspace, aligned_empty, aligned_zeros

State = tuple[Array, Array]

PROJECTION_BUFFER = 1 << 17
"""Bytes of projected inputs held at a time: they should stay in a core's L2 cache beside the weights."""

SMALL = 20
"""Microseconds of work below which a second thread is not worth waking."""

LARGE_WEIGHTS = 1 << 20
"""Bytes from which on weights are dear to read: those of the inputs then are read once for many steps."""


class PackedDirection:
    """Weights of one direction, packed once for each version of them, and the pass that uses them."""

    def __init__(self, w_ih: Parameter, w_hh: Parameter, bias: Parameter | None, reverse: bool) -> None:
        self._w_ih, self._w_hh, self._bias, self._reverse = w_ih, w_hh, bias, reverse
        self._cached: tuple[Any, Array, Array] = (None, np.empty(0), np.empty(0))

    def _weights(self) -> tuple[Array, Array]:
        """Panels and bias. Two threads may both pack them; either result will do."""
        parts = [part for part in (self._w_ih, self._w_hh, self._bias) if part is not None]
        version = (kernel.isa(), *(part.version for part in parts))
        held, panels, packed_bias = self._cached
        if held != version:
            w_ih, w_hh = self._w_ih.value, self._w_hh.value
            hidden, inputs, lanes = w_hh.shape[1], w_ih.shape[1], kernel.lanes(w_ih.dtype)
            bias = np.zeros(4 * hidden, w_ih.dtype) if self._bias is None else self._bias.value
            blocks = -(-hidden // lanes)
            panels = aligned_empty((blocks, inputs + hidden, 4, lanes), w_ih.dtype)
            packed_bias = aligned_empty((blocks, 4, lanes), w_ih.dtype)
            kernel.pack(panels, packed_bias, w_ih, w_hh, bias)
            self._cached = (version, panels, packed_bias)
        return panels, packed_bias

    def prepare(self, x: Array, y: Array, column: int, packing: Packing, tape: Workspace) -> kernel.Pass:
        """A pass from x (N, T, I) to columns of y (N, T, D·H), from `column` on; made once for equal shapes."""
        panels, bias = self._weights()
        team = threads.get_num_threads()
        key = (id(panels), x.shape, y.shape, team)
        held: tuple[Any, kernel.Pass] | None = tape.notes.get("pass")
        if held is not None and held[0] == key and packing.full:
            return held[1]
        n, t, inputs = x.shape
        hidden, width, dtype = self._w_hh.shape[1], panels.shape[0] * panels.shape[3], x.dtype
        order = np.arange(n) if packing.order is None else packing.order
        x_row, y_row = order * (t * inputs), order * (t * y.shape[2]) + column
        x_step, y_step = inputs, y.shape[2]
        if self._reverse:
            x_row, y_row = x_row + (packing.lengths - 1) * x_step, y_row + (packing.lengths - 1) * y_step
            x_step, y_step = -x_step, -y_step
        used, by_units = plan(team, n, t, inputs, hidden, len(panels))
        projected, chunk = np.empty(0, dtype), 1
        if t > 1 and packing.full and (n < 6 or (n < 48 and panels.nbytes > LARGE_WEIGHTS)):
            chunk = min(t, max(-(-24 // n), PROJECTION_BUFFER // (4 * width * n * dtype.itemsize)))
            projected = aligned_empty((chunk * n * 4 * width,), dtype)
        c, h = aligned_zeros((n, width), dtype), aligned_zeros((2, n, width), dtype)
        prepared = kernel.prepare(
            *(panels, bias, c, h, inputs, hidden, packing.alive, x.size, x_row, x_step, y.size, y_row, y_step),
            projected=projected,
            chunk=chunk,
            by_units=by_units,
            threads=used,
        )
        if held is not None and len(held[1].c) == n:  # a stream goes on with another length or new weights
            prepared.h[0, :, :hidden] = held[1].h[held[1].slot, :, :hidden]
            prepared.c[:, :hidden] = held[1].c[:, :hidden]
        tape.notes["pass"] = (key, prepared) if packing.full else None
        return prepared

    def reset(self, rows: Any, tape: Workspace) -> None:
        """Set the state of these rows of a stream to zero."""
        held: tuple[Any, kernel.Pass] | None = tape.notes.get("pass")
        if held is not None:
            held[1].c[rows] = 0
            held[1].h[:, rows] = 0

    def forward(
        self, x: Array, y: Array, column: int, start: State | None, end: State | None, packing: Packing, tape: Workspace
    ) -> None:
        """Outputs for x into columns of y, and the final state into `end` unless nobody asks for it."""
        prepared = self.prepare(x, y, column, packing, tape)
        hidden = self._w_hh.shape[1]
        prepared.clear()
        if start is not None:
            prepared.h[prepared.slot, :, :hidden] = packing.pack_batch(start[0])
            prepared.c[:, :hidden] = packing.pack_batch(start[1])
        prepared.run(x, y)
        if end is not None:
            order = np.arange(len(x)) if packing.order is None else packing.order
            last = np.zeros(len(x), np.intp) if self._reverse else packing.lengths - 1
            end[0][order] = y[order, last, column : column + hidden]
            packing.unpack_batch(prepared.c[:, :hidden], end[1])


def plan(available: int, n: int, t: int, inputs: int, hidden: int, blocks: int) -> tuple[int, bool]:
    """How many of the available threads, and whether they share the units of each step or each has rows of its own.

    Rows need no barrier, but every thread reads all the weights; units read them once, but wait for each other at every
    step. Measured on two threads: units win with few rows, and up to some 64 rows where each has many blocks of units.
    """
    speed = 1e5 if n > 2 else 5e4  # of one thread, about: floating point operations in a microsecond
    step = n * 8 * hidden * (inputs + hidden) / speed
    if available == 1 or step * t < SMALL:
        return 1, False
    few_rows = n < 6 * available
    if step > 4 and blocks >= available and (few_rows or (n <= 64 and blocks >= 8 * available)):
        return available, True
    if n <= 2:
        return 1, False
    return min(available, n), False
