"""Parameters: trained arrays with their gradients."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.constraints import Constraint
from fastlstm.narrow import Narrow, rounded
from fastlstm.regularizers import Regularizer

Initializer = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]


_widening, _counting = threading.Lock(), threading.Lock()


def unmoved(places: Iterable[tuple[Parameter, NDArray[Any]]]) -> bool:
    """Whether each parameter still has this array as its value."""
    for parameter, value in places:
        if parameter._value is not value:
            return False
    return True


def parameters_of(value: Any) -> list[Parameter]:
    """What a user gives as parameters, checked."""
    found = list(value) if isinstance(value, Iterable) else [value]
    for one in found:
        if not isinstance(one, Parameter):
            got = type(one).__name__ + ("" if one is value else f" in {type(value).__name__}")
            raise TypeError(f"parameters: expected those of a model, model.parameters(), got {got}")
    return found


class Parameter:
    """An array that an optimizer trains, with its gradient.

    Attributes
    ----------
    name : str
        The layer's name for it, after the layer's place in the model: ``"0.weight_ih_l0"``.
    shape : tuple of int
    version : int
        A number that grows whenever the value changes. What is computed from the value is computed anew when it has
        grown.
    initializer : function of a generator and a shape
        Makes the starting values.
    blocks, fan : int, int or None
        What `fastlstm.init.Initializer` is told of them.
    """

    _changes: ClassVar[int] = 0
    """How often any parameter has been frozen, thawed, or given another penalty or constraint. Who keeps what depends
    on these looks again when it has grown, so that a step need not ask each parameter."""

    _trainable = True
    _regularizer: Regularizer | None = None
    _constraint: Constraint | None = None

    def __init__(
        self, name: str, shape: tuple[int, ...], initializer: Initializer, *, blocks: int = 1, fan: int | None = None
    ) -> None:
        self.name = name
        self.shape = shape
        self.version = 0
        self.initializer, self.blocks, self.fan = initializer, blocks, fan
        self._value: NDArray[Any] | None = None
        self._narrow: Narrow | None = None  # what `assign` was given, until somebody wants the array itself
        self._grad: NDArray[Any] | None = None
        self._cleared = False

    @property
    def trainable(self) -> bool:
        """Whether it is trained. A frozen one stays as it is, and its gradient is zeros, whoever adds to it."""
        return self._trainable

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        if _check.flag(trainable, "trainable") != self._trainable:
            self._trainable = bool(trainable)
            self._cleared = True
            self.version += 1  # a backward pass that has been recorded no longer fits
            Parameter._count_change()

    @property
    def regularizer(self) -> Regularizer | None:
        """The penalty on its values that a `fastlstm.Trainer` adds to the loss."""
        return self._regularizer

    @regularizer.setter
    def regularizer(self, regularizer: Regularizer | str | None) -> None:
        self._regularizer = None if regularizer is None else Regularizer.of(regularizer, "regularizer")
        Parameter._count_change()

    @property
    def constraint(self) -> Constraint | None:
        """What an optimizer makes true of its values after each step."""
        return self._constraint

    @constraint.setter
    def constraint(self, constraint: Constraint | str | None) -> None:
        found = None if constraint is None else Constraint.of(constraint, "constraint")
        if found is not None:
            found.check(self.name, self.shape)
        self._constraint = found
        Parameter._count_change()

    @staticmethod
    def _count_change() -> None:
        with _counting:  # two threads must not come to the same number
            Parameter._changes += 1

    @property
    def _is_set(self) -> bool:
        return self._value is not None or self._narrow is not None

    def _initialize(self, rng: np.random.Generator, dtype: np.dtype[Any]) -> None:
        """Set the value to starting values."""
        try:
            if self.size > np.iinfo(np.intp).max // 8:
                raise MemoryError("no array can be as large")
            self._value = np.ascontiguousarray(self.initializer(rng, self.shape), dtype)
        except MemoryError as error:
            shape = _check.describe(self.shape)
            raise MemoryError(f"{self.name}: expected memory for starting values of shape {shape}: {error}") from None
        self.version += 1

    def assign(self, value: Any, dtype: np.dtype[Any]) -> None:
        """Set the value in an array of its own. Most callers set `value` instead.

        Parameters
        ----------
        value : array of the parameter's shape
            Which is copied. (Files with few bits give a `Narrow`, which is kept.)
        dtype : numpy.dtype
            float32 or float64: that of the layer.

        Raises
        ------
        TypeError
            If it is no array of real numbers, or dtype is neither of the two.
        ValueError
            If its shape is another, or dtype is not that of the layer.
        """
        dtype = _check.dtype_of(dtype)
        if self._is_set and dtype != (own := self._glance().dtype):
            raise ValueError(f"dtype: expected that of the layer of {self.name}, {own.name!r}, got {dtype.name!r}")
        self._assign(value, dtype)

    def _assign(self, value: Any, dtype: np.dtype[Any]) -> None:
        """`assign` for a layer that takes this dtype from now on."""
        self._narrow = value if isinstance(value, Narrow) else None
        self._value = None if self._narrow else _check.real_array(value, self.name, dtype, self.shape).copy()
        self._grad = None
        self.version += 1

    def _see(self, array: NDArray[Any]) -> None:
        """Let this array, of the parameter's shape, be the value from now on. It lies in somebody else's memory.

        Who changes it there says so by `touch`.
        """
        self._value, self._narrow, self._grad = array, None, None
        self.version += 1

    @property
    def value(self) -> NDArray[Any]:
        """The array, read-only. Assign to ``value`` to change it: the new numbers are copied into the array."""
        view = self._array().view()
        view.flags.writeable = False
        return view

    @value.setter
    def value(self, value: Any) -> None:
        array = self._array()
        array[...] = _check.real_array(value, self.name, array.dtype, self.shape)
        self.version += 1

    def _glance(self) -> NDArray[Any]:
        """The value for somebody who does not keep it: of a `Narrow`, a new array that goes again."""
        narrow = self._narrow
        return self.read() if narrow is None else narrow.widened()

    def _narrowed(self, kind: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """The numbers and scales of a matrix in fewer bits (see narrow.py): those of a `Narrow` where they lie."""
        narrow = self._narrow
        if narrow is not None and (narrow.kind == "bfloat16") == (kind == "bfloat16"):
            return narrow.numbers, narrow.scale
        return rounded(kind, self._glance())

    def read(self) -> NDArray[Any]:
        """The array itself, for a kernel that only reads."""
        return self._array() if self._value is None else self._value

    def writable(self) -> NDArray[Any]:
        """The array itself, to change in place. The version grows at once; call `touch` after the last change."""
        self.version += 1
        return self._array()

    def touch(self) -> None:
        """Note that the array from `writable`, or that from `_see`, has been changed."""
        self.version += 1

    @property
    def grad(self) -> NDArray[Any]:
        """The gradient, zeros at first. A backward pass adds to it."""
        if self._grad is None or self._cleared:
            self.accumulator()[0].fill(0)
        assert self._grad is not None
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        array = self.grad
        array[...] = _check.real_array(value, f"{self.name} grad", array.dtype, self.shape)

    def _keep_grad_in(self, array: NDArray[Any]) -> None:
        """Let this array, of the value's shape and dtype, hold the gradient from now on."""
        if self._grad is not array:
            if self._grad is not None and not self._cleared:
                array[...] = self._grad
            else:
                self._cleared = True
            self._grad = array

    def _take_grad(self) -> NDArray[Any]:
        """The array of the gradient, which is the caller's from now on. The next gradient is in a new one."""
        found, self._grad = self.grad, None
        return found

    def zero_grad(self) -> None:
        """Set the gradient to zero. The array itself is filled with zeros when it is next read."""
        self._cleared = True

    def accumulator(self) -> tuple[NDArray[Any], bool]:
        """The array of the gradient for a kernel that writes all of it now, and whether the kernel must add to it.

        If not, the present content of the array means nothing. What is written for a frozen parameter counts for
        nothing, but a kernel that computes all gradients in one pass needs room for it.
        """
        if self._grad is None:
            self._grad, self._cleared = np.empty_like(self._array()), True
        add, self._cleared = not self._cleared, not self._trainable
        return self._grad, add

    @property
    def size(self) -> int:
        """The number of its numbers."""
        return int(math.prod(self.shape))

    def _array(self) -> NDArray[Any]:
        narrow = self._narrow
        if narrow is not None:
            with _widening:
                if self._value is None:
                    self._value = narrow.widened()
                self._narrow = None
        if self._value is None:
            raise RuntimeError(f"{self.name} has no value yet: build its layer first")
        return self._value

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, shape={self.shape})"
