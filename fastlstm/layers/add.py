"""Chains of layers over the same input, whose outputs are added."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np

from fastlstm._check import Shape, describe
from fastlstm._kernels.activations import sum_stage
from fastlstm._kernels.stage import Call, Stage
from fastlstm.layers.base import Array, Layer
from fastlstm.layers.chain import chains_of
from fastlstm.layers.holder import Parallel
from fastlstm.workspace import Workspace


class Add(Parallel):
    """y = the sum of the outputs of several chains over the same x.

    That is a residual connection whose short cut has layers, too: a projection to another size (He et al. 2016). Where
    the short cut is x itself, and there is one other chain, a `Residual` is the same.

    Parameters
    ----------
    *chains : lists of Layer
        At least two, whose outputs have the same shape. An empty list is x itself. A layer may occur only once. The
        parameters have names such as ``"1.0.weight"``, those of the first layer of the second chain.
    dtype : "float32", "float64" or None
        None takes that of the layers, or the model's.
    seed : int, optional
        Seed of the starting values; by default from the model.

    Raises
    ------
    TypeError
        If a chain is not a list of layers.
    ValueError
        If there are fewer than two chains, a layer occurs twice, cannot take the output of the one before or has
        another dtype, the outputs of the chains have different shapes, or a layer takes tokens, shares parameters with
        another one or is a `Decoder`.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> layer = fl.Add([fl.Dense(3, 8)], [fl.LSTM(3, 8), fl.Dense(8, 8)], seed=0)
    >>> layer(np.ones((2, 9, 3))).shape
    (2, 9, 8)
    """

    def __init__(self, *chains: Iterable[Layer], dtype: Any = None, seed: int | None = None) -> None:
        super().__init__(chains_of(chains), dtype, seed)

    def output_shape(self, shape: Shape) -> Shape:
        found: Shape = ()
        for k, chain in enumerate(self.chains):
            try:
                own = chain.output_shape(shape)
            except ValueError as error:
                raise ValueError(f"chain {k}: {error}") from None
            if k == 0 or (isinstance(found[-1], str) and own[:-1] == found[:-1]):  # a size that is not known yet
                found = own
            if own != found and not (own[:-1] == found[:-1] and isinstance(own[-1], str)):
                raise ValueError(
                    f"chains: expected outputs of one shape, got {describe(found)}, and {describe(own)} of chain {k}"
                )
        return found

    def _join_parts(self, x: Array, parts: list[Array], tape: Workspace) -> Array:
        y = tape.array("y", parts[0].shape, x.dtype)
        np.add(parts[0], parts[1], out=y)
        for part in parts[2:]:
            y += part
        return y

    def _joining(self, x: Array, parts: list[Array], y: Array) -> list[Stage]:
        stages, total = list[Stage](), parts[0]
        room = np.empty(y.shape if len(parts) > 2 else 0, y.dtype)  # y itself may lie elsewhere at each call
        for k, part in enumerate(parts[1:], start=2):
            out = y if k == len(parts) else room
            if total.flags.c_contiguous and part.flags.c_contiguous:
                stages.append(sum_stage(total.reshape(-1), part.reshape(-1), out.reshape(-1)))
            else:  # the last steps of sequences
                stages.append(Call(partial(np.add, total), part, out, "Add"))
            total = out
        return stages

    def _parts_of(self, dy: Array, tape: Workspace) -> tuple[list[Array], None]:
        return [dy] * len(self.chains), None

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        return cls(*config["chains"])

    def config(self) -> dict[str, Any]:
        return {"chains": [list(chain.layers) for chain in self.chains]}
