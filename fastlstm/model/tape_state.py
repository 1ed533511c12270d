"""The state of a tape: whether it fits a model, and that of all rows from those of some, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm.layers import Layer
from fastlstm.layers.chain import within

State = dict[str, Any]

MOST = 10**12
"""Rows of a state."""

MASKS = {"key": (1 << 64) - 1, "calls": 1 << 62}
"""The numbers that a layer with dropout saves, and the largest value of each."""


def check(state: State, layers: Sequence[Layer], dtype: Any, name: str = "", *, begun: bool = False) -> None:
    """Check that a state is that of a tape of a model of these layers; `begun` says that there was a pass.

    Raises
    ------
    TypeError, ValueError, KeyError
        If a part is missing or does not fit. The message names it, with `name` before.
    """
    rows = whole(state["rows"], f"{name}rows", MOST)
    workspaces = _check.items(state["workspaces"], f"{name}workspaces", "dicts")
    if len(workspaces) != len(layers):
        raise ValueError(f"{name}workspaces: expected {len(layers)}, got {len(workspaces)}")
    for i, workspace in enumerate(workspaces):
        _workspace(workspace, f"{name}of layer {i}")
    begun = begun or any(_carries(workspace) for workspace in workspaces)  # rows may be told before the first pass
    for i, (layer, workspace) in enumerate(zip(layers, workspaces, strict=True)):
        own = f"{name}of layer {i}"
        if rows and begun:
            _running(layer, workspace, rows, dtype, own)


def _running(layer: Layer, workspace: State, rows: int, dtype: Any, name: str) -> None:
    """Check the states that a layer, and those that it holds, carry on from."""
    for place, inner in layer._held().items():
        if any(one._carried_shapes(rows) for _, one in within(inner, place)):
            _running(inner, workspace["children"][place], rows, dtype, f"{name}.{place}")
    shapes = layer._carried_shapes(rows)
    if shapes:
        running = workspace["lasting"]["running"]
        if len(running) != len(shapes):
            raise ValueError(f"{name}: expected a state of {len(shapes)} parts, got {len(running)}")
        # a broadcast array takes no memory: a damaged file may say any number of rows
        like = [np.broadcast_to(np.zeros((), dtype), shape) for shape in shapes]
        _check.arrays_like(running, like, name)


def _carries(state: State) -> bool:
    return "running" in state["lasting"] or any(_carries(child) for child in state["children"].values())


def _workspace(state: Any, name: str) -> None:
    """Check that a workspace and its children hold only numbers, arrays and lists of arrays."""
    lasting = state["lasting"]
    for key, value in lasting.items():
        if isinstance(value, list | tuple) and all(isinstance(part, np.ndarray) for part in value):
            continue
        if not isinstance(value, int | float | np.ndarray) or isinstance(value, bool):
            raise TypeError(f"{name}: {key}: expected a number or arrays, got {value!r:.80}")
    if MASKS.keys() & lasting.keys():
        for key, most in MASKS.items():
            whole(lasting[key], f"{name}: {key}", most)
    for key, child in state["children"].items():
        _workspace(child, f"{name} {key}")


def whole(value: Any, name: str, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected a whole number, got {value!r:.80}")
    if not 0 <= value <= most:
        raise ValueError(f"{name}: expected 0 to {most}, got {value!r:.80}")
    return value


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
