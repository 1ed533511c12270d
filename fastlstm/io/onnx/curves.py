"""Functions of each number: which `Activation` some operators amount to."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.io.onnx.gates import FUNCTIONS
from fastlstm.io.onnx.values import ERF, POINTS, Curve
from fastlstm.layers import Activation
from fastlstm.layers.elementwise import DEFAULTS
from fastlstm.workspace import Workspace

Array = NDArray[Any]

NAMES = {name: ours for ours, name in FUNCTIONS.items() if name not in ("Affine", "ScaledTanh")} | {"Exp": "exp"}
"""Operators that are one of our functions."""

USUAL = {"HardSigmoid": (0.2, 0.5), "LeakyRelu": (0.01,), "ThresholdedRelu": (1.0,), "Elu": (1.0,)}
"""The alpha and beta of an operator that says none."""

MORE: dict[str, Callable[[Array], Array]] = {"Erf": ERF, "Neg": np.negative, "Abs": np.abs, "Sqrt": np.sqrt}
"""Operators that are parts of functions."""

MOST_DEPTH = 40


def short(number: float) -> float:
    """A number of float32 as it was written: 0.01 and not 0.009999999776."""
    return float(str(np.float32(number)))


def function_named(op: str, attrs: dict[str, Any]) -> tuple[Any, Callable[[Array], Array]] | None:
    """The function of an operator on one tensor, as the argument of an `Activation`, if it is one, and itself."""
    if op in MORE:
        return None, MORE[op]
    if op == "Gelu":
        name: Any = "gelu_tanh" if attrs.get("approximate") == "tanh" else "gelu"
    elif op in NAMES:
        name = NAMES[op]
        if op in USUAL:
            given = (attrs.get("alpha"), attrs.get("beta"))
            pairs = zip(USUAL[op], given, strict=False)
            name = (name, *(usual if own is None else short(own) for usual, own in pairs))
    else:
        return None
    return name, as_function(name)


def as_function(name: Any) -> Callable[[Array], Array]:
    """The argument of an `Activation` as a function of an array."""
    layer = Activation(name)
    return lambda x: layer.forward(x, Workspace(0), training=False, lengths=None)


def identified(curve: Curve) -> Any:
    """The argument of an `Activation` that computes the whole of a curve; None if there is none.

    It is found by its values, for frameworks write the same function in many ways.
    """
    values = curve.values
    if not np.isfinite(values).all():
        return None
    start = values[45]
    slope = (values[90] - start) / 9
    if np.allclose(values, slope * POINTS + start, rtol=1e-9, atol=1e-12):
        return "affine", float(slope), float(start)
    known = known_values()
    near = (np.abs(known - values) <= 1e-7 + 1e-6 * np.abs(known)).all(axis=1)
    return list(DEFAULTS)[int(near.argmax())] if near.any() else None


@cache
def known_values() -> Array:
    """Those of all functions of an `Activation` at the points where they are compared."""
    return np.stack([as_function(name)(POINTS) for name in DEFAULTS])
