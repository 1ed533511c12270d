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

    @property
    def is_due(self) -> bool:
        """Whether it is time for a mean."""
        return self.steps >= self._every

    def average(self, model: Model, optimizer: Optimizer) -> None:
        """Take the mean now, unless no step has been taken since the last one."""
        if not self.steps:
            return
        self.steps = 0
        parameters = model.parameters()
        arrays = [parameter.writable() for parameter in parameters]
        arrays += [array for slots in optimizer.state for array in slots.values()]
        together = np.concatenate([array.reshape(-1) for array in arrays])
        self._exchange.sum(together, "the mean of the parameters")
        together /= self._exchange.size
        start = 0
        for array in arrays:
            array[...] = together[start : start + array.size].reshape(array.shape)
            start += array.size
        for parameter in parameters:
            parameter.touch()
