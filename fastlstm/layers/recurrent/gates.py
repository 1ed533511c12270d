"""What the gates of an LSTM do at every step."""

from __future__ import annotations

from dataclasses import dataclass

from fastlstm.layers.base import Array
from fastlstm.layers.recurrent.direction import Direction
from fastlstm.layers.recurrent.ragged import RaggedBatch
from fastlstm.masking import Steps
from fastlstm.workspace import Workspace


@dataclass(frozen=True)
class Gates:
    """The gates, the candidate and the state of one direction of one layer at every step, from `LSTM.gates`.

    Each is (N, T, H), but `hidden` is (N, T, P) if it is projected. They are zero at steps that are not real. At every
    step of a plain cell::

        cell = forget · (cell before) + input · candidate          hidden = output · tanh(cell)

    Some textbooks use other words. Their learn gate gives input · candidate, their forget gate gives forget · (cell
    before), their remember gate gives the sum of both, which is the cell, and their use gate gives hidden. They call
    the cell the long-term memory and hidden the short-term memory.

    Attributes
    ----------
    input, forget, output : from 0, closed, to 1, open
        i, f and o: how much is written, kept and put out.
    candidate : from -1 to 1
        g, what may be written.
    cell, hidden
        c and h, after the step.
    """

    input: Array
    forget: Array
    candidate: Array
    output: Array
    cell: Array
    hidden: Array


def read_gates(direction: Direction, batch: RaggedBatch, steps: Steps, tape: Workspace) -> Gates:
    """The gates that the plain path's training pass of one direction has left in its tape."""
    n, hidden, dtype = batch.N, direction.hidden, tape.notes["x"].dtype
    h, c = direction.state(batch, tape, dtype, training=True)
    sums, cell = direction.sums(batch, tape, dtype), direction.cell
    gates = [sums[:, k * hidden : (k + 1) * hidden] for k in range(cell.sums)]
    if cell.options is not None:  # then it has kept what the functions take
        *others, o = gates
        i, *f, g = others
        i, o, *f = (cell.options.gates(gate) for gate in (i, o, *f))
        gates = [i, *(f or [1 - i]), cell.options.candidates(g), o]
    found = []
    for block in (*gates, c[n:], h[n:]):
        own = Workspace()
        rows = direction.reversed(direction.contiguous(block, own), batch, own, "reversed")
        whole = batch.scatter(rows, own.array("out", (n, batch.T, block.shape[1]), dtype))
        found.append(steps.scatter(batch.without_empty(whole)))
    return Gates(*found)
