"""Checks that the state of an interrupted training fits the training that resumes it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.model import Model, tape_state
from fastlstm.model.tape_state import whole
from fastlstm.optim import Optimizer
from fastlstm.snapshot import MOST, State
from fastlstm.training.history import History

Array = NDArray[Any]


def check(state: State, model: Model, optimizer: Optimizer, figures: State) -> None:
    """Check all that the training itself restores. Each callback checks its own part in its `restore`.

    Parameters
    ----------
    state : State
        What `fastlstm.snapshot.read` has returned.
    model, optimizer
        Those of the training that resumes.
    figures : dict of arrays
        The state of the figures at the start of an epoch.

    Raises
    ------
    TypeError, ValueError, KeyError
        If a part is missing or does not fit. The message names it.
    """
    arrays = {**model.named_parameters(), **model.named_buffers()}
    like = [array.value for array in arrays.values()]
    _check.arrays_like([state["parameters"][name] for name in arrays], like, "parameters")
    _check.arrays_like(state["good"], like, "good")
    _optimizer(state["optimizer"], model, optimizer)
    tape_state.check(state["tape"], model.layers, model.dtype, "tape ", begun=True)
    _figures(state["figures"], figures)
    frozen_of(state, model, "frozen at first")
    _ranks(state.get("ranks", []), model, frozen_of(state, model), figures)
    History.from_dict(state["history"])


def _figures(state: State, like: State) -> None:
    """Check each array against the initial figures. Initially empty arrays may have any shape and dtype of numbers."""
    for name, other in like.items():
        array = state[name]
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            raise TypeError(f"figures {name}: expected an array of numbers, got {array!r:.80}")
        if other.size and (array.dtype, array.ndim) != (other.dtype, max(1, other.ndim)):
            raise TypeError(
                f"figures {name}: expected {other.ndim} axes of {other.dtype}, got {array.ndim} of {array.dtype}"
            )


def frozen_now(model: Model) -> list[str]:
    """The names of the parameters that are frozen."""
    return [name for name, parameter in model.named_parameters().items() if not parameter.trainable]


def frozen_of(state: State, model: Model, key: str = "frozen") -> list[str]:
    """The names of the parameters that were frozen when the state was made; those that are now, if it does not say.

    With the key "frozen at first" those that were frozen when the training began.
    """
    known = model.named_parameters()
    names = _check.items(state.get(key, frozen_now(model)), key, "names")
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise ValueError(f"{key}: expected names of parameters, got {name!r:.80}")
    return names


def require_frozen(state: State, model: Model) -> None:
    """Raise ValueError if other parameters are frozen now than at the beginning of the training, or at its end.

    Callbacks may freeze and thaw in between: a script that runs again sets what held at the beginning, and a model that
    is still there has what held at the end.
    """
    first, now = frozen_of(state, model, "frozen at first"), frozen_now(model)
    if now in (first, frozen_of(state, model)):
        return
    kinds = {"frozen": [name for name in first if name not in now], "trainable": [n for n in now if n not in first]}
    said = " and ".join(f"{', '.join(names)} {kind}" for kind, names in kinds.items() if names)
    raise ValueError(
        f"trainable: expected {said}, as when the interrupted training began, got the opposite; set the same to go on "
        "with it, or give another folder as resume to begin anew"
    )


def _ranks(states: Any, model: Model, frozen: list[str], figures: State) -> None:
    """Check what each rank had for itself: figures, and what it had lost by rounding its gradients."""
    count = len(_check.items(states, "ranks", "dicts"))
    numbers = sum(parameter.size for name, parameter in model.named_parameters().items() if name not in frozen)
    for rank, state in enumerate(states):
        _figures(state["figures"], figures)
        wire = state["wire"]
        if not wire:
            continue
        width = -(-numbers // count) if whole(wire["size"], f"wire of rank {rank}", numbers) else 0
        if width and wire["size"] != numbers:
            raise ValueError(f"wire of rank {rank}: expected the errors of {numbers} numbers, got {wire['size']}")
        like = [np.broadcast_to(np.zeros((), model.dtype if width else float), (n,)) for n in (width * count, width)]
        _check.arrays_like([wire["sent"], wire["summed"]], like, f"wire of rank {rank}")


def _optimizer(state: State, model: Model, optimizer: Optimizer) -> None:
    _check.number(state["lr"], "optimizer lr", 0, 1e30)
    whole(state["steps"], "optimizer steps", MOST)
    if state["type"] != type(optimizer).__name__:
        return  # `Optimizer.restore` raises the error
    slots, parameters = _check.items(state["slots"], "optimizer slots", "dicts"), model.parameters()
    if slots and len(slots) != len(parameters):
        raise ValueError(f"optimizer slots: expected {len(parameters)}, got {len(slots)}")
    for own, parameter in zip(slots, parameters, strict=False):
        if not isinstance(own, dict) or sorted(own) != sorted(optimizer.slots):
            raise ValueError(f"optimizer slots: expected {sorted(optimizer.slots)}, got {own!r:.80}")
        _check.arrays_like([own[name] for name in own], [parameter.value] * len(own), f"optimizer {parameter.name}")
