"""What a pass of a model leaves for the next one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastlstm._kernels.program import Program, Turn
from fastlstm.layers.replay import Replay, place
from fastlstm.workspace import Workspace

MOST_REPLAYS = 4
"""Batches of different sizes whose passes are kept: the last one of an epoch is often smaller."""

if TYPE_CHECKING:
    from fastlstm.model.model import Model


class Tape:
    """What a forward pass of a model leaves for its backward pass: a `Workspace` for each layer's place in the chain.

    A model is never written to by a pass, so that several threads can use one, each with a tape of its own; but for
    training passes through layers with buffers, such as `BatchNorm`. A tape serves one pass at a time; a second thread
    that uses it meanwhile gets a RuntimeError.

    Attributes
    ----------
    carries : bool
        Whether each pass begins from the state that the one before left.
    rows : int
        Number of sequences whose state is carried; 0 before the first pass.
    loss : Workspace
        Where a loss may put the gradient of the predictions.
    """

    def __init__(self, model: Model, seed: int | None, carries: bool = False) -> None:
        self.model, self.carries, self.rows = model, carries, 0
        # a key of its own: the starting values of a model with the same seed come from other numbers
        seeds = np.random.SeedSequence(seed, spawn_key=(1,))
        self.workspaces = [Workspace(child, carries) for child in seeds.spawn(len(model.layers))]
        self.loss = Workspace()
        self.recorded: Recorded | None = None
        self._told_more = any(layer.told_more for layer in model.layers)
        self._replays: list[Replay] = []
        self._seen: tuple[int, tuple[int, ...]] | None = None  # where the last batch lay
        self.program: Program | None = None
        self.turn = Turn("this tape", "give each thread a tape of its own, from model.tape()")

    def repeat(self, x: NDArray[Any]) -> Replay | None:
        """A forward pass in training over full sequences, by what an earlier one took if a batch has lain there."""
        if self._told_more:
            return None
        for replay in self._replays:
            if replay.serves(x):
                replay.forward()
                return replay
        seen, self._seen = self._seen, (place(x), x.shape)
        if seen != self._seen:
            return None
        replay = Replay(self.model.layers, self.workspaces, x)
        self._replays = [replay, *self._replays[: MOST_REPLAYS - 1]]
        return replay

    def state(self) -> dict[str, Any]:
        """What the next pass depends on but the parameters: where the dropout masks are, and a running state."""
        return {"rows": self.rows, "workspaces": [workspace.state() for workspace in self.workspaces]}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` of another tape gave."""
        self.rows = state["rows"]
        for workspace, part in zip(self.workspaces, state["workspaces"], strict=True):
            workspace.restore(part)


@dataclass(slots=True)
class Recorded:
    """What the last forward pass over a tape was, as far as a backward pass must know."""

    training: bool
    output_shape: tuple[int, ...]
    versions: list[int]
    replay: Replay | None = None
