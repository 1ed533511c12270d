"""Ranks that take steps of their own, and average what they have learned every few steps (local SGD, Stich 2019)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.model import Model
from fastlstm.optim import Optimizer
from fastlstm.training.exchange import Exchange

Array = NDArray[Any]


class Local:
    """The mean over all ranks of the parameters, and of what the optimizer keeps for each.

    Parameters
    ----------
    exchange : Exchange
    every : int
        Steps from one mean to the next.

    Attributes
    ----------
    steps : int
        Steps since the last mean.
    """

    def __init__(self, exchange: Exchange, every: int) -> None:
        self._exchange, self._every, self.steps = exchange, every, 0
        self._moved: set[int] = set()  # ids of what the steps have moved, which may be frozen by now

    @property
    def is_due(self) -> bool:
        """Whether it is time for a mean."""
        return self.steps >= self._every

    def count(self, model: Model) -> None:
        """Count a step."""
        self.steps += 1
        self._moved.update(id(parameter) for parameter in model.parameters() if parameter.trainable)

    def average(self, model: Model, optimizer: Optimizer) -> None:
        """Take the mean now, unless no step has been taken since the last one."""
        if not self.steps:
            return
        self.steps = 0
        every = model.parameters()
        parameters = [parameter for parameter in every if id(parameter) in self._moved]
        arrays = [parameter.writable() for parameter in parameters]
        kept = zip(every, optimizer.state, strict=bool(optimizer.state))
        arrays += [array for parameter, slots in kept if id(parameter) in self._moved for array in slots.values()]
        self._moved.clear()
        if not arrays:
            return
        together = np.concatenate([array.reshape(-1) for array in arrays])
        self._exchange.sum(together, "the mean of the parameters")
        together /= self._exchange.size
        start = 0
        for array in arrays:
            array[...] = together[start : start + array.size].reshape(array.shape)
            start += array.size
        for parameter in parameters:
            if parameter.constraint is not None:
                parameter.constraint.apply(parameter.writable())
            parameter.touch()
