"""Optimizers: what turns gradients into steps."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm._kernels import optim as kernels
from fastlstm.parameter import Parameter

Array = NDArray[Any]


class Optimizer:
    """Base of all optimizers: remembers, for each parameter, arrays of its shape.

    A subclass names those arrays in `slots` and writes `update`.

    Parameters
    ----------
    lr : float
        Learning rate; may be changed between steps.
    """

    registry: ClassVar[dict[str, type[Optimizer]]] = {}
    slots: tuple[str, ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Optimizer.registry[cls.__name__] = cls

    def __init__(self, lr: float) -> None:
        self.lr = _check.number(lr, "lr", 0, 1e30)
        self.steps = 0
        self.state: list[dict[str, Array]] = []
        self._parameters: list[Parameter] = []
        self._blocks: kernels.Blocks | None = None
        self._seen: Sequence[Parameter] | None = None  # the list that the parameters came in, known to be right

    def __getstate__(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "_blocks": None,
            "_slots": [],
            "_arrays": [],
            "_seen": None,
        }  # addresses mean nothing to a copy

    def step(self, parameters: Sequence[Parameter], scale: float = 1.0) -> None:
        """Move every parameter against its gradient times scale.

        The same parameters, in the same order, at every step.
        """
        if parameters is not self._seen or not self.state:
            self._take(parameters)
        self.steps += 1
        if type(self).update is not Optimizer.update:
            self._update_each(scale)
        elif self._parameters:
            self._update_all(scale)
        for parameter in parameters:
            parameter.version += 1

    def _take(self, parameters: Sequence[Parameter]) -> None:
        """Check that they are those of the first step, or make the arrays for them."""
        if not self.state:
            self.state = [{name: np.zeros_like(p.value) for name in self.slots} for p in parameters]
            self._parameters = list(parameters)
        if len(parameters) != len(self._parameters) or any(
            new is not old for new, old in zip(parameters, self._parameters, strict=True)
        ):
            raise ValueError("parameters: expected those of the first step; an optimizer serves one model")
        self._seen = parameters if isinstance(parameters, tuple) else None  # a list may change

    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor that are kept under their names, as they are now."""
        names = inspect.signature(type(self)).parameters
        return {name: value for name, value in vars(self).items() if name in names}

    def snapshot(self) -> dict[str, Any]:
        """All that the next step depends on but the parameters."""
        return {"type": type(self).__name__, "lr": self.lr, "steps": self.steps, "slots": self.state}

    def restore(self, parameters: Sequence[Parameter], snapshot: dict[str, Any]) -> None:
        """Go on from what `snapshot` gave, with these parameters."""
        if snapshot["type"] != type(self).__name__:
            raise ValueError(f"optimizer: expected {snapshot['type']}, got {type(self).__name__}")
        self.lr, self.steps, self._blocks = snapshot["lr"], snapshot["steps"], None
        self.state = [{name: array.copy() for name, array in slots.items()} for slots in snapshot["slots"]]
        self._parameters, self._seen = list(parameters) if self.state else [], None

    def _update_each(self, scale: float) -> None:
        for parameter, slots in zip(self._parameters, self.state, strict=True):
            if scale != 1:
                parameter.grad[...] *= scale
            self.update(
                parameter.writable().reshape(-1),
                parameter.grad.reshape(-1),
                {name: array.reshape(-1) for name, array in slots.items()},
            )

    def _update_all(self, scale: float) -> None:
        self._block().update(*self.rule(), scale)

    def norm(self, parameters: Sequence[Parameter]) -> float:
        """`grad_norm` of the parameters that the steps are taken with."""
        if parameters is self._seen and self.state and type(self).update is Optimizer.update and self._parameters:
            return self._block().norm()
        return grad_norm(parameters)

    def _block(self) -> kernels.Blocks:
        """All arrays of all parameters, one after the other; made anew where one is another than before."""
        if self._blocks is None or not self._blocks.holds(self._parameters, self.state):
            each = zip(self._parameters, self.state, strict=True)
            arrays = [array for p, own in each for array in (p.grad, p.read(), *own.values())]
            self._blocks = kernels.Blocks(arrays, 2 + len(self.slots))
        return self._blocks

    def update(self, value: Array, grad: Array, slots: dict[str, Array]) -> None:
        """One step of one parameter, all arrays flat, in place."""
        kernels.Blocks([grad, value, *slots.values()], 2 + len(slots)).update(*self.rule(), 1.0)

    def rule(self) -> tuple[int, tuple[float, ...]]:
        """The kernel's rule that does the same as `update` for all parameters at once, and its numbers."""
        raise NotImplementedError(f"{type(self).__name__} must write update")


class SGD(Optimizer):
    """Gradient descent, with momentum (Polyak 1964), by Nesterov if asked (Sutskever et al. 2013).

    v = momentum·v + g; value -= lr·v, or lr·(g + momentum·v) by Nesterov; g has weight_decay·value added.
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

    def rule(self) -> tuple[int, tuple[float, ...]]:
        if not self.momentum:
            return kernels.SGD, (self.lr, self.weight_decay)
        own, ahead = (1.0, self.momentum) if self.nesterov else (0.0, 1.0)
        return kernels.MOMENTUM, (self.lr, self.weight_decay, self.momentum, own, ahead)


class RMSprop(Optimizer):
    """Steps divided by a running root mean square of the gradient (Tieleman and Hinton 2012).

    s = rho·s + (1 - rho)·g²; value -= lr·g / (sqrt(s) + eps).
    """

    slots = ("square",)

    def __init__(self, lr: float = 0.001, *, rho: float = 0.9, eps: float = 1e-8) -> None:
        super().__init__(lr)
        self.rho = _check.number(rho, "rho", 0, 1, open_high=True)
        self.eps = _check.number(eps, "eps", 0)

    def rule(self) -> tuple[int, tuple[float, ...]]:
        return kernels.RMSPROP, (self.lr, self.rho, 1 - self.rho, self.eps)


class Adam(Optimizer):
    """Running means of the gradient and of its square, corrected for their start (Kingma and Ba 2015).

    m = b1·m + (1 - b1)·g; s = b2·s + (1 - b2)·g²; value -= lr·m / (1 - b1^k) / (sqrt(s / (1 - b2^k)) + eps) at step k.
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

    def rule(self) -> tuple[int, tuple[float, ...]]:
        rate, widen = self.lr / (1 - self.beta1**self.steps), (1 - self.beta2**self.steps) ** -0.5
        return kernels.ADAM, (self.beta1, self.beta2, rate, widen, self.eps, 1 - self.lr * self.weight_decay)


class AdamW(Adam):
    """Adam after a decay of the value itself, value *= 1 - lr·weight_decay (Loshchilov and Hutter 2019)."""

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


def grad_norm(parameters: Iterable[Parameter]) -> float:
    """The Euclidean norm of all gradients together."""
    return math.hypot(*[blocks.norm() for blocks in _grads(parameters)])


def clip_grad_norm(parameters: Iterable[Parameter], max_norm: float) -> float:
    """Scale all gradients so that their common Euclidean norm is at most max_norm; returns the norm before that.

    Pascanu et al. 2013. A norm that is not finite is returned as it is, and nothing is scaled.
    """
    max_norm = _check.number(max_norm, "max_norm", 0)
    parameters = list(parameters)
    norm = grad_norm(parameters)
    if max_norm < norm < np.inf:
        for blocks in _grads(parameters):
            blocks.update(kernels.SCALE, (), max_norm / norm)
    return norm


def clip_grad_value(parameters: Iterable[Parameter], max_value: float) -> None:
    """Cut every number of all gradients to -max_value and max_value (Graves 2013)."""
    max_value = _check.number(max_value, "max_value", 0)
    for parameter in parameters:
        grad = parameter.grad
        np.clip(grad, -max_value, max_value, out=grad)


def _grads(parameters: Iterable[Parameter]) -> list[kernels.Blocks]:
    """The gradients of each dtype."""
    by_dtype: dict[Any, list[Array]] = {}
    for parameter in parameters:
        grad = parameter.grad
        by_dtype.setdefault(grad.dtype, []).append(grad)
    return [kernels.Blocks(grads, 1) for grads in by_dtype.values()]
