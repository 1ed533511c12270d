"""One direction of one layer on the plain path, on packed rows: what stands between the layer and its kernel."""

from __future__ import annotations

import numpy as np

from fastlstm._kernels import plain as kernel
from fastlstm._kernels import rows
from fastlstm.layers.base import Array
from fastlstm.layers.recurrent.cells import Cell
from fastlstm.layers.recurrent.packing import Packing
from fastlstm.parameter import Parameter
from fastlstm.workspace import Workspace

Parts = tuple[Array, ...]
"""One array for each part of a state: h and c of an LSTM, h alone of a GRU."""

SUMS_BUFFER = 1 << 18
"""Bytes of projected inputs held at a time in inference: they should stay in a core's L2 cache."""


class Direction:
    """Reads the parameters with this suffix; ``_reverse`` at its end says that it walks each sequence from its end."""

    def __init__(self, cell: Cell, parameters: dict[str, Parameter], suffix: str) -> None:
        self.cell, self.suffix = cell, suffix
        self.reverse = suffix.endswith("_reverse")
        self._w_ih = parameters["weight_ih" + suffix]
        self._w_hh = parameters["weight_hh" + suffix]
        self._bias = parameters.get("bias" + suffix)
        self.hidden = self._w_hh.shape[1]
        self.parameters = (self._w_ih, self._w_hh, self._bias)

    def forward(
        self, x: Array, start: Parts | None, end: Parts, packing: Packing, tape: Workspace, *, training: bool
    ) -> Array:
        """Outputs (S, H) for x (S, I), both in the order of the packing; writes the final state (N, H) into `end`."""
        n, size, width, dtype = packing.n, packing.size, self.cell.sums * self.hidden, x.dtype
        x = tape.notes["x"] = self.turned(x, packing, tape, "x")
        state = self.state(packing, tape, dtype, training=training)
        for k, part in enumerate(state):
            part[:n] = 0 if start is None else packing.pack_batch(start[k])
        held = size if training else max(n, SUMS_BUFFER // (width * dtype.itemsize))
        sums = tape.array("sums", (min(size, held), width), dtype)
        bias = np.zeros(width, dtype) if self._bias is None else self._bias.value
        kernel.forward(self.cell.name, state, sums, x, self._w_ih.value, self._w_hh.value, bias, packing.alive)
        for part, final in zip(state, end, strict=True):
            packing.unpack_batch(part if len(part) == n else part[n + packing.ends], final)
        return self.turned(state[0][n:], packing, tape, "y")

    def backward(
        self, dy: Array, end: Parts | None, start: Parts, packing: Packing, tape: Workspace, *, wanted: bool
    ) -> Array:
        """Gradient of x (no rows unless wanted) from those of the outputs and of the final state, `end`.

        Adds to the parameters' gradients and writes those of the initial state into `start`.
        """
        n, size, dtype = packing.n, packing.size, dy.dtype
        x, cell = tape.notes["x"], self.cell
        dy = self.dense(self.turned(dy, packing, tape, "dy"), tape)
        state = self.state(packing, tape, dtype, training=True)
        dstate = tuple(tape.array(f"d{part}", (n, self.hidden), dtype) for part in cell.parts)
        for k, running in enumerate(dstate):
            running[...] = 0 if end is None else packing.pack_batch(end[k])
        dbias = np.empty(0, dtype) if self._bias is None else self._bias.grad
        dx = tape.array("dx", (size if wanted else 0, x.shape[1]), dtype)
        kernel.backward(
            *(cell.name, self._w_ih.grad, self._w_hh.grad, dbias, dx, dstate, self.sums(packing, tape, dtype)),
            *(dy, x, state, self._w_ih.value, self._w_hh.value, packing.alive),
        )
        for running, initial in zip(dstate, start, strict=True):
            packing.unpack_batch(running, initial)
        return self.turned(dx, packing, tape, "turned_dx") if wanted else dx

    def state(self, packing: Packing, tape: Workspace, dtype: np.dtype, *, training: bool) -> Parts:
        """Each part before the first step and after each; in inference, those but h at the running step alone."""
        n, slots = packing.n, packing.n + packing.size
        lengths = [slots if training or part == "h" else n for part in self.cell.parts]
        return tuple(
            tape.array(part, (length, self.hidden), dtype)
            for part, length in zip(self.cell.parts, lengths, strict=True)
        )

    def sums(self, packing: Packing, tape: Workspace, dtype: np.dtype) -> Array:
        """What the pass in training has kept of each step's sums."""
        return tape.array("sums", (packing.size, self.cell.sums * self.hidden), dtype)

    @staticmethod
    def dense(dy: Array, tape: Workspace) -> Array:
        """dy, which may be columns of a wider array, with its rows side by side."""
        if dy.flags.c_contiguous:
            return dy
        dense = tape.array("dy", dy.shape, dy.dtype)
        dense[...] = dy
        return dense

    def turned(self, x: Array, packing: Packing, tape: Workspace, name: str) -> Array:
        """Each sequence turned round within its length, for the reverse direction; x itself for the other."""
        if not self.reverse:
            return x
        turned = tape.array(name, x.shape, x.dtype)
        rows.gather(x, packing.reverse, turned)
        return turned
