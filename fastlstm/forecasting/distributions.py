"""The distributions that a forecaster may learn, by name."""

from __future__ import annotations

from collections.abc import Callable

from fastlstm.forecasting.counts import NegativeBinomial, Tweedie, ZeroInflated
from fastlstm.forecasting.heads import Head, Normal, Quantiles, StudentT

DISTRIBUTIONS: dict[str, Callable[[], Head]] = {
    "point": Head,
    "quantile": Quantiles,
    "normal": Normal,
    "student_t": StudentT,
    "negative_binomial": NegativeBinomial,
    "zero_inflated": ZeroInflated,
    "tweedie": Tweedie,
}


def head_of(distribution: str, loss: str) -> Head:
    """The head of this distribution; the loss counts for point forecasts only."""
    if distribution not in DISTRIBUTIONS:
        raise ValueError(f"distribution: expected one of {', '.join(DISTRIBUTIONS)}, got {distribution!r}")
    return Head(loss) if distribution == "point" else DISTRIBUTIONS[distribution]()
