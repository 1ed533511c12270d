"""All layers and directions: in training on packed weights, and on the plain path in training and in inference.

Each part of a state is (layers·D, N, H): layer 0, layer 0 reverse, layer 1, ...
"""

from __future__ import annotations

import numpy as np

from fastlstm.layers.base import Array
from fastlstm.layers.dropout import drop, drop_backward
from fastlstm.layers.recurrent.direction import Direction, Parts
from fastlstm.layers.recurrent.ragged import RaggedBatch
from fastlstm.layers.recurrent.training import TrainedDirection
from fastlstm.layers.replay import Backward, BackwardCalls, Calls
from fastlstm.workspace import Workspace


def at(state: Parts | None, place: int) -> Parts | None:
    """The state of the direction at this place, each part (N, H)."""
    return None if state is None else tuple(part[place] for part in state)


class TrainedStack:
    """Training on packed weights. x, y and their gradients are batch-first; `dropout` is the rate between layers."""

    def __init__(self, layers: list[list[TrainedDirection]], inputs: int, hidden: int, dropout: float) -> None:
        self._layers, self._inputs, self._hidden, self._dropout = layers, inputs, hidden, dropout
        self._width = len(layers[0]) * hidden

    def forward(
        self, x: Array, state: Parts | None, final: Parts | None, batch: RaggedBatch, every: int, tape: Workspace
    ) -> Array:
        """y (N, T, D·H), read-only, for x (N, T, I).

        Keeps the gates of `every` steps. Writes the final state into `final`, if there is one.
        """
        for k, directions in enumerate(self._layers):
            if k and self._dropout:
                x = drop(x, self._dropout, tape, f"_l{k}")
            y = tape.array(f"trained_l{k}", (batch.N, batch.T, self._width), x.dtype)
            batch.clear_padding(y)
            for d, direction in enumerate(directions):
                place, column, part = k * len(directions) + d, d * self._hidden, tape.child(f"l{k}_{d}")
                direction.forward(x, y, column, at(state, place), batch, every, part)
                end = at(final, place)
                if end is not None:
                    direction.final_state(y, column, end, batch, part)
            x = y
        y = x.view()
        y.flags.writeable = False  # the backward pass reads it
        return y

    def replay(self, x: Array, batch: RaggedBatch, tape: Workspace) -> tuple[Calls, Array, Backward]:
        """The passes over full sequences from zero states. See `Layer.replay`."""
        inputs, backwards, calls = x, [], Calls()
        for k, directions in enumerate(self._layers):
            y = tape.array(f"trained_l{k}", (batch.N, batch.T, self._width), x.dtype)
            passes = [
                direction.replay(x, y, d * self._hidden, batch, tape.child(f"l{k}_{d}"))
                for d, direction in enumerate(directions)
            ]
            backwards.append([backward for _, backward in passes])
            calls += [call for new, _ in passes for call in new]
            x = y

        def backward(dy: Array, wanted: bool) -> BackwardCalls:
            calls = Calls()
            for k, directions in reversed(list(enumerate(backwards))):
                dx: Array | None = None
                if k or wanted:
                    shape = (batch.N, batch.T, self._width) if k else inputs.shape
                    dx = tape.array(f"dx_l{k}", shape, dy.dtype)
                calls += [direction(dy, dx, d > 0) for d, direction in enumerate(directions)]
                if dx is None:
                    return calls, None
                dy = dx
            return calls, dy

        return calls, x, backward

    def backward(
        self,
        dy: Array,
        dstate: Parts | None,
        initial: Parts | None,
        batch: RaggedBatch,
        tape: Workspace,
        *,
        wanted: bool,
    ) -> Array | None:
        """The gradient of x, if wanted. Writes those of the initial state into `initial`."""
        for k, directions in reversed(list(enumerate(self._layers))):
            dx: Array | None = None
            if k or wanted:
                dx = tape.array(f"dx_l{k}", (batch.N, batch.T, self._width if k else self._inputs), dy.dtype)
                batch.clear_padding(dx)
            for d, direction in enumerate(directions):
                place = k * len(directions) + d
                start = at(initial, place)
                direction.backward(dy, dx, d > 0, at(dstate, place), start, batch, tape.child(f"l{k}_{d}"))
            if dx is None:
                return None
            dy = drop_backward(dx, tape, f"_l{k}") if k and self._dropout else dx
        return dy


class PlainStack:
    """The plain path, which copies batches into ragged order and back."""

    def __init__(self, layers: list[list[Direction]], inputs: int, hidden: int, dropout: float) -> None:
        self.layers, self._inputs, self._hidden, self._dropout = layers, inputs, hidden, dropout
        self._width = len(layers[0]) * hidden

    def forward(
        self, x: Array, state: Parts | None, final: Parts, batch: RaggedBatch, tape: Workspace, *, training: bool
    ) -> Array:
        """y (N, T, D·H) for x (N, T, I). Writes the final state into `final`."""
        rows = batch.gather(x, tape.array("x", (batch.size, self._inputs), x.dtype))
        for k, directions in enumerate(self.layers):
            if k and training and self._dropout:
                whole = batch.scatter(rows, tape.array("whole", (batch.N, batch.T, self._width), x.dtype))
                rows = batch.gather(drop(whole, self._dropout, tape, directions[0].suffix), rows)
            outputs = []
            for d, direction in enumerate(directions):
                place, part = k * len(directions) + d, tape.child(direction.suffix)
                end = tuple(array[place] for array in final)
                outputs.append(direction.forward(rows, at(state, place), end, batch, part, training=training))
            rows = outputs[0]
            if len(outputs) == 2:
                both = tape.array(f"y_l{k}", (batch.size, self._width), x.dtype)
                rows = np.concatenate(outputs, axis=1, out=both)
        return batch.scatter(rows, tape.array("y", (batch.N, batch.T, self._width), x.dtype))

    def backward(
        self, dy: Array, dstate: Parts | None, initial: Parts, batch: RaggedBatch, tape: Workspace, *, wanted: bool
    ) -> Array | None:
        """The gradient of x, if wanted. Writes those of the initial state into `initial`."""
        rows = batch.gather(dy, tape.array("dy", (batch.size, self._width), dy.dtype))
        for k, directions in reversed(list(enumerate(self.layers))):
            inputs = []
            for d, direction in enumerate(directions):
                place = k * len(directions) + d
                start, part = tuple(array[place] for array in initial), tape.child(direction.suffix)
                own = rows[:, d * self._hidden : (d + 1) * self._hidden]
                end = at(dstate, place)
                inputs.append(direction.backward(own, end, start, batch, part, wanted=k > 0 or wanted))
            rows = inputs[0]
            if len(inputs) == 2:
                rows += inputs[1]
            if k and self._dropout:
                whole = batch.scatter(rows, tape.array("whole", (batch.N, batch.T, self._width), dy.dtype))
                rows = batch.gather(drop_backward(whole, tape, directions[0].suffix), rows)
        if not wanted:
            return None
        return batch.scatter(rows, tape.array("dx", (batch.N, batch.T, self._inputs), dy.dtype))
