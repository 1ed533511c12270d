"""From the arguments of a recurrent layer to the options of its cell, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm._kernels.options import Options
from fastlstm.layers.recurrent.cells import Cell
from fastlstm.layers.recurrent.functions import SATURATING, function_of, shortest

NORM_EPS = 1e-5
"""What a layer norm adds to the variance if nothing else is said, as in PyTorch."""


def options_of(
    *,
    activation: Any,
    recurrent_activation: Any = "sigmoid",
    cell_activation: Any = None,
    clip: Any = None,
    cell_clip: Any = None,
    zoneout: tuple[Any, Any] = (0.0, 0.0),
    recurrent_dropout: Any = 0.0,
    recurrent_dropout_on: Any = "state",
    layer_norm: Any = False,
) -> Options:
    """The arguments of these names, checked."""
    gate, candidate = function_of(recurrent_activation, "recurrent_activation"), function_of(activation, "activation")
    output = candidate if cell_activation is None else function_of(cell_activation, "cell_activation")
    if not isinstance(recurrent_dropout_on, str) or recurrent_dropout_on not in ("state", "candidate"):
        raise ValueError(f"recurrent_dropout_on: expected 'state' or 'candidate', got {recurrent_dropout_on!r}")
    rate = rate_of(recurrent_dropout, "recurrent_dropout")
    zone_h, zone_c = (rate_of(zone, "zoneout") for zone in zoneout)
    limits = limit_of(clip, "clip"), limit_of(cell_clip, "cell_clip")
    on_state = recurrent_dropout_on == "state"
    rates = zone_h, zone_c, 0.0 if on_state else rate, rate if on_state else 0.0
    return Options(gate, candidate, output, *limits, *rates, norm_of(layer_norm))


def config_of(options: Options | None, *, of_c: bool) -> dict[str, Any]:
    """The arguments that are not what they are by default, as JSON. `of_c` says whether the cell has a c, too."""
    if options is None:
        return {}
    zones = [options.zone_h, options.zone_c]
    arguments = {
        "activation": (shortest(options.candidate), "tanh"),
        "recurrent_activation": (shortest(options.gate), "sigmoid"),
        "cell_activation": (shortest(options.output), shortest(options.candidate)),
        "clip": (options.clip, np.inf),
        "cell_clip": (options.cell_clip, np.inf),
        "zoneout": (zones, [0.0, 0.0]) if of_c else (options.zone_h, 0.0),
        "recurrent_dropout": (max(options.state_rate, options.candidate_rate), 0.0),
        "recurrent_dropout_on": ("candidate" if options.candidate_rate else "state", "state"),
        "layer_norm": (True if options.norm == NORM_EPS else options.norm, 0.0),
    }
    return {name: value for name, (value, usual) in arguments.items() if value != usual}


def has_usual_functions(options: Options) -> bool:
    """Whether gates have sigmoid, and all else tanh."""
    usual = Options()
    return (options.gate, options.candidate, options.output) == (usual.gate, usual.candidate, usual.output)


def cell_for(
    options: Options, plain: Cell | None, general: Cell, *functions: tuple[str, float, float], peephole: bool = False
) -> Cell:
    """The plain cell, which is the fastest, if it does what the options say, otherwise the general one with them.

    `plain` is the one that has these functions, if there is one. `functions` are all that the general cell has.
    """
    numbers = (options.clip, options.cell_clip, options.zone_h, options.zone_c)
    if plain is not None and numbers == (np.inf, np.inf, 0.0, 0.0) and not options.draws:
        return plain
    bounded = all(kind in SATURATING for kind, _, _ in functions)
    return replace(general, peephole=peephole, options=options, bounded=bounded)


def norm_of(value: Any) -> float:
    """layer_norm, checked: what is added to the variance, or 0 for False."""
    if isinstance(value, bool | np.bool_):
        return NORM_EPS if value else 0.0
    if isinstance(value, int | float | np.integer | np.floating) and 1e-12 <= value <= 1:
        return float(value)
    raise ValueError(
        f"layer_norm: expected True, False, or what is added to the variance, 1e-12 to 1; got {value!r:.80}"
    )


def projection_of(value: Any, hidden: int) -> int | None:
    """proj_size, checked: 0 and None are for none."""
    if value is None or (value == 0 and not isinstance(value, bool)):
        return None
    size = _check.positive_int(value, "proj_size")
    if size >= hidden:
        raise ValueError(f"proj_size: expected fewer than hidden_size, {hidden}, got {size}")
    return size


def zones_of(value: Any) -> tuple[Any, Any]:
    """zoneout of h and of c, from both or one for both."""
    if not isinstance(value, tuple | list):
        return value, value
    if len(value) != 2:
        raise ValueError(f"zoneout: expected a rate, or one of h and one of c, got {value!r}")
    return value[0], value[1]


def rate_of(value: Any, name: str) -> float:
    return _check.number(value, name, 0, 1, open_high=True)


def limit_of(value: Any, name: str) -> float:
    """A number above 0 to clip at, or infinity for None."""
    if value is None:
        return float(np.inf)
    limit = _check.number(value, name, 0)
    if not 0 < np.float32(limit) < np.inf:
        raise ValueError(f"{name}: expected a finite number above 0, or None, got {value}")
    return limit


def chrono_of(chrono: Any, bias: Any) -> float | None:
    """The argument of this name, checked: the starting biases that it makes must be there."""
    if chrono is None:
        return None
    longest = _check.number(chrono, "chrono", 2, 1e30)
    if not bias:
        raise ValueError(f"chrono: expected None without a bias, which it is the start of, got {chrono}")
    return longest
