"""Forecasts of counts and of demand that often is zero: distributions over what is not negative."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.band import Band
from fastlstm.forecasting.heads import Head
from fastlstm.forecasting.reading import Sequences

Floats = NDArray[np.float64]

LEAST_PART = 0.05
"""The least mean that the network starts from, in units of the scale, where the classical forecast is near zero."""

MOST_LOG = 6.0
"""The network changes the classical forecast by at most this power of e."""

POWER = 1.5
"""The power of the variance in the Tweedie distribution: between Poisson's, 1, and that of gamma, 2."""

DRAWS = 500
"""Draws from which the quantiles of a Tweedie distribution are taken."""


class CountHead(Head):
    """Base of the heads whose mean is the classical forecast times a factor that the network gives.

    A target is a pair: the value, and the mean that the network starts from.
    """

    own_width = True
    counts = True

    def __init__(self) -> None:
        self.loss = self.value_and_gradient

    def begin(self, known: Sequences) -> Floats:
        """The mean that the network starts from, (M, H)."""
        return np.maximum(known.base, LEAST_PART * known.scale[:, None])

    def targets(self, known: Sequences) -> Floats:
        values = known.base + known.target * known.scale[:, None]
        return np.stack([np.maximum(np.nan_to_num(values), 0.0), self.begin(known)], axis=-1)

    def mean(self, out: Floats, start: Floats) -> Floats:
        return np.asarray(start * np.exp(np.clip(out[..., 0], -MOST_LOG, MOST_LOG)))

    def middle(self, out: Floats) -> Floats:
        raise NotImplementedError

    def point(self, out: Floats, known: Sequences, share: float) -> Floats:
        return self.mean(out, self.begin(known))

    def quantiles(self, out: Floats, known: Sequences, share: float, band: Band, levels: Floats) -> Floats:
        return self.spread(out, self.mean(out, self.begin(known)), levels)

    def spread(self, out: Floats, mean: Floats, levels: Floats) -> Floats:
        """The quantiles of values with these means, (M, H, Q)."""
        raise NotImplementedError

    def value_and_gradient(self, pred: Any, target: Any, weight: Any) -> tuple[float, Any]:
        """The loss (a weighted mean) and its gradient by pred, (N, T, K)."""
        weights = np.ones(pred.shape[:2]) if weight is None else np.asarray(weight, np.float64)
        seen = weights > 0
        out, known, shares = (np.asarray(part[seen], np.float64) for part in (pred, target, weights / weights.sum()))
        value, gradient = self.nll(out, known[:, 0], known[:, 1])
        inside = (np.abs(out) < MOST_LOG) | (np.arange(out.shape[1]) > 0)
        dpred = np.zeros(pred.shape, pred.dtype)
        dpred[seen] = np.where(inside, gradient, 0.0) * shares[:, None]
        return float(value @ shares), dpred

    def nll(self, out: Floats, value: Floats, start: Floats) -> tuple[Floats, Floats]:
        """-log of the probability of each value, (M,), and its gradient by the outputs, (M, K)."""
        raise NotImplementedError


class NegativeBinomial(CountHead):
    """A negative binomial distribution: counts whose variance is m + a·m² (Salinas et al. 2020)."""

    outputs = 2

    def nll(self, out: Floats, value: Floats, start: Floats) -> tuple[Floats, Floats]:
        log_p, by_log_mean, by_shape = log_negative_binomial(value, self.mean(out, start), shape_of(out))
        return -log_p, -np.stack([by_log_mean, by_shape * sigmoid(out[..., 1])], axis=-1)

    def spread(self, out: Floats, mean: Floats, levels: Floats) -> Floats:
        return negative_binomial_quantiles(mean, shape_of(out), levels)


class ZeroInflated(CountHead):
    """A negative binomial distribution, or zero with a probability of its own (Lambert 1992)."""

    outputs = 3

    def nll(self, out: Floats, value: Floats, start: Floats) -> tuple[Floats, Floats]:
        mean, shape, zero = self.mean(out, start), shape_of(out), sigmoid(out[..., 2])
        log_p, by_log_mean, by_shape = log_negative_binomial(value, mean, shape)
        none = value == 0
        p = np.where(none, zero + (1 - zero) * np.exp(log_p), 1.0)
        kept = np.where(none, (1 - zero) * np.exp(log_p) / p, 1.0)  # the share of the negative binomial in the value
        total = np.where(none, np.log(p), np.log1p(-np.minimum(zero, 1 - 1e-12)) + log_p)
        by_zero = np.where(none, zero * (1 - zero) * (1 - np.exp(log_p)) / p, -zero)
        gradient = np.stack([kept * by_log_mean, kept * by_shape * sigmoid(out[..., 1]), by_zero], axis=-1)
        return -total, -gradient

    def point(self, out: Floats, known: Sequences, share: float) -> Floats:
        return super().point(out, known, share) * (1 - sigmoid(out[..., 2]))

    def spread(self, out: Floats, mean: Floats, levels: Floats) -> Floats:
        zero = sigmoid(out[..., 2])[..., None]
        rest = np.clip((levels - zero) / (1 - zero), 0.0, 1.0)
        found = negative_binomial_quantiles(mean[..., None], shape_of(out)[..., None], rest, paired=True)
        return np.where(levels <= zero, 0.0, found)


class Tweedie(CountHead):
    """A Tweedie distribution: zero with some probability, and else any positive amount (Jorgensen 1987).

    The loss is the quasi-likelihood of the mean m and the dispersion d, with the variance d·m^1.5.
    """

    outputs = 2

    def nll(self, out: Floats, value: Floats, start: Floats) -> tuple[Floats, Floats]:
        mean, dispersion = self.mean(out, start), shape_of(out)
        low, high = mean ** (1 - POWER) / (1 - POWER), mean ** (2 - POWER) / (2 - POWER)
        saturated = value ** (2 - POWER) / ((1 - POWER) * (2 - POWER))
        deviance = 2 * (saturated - value * low + high)
        loss = deviance / (2 * dispersion) + 0.5 * np.log(dispersion)
        by_log_mean = (mean ** (2 - POWER) - value * mean ** (1 - POWER)) / dispersion
        by_dispersion = 0.5 / dispersion - deviance / (2 * dispersion**2)
        return loss, np.stack([by_log_mean, by_dispersion * sigmoid(out[..., 1])], axis=-1)

    def spread(self, out: Floats, mean: Floats, levels: Floats) -> Floats:
        """From draws of the sum of a Poisson number of gamma amounts that the distribution is, of a fixed seed."""
        rng, dispersion = np.random.default_rng(0), shape_of(out)
        rate = mean ** (2 - POWER) / ((2 - POWER) * dispersion)
        size = (POWER - 1) * dispersion * mean ** (POWER - 1)
        found = np.empty((*mean.shape, len(levels)))
        for row in range(len(mean)):
            numbers = rng.poisson(np.minimum(rate[row], 1e6), (DRAWS, *rate.shape[1:]))
            amounts = rng.gamma(np.maximum(numbers * (2 - POWER) / (POWER - 1), 1e-300)) * size[row]
            found[row] = np.moveaxis(np.quantile(np.where(numbers > 0, amounts, 0.0), levels, axis=0), 0, -1)
        return found


def sigmoid(x: Floats) -> Floats:
    from scipy.special import expit

    return np.asarray(expit(x))


def shape_of(out: Floats) -> Floats:
    """The second parameter, above 0."""
    return np.asarray(np.logaddexp(0.0, out[..., 1]) + 1e-4)


def log_negative_binomial(value: Floats, mean: Floats, shape: Floats) -> tuple[Floats, Floats, Floats]:
    """log of the probability of a count with variance mean + shape·mean², and its derivatives by log mean and shape."""
    from scipy.special import digamma, gammaln

    r, product = 1 / shape, shape * mean
    log_rest = np.log1p(product)
    log_p = gammaln(value + r) - gammaln(value + 1) - gammaln(r) + value * (np.log(product) - log_rest) - r * log_rest
    by_log_mean = (value - mean) / (1 + product)
    by_r = digamma(value + r) - digamma(r) - log_rest + (mean - value) / (r + mean)
    return log_p, by_log_mean, -by_r * r**2


def negative_binomial_quantiles(mean: Floats, shape: Floats, levels: Floats, paired: bool = False) -> Floats:
    from scipy.stats import nbinom

    if not paired:
        mean, shape = mean[..., None], shape[..., None]
    found: Floats = nbinom.ppf(np.minimum(levels, 1 - 1e-9), 1 / shape, 1 / (1 + shape * mean))
    return np.maximum(found, 0.0)
