"""The parameters of LSTMForecaster: what they may be, and how scikit-learn's tools ask for them."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Self

from fastlstm import _check
from fastlstm.application import Application, options_of
from fastlstm.forecasting.distributions import DISTRIBUTIONS, head_of

SCALINGS = ("instance", "standard", "robust", "log")
STRATEGIES = ("direct", "recursive")
LOSSES = ("mae", "mse", "huber")
MOST_STEPS = 100_000
"""Steps of a season, a window or a horizon at most."""


class Parameters(Application):
    """Base of `LSTMForecaster`, whose docstring says what each of its parameters is."""

    def __init__(
        self,
        season: int | None = None,
        *,
        window: int | None = None,
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
        self._check_parameters()

    def _check_parameters(self) -> None:
        for name in ("season", "window"):
            if getattr(self, name) is not None:
                _check.positive_int(getattr(self, name), name, MOST_STEPS)
        for name in ("hidden_size", "num_layers", "epochs", "patience", "batch_size", "max_windows"):
            _check.positive_int(getattr(self, name), name)
        for name in ("dropout", "validation"):
            _check.number(getattr(self, name), name, 0, 1, open_high=True)
        _check.number(self.learning_rate, "learning_rate", 0)
        _check.flag(self.calendar, "calendar")
        _check.seed_of(self.random_state, "random_state")
        _check.items(self.past_covariates, "past_covariates", "columns of X")
        words = {"strategy": STRATEGIES, "distribution": tuple(DISTRIBUTIONS), "loss": LOSSES, "scaling": SCALINGS}
        for name, known in words.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: expected one of {', '.join(known)}, got {getattr(self, name)!r}")
        if head_of(self.distribution, self.loss).counts and (self.scaling == "log" or self.strategy == "recursive"):
            raise ValueError(
                f"distribution: expected strategy='direct' and scaling other than 'log' with {self.distribution!r}, "
                f"got scaling={self.scaling!r} and strategy={self.strategy!r}"
            )

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name, as scikit-learn's tools ask for them; `deep` changes nothing."""
        return options_of(self)

    def set_params(self, **params: Any) -> Self:
        """Change parameters by name; ValueError if there is none of a name."""
        known = inspect.signature(type(self)).parameters
        for name in params:
            if name not in known:
                raise ValueError(f"{name}: expected one of the parameters {', '.join(known)}")
        before = self.get_params()
        try:
            vars(self).update(params)
            self._check_parameters()
        except (TypeError, ValueError):
            vars(self).update(before)
            raise
        return self
