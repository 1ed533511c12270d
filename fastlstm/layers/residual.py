"""A chain of layers whose input is added to its output."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np

from fastlstm._check import Shape, describe
from fastlstm._kernels.activations import sum_stage
from fastlstm._kernels.stage import Call, Stage
from fastlstm.layers.base import Array, Layer
from fastlstm.layers.chain import Chain, in_a_row
from fastlstm.layers.holder import Parallel
from fastlstm.workspace import Workspace


class Residual(Parallel):
    """y = x + chain(x): layers past which the input goes, too (He et al. 2016).

    Parameters
    ----------
    layers : list of Layer
        The chain, from numbers to an output of the shape of x. A layer may occur only once. Its parameters have names
        such as ``"0.weight"``, those of the first layer.
    dtype : "float32", "float64" or None
        None takes that of the layers, or the model's.
    seed : int, optional
        Seed of the starting values; by default from the model.

    Raises
    ------
    TypeError
        If layers is not a list of layers.
    ValueError
        If there is no layer, one occurs twice, cannot take the output of the one before or has another dtype, the
        output has another shape than x, or a layer takes tokens, shares parameters with another one or is a `Decoder`.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> layer = fl.Residual([fl.LayerNorm(4), fl.LSTM(4, 4)], seed=0)
    >>> layer(np.ones((2, 5, 4))).shape
    (2, 5, 4)
    """

    def __init__(self, layers: Iterable[Layer], *, dtype: Any = None, seed: int | None = None) -> None:
        found = in_a_row(layers, "layers")
        if not found:
            raise ValueError("layers: expected at least one, got none")
        super().__init__([Chain(found, [str(i) for i in range(len(found))])], dtype, seed)

    def output_shape(self, shape: Shape) -> Shape:
        found = self.chains[0].output_shape(shape)
        if found != shape and not (found[:-1] == shape[:-1] and isinstance(shape[-1], str)):
            raise ValueError(
                f"layers: expected a chain whose output has the shape of its input, {describe(shape)}, got "
                f"{describe(found)}"
            )
        return found

    def _join_parts(self, x: Array, parts: list[Array], tape: Workspace) -> Array:
        return np.asarray(np.add(x, parts[0], out=tape.array("y", x.shape, x.dtype)))

    def _joining(self, x: Array, parts: list[Array], y: Array) -> list[Stage]:
        if not x.flags.c_contiguous:  # the last steps of sequences
            return [Call(partial(np.add, parts[0]), x, y, "Residual")]
        return [sum_stage(x.reshape(-1), parts[0].reshape(-1), y.reshape(-1))]

    def _parts_of(self, dy: Array, tape: Workspace) -> tuple[list[Array], Array]:
        return [dy], dy

    def config(self) -> dict[str, Any]:
        return {"layers": list(self.chains[0].layers)}
