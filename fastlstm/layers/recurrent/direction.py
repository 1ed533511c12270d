"""One direction of one layer on the plain path, between the layer and its kernel. Rows are in ragged order."""

from __future__ import annotations

import numpy as np

from fastlstm._kernels import plain as kernel
from fastlstm._kernels import rows
from fastlstm._kernels.options import Masks
from fastlstm.layers.base import Array
from fastlstm.layers.recurrent.masks import LayerMasks, drop_weights, for_rows
from fastlstm.layers.recurrent.ragged import RaggedBatch
from fastlstm.layers.recurrent.weights import Weights
from fastlstm.workspace import Workspace

Parts = tuple[Array, ...]
"""The parts of a state: h and c of an LSTM, h alone of a GRU."""

SUMS_BUFFER = 1 << 18
"""Bytes of projected inputs held at a time in inference: they should stay in a core's L2 cache."""


class Direction:
    """One direction of one layer on its weights."""

    def __init__(self, weights: Weights) -> None:
        self._weights, self.cell, self.suffix = weights, weights.cell, weights.suffix
        self.hidden, self.out, self.reverse = weights.hidden, weights.out, weights.reverse

    def forward(
        self, x: Array, start: Parts | None, end: Parts, batch: RaggedBatch, tape: Workspace, *, training: bool
    ) -> Array:
        """Outputs (S, H) for x (S, I), both in ragged order. Writes the final state, each part (N, H), into `end`."""
        n, size, width, dtype = batch.N, batch.size, self.cell.sums * self.hidden, x.dtype
        x = tape.notes["x"] = self.reversed(x, batch, tape, "x")
        state = self.state(batch, tape, dtype, training=training)
        for k, part in enumerate(state):
            part[:n] = 0 if start is None else batch.gather_states(start[k])
        held = size if training else max(n, SUMS_BUFFER // (width * dtype.itemsize))
        sums = tape.array("sums", (min(size, held), width), dtype)
        bias = np.zeros(width, dtype) if self._weights.bias is None else self._weights.bias.value
        rate, drawn = tape.notes["rate of weights"], tape.notes["masks"]
        values = self._weights.read()
        dropped = tape.notes["dropped"] = drop_weights(values.w_hh, rate, tape) if rate else None
        u = values.w_hh if dropped is None else dropped.value
        masks = tape.notes["masks of rows"] = None if drawn is None else self._masks(drawn, batch, tape)
        told = (self.own(dtype), self.cell.options, masks)
        alive = batch.alive[: batch.longest]
        kernel.forward(self.cell.name, state, sums, x, values.w_ih, u, bias, alive, *told)
        for part, final in zip(state, end, strict=True):
            batch.scatter_states(part if len(part) == n else part[n + batch.ends], final)
        return self.reversed(state[0][n:], batch, tape, "y")

    def backward(
        self, dy: Array, end: Parts | None, start: Parts, batch: RaggedBatch, tape: Workspace, *, wanted: bool
    ) -> Array:
        """The gradient of x, without rows unless wanted, from those of the outputs and of the final state, `end`.

        Adds to the parameters' gradients. Writes the gradients of the initial state into `start`.
        """
        n, size, dtype = batch.N, batch.size, dy.dtype
        x, cell = tape.notes["x"], self.cell
        dy = self.contiguous(self.reversed(dy, batch, tape, "dy"), tape)
        state = self.state(batch, tape, dtype, training=True)
        dstate = tuple(tape.array(f"d{part}", (n, self.hidden), dtype) for part in cell.parts)
        for k, running in enumerate(dstate):
            running[...] = 0 if end is None else batch.gather_states(end[k])
        dx = tape.array("dx", (size if wanted else 0, x.shape[1]), dtype)
        values, gradients, dropped = self._weights.read(), self._weights.gradients(), tape.notes["dropped"]
        u, du = values.w_hh, gradients.w_hh
        dbias = np.empty(0, dtype) if gradients.bias is None else gradients.bias
        if dropped is not None:
            u, du = dropped.value, tape.zeros("du", u.shape, dtype)
        kernel.backward(
            *(cell.name, gradients.w_ih, du, dbias, dx, dstate, self.sums(batch, tape, dtype)),
            *(dy, x, state, values.w_ih, u, batch.alive[: batch.longest]),
            *(self.own(dtype), self._own_gradient(dtype), cell.options, tape.notes["masks of rows"]),
        )
        for made in self._weights.made:
            made.pass_on()
        if dropped is not None:
            dropped.add_gradient(du, gradients.w_hh, True)
        for running, initial in zip(dstate, start, strict=True):
            batch.scatter_states(running, initial)
        return self.reversed(dx, batch, tape, "reversed_dx") if wanted else dx

    def _masks(self, drawn: LayerMasks, batch: RaggedBatch, tape: Workspace) -> Masks:
        order = batch.reversed if self.reverse else None
        column = tape.notes["column"]
        return for_rows(drawn, column, self.hidden, column, self.hidden, batch, order)

    def own(self, dtype: np.dtype) -> Array:
        """The weights that each unit has for itself."""
        own = self._weights.own
        return np.zeros(self.cell.own * self.hidden, dtype) if own is None else own.value

    def _own_gradient(self, dtype: np.dtype) -> Array:
        own = self._weights.own
        return np.zeros(self.cell.own * self.hidden, dtype) if own is None else own.grad

    def state(self, batch: RaggedBatch, tape: Workspace, dtype: np.dtype, *, training: bool) -> Parts:
        """Each part before the first step and after each step. In inference, parts other than h have one step only."""
        n, slots = batch.N, batch.N + batch.size
        lengths = [slots if training or part == "h" else n for part in self.cell.parts]
        return tuple(
            tape.array(part, (length, width), dtype)
            for part, length, width in zip(self.cell.parts, lengths, self.cell.widths(self.hidden), strict=True)
        )

    def sums(self, batch: RaggedBatch, tape: Workspace, dtype: np.dtype) -> Array:
        """What the pass in training has kept of each step's sums."""
        return tape.array("sums", (batch.size, self.cell.sums * self.hidden), dtype)

    @staticmethod
    def contiguous(dy: Array, tape: Workspace) -> Array:
        """The same as dy, which may be columns of a wider array, in an array of its own."""
        if dy.flags.c_contiguous:
            return dy
        own = tape.array("dy", dy.shape, dy.dtype)
        own[...] = dy
        return own

    def reversed(self, x: Array, batch: RaggedBatch, tape: Workspace, name: str) -> Array:
        """Rows with each sequence reversed within its length, for the reverse direction; x itself for the other one."""
        if not self.reverse:
            return x
        out = tape.array(name, x.shape, x.dtype)
        rows.gather(x, batch.reversed, out)
        return out
