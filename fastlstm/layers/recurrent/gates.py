"""What the gates of an LSTM do at every step."""

from __future__ import annotations

from dataclasses import dataclass

from fastlstm.layers.base import Array
from fastlstm.layers.recurrent.direction import Direction
from fastlstm.layers.recurrent.packing import Packing
from fastlstm.workspace import Workspace


@dataclass(frozen=True)
class Gates:
    """The gates, the candidate and the state of one direction of one layer at every step, from `LSTM.gates`.

    Each is (N, T, H), zero beyond a sequence's end. At every step::

        cell = forget · (cell before) + input · candidate          hidden = output · tanh(cell)

    Some textbooks have other words: input · candidate is what comes out of their learn gate, forget · (cell before) of
    their forget gate, the cell, that is the sum of both, of their remember gate, and hidden of their use gate. The cell
    is the long-term memory, and hidden the short-term memory.

    Attributes
    ----------
    input, forget, output : from 0, closed, to 1, open
        i, f and o: how much is written, kept, and shown.
    candidate : from -1 to 1
        g, what could be written.
    cell, hidden
        c and h, after the step.
    """

    input: Array
    forget: Array
    candidate: Array
    output: Array
    cell: Array
    hidden: Array


def read_gates(direction: Direction, packing: Packing, tape: Workspace) -> Gates:
    """From what the plain path's training pass of one direction has left in its tape."""
    n, hidden, dtype = packing.n, direction.hidden, tape.notes["x"].dtype
    h, c = direction.state(packing, tape, dtype, training=True)
    sums = direction.sums(packing, tape, dtype)
    found = []
    for block in (*(sums[:, k * hidden : (k + 1) * hidden] for k in range(4)), c[n:], h[n:]):
        own = Workspace()
        walked = direction.turned(direction.dense(block, own), packing, own, "turned")
        found.append(packing.unpack(walked, own.array("out", (n, packing.t, hidden), dtype)))
    return Gates(*found)
