"""What the network says of a step to come: a number, quantiles, or the parameters of a distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.band import Band
from fastlstm.forecasting.reading import Sequences
from fastlstm.losses import gaussian_nll, gaussian_parameters, quantile, quantiles, student_t_nll, student_t_parameters
from fastlstm.losses import get as get_loss

Floats = NDArray[np.float64]

LEARNED = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
"""The levels of the head of quantiles."""

MOST_MISSED = 20.0
"""Larger targets, in units of the scale, are cut, so that one outlier does not lead the network."""


class Head:
    """A point forecast: the network says how far the classical forecast will miss, in units of the scale.

    Its quantiles are those of the errors at earlier origins.

    Parameters
    ----------
    loss : str
        The loss of the training.
    """

    outputs = 1
    own_width = False
    counts = False

    start: Any = None
    """What the last layer begins with as its bias; None for zeros."""
    """Whether the network says how sure it is."""

    def __init__(self, loss: Any = "mae") -> None:
        self.loss = get_loss(loss)

    def targets(self, known: Sequences) -> Floats:
        """What the network should say of each step to come, (M, H, F); any number where it is not known."""
        return np.clip(np.nan_to_num(known.target), -MOST_MISSED, MOST_MISSED)[..., None]

    def middle(self, out: Floats) -> Floats:
        """What the classical forecast misses according to the outputs (M, H, K): (M, H), in units of the scale."""
        return out[..., 0]

    def point(self, out: Floats, known: Sequences, share: float) -> Floats:
        """The point forecast, (M, H), with a share of what the network says."""
        return known.base + known.scale[:, None] * share * self.middle(out)

    def quantiles(self, out: Floats, known: Sequences, share: float, band: Band, levels: Floats) -> Floats:
        """The quantiles (M, H, Q)."""
        size = known.scale[:, None, None]
        return self.point(out, known, share)[..., None] + size * self.around(out, band, levels)

    def around(self, out: Floats, band: Band, levels: Floats) -> Floats:
        """The quantiles minus the middle, in units of the scale: (M, H, Q), or (H, Q) if they are the same for all."""
        return band.quantiles(levels)


class Normal(Head):
    """A normal distribution of what the classical forecast misses (Salinas et al. 2020)."""

    outputs, own_width = 2, True

    def __init__(self) -> None:
        super().__init__(gaussian_nll)

    def middle(self, out: Floats) -> Floats:
        return gaussian_parameters(out)[0][..., 0]

    def around(self, out: Floats, band: Band, levels: Floats) -> Floats:
        from scipy.special import ndtri

        return np.asarray(band.wider * gaussian_parameters(out)[1] * ndtri(levels))


class StudentT(Head):
    """A Student-t distribution of what the classical forecast misses, for errors with heavy tails."""

    outputs, own_width = 3, True

    def __init__(self) -> None:
        super().__init__(student_t_nll)

    def middle(self, out: Floats) -> Floats:
        return student_t_parameters(out)[0][..., 0]

    def around(self, out: Floats, band: Band, levels: Floats) -> Floats:
        from scipy.special import stdtrit

        _, size, freedom = student_t_parameters(out)
        return np.asarray(band.wider * size * stdtrit(freedom, levels))


class Quantiles(Head):
    """The quantiles at `LEARNED` of what the classical forecast misses (Wen et al. 2017); others lie between them."""

    outputs, own_width = len(LEARNED), True

    def __init__(self) -> None:
        from scipy.special import ndtri

        super().__init__(quantile.with_options(levels=LEARNED))
        self.start = ndtri(LEARNED)

    def middle(self, out: Floats) -> Floats:
        return quantiles(out, LEARNED)[..., 0, LEARNED.index(0.5)]

    def around(self, out: Floats, band: Band, levels: Floats) -> Floats:
        """Beyond the outer levels the quantiles go on as those of a normal distribution do."""
        from scipy.special import ndtri

        found = quantiles(out, LEARNED)[..., 0, :] - self.middle(out)[..., None]
        places, wanted = ndtri(LEARNED), ndtri(levels)
        right = np.clip(np.searchsorted(places, wanted), 1, len(places) - 1)
        part = (wanted - places[right - 1]) / (places[right] - places[right - 1])
        return np.asarray(band.wider * (found[..., right - 1] + part * (found[..., right] - found[..., right - 1])))
