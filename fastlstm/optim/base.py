"""The base of all optimizers."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from itertools import compress
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check, hints
from fastlstm._kernels import optim as kernels
from fastlstm.optim.norms import grad_norm
from fastlstm.parameter import Parameter, parameters_of

Array = NDArray[Any]


@hints.told
class Optimizer:
    """Base of all optimizers.

    An optimizer keeps arrays of its own for each parameter, of the parameter's shape. A subclass names these arrays in
    `slots` and writes `update`.

    Parameters
    ----------
    lr : float
        Learning rate, from 0 to 1e30.

    Attributes
    ----------
    lr : float
        Learning rate of the next step. You may change it between steps; a schedule does so.
    steps : int
        Number of steps that have been taken.
    slots : tuple of str
        Names of the arrays that are kept for each parameter.
    state : list of dict
        The arrays by these names, a dict for each parameter; empty before the first step. You may put an array of the
        same shape and dtype in the place of another.
    registry : dict
        All classes of optimizers by name.

    Raises
    ------
    TypeError
        If lr is not a number.
    ValueError
        If lr is not from 0 to 1e30.
    """

    registry: ClassVar[dict[str, type[Optimizer]]] = {}
    slots: tuple[str, ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Optimizer.registry[cls.__name__] = cls
        if "__init__" in cls.__dict__:
            cls.__init__ = hints.hinted(cls.__init__)  # type: ignore[method-assign]

    def __init__(self, lr: float) -> None:
        if hasattr(lr, "__iter__") and not isinstance(lr, str):
            raise TypeError("lr: expected a number, got several; the parameters are those of the model of a fl.Trainer")
        self.lr = _check.number(lr, "lr", 0, 1e30)
        self.steps = 0
        self.state: list[dict[str, Array]] = []
        self._parameters: list[Parameter] = []
        self._trained: list[Parameter] = []  # those that are not frozen
        self._trains: list[bool] = []  # which of the parameters these are
        self._constrained: list[Parameter] = []
        self._changes = -1
        self._blocks: kernels.Blocks | None = None
        self._seen: Sequence[Parameter] | None = None  # the tuple of the last step, which needs no check again

    def __getstate__(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "_blocks": None,
            "_changes": -1,
            "_seen": None,
        }  # addresses mean nothing to a copy

    def step(self, parameters: Sequence[Parameter], scale: float = 1.0) -> None:
        """Take one step: move every parameter against its gradient, and then make its constraint true.

        Parameters
        ----------
        parameters : sequence of Parameter
            The same ones in the same order at every step. Frozen ones stay as they are, and so does what is kept for
            them.
        scale : float, default 1
            Every gradient is multiplied by this first, as clipping by the norm asks for.

        Raises
        ------
        TypeError
            If ``lr`` is no number any more.
        ValueError
            If these are not the parameters of the first step, ``lr`` is outside its range, or ``state`` does not fit
            the parameters any more.
        NotImplementedError
            If the optimizer is of a class that has not written `update`.
        """
        if type(self.lr) is not float or not 0 <= self.lr <= 1e30:
            self.lr = _check.number(self.lr, "lr", 0, 1e30)
        if (
            parameters is not self._seen
            or self._changes != Parameter._changes
            or not self.state
            or len(self.state) != len(self._parameters)
        ):
            self._take(parameters)
        self.steps += 1
        if type(self).update is not Optimizer.update:
            self._update_each(scale)
        elif self._trained:
            self._update_all(scale)
        for parameter in self._constrained:
            assert parameter.constraint is not None
            parameter.constraint.apply(parameter.writable())
        for parameter in self._trained:
            parameter.version += 1

    def _take(self, parameters: Sequence[Parameter]) -> None:
        """Check that these are the parameters of the first step; at the first step, make the slots for them."""
        if not self.state:
            parameters = parameters if isinstance(parameters, tuple) else parameters_of(parameters)
            self.state = [{name: np.zeros_like(p.value) for name in self.slots} for p in parameters]
            self._parameters, self._changes = list(parameters), -1
        if len(parameters) != len(self._parameters) or any(
            new is not old for new, old in zip(parameters, self._parameters, strict=True)
        ):
            raise ValueError("parameters: expected those of the first step; an optimizer serves one model")
        if len(self.state) != len(self._parameters):
            count = len(self._parameters)
            raise ValueError(f"state: expected {count} dicts, one for each parameter, got {len(self.state)}")
        self._seen = parameters if isinstance(parameters, tuple) else None  # a list may change
        if self._changes != Parameter._changes:
            self._changes, self._blocks = Parameter._changes, None
            self._trains = [parameter.trainable for parameter in self._parameters]
            self._trained = list(compress(self._parameters, self._trains))
            self._constrained = [parameter for parameter in self._trained if parameter.constraint is not None]

    def _slots(self) -> list[dict[str, Array]]:
        """The part of the state that is of what is trained."""
        return self.state if len(self._trained) == len(self.state) else list(compress(self.state, self._trains))

    def _check_slots(self, slots: list[dict[str, Array]]) -> None:
        """Raise ValueError unless these are the arrays that a step needs: a user may have put others in their place."""
        for p, own in zip(self._trained, slots, strict=True):
            if not isinstance(own, dict) or not own.keys() >= set(self.slots):
                got = list(own) if isinstance(own, dict) else _check.kind_of(own)
                raise ValueError(f"state: expected a dict of {list(self.slots)} for {p.name}, got {got}")
            for name in self.slots:
                array, title, dtype = own[name], f"state {name!r} of {p.name}", p.read().dtype
                if not isinstance(array, np.ndarray) or array.dtype != dtype:
                    kind = array.dtype if isinstance(array, np.ndarray) else _check.kind_of(array)
                    raise ValueError(f"{title}: expected an array of {dtype}, got {kind}")
                _check.shape_of(array, title, p.shape)
                if not array.flags.carray:
                    raise ValueError(f"{title}: expected a contiguous, aligned and writable array, got another")

    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor by name, with the values that they have now."""
        names = inspect.signature(type(self)).parameters
        return {name: value for name, value in vars(self).items() if name in names}

    def snapshot(self) -> dict[str, Any]:
        """Everything but the parameters that the next step depends on.

        Returns
        -------
        dict
            Numbers, words, lists, and the arrays themselves: they are not copied.
        """
        return {"type": type(self).__name__, "lr": self.lr, "steps": self.steps, "slots": self.state}

    def restore(self, parameters: Sequence[Parameter], snapshot: dict[str, Any]) -> None:
        """Go on from a snapshot.

        Parameters
        ----------
        parameters : sequence of Parameter
            Those that the next steps will move.
        snapshot : dict
            What `snapshot` has returned; its arrays are copied.

        Raises
        ------
        ValueError
            If the snapshot is of another class of optimizer.
        """
        if snapshot["type"] != type(self).__name__:
            raise ValueError(f"optimizer: expected {snapshot['type']}, got {type(self).__name__}")
        self.lr, self.steps, self._changes = snapshot["lr"], snapshot["steps"], -1
        self.state = [{name: array.copy() for name, array in slots.items()} for slots in snapshot["slots"]]
        self._parameters, self._seen = list(parameters) if self.state else [], None

    def _update_each(self, scale: float) -> None:
        each = self._slots()
        self._check_slots(each)
        for parameter, slots in zip(self._trained, each, strict=True):
            if scale != 1:
                parameter.grad[...] *= scale
            self.update(
                parameter.writable().reshape(-1),
                parameter.grad.reshape(-1),
                {name: array.reshape(-1) for name, array in slots.items()},
            )

    def _update_all(self, scale: float) -> None:
        self._block().update(*self._rule(), scale)

    def norm(self, parameters: Sequence[Parameter]) -> float:
        """The same as `grad_norm`, but faster for the parameters of the last step.

        Parameters
        ----------
        parameters : sequence of Parameter

        Returns
        -------
        float
            The Euclidean norm of all gradients together.
        """
        known = parameters is self._seen and self._changes == Parameter._changes
        known = known and bool(self.state) and len(self.state) == len(self._parameters)
        if known and type(self).update is Optimizer.update and self._trained:
            return self._block().norm()
        return grad_norm(parameters)

    def _block(self) -> kernels.Blocks:
        """The kernel's table of all arrays of what is trained; made anew if an array has been replaced."""
        slots = self._slots()
        try:
            if self._blocks is not None and self._blocks.holds(self._trained, slots):
                return self._blocks
        except TypeError:  # the state is no list of dicts any more, as the next line says
            pass
        self._check_slots(slots)
        each = zip(self._trained, slots, strict=True)
        arrays = [array for p, own in each for array in (p.grad, p.read(), *(own[name] for name in self.slots))]
        self._blocks = kernels.Blocks(arrays, 2 + len(self.slots))
        return self._blocks

    def update(self, value: Array, grad: Array, slots: dict[str, Array]) -> None:
        """Take one step of one parameter, in place.

        Parameters
        ----------
        value, grad : (n,)
            The parameter and its gradient, flat.
        slots : dict of (n,) arrays
            The arrays that are kept for this parameter, by name, flat.

        Raises
        ------
        NotImplementedError
            If a subclass has written neither this method nor `_rule`.
        """
        kernels.Blocks([grad, value, *slots.values()], 2 + len(slots)).update(*self._rule(), 1.0)

    def _rule(self) -> tuple[int, tuple[float, ...]]:
        """The number of the kernel's rule for a step, and the numbers in its formula."""
        raise NotImplementedError(f"{type(self).__name__} must write update")


def get(optimizer: Any) -> Optimizer:
    """An optimizer by its name.

    Parameters
    ----------
    optimizer : Optimizer, str or class
        An `Optimizer` is returned as it is. A name, in any case, or a class is that one with its defaults.

    Returns
    -------
    Optimizer

    Raises
    ------
    ValueError
        If there is no optimizer of this name.
    TypeError
        If it is none of these.
    """
    if isinstance(optimizer, str):
        known = {name.lower(): kind for name, kind in Optimizer.registry.items()}
        if optimizer.lower() not in known:
            raise ValueError(f"optimizer: expected one of {sorted(Optimizer.registry)}, got {optimizer!r}")
        optimizer = known[optimizer.lower()]
    if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        optimizer = optimizer()  # type: ignore[call-arg]
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer: expected an Optimizer such as fl.Adam(lr=1e-3), or its name, got {optimizer!r:.80}"
        )
    return optimizer
