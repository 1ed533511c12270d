"""One direction of one LSTM layer, on packed rows: what stands between the layer and its kernel."""

from __future__ import annotations

import numpy as np

from fastlstm._kernels import lstm as kernel
from fastlstm._kernels import rows
from fastlstm.layers.base import Array
from fastlstm.layers.recurrent.packing import Packing
from fastlstm.parameter import Parameter
from fastlstm.workspace import Workspace

Parts = tuple[Array, ...]
"""One array for each part of a state: h and c of an LSTM."""

GATE_BUFFER = 1 << 18
"""Bytes of projected inputs held at a time in inference: they should stay in a core's L2 cache."""


class Direction:
    """Reads the parameters with this suffix; ``_reverse`` at its end says that it walks each sequence from its end."""

    def __init__(self, parameters: dict[str, Parameter], suffix: str) -> None:
        self.suffix = suffix
        self.reverse = suffix.endswith("_reverse")
        self._w_ih = parameters["weight_ih" + suffix]
        self._w_hh = parameters["weight_hh" + suffix]
        self._bias = parameters.get("bias" + suffix)
        self.hidden = self._w_hh.shape[1]
        self.parameters = (self._w_ih, self._w_hh, self._bias)

    def forward(
        self, x: Array, start: Parts | None, end: Parts, packing: Packing, tape: Workspace, *, training: bool
    ) -> Array:
        """Outputs (S, H) for x (S, I), both in the order of the packing; writes the final h, c (N, H) into `end`."""
        n, size, hidden, dtype = packing.n, packing.size, self.hidden, x.dtype
        x = self.turned(x, packing, tape, "x")
        h = tape.array("h", (n + size, hidden), dtype)
        c = tape.array("c", (n + size if training else n, hidden), dtype)
        held = size if training else max(n, GATE_BUFFER // (4 * hidden * dtype.itemsize))
        gates = tape.array("gates", (min(size, held), 4 * hidden), dtype)
        for slots, part in ((h, 0), (c, 1)):
            slots[:n] = 0 if start is None else packing.pack_batch(start[part])
        bias = np.zeros(4 * hidden, dtype) if self._bias is None else self._bias.value
        kernel.forward(h, c, gates, x, self._w_ih.value, self._w_hh.value, bias, packing.alive)
        tape.notes["x"] = x
        packing.unpack_batch(h[n + packing.ends], end[0])
        packing.unpack_batch(c[n + packing.ends] if training else c, end[1])
        return self.turned(h[n:], packing, tape, "y")

    def backward(
        self, dy: Array, end: Parts | None, start: Parts, packing: Packing, tape: Workspace, *, wanted: bool
    ) -> Array:
        """Gradient of x (no rows unless wanted) from those of the outputs and of the final state, `end`.

        Adds to the parameters' gradients and writes those of the initial state into `start`.
        """
        n, size, hidden, dtype = packing.n, packing.size, self.hidden, dy.dtype
        x = tape.notes["x"]
        dy = self.dense(self.turned(dy, packing, tape, "dy"), tape)
        h, c = (tape.array(name, (n + size, hidden), dtype) for name in ("h", "c"))
        dh, dc = (tape.array(name, (n, hidden), dtype) for name in ("dh", "dc"))
        for running, part in ((dh, 0), (dc, 1)):
            running[...] = 0 if end is None else packing.pack_batch(end[part])
        gates = tape.array("gates", (size, 4 * hidden), dtype)
        dbias = np.empty(0, dtype) if self._bias is None else self._bias.grad
        dx = tape.array("dx", (size if wanted else 0, x.shape[1]), dtype)
        kernel.backward(
            *(self._w_ih.grad, self._w_hh.grad, dbias, dx, dh, dc, gates),
            *(dy, x, h, c, self._w_ih.value, self._w_hh.value, packing.alive),
        )
        packing.unpack_batch(dh, start[0])
        packing.unpack_batch(dc, start[1])
        return self.turned(dx, packing, tape, "turned_dx") if wanted else dx

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
