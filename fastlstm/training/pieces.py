"""Gradients of fixed pieces of a batch, which are added up in a fixed order on any number of ranks.

The sum of n pieces is that of the first ones, whose number is the largest power of 2 below n, plus that of the others:
a tree that depends on the number of pieces only. A rank adds up the largest parts of the tree that it has all pieces
of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.parameter import Parameter
from fastlstm.training.exchange import Exchange
from fastlstm.training.shares import Share, shares_of

Array = NDArray[Any]
Span = tuple[int, int]
"""Pieces from the first number on, and before the second."""


class Pieces:
    """The sum of the gradients of all pieces of a batch.

    Parameters
    ----------
    parameters : sequence of Parameter
    shares : sequence of Share
        The pieces of this rank, in order.
    exchange : Exchange, optional
        None if one process has all pieces.
    """

    def __init__(self, parameters: Sequence[Parameter], shares: Sequence[Share], exchange: Exchange | None) -> None:
        self._every, self._exchange, self._all = parameters, exchange, shares[0].of
        self._parameters: list[Parameter] = []
        self._first, self._own = shares[0].index, len(shares)
        ranks = 1 if exchange is None else exchange.size
        spans = [(own[0].index, own[-1].index + 1) for own in (shares_of(r, ranks, self._all) for r in range(ranks))]
        self._covers = [list(cover((0, self._all), span)) for span in spans]
        self._width = 0  # of the part of all numbers that each rank adds up
        self._kept = np.zeros((0, 0))
        self._changes = -1

    def _make(self) -> None:
        """Make the array for the gradients of all that is not frozen."""
        self._changes = Parameter._changes
        self._parameters = [parameter for parameter in self._every if parameter.trainable]
        ranks = 1 if self._exchange is None else self._exchange.size
        self._width = -(-sum(parameter.size for parameter in self._parameters) // ranks)
        dtype = self._parameters[0].value.dtype if self._parameters else np.dtype(np.float32)
        self._kept = np.zeros((self._own, self._width * ranks), dtype)

    def zero(self) -> None:
        if self._changes != Parameter._changes:
            self._make()
        self._kept.fill(0)

    def keep(self, k: int) -> None:
        """Add the gradients of the parameters to those of this rank's piece k, and set them to zero."""
        start = 0
        for parameter in self._parameters:
            place = self._kept[k, start : start + parameter.size].reshape(parameter.shape)
            place += parameter.grad
            parameter.zero_grad()
            start += parameter.size

    def finish(self) -> None:
        """Set the gradients of the parameters to the sums over all pieces of all ranks."""
        own = {(self._first + k, self._first + k + 1): row for k, row in enumerate(self._kept)}
        if self._exchange is None:
            total = node((0, self._all), own)
        else:
            total = self._joined(self._exchange, own)
        for parameter in self._every:
            parameter.zero_grad()  # one that has been thawed since `zero` joins with the next step
        start = 0
        for parameter in self._parameters:
            parameter.grad[...] = total[start : start + parameter.size].reshape(parameter.shape)
            start += parameter.size

    def _joined(self, exchange: Exchange, own: dict[Span, Array]) -> Array:
        """Each rank gets a part of all numbers from all others, adds it up, and gives it to all."""
        ranks, what = exchange.size, "the gradients of a step"
        sent = np.zeros((ranks, max(map(len, self._covers)), self._width), self._kept.dtype)
        for k, span in enumerate(self._covers[exchange.rank]):
            sent[:, k] = node(span, own).reshape(ranks, self._width)
        found = exchange.exchange(sent, what)
        blocks = {span: found[r, k] for r, spans in enumerate(self._covers) for k, span in enumerate(spans)}
        return exchange.gather(np.ascontiguousarray(node((0, self._all), blocks)), what).reshape(-1)


def halves(span: Span) -> tuple[Span, Span]:
    low, high = span
    middle = low + (1 << (high - low - 1).bit_length() - 1)
    return (low, middle), (middle, high)


def cover(span: Span, own: Span) -> Iterator[Span]:
    """The largest parts of the tree from `span` that lie within `own`, in order."""
    if own[0] <= span[0] and span[1] <= own[1]:
        yield span
    elif span[0] < own[1] and own[0] < span[1]:
        for half in halves(span):
            yield from cover(half, own)


def node(span: Span, blocks: dict[Span, Array]) -> Array:
    """The sum of these pieces, from the sums of the parts that are there."""
    if span in blocks:
        return blocks[span]
    low, high = halves(span)
    return node(low, blocks) + node(high, blocks)
