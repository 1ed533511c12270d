"""The parameters of a forecaster, and what they may be."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Self

from fastlstm import _check, hints
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


class Parameters:
    """The parameters of a `LSTMForecaster`, in whose docstring they stand, each as an attribute of its name."""

    @hints.hinted
    def __init__(
        self,
        season: int | None = None,
        *,
        window: int | None = None,
        patch: int = 1,
        strategy: str = "direct",
        distribution: str = "point",
        loss: str = "mae",
        scaling: str = "instance",
        past_covariates: Sequence[Any] = (),
        calendar: bool = True,
        holidays: str | None = None,
        freq: str | None = None,
        hidden_size: int = 32,
        num_layers: int = 1,
        dropout: float = 0.0,
        epochs: int = 40,
        patience: int = 6,
        batch_size: int = 64,
        learning_rate: float = 0.003,
        validation: float = 0.2,
        max_windows: int = 20_000,
        random_state: int | None = 0,
    ) -> None:
        super().__init__()
        self.season = season
        self.window = window
        self.patch = patch
        self.strategy = strategy
        self.distribution = distribution
        self.loss = loss
        self.scaling = scaling
        self.past_covariates = past_covariates
        self.calendar = calendar
        self.holidays = holidays
        self.freq = freq
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.dropout = dropout
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation = validation
        self.max_windows = max_windows
        self.random_state = random_state
        check_parameters(self)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name, as scikit-learn's tools ask for them; `deep` changes nothing."""
        return {name: getattr(self, name) for name in inspect.signature(Parameters).parameters}

    def set_params(self, **params: Any) -> Self:
        """Change parameters by name; ValueError if there is none of a name."""
        before = self.get_params()
        for name in params:
            if name not in before:
                raise ValueError(f"{name}: expected one of the parameters {', '.join(before)}")
        try:
            vars(self).update(params)
            check_parameters(self)
        except (TypeError, ValueError):
            vars(self).update(before)
            raise
        return self

    def __repr__(self) -> str:
        """The parameters that are not the usual ones."""
        usual = inspect.signature(Parameters).parameters
        given = [f"{name}={value!r}" for name, value in self.get_params().items() if value != usual[name].default]
        return f"{type(self).__name__}({', '.join(given)})"


def check_parameters(parameters: Parameters) -> None:
    """Require that each parameter is what it may be; TypeError or ValueError with its name otherwise."""
    for name in ("season", "window"):
        if getattr(parameters, name) is not None:
            _check.positive_int(getattr(parameters, name), name, MOST_STEPS)
    _check.positive_int(parameters.patch, "patch", MOST_PATCH)
    if parameters.window is not None and parameters.window % parameters.patch:
        raise ValueError(f"window: expected a multiple of patch={parameters.patch}, got {parameters.window}")
    for name in ("hidden_size", "num_layers", "epochs", "patience", "batch_size", "max_windows"):
        _check.positive_int(getattr(parameters, name), name)
    for name in ("dropout", "validation"):
        _check.number(getattr(parameters, name), name, 0, 1, open_high=True)
    _check.number(parameters.learning_rate, "learning_rate", 0)
    if not isinstance(parameters.holidays, str | None):
        raise TypeError(f"holidays: expected a country such as 'DE' or 'US-CA', got {parameters.holidays!r}")
    _check.flag(parameters.calendar, "calendar")
    _check.seed_of(parameters.random_state, "random_state")
    if parameters.freq is not None and not (isinstance(parameters.freq, str) or hasattr(parameters.freq, "freqstr")):
        raise TypeError(f"freq: expected a frequency of pandas, such as 'MS' or 'h', got {parameters.freq!r}")
    _check.items(parameters.past_covariates, "past_covariates", "columns of X")
    words = {"strategy": STRATEGIES, "distribution": tuple(DISTRIBUTIONS), "loss": LOSSES, "scaling": SCALINGS}
    for name, known in words.items():
        if not isinstance(getattr(parameters, name), str) or getattr(parameters, name) not in known:
            raise ValueError(f"{name}: expected one of {', '.join(known)}, got {getattr(parameters, name)!r}")
    if parameters.patch > 1 and parameters.strategy == "recursive":
        raise ValueError(f"patch: expected 1 with strategy='recursive', which learns one step, got {parameters.patch}")
    if head_of(parameters.distribution, parameters.loss).counts and (
        parameters.scaling == "log" or parameters.strategy == "recursive"
    ):
        raise ValueError(
            f"distribution: expected strategy='direct' and scaling other than 'log' with {parameters.distribution!r}, "
            f"got scaling={parameters.scaling!r} and strategy={parameters.strategy!r}"
        )
