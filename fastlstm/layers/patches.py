"""Several neighbouring steps as one, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm._check import Shape
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.stage import Stage
from fastlstm.layers.base import Array, Index, Layer
from fastlstm.workspace import Workspace

MOST = 1 << 14
"""The most steps of a patch. No array bounds it, which a file would have to hold, too."""


class _Regrouped(Layer, abstract=True):
    """Base of the layers that put the same numbers into another number of steps."""

    input_shape = ("N", "T", "F")

    def __init__(self, size: int, *, dtype: Any = None, seed: int | None = None) -> None:
        super().__init__(dtype, seed)
        self.size = _check.positive_int(size, "size", MOST)

    def as_input(self, x: Any, name: str = "x", shape: Shape | None = None) -> Array:
        array: Array = super().as_input(x, name, shape)
        self.output_shape(array.shape)
        return array

    def start(self, batch: int, tape: Workspace) -> None:
        raise ValueError(f"{type(self).__name__} cannot stream: it does not give an output for each step as it comes")

    def config(self) -> dict[str, Any]:
        return {"size": self.size}


class Patch(_Regrouped):
    """(N, T, F) to (N, T', size · F): each `size` neighbouring steps are one (segments, Lin et al. 2023).

    An LSTM behind it takes fewer steps, and sees the shape of a whole patch, such as the hours of a day, at once. T' is
    T / size, rounded up; zeros stand behind the end of each sequence.

    Parameters
    ----------
    size : int
        Steps of a patch.
    dtype : "float32", "float64" or None
        None takes the model's.
    seed : int, optional
        Not used.

    Raises
    ------
    TypeError, ValueError
        If size is not a whole number from 1 on.

    Examples
    --------
    >>> import fastlstm as fl
    >>> fl.Patch(2)([[[1], [2], [3], [4], [5]]])
    array([[[1., 2.],
            [3., 4.],
            [5., 0.]]], dtype=float32)
    """

    def output_shape(self, shape: Shape) -> Shape:
        n, t, features = shape
        steps = "T'" if isinstance(t, str) else -(-t // self.size)
        return n, steps, f"{self.size}{features}" if isinstance(features, str) else self.size * features

    def output_lengths(self, lengths: Index) -> Index:
        return -(-lengths // self.size)

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        n, t, features = x.shape
        steps = -(-t // self.size)
        tape.notes["shape"], tape.notes["beyond"] = x.shape, None
        if lengths is None and steps * self.size == t:
            y = np.ascontiguousarray(x)
        else:
            y = tape.zeros("y", (n, steps * self.size, features), x.dtype)
            y[:, :t] = x
            if lengths is not None:
                tape.notes["beyond"] = np.arange(t) >= lengths[:, None]
                y[:, :t][tape.notes["beyond"]] = 0
        return y.reshape(n, steps, self.size * features)

    def _prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array] | None:
        n, t, features = x.shape
        if order is not None or t % self.size or not x.flags.c_contiguous:
            return None
        return [], x.reshape(n, t // self.size, self.size * features)

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        if not input_gradient:
            return None
        n, t, features = tape.notes["shape"]
        dx = np.ascontiguousarray(dy).reshape(n, -1, features)
        if dx.shape[1] == t and tape.notes["beyond"] is None:
            return dx
        own = tape.array("dx", (n, t, features), dy.dtype)
        own[...] = dx[:, :t]
        if tape.notes["beyond"] is not None:
            own[tape.notes["beyond"]] = 0
        return own


class Unpatch(_Regrouped):
    """(N, T, size · F) to (N, size · T, F): each step becomes `size` steps, as `Patch` has made one of them.

    Parameters
    ----------
    size : int
        Steps of a patch.
    dtype : "float32", "float64" or None
        None takes the model's.
    seed : int, optional
        Not used.

    Raises
    ------
    TypeError, ValueError
        If size is not a whole number from 1 on; where it is put into a model, if the number of features is no multiple
        of it.

    Examples
    --------
    >>> import fastlstm as fl
    >>> fl.Unpatch(2)([[[1, 2], [3, 4]]]).reshape(-1)
    array([1., 2., 3., 4.], dtype=float32)
    """

    def output_shape(self, shape: Shape) -> Shape:
        n, t, features = shape
        if not isinstance(features, str) and features % self.size:
            raise ValueError(f"Unpatch takes a multiple of size={self.size} features, got {features}")
        steps = "T'" if isinstance(t, str) else self.size * t
        return n, steps, f"{features}/{self.size}" if isinstance(features, str) else features // self.size

    def output_lengths(self, lengths: Index) -> Index:
        return lengths * self.size

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        n, t, features = x.shape
        return np.ascontiguousarray(x).reshape(n, t * self.size, features // self.size)

    def _prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array] | None:
        n, t, features = x.shape
        if not x.flags.c_contiguous:
            return None
        return [], x.reshape(n, t * self.size, features // self.size)

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        n, t, features = dy.shape
        return np.ascontiguousarray(dy).reshape(n, t // self.size, features * self.size) if input_gradient else None
