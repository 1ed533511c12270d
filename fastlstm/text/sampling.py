"""Which token comes next: a draw from the network's probabilities, or from the best of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check

Floats = NDArray[np.float64]


def probabilities(
    scores: Any, *, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Floats:
    """Probability of each token, from its score: softmax(scores / temperature), cut to the best tokens.

    Parameters
    ----------
    scores : (V,) numbers
        -inf for a token that must not come.
    temperature : float, default 1
        Below 1 the likely tokens become likelier. 0 leaves only the best one.
    top_k : int, optional
        Only the k best tokens are left, all if there are fewer (Fan et al. 2018).
    top_p : float from 0 to 1, optional
        Only the nucleus is left: the fewest best tokens whose probabilities add up to at least p, and always one
        (Holtzman et al. 2020). With top_k, of those that it leaves.

    Returns
    -------
    (V,) float64, adding up to 1. Of tokens with equal scores, the first counts as the best.

    Raises
    ------
    ValueError
        If a score is NaN or infinite, or all are -inf.

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
    temperature, top_k, top_p
        As in `probabilities`.
    seed : int or None
        The same seed, the same tokens for the same scores; None takes a new one.

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
        """The number of a token, drawn; its probability is never 0."""
        p = self.probabilities(scores)
        if self.temperature == 0:
            return int(p.argmax())
        cumulative = p.cumsum()
        drawn = cumulative.searchsorted(self._rng.random() * cumulative[-1], side="right")
        return int(min(drawn, p.nonzero()[0][-1]))  # the product may round up to the whole sum

    def probabilities(self, scores: Any) -> Floats:
        """Of each token; see the function of this name."""
        s = as_scores(scores)
        best = int(s.argmax())
        if self.temperature == 0:
            p = np.zeros(len(s))
            p[best] = 1
            return p
        with np.errstate(over="ignore"):  # a small temperature: -inf, and so 0
            p = np.exp((s - s[best]) / self.temperature)
        if self.top_k is not None and self.top_k < len(p):
            p[np.argsort(-p, kind="stable")[self.top_k :]] = 0
        p /= p.sum()
        if self.top_p is not None and self.top_p < 1:
            order = np.argsort(-p, kind="stable")
            before = np.concatenate([[0.0], p[order].cumsum()[:-1]])
            before[0] = -1.0  # the best one stays, also for p = 0
            p[order[before >= self.top_p]] = 0
            p /= p.sum()
        return np.asarray(p)


def as_scores(scores: Any) -> Floats:
    """(V,) numbers as float64; not NaN, not inf, and not all -inf."""
    array = _check.as_numbers(scores, "scores", "fiub", "real numbers").astype(np.float64)
    _check.shape_of(array, "scores", ("V",))
    wrong = np.isnan(array) | (array == np.inf)
    if wrong.any():
        raise ValueError(f"scores: expected numbers or -inf, got {array[wrong.argmax()]} at [{wrong.argmax()}]")
    if array.max() == -np.inf:
        raise ValueError("scores: expected at least one above -inf, got none")
    return array
