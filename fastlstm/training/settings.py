"""What a training was told. One that goes on from its state must be told the same, or be refused: never ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastlstm.losses import Loss
from fastlstm.optim import Optimizer
from fastlstm.snapshot import State
from fastlstm.training.objective import Objective

PLAIN = bool | int | float | str | None


def settings_of(objective: Objective, optimizer: Optimizer, **passed: Any) -> State:
    """Names and values, as a state can hold them, of all but the arrays, the callbacks and the number of epochs.

    Parameters
    ----------
    objective, optimizer
        Of the training, before its first step.
    **passed
        Further arguments by their names: numbers, words, None, or what has a name or a representation of its own.
    """
    loss, metrics = objective.loss, [name_of(metric) for metric in objective.metrics]
    given = {"optimizer": type(optimizer).__name__, **optimizer.settings(), "loss": name_of(loss), "metrics": metrics}
    return given | {name: value if isinstance(value, PLAIN) else repr(value) for name, value in passed.items()}


def require_same(before: Any, now: Mapping[str, Any]) -> None:
    """Refuse what differs; what only one of the two knows was written by another version."""
    if not isinstance(before, dict):
        raise ValueError(f"resume: expected the settings of a training in its state, got {before!r:.80}")
    for name, value in now.items():
        if name in before and before[name] != value:
            raise ValueError(
                f"{name}: expected {before[name]!r}, that of the interrupted training, got {value!r}; pass the same to "
                "go on with it, or another folder as resume to begin anew"
            )


def name_of(function: Any) -> str:
    """What a loss or a metric is called."""
    if isinstance(function, Loss | str):
        return str(function)
    return str(getattr(function, "__qualname__", type(function).__qualname__))
