"""The parameters of LSTMForecaster, and what they may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from fastlstm import _check
from fastlstm.forecasting.distributions import DISTRIBUTIONS, head_of

SCALINGS = ("instance", "standard", "robust", "log")
STRATEGIES = ("direct", "recursive")
LOSSES = ("mae", "mse", "huber")
MOST_STEPS = 100_000
"""Steps of a season, a window or a horizon at most."""

MOST_PATCH = 1000
"""Steps of a patch at most."""

MOST_COUNT = 1e30
"""The largest value of a distribution that is learned in units of its own: the network works in float32."""


class Options(Protocol):
    """The parameters of `LSTMForecaster`, whose words these are."""

    season: int | None
    window: int | None
    patch: int
    strategy: str
    distribution: str
    loss: str
    scaling: str
    past_covariates: Sequence[Any]
    calendar: bool
    holidays: str | None
    freq: Any
    hidden_size: int
    num_layers: int
    dropout: float
    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    validation: float
    max_windows: int
    random_state: int | None


def check_parameters(options: Options) -> None:
    """Require that each parameter is what it may be; TypeError or ValueError with its name otherwise."""
    for name in ("season", "window"):
        if getattr(options, name) is not None:
            _check.positive_int(getattr(options, name), name, MOST_STEPS)
    _check.positive_int(options.patch, "patch", MOST_PATCH)
    if options.window is not None and options.window % options.patch:
        raise ValueError(f"window: expected a multiple of patch={options.patch}, got {options.window}")
    for name in ("hidden_size", "num_layers", "epochs", "patience", "batch_size", "max_windows"):
        _check.positive_int(getattr(options, name), name)
    for name in ("dropout", "validation"):
        _check.number(getattr(options, name), name, 0, 1, open_high=True)
    _check.number(options.learning_rate, "learning_rate", 0)
    if not isinstance(options.holidays, str | None):
        raise TypeError(f"holidays: expected a country such as 'DE' or 'US-CA', got {options.holidays!r}")
    _check.flag(options.calendar, "calendar")
    _check.seed_of(options.random_state, "random_state")
    if options.freq is not None and not (isinstance(options.freq, str) or hasattr(options.freq, "freqstr")):
        raise TypeError(f"freq: expected a frequency of pandas, such as 'MS' or 'h', got {options.freq!r}")
    _check.items(options.past_covariates, "past_covariates", "columns of X")
    words = {"strategy": STRATEGIES, "distribution": tuple(DISTRIBUTIONS), "loss": LOSSES, "scaling": SCALINGS}
    for name, known in words.items():
        if not isinstance(getattr(options, name), str) or getattr(options, name) not in known:
            raise ValueError(f"{name}: expected one of {', '.join(known)}, got {getattr(options, name)!r}")
    if options.patch > 1 and options.strategy == "recursive":
        raise ValueError(f"patch: expected 1 with strategy='recursive', which learns one step, got {options.patch}")
    if head_of(options.distribution, options.loss).counts and (
        options.scaling == "log" or options.strategy == "recursive"
    ):
        raise ValueError(
            f"distribution: expected strategy='direct' and scaling other than 'log' with {options.distribution!r}, "
            f"got scaling={options.scaling!r} and strategy={options.strategy!r}"
        )
