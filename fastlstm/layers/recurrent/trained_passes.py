"""The passes of one direction over a batch in training, block by block and phase by phase."""

from __future__ import annotations

from dataclasses import dataclass

from fastlstm._kernels import backward as back
from fastlstm._kernels import forward as kernel
from fastlstm.layers.base import Array
from fastlstm.layers.recurrent.direction import Parts
from fastlstm.layers.recurrent.trained_phase import Kind, Room
from fastlstm.layers.recurrent.weights import Arrays


@dataclass
class Passes:
    """The passes over a batch, ready to run. There is one block of steps, or several if checkpoints are kept.

    All blocks keep what their backward pass reads in the same arrays, which hold that of block `kept`. starts[k] is the
    state at the beginning of block k: h (N, width) and, if there is one, c (N, C·width). forwards and backwards have
    those of each phase for each block, the first phase first. `with_c` is the phase that has the c of the state.
    """

    kind: Kind
    single: bool
    with_c: int
    rooms: list[Room]
    starts: list[Parts]
    forwards: list[list[kernel.Pass]]
    backwards: list[list[back.Backward]]
    x: Array
    y: Array
    fresh: bool = True
    kept: int = 0

    def running(self) -> Parts:
        """The running state: h (N, width) and, if there is one, c (N, C·width)."""
        _, h, phase = self.rooms[-1].state
        return (h[phase[0]], self.rooms[self.with_c].state[0])[: len(self.starts[0])]

    def gradients(self) -> Parts:
        """The gradients of the state, likewise."""
        return (self.rooms[-1].gradients[0], self.rooms[self.with_c].gradients[1])[: len(self.starts[0])]

    def clear_gradients(self) -> None:
        for room in self.rooms:
            for array in room.gradients:
                array.fill(0)

    def go(self, k: int) -> None:
        """Run the forward pass of block k from the running state."""
        forward = self.forwards[k][0]
        forward.fresh = self.fresh and k == 0
        forward.bind(self.x, self.y)
        forward.go()
        self.kept = k

    def bind_back(
        self, k: int, x: Array, y: Array, dy: Array, dx: Array | None, add_dx: bool, start: Parts | None, values: Arrays
    ) -> back.Backward:
        """Bind the backward pass of block k. Returns that of all phases."""
        phases, of = self.backwards[k], self.kind.direction.phases
        if len(phases) == 1:
            phases[0].bind(x, y, dy, dx, add_dx, start, of[0].of.of(values)[:2])
            return phases[0]
        outputs = [*[room.y for room in self.rooms[:-1]], y]
        for i in reversed(range(len(of))):
            phases[i].bind(
                *(x, outputs[i], dy if i == len(of) - 1 else None, dx, add_dx, start),
                *(of[i].of.of(values)[:2], outputs[i - 1]),
            )
            add_dx = add_dx or of[i].of.inputs > 0
        return phases[-1]
