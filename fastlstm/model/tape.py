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
    rows : int
        Number of sequences whose state is carried; 0 before the first pass.
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
        self.model, self.carries, self.rows = model, carries, 0
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
        """Continue from what `state` of another tape has returned."""
        self.rows = state["rows"]
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


def joined_states(states: list[dict[str, Any]]) -> dict[str, Any]:
    """The state of a tape for all rows, from those of tapes for some rows each."""
    first = states[0]
    workspaces = [
        joined_workspaces([state["workspaces"][k] for state in states]) for k in range(len(first["workspaces"]))
    ]
    return {"rows": sum(state["rows"] for state in states), "workspaces": workspaces}


def joined_workspaces(states: list[dict[str, Any]]) -> dict[str, Any]:
    lasting = dict(states[0]["lasting"])
    for name, value in lasting.items():
        if isinstance(value, list | tuple):  # a state, each part (layers, rows, H)
            each = zip(*(state["lasting"][name] for state in states), strict=True)
            lasting[name] = [np.concatenate(parts, axis=1) for parts in each]
    children = states[0]["children"]
    return {
        "lasting": lasting,
        "children": {name: joined_workspaces([state["children"][name] for state in states]) for name in children},
    }


def state_of_rows(state: dict[str, Any], rows: slice) -> dict[str, Any]:
    """The state of a tape for some of the rows."""
    return {
        "rows": rows.stop - rows.start,
        "workspaces": [workspace_of_rows(workspace, rows) for workspace in state["workspaces"]],
    }


def workspace_of_rows(state: dict[str, Any], rows: slice) -> dict[str, Any]:
    lasting = {
        name: [part[:, rows] for part in value] if isinstance(value, list | tuple) else value
        for name, value in state["lasting"].items()
    }
    children = {name: workspace_of_rows(child, rows) for name, child in state["children"].items()}
    return {"lasting": lasting, "children": children}
