"""What the gates of an LSTM do at every step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastlstm import html
from fastlstm.layers.base import Array
from fastlstm.layers.recurrent.direction import Direction
from fastlstm.layers.recurrent.phased_direction import steps_of
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

    def _repr_html_(self) -> str:
        """Pictures of the first sequence for a notebook: steps from left to right, units from top to bottom."""
        n, t, units = self.cell.shape
        pictures = []
        for name in ("input", "forget", "output", "candidate", "cell", "hidden"):
            values = getattr(self, name)[0].T
            most = 1.0 if name != "cell" else float(np.abs(values).max())
            least = 0.0 if name in ("input", "forget", "output") else -most
            pictures.append(
                html.picture(values, least, most, f"{name}, from {least:.3g} (white) to {most:.3g} (black)")
            )
        words = f"Gates of {n} sequences of {t} steps and {units} units; these are those of the first sequence."
        return f"<p>{words}</p>" + "".join(pictures)


def read_gates(direction: Direction, batch: RaggedBatch, steps: Steps, tape: Workspace) -> Gates:
    """The gates that the plain path's training pass of one direction has left in its tape."""
    n, hidden, dtype = batch.N, direction.hidden, tape.notes["x"].dtype
    h, c = direction.state(batch, tape, dtype, training=True)
    sums, cell = direction.sums(batch, tape, dtype), direction.cell
    if cell.norms:
        sums = normed(direction, sums, c, batch)
    gates = [sums[:, k * hidden : (k + 1) * hidden] for k in range(cell.gates)]
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


def normed(direction: Direction, sums: Array, c: Array, batch: RaggedBatch) -> Array:
    """What the functions of a cell with layer norm take, (S, G·H), from W x and U h, (S, 2·G·H), and c (N + S, H)."""
    cell, n, own = direction.cell, batch.N, direction.own(sums.dtype).reshape(direction.cell.own, -1)
    eps = 0.0 if cell.options is None else cell.options.norm
    *looks, look_o = own[: cell.gates - 1]
    bias, of_x, of_h = own[cell.gates - 1 : 4 * cell.gates - 1].reshape(3, -1)
    x, h = (
        (part - part.mean(1, keepdims=True)) / np.sqrt(part.var(1, keepdims=True) + eps)
        for part in np.split(sums, 2, axis=1)
    )
    a: Array = bias + of_x * x + of_h * h
    before = np.concatenate([c[step.before] for step in steps_of(batch)])
    for k, look in enumerate(looks):
        a[:, k * direction.hidden :][:, : direction.hidden] += look * before
    a[:, -direction.hidden :] += look_o * c[n:]
    return a
