"""Dropout: random zeros in training."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm._check import Shape
from fastlstm._kernels import dropout as kernel
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.stage import Stage
from fastlstm.layers.base import Array, Index, Layer
from fastlstm.workspace import Workspace


class Dropout(Layer):
    """In training, sets each number to zero with probability `rate`, and scales the others by 1 / (1 - rate).

    Every step of every sequence has a mask of its own (Srivastava et al. 2014). In inference the input is unchanged.

    Parameters
    ----------
    rate : float
        From 0 to below 1.
    dtype : "float32", "float64" or None
        None takes the model's.
    seed : int, optional
        Not used: the masks follow from the seed of the tape.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> fl.Dropout(0.5)(np.ones((1, 1, 3)))
    array([[[1., 1., 1.]]], dtype=float32)
    """

    input_shape = ("N", "T", "F")

    def __init__(self, rate: float, *, dtype: Any = None, seed: int | None = None) -> None:
        super().__init__(dtype, seed)
        self.rate = _check.number(rate, "rate", 0, 1, open_high=True)

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        tape.notes["active"] = training and self.rate > 0
        return drop(x, self.rate, tape) if tape.notes["active"] else x

    def _prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array]:
        return [], x

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array:
        return drop_backward(dy, tape) if tape.notes["active"] else dy

    def config(self) -> dict[str, Any]:
        return {"rate": self.rate}


def drop(x: Array, rate: float, tape: Workspace, name: str = "") -> Array:
    """x times a new mask of 0 and 1 / (1 - rate).

    The mask is computed from the key of the tape, the number of the call, and the place of the rows in the whole batch.
    These are noted under `name`, not the mask itself.
    """
    mask = tape.notes["mask" + name] = (rate, *call_of(tape), tape.part.first * (x.size // len(x)))
    dropped = tape.array("dropped" + name, x.shape, x.dtype)
    kernel.drop(np.ascontiguousarray(x), dropped, *mask)
    return dropped


def call_of(tape: Workspace) -> tuple[int, int]:
    """The key of the tape, and a new number of a call: together they make random words."""
    if "key" not in tape.lasting:
        tape.lasting["key"], tape.lasting["calls"] = int(tape.rng.integers(1 << 64, dtype=np.uint64)), 0
    tape.lasting["calls"] += 1
    return tape.lasting["key"], tape.lasting["calls"]


def drop_backward(dy: Array, tape: Workspace, name: str = "") -> Array:
    """dy times the mask of the last `drop` with this name."""
    dx = tape.array("undropped" + name, dy.shape, dy.dtype)
    kernel.drop(np.ascontiguousarray(dy), dx, *tape.notes["mask" + name])
    return dx
