"""What every layer can be told of its parameters: how they start, what they cost, what they must fulfil, who trains."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, TypedDict

from fastlstm import _check
from fastlstm.constraints import Constraint
from fastlstm.init import Initializer
from fastlstm.named import Named
from fastlstm.parameter import Parameter
from fastlstm.regularizers import Regularizer

Saved = list[Any]
"""What `Named.config` returns."""


class Settings(TypedDict, total=False):
    """Keywords that every layer with parameters takes.

    Each is for all parameters of the layer, or a dict by their names. The name of a parameter of a recurrent layer may
    be without its layer, direction and head, ``"weight_hh"``; a full one, ``"weight_hh_l1"``, comes before it.

    Attributes
    ----------
    init : name or Initializer, or a dict of these
        Starting values; see `fastlstm.init`. One for all that is made for matrices leaves the others as they are.
    regularizers : name or Regularizer, or a dict of these
        Penalties that are added to the loss; see `fastlstm.regularizers`.
    constraints : name or Constraint, or a dict of these
        What is made true after each step; see `fastlstm.constraints`.
    trainable : bool, or a dict of bools
        False freezes; see `Parameter.trainable`.
    """

    init: str | Initializer | Saved | Mapping[str, str | Initializer | Saved]
    regularizers: str | Regularizer | Saved | Mapping[str, str | Regularizer | Saved]
    constraints: str | Constraint | Saved | Mapping[str, str | Constraint | Saved]
    trainable: bool | Mapping[str, bool]


def check(settings: Mapping[str, Any], owner: str) -> None:
    """Raise TypeError for a keyword that is none of `Settings`."""
    for name in settings:
        if name not in Settings.__annotations__:
            raise TypeError(f"{owner}.__init__() got an unexpected keyword argument {name!r}")


def apply(settings: Settings, parameters: Mapping[str, Parameter]) -> Saved | dict[str, Saved] | None:
    """Give these parameters, a layer's, what it was told of them. Returns `init` for its config."""
    told = _each(settings.get("init"), "init", parameters)
    found = {key: Initializer.of(value, "init") for key, value in told.items()}
    for name, initializer in found.items():
        parameter = parameters[name]
        if len(parameter.shape) > 1 or not initializer.of_matrices:
            parameter.initializer = partial(initializer, blocks=parameter.blocks, fan=parameter.fan)
        elif isinstance(settings["init"], Mapping):
            raise ValueError(
                f"init: {type(initializer).__name__} is made for matrices, got {name} of shape "
                f"{_check.describe(parameter.shape)}"
            )
    for name, regularizer in _each(settings.get("regularizers"), "regularizers", parameters).items():
        parameters[name].regularizer = Regularizer.of(regularizer, "regularizers")
    for name, constraint in _each(settings.get("constraints"), "constraints", parameters).items():
        parameters[name].constraint = Constraint.of(constraint, "constraints")
    for name, trainable in _each(settings.get("trainable"), "trainable", parameters).items():
        parameters[name].trainable = _check.flag(trainable, "trainable")
    if isinstance(settings.get("init"), Mapping):
        return {name: initializer.config() for name, initializer in found.items()}
    return Initializer.of(settings["init"], "init").config() if found else None


def config_of(parameters: Mapping[str, Parameter], init: Any) -> dict[str, Any]:
    """The settings of these parameters as they are now, as JSON can hold them; nothing of what is as usual."""
    config: dict[str, Any] = {} if init is None else {"init": init}
    for key, attribute in (("regularizers", "regularizer"), ("constraints", "constraint")):
        held: dict[str, Named | None] = {name: getattr(parameter, attribute) for name, parameter in parameters.items()}
        if any(held.values()):
            config[key] = {name: one.config() for name, one in held.items() if one is not None}
    frozen = {name: False for name, parameter in parameters.items() if not parameter.trainable}
    if frozen:
        config["trainable"] = False if len(frozen) == len(parameters) else frozen
    return config


def _each(value: Any, name: str, parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """A setting for each of the parameters that it is about."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        return dict.fromkeys(parameters, value)
    known = {*parameters, *map(_stem, parameters)}
    for key in value:
        if key not in known:
            has = ", ".join(parameters) or "none"
            raise ValueError(f"{name}: expected names of parameters of the layer, which has {has}; got {key!r:.80}")
    given = {own: own if own in value else _stem(own) for own in parameters}
    return {own: value[key] for own, key in given.items() if key in value}


def _stem(name: str) -> str:
    """The name of a recurrent layer's parameter without its layer and direction."""
    return re.sub(r"_l\d+(_reverse)?(_head\d+)?$", "", name)
