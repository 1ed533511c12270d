"""Sampling of the next token from the probabilities that a network gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check

Floats = NDArray[np.float64]


def probabilities(
    scores: Any, *, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Floats:
    """Probability of each token: softmax(scores / temperature), if asked for of the best tokens only.

    Parameters
    ----------
    scores : (V,) numbers
        A token with -inf never comes.
    temperature : float, default 1
        From 0. Below 1 the likely tokens become likelier; 0 keeps only the best one.
    top_k : int, optional
        Only the k best tokens are kept, all if there are fewer (Fan et al. 2018).
    top_p : float, optional
        From 0 to 1: only the fewest best tokens whose probabilities add up to at least p are kept, and always one
        (nucleus sampling, Holtzman et al. 2020). It applies to the tokens that top_k keeps.

    Returns
    -------
    (V,) float64
        Their sum is 1. Of tokens with equal scores, the first counts as the best.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If a score is NaN or infinity, all are -inf, or a number is outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.text import probabilities
    >>> scores = np.log([0.5, 0.2, 0.3])
    >>> probabilities(scores).round(3).tolist()
    [0.5, 0.2, 0.3]
    >>> probabilities(scores, top_k=2).round(3).tolist()
    [0.625, 0.0, 0.375]
    >>> probabilities(scores, top_p=0.4).tolist()
    [1.0, 0.0, 0.0]
    """
    return Sampler(temperature, top_k, top_p).probabilities(scores)


class Sampler:
    """Draws tokens from scores.

    Parameters
    ----------
    temperature : float, default 1
        As in `probabilities`; so are the next two.
    top_k : int, optional
    top_p : float, optional
    seed : int, optional
        The same seed gives the same tokens for the same scores. None takes a new one.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If a number is outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.text import Sampler
    >>> Sampler(temperature=0)([0.1, 0.7, 0.2])
    1
    """

    def __init__(
        self,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> None:
        self.temperature = _check.number(temperature, "temperature", 0, 1e30)
        self.top_k = None if top_k is None else _check.positive_int(top_k, "top_k")
        self.top_p = None if top_p is None else _check.number(top_p, "top_p", 0, 1)
        self._rng = np.random.default_rng(_check.seed_of(seed))

    def __call__(self, scores: Any) -> int:
        """Draw a token by its score, and return its number. Its probability is never 0."""
        p = self.probabilities(scores)
        if self.temperature == 0:
            return int(p.argmax())
        cumulative = p.cumsum()
        drawn = cumulative.searchsorted(self._rng.random() * cumulative[-1], side="right")
        return int(min(drawn, p.nonzero()[0][-1]))  # the product may be rounded up to the whole sum

    def probabilities(self, scores: Any) -> Floats:
        """The probability of each token; see the function of this name.

        Parameters
        ----------
        scores : (V,) numbers
            A score of each token.

        Returns
        -------
        (V,) floats
        """
        s = as_scores(scores)
        best = int(s.argmax())
        if self.temperature == 0:
            p = np.zeros(len(s))
            p[best] = 1
            return p
        with np.errstate(over="ignore"):  # a small temperature gives -inf, whose exponential is 0
            p = np.exp((s - s[best]) / self.temperature)
        if self.top_k is not None and self.top_k < len(p):
            p[np.argsort(-p, kind="stable")[self.top_k :]] = 0
        p /= p.sum()
        if self.top_p is not None and self.top_p < 1:
            order = np.argsort(-p, kind="stable")
            before = np.concatenate([[0.0], p[order].cumsum()[:-1]])
            before[0] = -1.0  # the best one is kept also for p = 0
            p[order[before >= self.top_p]] = 0
            p /= p.sum()
        return np.asarray(p)


def as_scores(scores: Any) -> Floats:
    """Scores (V,) as float64; an error for NaN, for inf, and if all are -inf."""
    array = _check.as_numbers(scores, "scores", "fiub", "real numbers").astype(np.float64)
    _check.shape_of(array, "scores", ("V",))
    wrong = np.isnan(array) | (array == np.inf)
    if wrong.any():
        raise ValueError(f"scores: expected numbers or -inf, got {array[wrong.argmax()]} at [{wrong.argmax()}]")
    if array.max() == -np.inf:
        raise ValueError("scores: expected at least one above -inf, got none")
    return array
