"""The activation functions that a recurrent layer may be given by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastlstm import _check

DEFAULTS: dict[str, tuple[float, ...]] = {
    "sigmoid": (),
    "tanh": (),
    "relu": (),
    "hard_sigmoid": (0.2, 0.5),
    "softsign": (),
    "softplus": (),
    "leaky_relu": (0.01,),
    "thresholded_relu": (1.0,),
    "elu": (1.0,),
    "affine": (1.0, 0.0),
    "scaled_tanh": (1.0, 1.0),
}
"""The functions by name, with alpha and beta as far as each has them, those of ONNX where it says some."""

SATURATING = ("sigmoid", "tanh", "hard_sigmoid", "softsign", "scaled_tanh")
"""Those that huge numbers do not make huge."""

Function = tuple[str, float, float]
"""A function as a kernel takes it: its name, alpha and beta."""

Activation = str | tuple[str, float] | tuple[str, float, float]
"""A function as an argument: its name, or its name, alpha and beta."""


def function_of(value: Any, name: str, known: Mapping[str, tuple[float, ...]] = DEFAULTS) -> Function:
    """The function that an argument of this name asks for, of those that are known.

    Raises
    ------
    TypeError
        If it is neither a name nor a tuple of a name and one or two numbers.
    ValueError
        If there is no function of this name, or it has fewer numbers.
    """
    kind, *numbers = value if isinstance(value, tuple | list) and value else (value,)
    if not isinstance(kind, str):
        raise TypeError(f"{name}: expected a name, or a tuple of a name, alpha and beta, got {value!r}")
    if kind not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}, got {kind!r:.80}")
    defaults = known[kind]
    if len(numbers) > len(defaults):
        takes = ("no numbers", "alpha", "alpha and beta")[len(defaults)]
        raise ValueError(f"{name}: {kind} takes {takes}, got {value!r}")
    if any(number != number for number in numbers):
        raise ValueError(f"{name}: expected numbers that float32 can hold, got {value!r}")
    given = [_check.number(number, f"{name}: {kind}", -np.inf) for number in numbers]
    with np.errstate(over="ignore"):
        if not np.isfinite(np.array(given, np.float32)).all():
            raise ValueError(f"{name}: expected numbers that float32 can hold, got {value!r}")
    alpha, beta = (*given, *defaults[len(given) :], 0.0, 0.0)[:2]
    return kind, alpha, beta


def shortest(function: Function, known: Mapping[str, tuple[float, ...]] = DEFAULTS) -> str | list[str | float]:
    """The same as JSON, for a layer's config: the name alone where the numbers are the usual ones."""
    kind, *numbers = function
    own = numbers[: len(known[kind])]
    return kind if tuple(own) == known[kind] else [kind, *own]
