"""The parameters and buffers of a layer."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm.parameter import Initializer, Parameter

_building = threading.RLock()
"""The lock for setting starting values. All layers share it, because a layer with a lock could not be copied."""


class Parametrized:
    """The part of a `Layer` that has parameters, and buffers, which are saved but not trained."""

    _dtype: np.dtype[Any] | None
    _seed: int | None
    _parameters: dict[str, Parameter]
    _buffers: dict[str, Parameter]
    _built: bool

    def add(
        self, name: str, shape: tuple[int, ...], initializer: Initializer, *, blocks: int = 1, fan: int | None = None
    ) -> None:
        """Add a parameter, in the constructor of a layer.

        Parameters
        ----------
        name : str
            The layer's own name for it, such as ``"weight"``.
        shape : tuple of int
        initializer : function of a numpy.random.Generator and the shape
            Gives the starting values, an array of this shape; it is called when the layer is built.
        blocks : int, default 1
            Matrices that are stacked along the first axis, such as gates: what an `init.Initializer` is told of it.
        fan : int, optional
            The same: the size that PyTorch takes the limit from; by default the last axis.
        """
        self._parameters[name] = Parameter(name, shape, initializer, blocks=blocks, fan=fan)

    def add_buffer(self, name: str, shape: tuple[int, ...], initializer: Initializer) -> None:
        """Add an array that is saved with the layer but not trained, such as a running mean.

        Parameters
        ----------
        name : str
            The layer's own name for it.
        shape : tuple of int
        initializer : function of a numpy.random.Generator and the shape
            Gives what it is at first.
        """
        self._buffers[name] = Parameter(name, shape, initializer)

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """float32 or float64; None if it was not given and the layer is not built yet."""
        return self._dtype

    def build(self, dtype: Any = None, rng: np.random.Generator | None = None) -> None:
        """Fix the dtype, and set the starting values of all parameters that have no value yet.

        A model builds its layers, and a layer by itself is built when it is first used. Building a layer again does
        nothing.

        Parameters
        ----------
        dtype : "float32" or "float64", default None
            That of a layer which was not given one; None is float32.
        rng : numpy.random.Generator, optional
            Source of the starting values of a layer without a seed of its own; by default a new one.
        """
        if self._built:
            return
        with _building:
            if self._built:  # by another thread, which held the lock
                return
            if self._dtype is None:
                self._dtype = _check.dtype_of(dtype or "float32")
            missing = [parameter for parameter in self._arrays().values() if not parameter._is_set]
            if missing and (self._seed is not None or rng is None):
                rng = np.random.default_rng(self._seed)
            for parameter in missing:
                assert rng is not None
                parameter._initialize(rng, self._dtype)
            self._built = True  # last: other threads then use the layer without the lock

    def parameters(self) -> list[Parameter]:
        """The parameters, frozen ones too; the layer is built first if it is not yet."""
        self.build()
        return list(self._parameters.values())

    def parameter(self, name: str) -> Parameter:
        """A parameter by the layer's own name for it.

        Parameters
        ----------
        name : str
            One of `parameter_shapes`.

        Returns
        -------
        Parameter

        Raises
        ------
        KeyError
            If the layer has no parameter of this name.

        Examples
        --------
        >>> import fastlstm as fl
        >>> layer = fl.Dense(3, 2, seed=0)
        >>> layer.parameter("bias").value = [0.5, -0.5]
        >>> layer([[0.0, 0.0, 0.0]])
        array([[ 0.5, -0.5]], dtype=float32)
        """
        self.build()
        try:
            return self._parameters[name]
        except KeyError:
            raise _unknown(self, "parameter", name, self._parameters) from None

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the parameters by their names."""
        return {name: parameter.shape for name, parameter in self._parameters.items()}

    @property
    def num_parameters(self) -> int:
        """The number of numbers in all parameters."""
        return sum(parameter.size for parameter in self._parameters.values())

    @property
    def trainable(self) -> bool:
        """Whether any parameter of the layer is trained. Set it to freeze them all (False), or to train all."""
        return any(parameter.trainable for parameter in self._parameters.values())

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        for parameter in self._parameters.values():
            parameter.trainable = trainable

    def buffers(self) -> list[Parameter]:
        """The arrays that are saved with the layer but not trained; the layer is built first if it is not yet."""
        self.build()
        return list(self._buffers.values())

    def buffer(self, name: str) -> Parameter:
        """A buffer by the layer's own name for it.

        Parameters
        ----------
        name : str
            One of `buffer_shapes`.

        Returns
        -------
        Parameter

        Raises
        ------
        KeyError
            If the layer has no buffer of this name.
        """
        self.build()
        try:
            return self._buffers[name]
        except KeyError:
            raise _unknown(self, "buffer", name, self._buffers) from None

    def buffer_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the buffers by their names."""
        return {name: buffer.shape for name, buffer in self._buffers.items()}

    def _arrays(self) -> dict[str, Parameter]:
        return {**self._parameters, **self._buffers}

    def load_parameters(self, arrays: dict[str, Any], dtype: Any) -> None:
        """Set all parameters and buffers.

        Parameters
        ----------
        arrays : dict
            An array for each of `parameter_shapes` and `buffer_shapes`, by name.
        dtype : "float32" or "float64"
            That of the layer from now on.

        Raises
        ------
        KeyError
            If one is missing.
        TypeError, ValueError
            If one is no array of real numbers, or of another shape.

        Examples
        --------
        >>> import fastlstm as fl
        >>> layer, twin = fl.LSTM(3, 4, seed=0), fl.LSTM(3, 4)
        >>> twin.load_parameters({name: layer.parameter(name).value for name in layer.parameter_shapes()}, "float32")
        """
        dtype = _check.dtype_of(dtype)
        _check.instance(arrays, Mapping, "arrays", "a dict of arrays by name")
        if missing := [name for name in self._arrays() if name not in arrays]:
            raise KeyError(f"arrays: expected {', '.join(self._arrays())}, got none for {', '.join(missing)}")
        self._dtype = dtype
        for name, parameter in self._arrays().items():
            parameter._assign(arrays[name], self._dtype)

    def _see_parameters(self, arrays: dict[str, Any]) -> None:
        """Let these arrays, of the layer's dtype, be the values of parameters by name; see `Parameter._see`."""
        for name, array in arrays.items():
            self._parameters[name]._see(array)


def _unknown(layer: Parametrized, what: str, name: str, there: dict[str, Parameter]) -> KeyError:
    return KeyError(f"{type(layer).__name__} has no {what} {name!r}; it has {', '.join(there) or 'none'}")
