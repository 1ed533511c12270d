"""Chains of layers over the same input, whose outputs stand side by side."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from fastlstm._check import Shape, describe
from fastlstm._kernels.stage import Stage
from fastlstm._kernels.steps import take_steps
from fastlstm.layers.base import Array, Layer, as_rows
from fastlstm.layers.chain import chains_of
from fastlstm.layers.holder import Parallel
from fastlstm.workspace import Workspace


class Concat(Parallel):
    """y = the outputs of several chains over the same x, side by side on the last axis.

    Parameters
    ----------
    *chains : lists of Layer
        At least two, whose outputs have the same axes but the last one. An empty list is x itself: a connection that
        skips the others. A layer may occur only once. The parameters have names such as ``"1.0.weight"``, those of the
        first layer of the second chain.
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
        another dtype, the outputs of the chains do not fit together, or a layer takes tokens, shares parameters with
        another one or is a `Decoder`.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> layer = fl.Concat([], [fl.Conv1d(3, 8, 5, padding="same")], [fl.GRU(3, 4)], seed=0)
    >>> layer(np.ones((2, 9, 3))).shape
    (2, 9, 15)
    """

    def __init__(self, *chains: Iterable[Layer], dtype: Any = None, seed: int | None = None) -> None:
        super().__init__(chains_of(chains), dtype, seed)

    def output_shape(self, shape: Shape) -> Shape:
        found = []
        for k, chain in enumerate(self.chains):
            try:
                found.append(chain.output_shape(shape))
            except ValueError as error:
                raise ValueError(f"chain {k}: {error}") from None
            if found[k][:-1] != found[0][:-1]:
                raise ValueError(
                    f"chains: expected outputs with the same axes but the last one, got {describe(found[0])} of chain "
                    f"0 and {describe(found[k])} of chain {k}"
                )
        sizes = [own[-1] for own in found]
        known = [size for size in sizes if isinstance(size, int)]
        return (*found[0][:-1], sum(known) if len(known) == len(sizes) else "F+")

    def _join_parts(self, x: Array, parts: list[Array], tape: Workspace) -> Array:
        tape.notes["widths"] = [part.shape[-1] for part in parts]
        y = tape.array("y", (*parts[0].shape[:-1], sum(tape.notes["widths"])), x.dtype)
        return np.concatenate(parts, axis=-1, out=y)

    def _joining(self, x: Array, parts: list[Array], y: Array) -> list[Stage]:
        rows, start = as_rows(y), 0
        every, stages = np.arange(len(rows)), list[Stage]()
        for part in map(as_rows, parts):
            stages.append(take_steps(part, every, rows[:, start : start + part.shape[1]]))
            start += part.shape[1]
        return stages

    def _parts_of(self, dy: Array, tape: Workspace) -> tuple[list[Array], None]:
        parts, start = [], 0
        for k, width in enumerate(tape.notes["widths"]):
            part = tape.array(f"dy{k}", (*dy.shape[:-1], width), dy.dtype)
            part[...] = dy[..., start : start + width]
            parts.append(part)
            start += width
        return parts, None

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        return cls(*config["chains"])

    def config(self) -> dict[str, Any]:
        return {"chains": [list(chain.layers) for chain in self.chains]}
