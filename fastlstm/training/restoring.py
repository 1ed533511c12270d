"""Whether the state of an interrupted training fits the training that is to go on from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.layers.recurrent.base import Recurrent
from fastlstm.model import Model
from fastlstm.optim import Optimizer
from fastlstm.snapshot import MOST, State
from fastlstm.training.history import History

Array = NDArray[Any]

MASKS = {"key": (1 << 64) - 1, "calls": 1 << 62}
"""What a layer with dropout keeps, and the largest there is of each."""


def check(state: State, model: Model, optimizer: Optimizer, figures: State) -> None:
    """All that the training puts back by itself; each callback looks at its own part, in its `restore`.

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
    arrays = {**model.named_parameters(), **model.named_buffers()}
    like = [array.value for array in arrays.values()]
    _check.arrays_like([state["parameters"][name] for name in arrays], like, "parameters")
    _check.arrays_like(state["good"], like, "good")
    _optimizer(state["optimizer"], model, optimizer)
    _tape(state["tape"], model)
    _figures(state["figures"], figures)
    History.from_dict(state["history"])


def _figures(state: State, like: State) -> None:
    """Arrays of the kinds of those that an epoch begins with; those that are empty then may become anything."""
    for name, other in like.items():
        array = state[name]
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            raise TypeError(f"figures {name}: expected an array of numbers, got {array!r:.80}")
        if other.size and (array.dtype, array.ndim) != (other.dtype, max(1, other.ndim)):
            raise TypeError(
                f"figures {name}: expected {other.ndim} axes of {other.dtype}, got {array.ndim} of {array.dtype}"
            )


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
            like = np.broadcast_to(np.zeros((), model.dtype), shape)  # of no size: the rows are the file's word
            _check.arrays_like(running, [like] * len(running), name)


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
