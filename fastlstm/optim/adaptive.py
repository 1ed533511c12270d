"""Optimizers whose steps are divided by the root of running squares of the gradient."""

from __future__ import annotations

from typing import Any

from fastlstm import _check
from fastlstm._kernels import optim as kernels
from fastlstm.optim.base import Optimizer


class RMSprop(Optimizer):
    """Steps divided by a running root mean square of the gradient (Tieleman and Hinton 2012).

    s = rho·s + (1 - rho)·g²; value -= lr·g / (sqrt(s) + eps).

    Parameters
    ----------
    lr : float, default 0.001
        Learning rate, from 0 to 1e30.
    rho : float, default 0.9
        Share of the running mean that remains after a step, from 0 to below 1.
    eps : float, default 1e-8
        Keeps the divisor from 0; from 0.

    Raises
    ------
    TypeError
        If an argument is not a number.
    ValueError
        If a number is outside its range.
    """

    slots = ("square",)

    def __init__(self, lr: float = 0.001, *, rho: float = 0.9, eps: float = 1e-8) -> None:
        super().__init__(lr)
        self.rho = _check.number(rho, "rho", 0, 1, open_high=True)
        self.eps = _check.number(eps, "eps", 0)

    def _rule(self) -> tuple[int, tuple[float, ...]]:
        return kernels.RMSPROP, (self.lr, self.rho, 1 - self.rho, self.eps)


class Adam(Optimizer):
    """Running means of the gradient and of its square, corrected for their start (Kingma and Ba 2015).

    m = b1·m + (1 - b1)·g; s = b2·s + (1 - b2)·g²; value -= lr·m / (1 - b1^k) / (sqrt(s / (1 - b2^k)) + eps) at step k.

    Parameters
    ----------
    lr : float, default 0.001
        Learning rate, from 0 to 1e30.
    betas : two floats, default (0.9, 0.999)
        b1 and b2, the shares of the two running means that remain after a step; each from 0 to below 1.
    eps : float, default 1e-8
        Keeps the divisor from 0; from 0.

    Raises
    ------
    TypeError
        If betas is not a tuple or list of two numbers, or another argument is not a number.
    ValueError
        If a number is outside its range.
    """

    slots = ("mean", "square")
    weight_decay = 0.0

    def __init__(self, lr: float = 0.001, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> None:
        super().__init__(lr)
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise TypeError(f"betas: expected two numbers, got {betas!r}")
        self.beta1, self.beta2 = (_check.number(beta, "betas", 0, 1, open_high=True) for beta in betas)
        self.eps = _check.number(eps, "eps", 0)

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "betas": [self.beta1, self.beta2]}

    def _rule(self) -> tuple[int, tuple[float, ...]]:
        rate, widen = self.lr / (1 - self.beta1**self.steps), (1 - self.beta2**self.steps) ** -0.5
        return kernels.ADAM, (self.beta1, self.beta2, rate, widen, self.eps, 1 - self.lr * self.weight_decay)


class AdamW(Adam):
    """Adam after a decay of the value itself, ``value *= 1 - lr·weight_decay`` (Loshchilov and Hutter 2019).

    Parameters
    ----------
    lr : float, default 0.001
        Learning rate, from 0 to 1e30.
    betas : two floats, default (0.9, 0.999)
        As in `Adam`.
    eps : float, default 1e-8
        As in `Adam`.
    weight_decay : float, default 0.01
        Strength of the decay, from 0.

    Raises
    ------
    TypeError
        If betas is not a tuple or list of two numbers, or another argument is not a number.
    ValueError
        If a number is outside its range.
    """

    def __init__(
        self,
        lr: float = 0.001,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(lr, betas=betas, eps=eps)
        self.weight_decay = _check.number(weight_decay, "weight_decay", 0)
