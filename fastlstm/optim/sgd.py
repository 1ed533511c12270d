"""Gradient descent, with or without momentum."""

from __future__ import annotations

from fastlstm import _check
from fastlstm._kernels import optim as kernels
from fastlstm.optim.base import Optimizer


class SGD(Optimizer):
    """Gradient descent, with momentum (Polyak 1964) and Nesterov's variant of it (Sutskever et al. 2013).

    g += weight_decay·value; v = momentum·v + g; value -= lr·v, or with Nesterov value -= lr·(g + momentum·v).

    Parameters
    ----------
    lr : float, default 0.01
        Learning rate, from 0 to 1e30.
    momentum : float, default 0
        From 0 to below 1. With 0 no velocity v is kept.
    nesterov : bool, default False
        Whether the step looks ahead along the velocity. It needs a momentum above 0.
    weight_decay : float, default 0
        Factor of the value that is added to the gradient (L2 penalty), from 0.

    Raises
    ------
    TypeError
        If nesterov is not True or False, or another argument is not a number.
    ValueError
        If a number is outside its range, or nesterov has no momentum.
    """

    def __init__(
        self, lr: float = 0.01, *, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
    ) -> None:
        super().__init__(lr)
        self.momentum = _check.number(momentum, "momentum", 0, 1, open_high=True)
        self.nesterov = _check.flag(nesterov, "nesterov")
        self.weight_decay = _check.number(weight_decay, "weight_decay", 0)
        if nesterov and not momentum:
            raise ValueError("momentum: expected above 0 for Nesterov, got 0")
        self.slots = ("velocity",) if momentum else ()

    def _rule(self) -> tuple[int, tuple[float, ...]]:
        if not self.momentum:
            return kernels.SGD, (self.lr, self.weight_decay)
        own, ahead = (1.0, self.momentum) if self.nesterov else (0.0, 1.0)
        return kernels.MOMENTUM, (self.lr, self.weight_decay, self.momentum, own, ahead)
