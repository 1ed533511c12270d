"""All layers and directions in training: on packed weights, or on the plain path (there in inference, too).

Each part of a state is (layers·D, N, H): layer 0, layer 0 reverse, layer 1, ...
"""

from __future__ import annotations

import numpy as np

from fastlstm.layers.base import Array
from fastlstm.layers.dropout import drop, drop_backward
from fastlstm.layers.recurrent.direction import Direction, Parts
from fastlstm.layers.recurrent.packing import Packing
from fastlstm.layers.recurrent.training import TrainedDirection
from fastlstm.layers.replay import Backward, Calls, Turned
from fastlstm.workspace import Workspace


def at(state: Parts | None, place: int) -> Parts | None:
    """The state of one direction, (N, H) for each part."""
    return None if state is None else tuple(part[place] for part in state)


class TrainedStack:
    """On packed weights; x, y and their gradients are batch-first. dropout is the rate between layers."""

    def __init__(self, layers: list[list[TrainedDirection]], inputs: int, hidden: int, dropout: float) -> None:
        self._layers, self._inputs, self._hidden, self._dropout = layers, inputs, hidden, dropout
        self._width = len(layers[0]) * hidden

    def forward(
        self, x: Array, state: Parts | None, final: Parts | None, packing: Packing, every: int, tape: Workspace
    ) -> Array:
        """y (N, T, D·H), read-only, for x (N, T, I), keeping the gates of `every` steps; `final` is written."""
        for k, directions in enumerate(self._layers):
            if k and self._dropout:
                x = drop(x, self._dropout, tape, f"_l{k}")
            y = tape.array(f"trained_l{k}", (packing.n, packing.t, self._width), x.dtype)
            packing.clear_beyond(y)
            for d, direction in enumerate(directions):
                place, column, part = k * len(directions) + d, d * self._hidden, tape.child(f"l{k}_{d}")
                direction.forward(x, y, column, at(state, place), packing, every, part)
                end = at(final, place)
                if end is not None:
                    direction.final_state(y, column, end, packing, part)
            x = y
        shown = x.view()
        shown.flags.writeable = False  # the backward pass reads it
        return shown

    def replay(self, x: Array, packing: Packing, tape: Workspace) -> tuple[Calls, Array, Backward]:
        """Passes over full sequences from zero states, see `Layer.replay`."""
        inputs, prepared, calls = x, [], Calls()
        for k, directions in enumerate(self._layers):
            y = tape.array(f"trained_l{k}", (packing.n, packing.t, self._width), x.dtype)
            passes = [
                direction.replay(x, y, d * self._hidden, packing, tape.child(f"l{k}_{d}"))
                for d, direction in enumerate(directions)
            ]
            prepared.append(passes)
            calls += [call for new, _ in passes for call in new]
            x = y

        def backward(dy: Array, wanted: bool) -> Turned:
            calls = Calls()
            for k, passes in reversed(list(enumerate(prepared))):
                dx: Array | None = None
                if k or wanted:
                    shape = (packing.n, packing.t, self._width) if k else inputs.shape
                    dx = tape.array(f"dx_l{k}", shape, dy.dtype)
                calls += [turn(dy, dx, d > 0) for d, (_, turn) in enumerate(passes)]
                if dx is None:
                    return calls, None
                dy = dx
            return calls, dy

        return calls, x, backward

    def backward(
        self, dy: Array, dstate: Parts | None, initial: Parts | None, packing: Packing, tape: Workspace, *, wanted: bool
    ) -> Array | None:
        """The gradient of x, if wanted, and into `initial` those of the initial state."""
        for k, directions in reversed(list(enumerate(self._layers))):
            dx: Array | None = None
            if k or wanted:
                dx = tape.array(f"dx_l{k}", (packing.n, packing.t, self._width if k else self._inputs), dy.dtype)
                packing.clear_beyond(dx)
            for d, direction in enumerate(directions):
                place = k * len(directions) + d
                start = at(initial, place)
                direction.backward(dy, dx, d > 0, at(dstate, place), start, packing, tape.child(f"l{k}_{d}"))
            if dx is None:
                return None
            dy = drop_backward(dx, tape, f"_l{k}") if k and self._dropout else dx
        return dy


class PlainStack:
    """On the plain path: batches are copied into the order of the packing, and back."""

    def __init__(self, layers: list[list[Direction]], inputs: int, hidden: int, dropout: float) -> None:
        self.layers, self._inputs, self._hidden, self._dropout = layers, inputs, hidden, dropout
        self._width = len(layers[0]) * hidden

    def forward(
        self, x: Array, state: Parts | None, final: Parts, packing: Packing, tape: Workspace, *, training: bool
    ) -> Array:
        """y (N, T, D·H) for x (N, T, I); `final` is written."""
        packed = packing.pack(x, tape.array("x", (packing.size, self._inputs), x.dtype))
        for k, directions in enumerate(self.layers):
            if k and training and self._dropout:
                packed = drop(packed, self._dropout, tape, directions[0].suffix)
            outputs = []
            for d, direction in enumerate(directions):
                place, part = k * len(directions) + d, tape.child(direction.suffix)
                end = tuple(array[place] for array in final)
                outputs.append(direction.forward(packed, at(state, place), end, packing, part, training=training))
            packed = outputs[0]
            if len(outputs) == 2:
                both = tape.array(f"y_l{k}", (packing.size, self._width), x.dtype)
                packed = np.concatenate(outputs, axis=1, out=both)
        return packing.unpack(packed, tape.array("y", (packing.n, packing.t, self._width), x.dtype))

    def backward(
        self, dy: Array, dstate: Parts | None, initial: Parts, packing: Packing, tape: Workspace, *, wanted: bool
    ) -> Array | None:
        """The gradient of x, if wanted, and into `initial` those of the initial state."""
        packed = packing.pack(dy, tape.array("dy", (packing.size, self._width), dy.dtype))
        for k, directions in reversed(list(enumerate(self.layers))):
            inputs = []
            for d, direction in enumerate(directions):
                place = k * len(directions) + d
                start, part = tuple(array[place] for array in initial), tape.child(direction.suffix)
                own = packed[:, d * self._hidden : (d + 1) * self._hidden]
                end = at(dstate, place)
                inputs.append(direction.backward(own, end, start, packing, part, wanted=k > 0 or wanted))
            packed = inputs[0]
            if len(inputs) == 2:
                packed += inputs[1]
            if k and self._dropout:
                packed = drop_backward(packed, tape, directions[0].suffix)
        if not wanted:
            return None
        return packing.unpack(packed, tape.array("dx", (packing.n, packing.t, self._inputs), dy.dtype))
