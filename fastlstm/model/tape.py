"""The tape: what a forward pass leaves for the backward pass, and for the next forward pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastlstm._kernels.program import Program, Turn
from fastlstm.layers.replay import Replay, place
from fastlstm.masking import Steps
from fastlstm.model.tape_state import check
from fastlstm.workspace import Part, Workspace

MOST_REPLAYS = 4
"""Most recorded passes that a tape keeps. One is not enough, because the last batch of an epoch is often smaller."""

if TYPE_CHECKING:
    from fastlstm.model.passes import Passes


class Tape:
    """What a forward pass leaves for its backward pass: a `Workspace` for each layer of the model.

    A forward pass does not change the model, so threads can share a model, each with its own tape. Exception: training
    with buffers, such as `BatchNorm`. A backward pass adds to the gradients in the model. A tape serves one pass at a
    time. A second thread that uses it at the same time gets a RuntimeError.

    Attributes
    ----------
    carries : bool
        Whether each pass starts from the final state of the pass before.
    loss : Workspace
        Holds the gradient of the loss with respect to the predictions.
    moved : Workspace
        Holds steps that have been moved because of a mask with holes.
    lent : dict
        The owners of the memory that callers have got and later passes write: outputs and gradients of inputs.
    part : Part
        Which part of a batch the passes are over; the whole, unless a training sets it.
    """

    def __init__(self, model: Passes, seed: int | None, carries: bool = False, precision: str | None = None) -> None:
        self.model, self.carries, self._rows = model, carries, 0
        # a spawn key, so that the masks do not use the random numbers of the starting values of the same seed
        seeds = np.random.SeedSequence(seed, spawn_key=(1,))
        self.part = Part()
        self.workspaces = [Workspace(seed, carries, precision, self.part) for seed in seeds.spawn(len(model.layers))]
        self.loss, self.moved = Workspace(), Workspace()
        self.recorded: Recorded | None = None
        pairs = zip(model.layers, self.workspaces, strict=True)
        self._penalised = [workspace for layer, workspace in pairs if layer._penalises]
        self._told_more = any(layer.told_more for layer in model.layers)
        self._replays: list[Replay] = []
        self._seen: tuple[int, tuple[int, ...]] | None = None  # address and shape of the last x without a recorded pass
        self.program: Program | None = None
        self.lent: dict[str, NDArray[Any]] = {}
        self.turn = Turn("this tape", "give each thread a tape of its own, from model.tape()")

    def __getstate__(self) -> object:
        if self.lent:
            raise TypeError(
                "a tape that has been used cannot be copied or pickled: let a new one, from model.tape(), "
                "restore its state()"
            )
        return self.__dict__

    @property
    def rows(self) -> int:
        """Number of sequences whose state is carried; 0 before the first pass."""
        return self._rows

    def penalty(self) -> float:
        """The penalties on outputs in the last forward pass with training=True, whose gradients its backward pass adds.

        See `ActivityRegularization`.
        """
        return sum((workspace.notes["penalty"] for workspace in self._penalised), 0.0) if self._penalised else 0.0

    def repeat(self, x: NDArray[Any]) -> Replay | None:
        """A training forward pass over full sequences by a recorded pass; None if there is no recorded pass for x.

        A pass is recorded for x if the last x without a recorded pass had the same address and shape.
        """
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
        """What the next pass depends on besides the model: the position in the dropout masks, and the carried state."""
        return {"rows": self.rows, "workspaces": [workspace.state() for workspace in self.workspaces]}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` of another tape of such a model has returned.

        Raises
        ------
        ValueError
            If it is none, or carries a state though this tape does not. The tape is then what it was.
        """
        try:
            check(state, self.model.layers, self.model.dtype)
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise ValueError(f"state: expected that of a tape of such a model, got another ({error})") from None
        if state["rows"] and not self.carries:
            got = f"that of one which carries {state['rows']} sequences"
            raise ValueError(f"state: expected that of a tape which carries none, as this one does, got {got}")
        self._rows = state["rows"]
        for workspace, part in zip(self.workspaces, state["workspaces"], strict=True):
            workspace.restore(part)


def owner(array: NDArray[Any]) -> Any:
    """The owner of the array's memory: one for all parts of it."""
    return array if array.base is None else array.base


def apart(array: Any, lent: Iterable[NDArray[Any]]) -> Any:
    """What a pass is given, or a copy of it if it lies in memory that has been lent and that the pass may write."""
    if type(array) is np.ndarray:
        own = owner(array)
        for other in lent:
            if own is other:
                return array.copy()
    return array


@dataclass(slots=True)
class Recorded:
    """What the backward pass needs to know about the last forward pass."""

    training: bool
    output_shape: tuple[int, ...]
    versions: list[int]
    replay: Replay | None = None
    steps: Steps | None = None
