"""The running state of a recurrent layer: from one pass to the next, and in a stream."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm._check import Shape
from fastlstm.layers.base import Array, Index
from fastlstm.layers.recurrent.direction import Parts
from fastlstm.layers.recurrent.passes import Passes
from fastlstm.layers.recurrent.stack import at
from fastlstm.workspace import Workspace


class Running(Passes, abstract=True):
    """The part of a `Recurrent` layer that goes on from where it was."""

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        if tape.carries:
            return self._carry_on(x, tape, training=training, lengths=lengths)
        return self._forward(x, None, None, self._batch(x, lengths, tape), tape, training=training)

    def _carry_on(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        """`forward` from the final state of the last pass. Keeps the new final state for the next pass."""
        running: Parts | None = tape.lasting.get("running")
        begins = None if running is None else tape.lasting.pop("begins", None)  # rows that `carry` lets begin anew
        if running is not None and self._beginning is not None and begins is not None:
            running = self._beginning.begin(running, begins[0][0])
        y, final = self.forward_with_state(x, running, tape, training=training, lengths=lengths)
        if begins is not None:
            tape.notes["begins"] = begins[0][0]
        tape.lasting["running"] = self._keep("running", final, tape)
        return y

    def carry(self, index: Index, tape: Workspace) -> None:
        self._goes_forwards("carry its state")
        running: Parts | None = tape.lasting.get("running")
        if running is not None:
            if self._beginning is not None:
                (begins,) = tape.lasting.get("begins", [np.zeros((1, running[0].shape[1]), bool)])
                tape.lasting["begins"] = ((index < 0) | begins[:, index],)
            chosen = tuple(np.where((index < 0)[:, None], 0, part[:, index]) for part in running)
            tape.lasting["running"] = self._keep("running", chosen, tape)

    def _carried_shapes(self, n: int) -> list[tuple[int, ...]]:
        return list(self._state_shapes(n))

    def start(self, batch: int, tape: Workspace) -> None:
        self._goes_forwards("stream", "; stream(look_ahead=k) reads k steps ahead instead")
        self.build()
        tape.notes["stream"] = self._room("stream", batch, tape, self.dtype)
        if self._beginning is not None and not self._is_plain():
            self._packed.start(batch, tape, self.dtype)
        self.reset(slice(None), tape)

    def step(self, x: Array, tape: Workspace) -> Array:
        y, final = self.forward_with_state(x, tape.notes["stream"], tape, training=False, lengths=None)
        self._keep("stream", final, tape)
        return y

    def reset(self, rows: Any, tape: Workspace) -> None:
        values = None if self._beginning is None else self._beginning.values()
        for k, part in enumerate(tape.notes["stream"]):
            part[:, np.arange(part.shape[1])[rows].reshape(-1)] = 0 if values is None else values[k][:, None]
        for place, (direction, own) in enumerate(self._packed.places(tape)):
            direction.reset(rows, own, at(values, place))  # the state of a stream that runs on packed weights

    def running_kinds(self, batch: int, shape: Shape) -> dict[str, tuple[Shape, Any]]:
        shapes = zip(self.parts, self._whole_shapes(batch), strict=True)
        return {part: (shape, self.dtype) for part, shape in shapes}

    def running(self, tape: Workspace) -> dict[str, Array]:
        state = tuple(part.copy() for part in tape.notes["stream"])
        if not self._is_plain():
            for place, (direction, own) in enumerate(self._packed.places(tape)):
                direction.running(tuple(part[place] for part in state), own)
        return dict(zip(self.parts, self._heads_together(state), strict=True))

    def go_on(self, state: dict[str, Array], tape: Workspace) -> None:
        h, *others = (state[name] for name in self.parts)
        parts = self._keep("stream", self._heads_apart((self.cell.saturated(h), *others)), tape)
        if not self._is_plain():
            for place, (direction, own) in enumerate(self._packed.places(tape)):
                direction.go_on(tuple(part[place] for part in parts), own)

    def _goes_forwards(self, what: str, more: str = "") -> None:
        name = type(self).__name__
        if self.bidirectional:
            raise ValueError(f"a bidirectional {name} cannot {what}: its reverse direction begins at the end{more}")
        if self.go_backwards:
            raise ValueError(f"{name} with go_backwards cannot {what}: it begins at the end{more}")
