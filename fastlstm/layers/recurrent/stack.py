"""All layers and directions: in training on packed weights, and on the plain path in training and in inference.

Each part of a state is (layers·D, N, H): layer 0, layer 0 reverse, layer 1, ... Heads of a layer are as directions that
read alike.
"""

from __future__ import annotations

import numpy as np

from fastlstm.layers.base import Array
from fastlstm.layers.recurrent.direction import Direction, Parts
from fastlstm.layers.recurrent.joint import Joint
from fastlstm.layers.recurrent.masks import Rates, draw, drop_inputs, drop_inputs_backward
from fastlstm.layers.recurrent.ragged import RaggedBatch
from fastlstm.layers.recurrent.training import TrainedDirection
from fastlstm.layers.replay import Backward, BackwardCalls, Calls
from fastlstm.workspace import Workspace


def at(state: Parts | None, place: int) -> Parts | None:
    """The state of the direction at this place, each part (N, H)."""
    return None if state is None else tuple(part[place] for part in state)


class TrainedStack:
    """Training on packed weights. x, y and their gradients are batch-first."""

    def __init__(self, layers: list[list[TrainedDirection]], inputs: int, joint: Joint, rates: Rates) -> None:
        self._layers, self._inputs, self._joint, self._rates = layers, inputs, joint, rates
        one, count = layers[0][0], len(layers[0])
        self._out, self._options = one.out, one.cell.options
        self._width, self._units = count * one.out, count * one.hidden

    def forward(
        self, inputs: Array, state: Parts | None, final: Parts | None, batch: RaggedBatch, every: int, tape: Workspace
    ) -> Array:
        """y (N, T, ·), read-only, for x (N, T, I).

        Keeps the gates of `every` steps. Writes the final state into `final`, if there is one.
        """
        below, outputs = inputs, []
        for k, directions in enumerate(self._layers):
            x = drop_inputs(self._joint.read(below, inputs, k, tape), k, self._rates, tape)
            y = tape.array(f"trained_l{k}", batch.shape(self._width), x.dtype)
            batch.clear_padding(y)
            masks = draw(self._options, batch.N, batch.T, self._width, self._units, x.dtype, tape, k)
            for d, direction in enumerate(directions):
                place, column, part = k * len(directions) + d, d * self._out, tape.child(f"l{k}_{d}")
                start, rate = at(state, place), self._rates.weights
                direction.forward(x, y, column, self._between(k, x, tape), start, batch, every, masks, rate, part)
                end = at(final, place)
                if end is not None:
                    direction.final_state(y, column, end, batch, part)
            below = self._joint.forward(y, below, k, tape)
            outputs.append(below)
        y = self._joint.given(outputs, tape).view()
        y.flags.writeable = False  # the backward pass reads it
        return y

    def _between(self, k: int, x: Array, tape: Workspace) -> list[Array]:
        """Room for what the phases of layer k but the last put out, (N, T, ·) for both directions."""
        directions = self._layers[k]
        if len(directions[0].phases) == 1:
            return []
        return [
            tape.array(f"between_l{k}_{i}", (*x.shape[:2], len(directions) * phase.of.units), x.dtype)
            for i, phase in enumerate(directions[0].phases[:-1])
            if phase.of.puts_out
        ]

    def replay(self, x: Array, batch: RaggedBatch, tape: Workspace) -> tuple[Calls, Array, Backward]:
        """The passes over full sequences from zero states. See `Layer._replay`."""
        inputs, backwards, calls = x, [], Calls()
        for k, directions in enumerate(self._layers):
            y = tape.array(f"trained_l{k}", batch.shape(self._width), x.dtype)
            passes = [
                direction.replay(x, y, d * self._out, self._between(k, x, tape), batch, tape.child(f"l{k}_{d}"))
                for d, direction in enumerate(directions)
            ]
            backwards.append([backward for _, backward in passes])
            calls += [call for new, _ in passes for call in new]
            x = y

        def backward(dy: Array, wanted: bool) -> BackwardCalls:
            calls, lowest = Calls(), 0 if wanted else self._lowest_trained()
            for k, directions in reversed(list(enumerate(backwards))[lowest:]):
                dx: Array | None = None
                if k > lowest or wanted:
                    shape = batch.shape(self._width) if k else inputs.shape
                    dx = tape.array(f"dx_l{k}", shape, dy.dtype)
                calls += [direction(dy, dx, d > 0) for d, direction in enumerate(directions)]
                if dx is None:
                    return calls, None
                dy = dx
            return calls, dy

        return calls, x, backward

    def _lowest_trained(self) -> int:
        """The lowest layer with weights that are not frozen; the top one if there is none."""
        trained = (k for k, layer in enumerate(self._layers) if any(direction.trainable for direction in layer))
        return next(trained, len(self._layers) - 1)

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
        lowest = 0 if wanted or initial is not None else self._lowest_trained()
        above: Array | None = None  # the gradient by the output of layer k, as the layer above reads it
        past: Array | None = None  # that by x, as layers above read it
        for k, directions in reversed(list(enumerate(self._layers))[lowest:]):
            dx: Array | None = None
            if k > lowest or wanted:
                width = self._joint.input_width(k, self._inputs)
                dx = tape.array(f"dx_l{k}", batch.shape(width), dy.dtype)
                batch.clear_padding(dx)
            own = self._joint.given_backward(dy, above, k, tape)
            both = self._joint.backward(own, k, tape)
            for d, direction in enumerate(directions):
                place = k * len(directions) + d
                start = at(initial, place)
                direction.backward(both, dx, d > 0, at(dstate, place), start, batch, tape.child(f"l{k}_{d}"))
            if dx is None:
                return None
            dx = drop_inputs_backward(dx, k, self._rates, tape)
            above, past = self._joint.read_backward(dx, past, k, self._inputs, tape)
            self._joint.add_past(above, own, k)
        if above is not None and past is not None:
            above += past
        return above


class PlainStack:
    """The plain path, which copies batches into ragged order and back."""

    def __init__(self, layers: list[list[Direction]], inputs: int, joint: Joint, rates: Rates) -> None:
        self.layers, self._inputs, self._joint, self._rates = layers, inputs, joint, rates
        one, count = layers[0][0], len(layers[0])
        self._out, self._options = one.out, one.cell.options
        self._width, self._units = count * one.out, count * one.hidden

    def forward(
        self,
        x: Array,
        state: Parts | None,
        final: Parts,
        batch: RaggedBatch,
        tape: Workspace,
        *,
        training: bool,
        leaves_out: bool = True,
    ) -> Array:
        """y (N, T, ·) for x (N, T, I). Writes the final state into `final`.

        In training it leaves out what the cell leaves out at random, unless that is not wanted.
        """
        first = batch.gather(x, tape.array("x", (batch.size, self._inputs), x.dtype))
        below, outputs = first, []
        for k, directions in enumerate(self.layers):
            rows = self._joint.read(below, first, k, tape)
            if training and self._rates.of_layer(k):
                whole = batch.scatter(rows, tape.array("whole", batch.shape(rows.shape[1]), x.dtype))
                own = tape.array(
                    f"dropped rows of layer {k}", rows.shape, rows.dtype
                )  # those of the layer below are its states
                rows = batch.gather(drop_inputs(whole, k, self._rates, tape), own)
            masks = None
            if training and leaves_out:
                masks = draw(self._options, batch.N, batch.T, self._width, self._units, x.dtype, tape, k)
            of_directions = []
            for d, direction in enumerate(directions):
                place, part = k * len(directions) + d, tape.child(direction.suffix)
                end = tuple(array[place] for array in final)
                part.notes["column"], part.notes["masks"] = d * self._out, masks
                part.notes["rate of weights"] = self._rates.weights if training else 0.0
                of_directions.append(direction.forward(rows, at(state, place), end, batch, part, training=training))
            rows = of_directions[0]
            if len(of_directions) > 1:
                both = tape.array(f"y_l{k}", (batch.size, self._width), x.dtype)
                rows = np.concatenate(of_directions, axis=1, out=both)
            below = self._joint.forward(rows, below, k, tape)
            outputs.append(below)
        rows = self._joint.given(outputs, tape)
        return batch.scatter(rows, tape.array("y", batch.shape(rows.shape[1]), x.dtype))

    def backward(
        self, dy: Array, dstate: Parts | None, initial: Parts, batch: RaggedBatch, tape: Workspace, *, wanted: bool
    ) -> Array | None:
        """The gradient of x, if wanted. Writes those of the initial state into `initial`."""
        every = batch.gather(dy, tape.array("dy", (batch.size, dy.shape[2]), dy.dtype))
        above: Array | None = None
        past: Array | None = None
        for k, directions in reversed(list(enumerate(self.layers))):
            inputs = []
            given = self._joint.given_backward(every, above, k, tape)
            rows = self._joint.backward(given, k, tape)
            for d, direction in enumerate(directions):
                place = k * len(directions) + d
                start, part = tuple(array[place] for array in initial), tape.child(direction.suffix)
                own = rows[:, d * self._out : (d + 1) * self._out]
                end = at(dstate, place)
                inputs.append(direction.backward(own, end, start, batch, part, wanted=k > 0 or wanted))
            rows = inputs[0]
            for other in inputs[1:]:
                rows += other
            if (k or wanted) and self._rates.of_layer(k):
                whole = batch.scatter(rows, tape.array("whole", batch.shape(rows.shape[1]), dy.dtype))
                rows = batch.gather(drop_inputs_backward(whole, k, self._rates, tape), rows)
            above, past = self._joint.read_backward(rows, past, k, self._inputs, tape)
            self._joint.add_past(above, given, k)
        if not wanted or above is None:
            return None
        if past is not None:
            above += past
        return batch.scatter(above, tape.array("dx", batch.shape(self._inputs), dy.dtype))
