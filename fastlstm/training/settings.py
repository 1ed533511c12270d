"""The settings of a training. A resumed training must have the same settings, otherwise it raises an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastlstm.losses import Loss
from fastlstm.optim import Optimizer
from fastlstm.snapshot import State
from fastlstm.training.objective import Objective

PLAIN = bool | int | float | str | None


def settings_of(objective: Objective, optimizer: Optimizer, **passed: Any) -> State:
    """The settings by name, as a state can hold them: all but the arrays, the callbacks and the number of epochs.

    Parameters
    ----------
    objective, optimizer
        Those of the training, before its first step.
    **passed
        Further settings. A value that is not a number, a word or None is replaced by its `repr`.
    """
    loss, metrics = objective.loss, [name_of(metric) for metric in objective.metrics]
    parameters = objective.model.named_parameters()
    for key, attribute in (("regularizers", "regularizer"), ("constraints", "constraint")):
        held = {name: getattr(parameter, attribute) for name, parameter in parameters.items()}
        passed[key] = ", ".join(f"{name}: {one}" for name, one in held.items() if one is not None)
    given = {"optimizer": type(optimizer).__name__, **optimizer.settings(), "loss": name_of(loss), "metrics": metrics}
    return given | {name: value if isinstance(value, PLAIN) else repr(value) for name, value in passed.items()}


def require_same(before: Any, now: Mapping[str, Any]) -> None:
    """Raise ValueError for a setting that differs. Settings known to one side only are ignored.

    Such settings come from another version of the library.
    """
    if not isinstance(before, dict):
        raise ValueError(f"resume: expected the settings of a training in its state, got {before!r:.80}")
    for name, value in now.items():
        if name in before and before[name] != value:
            raise ValueError(
                f"{name}: expected {before[name]!r}, that of the interrupted training, got {value!r}; pass the same to "
                "go on with it, or another folder as resume to begin anew"
            )


def name_of(function: Any) -> str:
    """The name of a loss or a metric; that of a `Loss` includes its options."""
    if isinstance(function, Loss | str):
        return str(function)
    return str(getattr(function, "__qualname__", type(function).__qualname__))
