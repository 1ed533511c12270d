"""Decoding: from the scores of connectionist temporal classification (`fastlstm.ctc`) to labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check

Array = NDArray[Any]
Score = Callable[[tuple[int, ...], int], float]
"""What is added to the score of a labelling for one more label, such as the log-probability of a language model: a
function of the labels before, and of the new one."""


class Labelling(NamedTuple):
    """Possible labels of a sequence.

    Attributes
    ----------
    labels : (L,) ints
    log_probability : float
        Natural logarithm of their probability.
    """

    labels: NDArray[np.intp]
    log_probability: float


def ctc_greedy(logits: Any, lengths: Any = None, blank: int = 0) -> list[NDArray[np.intp]]:
    """The labels of the most probable path: the best class of each step, of equal ones in a row one, without blanks.

    Parameters
    ----------
    logits : (N, T, C)
        Scores of the classes at each step, or the logs of their probabilities.
    lengths : (N,) ints from 0 to T, optional
        Real steps of each sequence.
    blank : int, default 0
        The class that is no label.

    Returns
    -------
    list of N arrays of labels

    Raises
    ------
    TypeError
        If blank is not a whole number, or the logits or lengths are not numbers.
    ValueError
        If a shape does not fit, a number is not finite, or blank or a length is outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.decoding import ctc_greedy
    >>> ctc_greedy(np.eye(3)[None, [1, 1, 0, 1, 2]])
    [array([1, 1, 2])]
    """
    scores, steps, blank = _checked(logits, lengths, blank)
    found = []
    for path, length in zip(scores.argmax(-1), steps, strict=True):
        path = path[:length]
        found.append(path[(np.diff(path, prepend=-1) != 0) & (path != blank)])
    return found


def ctc_beam_search(
    logits: Any, lengths: Any = None, blank: int = 0, beam: int = 16, best: int = 1, score: Score | None = None
) -> list[list[Labelling]]:
    """The most probable labels of each sequence, by the sum over all paths that spell them.

    The most probable path need not spell the most probable labels, because many paths may spell the same other labels.
    This is the prefix search of Graves et al. 2006 with a beam (Hannun et al. 2014). It is exact if the beam is wide
    enough; otherwise the paths that were dropped are missing in the log-probability.

    Parameters
    ----------
    logits, lengths, blank
        As in `ctc_greedy`.
    beam : int, default 16
        Number of prefixes that are kept at each step.
    best : int, default 1
        How many labellings are returned for each sequence at most; up to beam.
    score : function, optional
        A language model: ``score(prefix, label)`` is added to the log-probability when this label, an int, follows this
        prefix, a tuple of ints. It is called once for each prefix and label.

    Returns
    -------
    list of N lists of Labelling
        The most probable one first.

    Raises
    ------
    TypeError
        As in `ctc_greedy`; also if beam or best is not a whole number, or score cannot be called.
    ValueError
        As in `ctc_greedy`; also if beam or best is below 1, or best is above beam.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.decoding import ctc_beam_search, ctc_greedy
    >>> logits = np.log([[[0.6, 0.4], [0.6, 0.4]]])  # the path blank, blank has 0.36, label 1 has 0.64
    >>> ctc_greedy(logits)
    [array([], dtype=int64)]
    >>> [(labels, log_probability)] = ctc_beam_search(logits)[0]
    >>> labels.tolist(), round(float(np.exp(log_probability)), 2)
    ([1], 0.64)
    """
    beam, best = _check.positive_int(beam, "beam"), _check.positive_int(best, "best")
    if best > beam:
        raise ValueError(f"best: expected at most the beam, {beam}, got {best}")
    if score is not None and not callable(score):
        raise TypeError(f"score: expected a function of (prefix, label), got {score!r}")
    scores, steps, blank = _checked(logits, lengths, blank)
    scores = scores - scores.max(-1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
    return [_Search(blank, beam, score).run(part[:length])[:best] for part, length in zip(scores, steps, strict=True)]


class _Search:
    """The search in one sequence. The prefixes are numbered nodes of a tree."""

    def __init__(self, blank: int, beam: int, score: Score | None) -> None:
        self._blank, self._beam, self._score = blank, beam, score
        self._prefixes: list[tuple[int, ...]] = [()]
        self._parents, self._last = [-1], [blank]
        self._children: dict[tuple[int, int], int] = {}
        self._rows: dict[int, Array] = {}

    def run(self, log_p: Array) -> list[Labelling]:
        """The labellings in the beam after all steps, from log-probabilities (T, C)."""
        nodes = [0]
        idle, busy = np.zeros(1), np.full(1, -np.inf)  # log-probabilities of paths that end in a blank, or in a label
        for p in log_p:
            nodes, idle, busy = self._step(nodes, idle, busy, p)
        total = np.logaddexp(idle, busy)
        order = np.argsort(-total, kind="stable")
        return [Labelling(np.array(self._prefixes[nodes[k]], np.intp), float(total[k])) for k in order]

    def _step(self, nodes: list[int], idle: Array, busy: Array, p: Array) -> tuple[list[int], Array, Array]:
        count, classes = len(nodes), len(p)
        total = np.logaddexp(idle, busy)
        last = np.array([self._last[node] for node in nodes])
        longer = total[:, None] + p
        longer[np.arange(count), last] = idle + p[last]  # the same label again needs a blank in between
        longer[:, self._blank] = -np.inf
        if self._score is not None:
            longer += [self._row(node, classes) for node in nodes]
        again = np.where(last == self._blank, -np.inf, busy + p[last])
        place = {node: k for k, node in enumerate(nodes)}
        parents = np.array([place.get(self._parents[node], -1) for node in nodes])
        both = np.flatnonzero(parents >= 0)  # prefixes that also grow from their parents
        again[both] = np.logaddexp(again[both], longer[parents[both], last[both]])
        longer[parents[both], last[both]] = -np.inf
        still = total + p[self._blank]
        every = np.concatenate((np.logaddexp(still, again), longer.reshape(-1)))
        chosen = np.arange(len(every))
        if len(every) > self._beam:
            chosen = np.argpartition(-every, self._beam - 1)[: self._beam]
        chosen = chosen[every[chosen] > -np.inf]
        old, new = chosen[chosen < count], chosen[chosen >= count] - count
        kept = [nodes[k] for k in old.tolist()]
        grown = [self._child(nodes[k // classes], k % classes) for k in new.tolist()]
        idle, busy = np.full((2, len(chosen)), -np.inf)
        idle[: len(old)] = still[old]
        busy[: len(old)], busy[len(old) :] = again[old], every[new + count]
        return kept + grown, idle, busy

    def _child(self, node: int, label: int) -> int:
        """The number of the prefix that is one label longer. It is the same each time."""
        child = self._children.setdefault((node, label), len(self._prefixes))
        if child == len(self._prefixes):
            self._prefixes.append((*self._prefixes[node], label))
            self._parents.append(node)
            self._last.append(label)
        return child

    def _row(self, node: int, classes: int) -> Array:
        """The language model's score of each label after a prefix."""
        if node not in self._rows:
            assert self._score is not None
            prefix = self._prefixes[node]
            self._rows[node] = np.array(
                [0.0 if label == self._blank else self._score(prefix, label) for label in range(classes)]
            )
        return self._rows[node]


def _checked(logits: Any, lengths: Any, blank: int) -> tuple[Array, Array, int]:
    """Scores in float64, the steps of each sequence, and the blank."""
    scores = _check.real_array(logits, "logits", np.dtype("float64"), ("N", "T", "C"))
    n, t, classes = scores.shape
    if isinstance(blank, bool) or not isinstance(blank, int | np.integer):
        raise TypeError(f"blank: expected a whole number, got {blank!r}")
    if not 0 <= blank < classes:
        raise ValueError(f"blank: expected 0 to {classes - 1}, the classes, got {blank}")
    steps = _check.lengths_of(lengths, n, t)
    return scores, np.full(n, t) if steps is None else steps, int(blank)
