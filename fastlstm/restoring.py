"""Whether the state of an interrupted training fits the training that is to go on from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.callbacks import Callback
from fastlstm.history import History
from fastlstm.layers.recurrent import Recurrent
from fastlstm.model import Model
from fastlstm.optim import Optimizer
from fastlstm.snapshot import MOST, State

Array = NDArray[Any]

KINDS: tuple[Any, ...] = (bool, (int, float, np.generic), str, (list, tuple), dict, np.ndarray)
"""Of what a state is made of; a bool is no number."""

MASKS = {"key": (1 << 64) - 1, "calls": 1 << 62}
"""What a layer with dropout keeps, and the largest there is of each."""


def check(state: State, model: Model, optimizer: Optimizer, figures: State) -> None:
    """All that the training puts back by itself; the callbacks look at their own part.

    Parameters
    ----------
    state : State
        As `fastlstm.snapshot.read` gave it.
    model, optimizer
        Of the training that is to go on.
    figures : dict of arrays
        The state of the figures of an epoch that has just begun.

    Raises
    ------
    TypeError, ValueError, KeyError
        Naming the part that does not fit.
    """
    like = [array.value for array in {**model.named_parameters(), **model.named_buffers()}.values()]
    _check.arrays_like(list(state["parameters"].values()), like, "parameters")
    _check.arrays_like(state["good"], like, "good")
    _optimizer(state["optimizer"], model, optimizer)
    _tape(state["tape"], model)
    alike(state["figures"], figures, "figures")
    History.from_dict(state["history"])


def restore(callback: Callback, state: State) -> None:
    """Let a callback go on from its state, which has the kinds of what it would write down now."""
    alike(state, callback.state(), type(callback).__name__)
    callback.restore(state)


def alike(value: Any, like: Any, name: str) -> None:
    """That a value is of the kind of another one: a number, a list, a dict with values alike, an array.

    Lists may be longer, and dicts have other keys; None is of every kind.
    """
    if value is None or like is None:
        return
    kind: Any = next((kind for kind in KINDS if isinstance(like, kind)), object)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{name}: expected {type(like).__name__}, got {value!r:.80}")
    if isinstance(like, np.ndarray) and like.size and (value.dtype, value.ndim) != (like.dtype, max(1, like.ndim)):
        raise TypeError(f"{name}: expected {like.ndim} axes of {like.dtype}, got {value.ndim} of {value.dtype}")
    if isinstance(like, dict):
        for key in value.keys() & like.keys():
            alike(value[key], like[key], f"{name} {key}")


def _optimizer(state: State, model: Model, optimizer: Optimizer) -> None:
    _check.number(state["lr"], "optimizer lr", 0, 1e30)
    _whole(state["steps"], "optimizer steps", MOST)
    if state["type"] != type(optimizer).__name__:
        return  # the optimizer itself will say so
    slots, parameters = _check.items(state["slots"], "optimizer slots", "dicts"), model.parameters()
    if slots and len(slots) != len(parameters):
        raise ValueError(f"optimizer slots: expected {len(parameters)}, got {len(slots)}")
    for own, parameter in zip(slots, parameters, strict=False):
        if not isinstance(own, dict) or sorted(own) != sorted(optimizer.slots):
            raise ValueError(f"optimizer slots: expected {sorted(optimizer.slots)}, got {own!r:.80}")
        _check.arrays_like([own[name] for name in own], [parameter.value] * len(own), f"optimizer {parameter.name}")


def _tape(state: State, model: Model) -> None:
    rows = _whole(state["rows"], "tape rows", MOST)
    workspaces = _check.items(state["workspaces"], "tape workspaces", "dicts")
    if len(workspaces) != len(model.layers):
        raise ValueError(f"tape workspaces: expected {len(model.layers)}, got {len(workspaces)}")
    for i, (layer, workspace) in enumerate(zip(model.layers, workspaces, strict=True)):
        name = f"tape of layer {i}"
        _workspace(workspace, name)
        if rows and isinstance(layer, Recurrent):
            shape = (layer.num_layers * layer.directions, rows, layer.hidden_size)
            running = workspace["lasting"]["running"]
            if len(running) != len(layer.parts):
                raise ValueError(f"{name}: expected a state of {len(layer.parts)} parts, got {len(running)}")
            _check.arrays_like(running, [np.empty(shape, model.dtype)] * len(running), name)


def _workspace(state: Any, name: str) -> None:
    """Numbers, arrays and lists of arrays, here and in the children."""
    lasting = state["lasting"]
    for key, value in lasting.items():
        if isinstance(value, list) and all(isinstance(part, np.ndarray) for part in value):
            continue
        if not isinstance(value, int | float | np.ndarray) or isinstance(value, bool):
            raise TypeError(f"{name}: {key}: expected a number or arrays, got {value!r:.80}")
    if MASKS.keys() & lasting.keys():
        for key, most in MASKS.items():
            _whole(lasting[key], f"{name}: {key}", most)
    for key, child in state["children"].items():
        _workspace(child, f"{name} {key}")


def _whole(value: Any, name: str, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected a whole number, got {value!r:.80}")
    if not 0 <= value <= most:
        raise ValueError(f"{name}: expected 0 to {most}, got {value!r:.80}")
    return value
