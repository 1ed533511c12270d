"""How the outputs of the directions of a layer, and those of layers, come together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm.layers.base import Array
from fastlstm.workspace import Workspace

MERGES = ("concat", "sum", "mul", "ave", "none")
"""Side by side, added, multiplied, their mean, or each by itself (then the layer gives two arrays)."""


@dataclass(frozen=True)
class Joint:
    """What becomes of the outputs (..., D·H) of a layer's directions.

    Attributes
    ----------
    merge : str
        One of MERGES.
    residual : bool
        Whether each layer but the first adds its input to that.
    hidden : int
        H.
    """

    merge: str
    residual: bool
    hidden: int

    def width(self, directions: int) -> int:
        """The last axis of a layer's output."""
        return self.hidden * (directions if self.merge in ("concat", "none") else 1)

    def changes(self, layers: int) -> bool:
        """Whether outputs are anything else than those of the directions side by side."""
        return self.merge not in ("concat", "none") or (self.residual and layers > 1)

    def forward(self, both: Array, x: Array | None, k: int, tape: Workspace) -> Array:
        """The output of layer k from those of its directions and from its input; `both` itself if it is the same.

        x is only needed where it is added.
        """
        out = both
        if self.merge not in ("concat", "none"):
            left, right = both[..., : self.hidden], both[..., self.hidden :]
            tape.notes[f"both_l{k}"] = both  # which the backward pass reads
            out = tape.array(f"merged_l{k}", left.shape, both.dtype)
            combine = np.multiply if self.merge == "mul" else np.add
            combine(left, right, out=out)
            if self.merge == "ave":
                out *= 0.5
        if not (self.residual and k):
            return out
        assert x is not None
        joined = tape.array(f"joined_l{k}", out.shape, out.dtype)
        np.add(out, x, out=joined)
        return joined

    def backward(self, dy: Array, k: int, tape: Workspace) -> Array:
        """The gradient by the outputs of the directions from that by the output of layer k. See `add_past`."""
        if self.merge in ("concat", "none"):
            return dy
        both: Array = tape.notes[f"both_l{k}"]
        found = tape.array(f"parted_l{k}", both.shape, dy.dtype)
        left, right = found[..., : self.hidden], found[..., self.hidden :]
        if self.merge == "mul":
            np.multiply(dy, both[..., self.hidden :], out=left)
            np.multiply(dy, both[..., : self.hidden], out=right)
        else:
            left[...] = right[...] = dy if self.merge == "sum" else dy * dy.dtype.type(0.5)
        return found

    def add_past(self, dx: Array | None, dy: Array, k: int) -> None:
        """Add the part of the gradient by x that goes past layer k."""
        if self.residual and k and dx is not None:
            dx += dy


def joint_of(merge: Any, residual: Any, hidden: int, layers: int, directions: int) -> Joint:
    """The arguments of a layer of these names, checked."""
    if not isinstance(merge, str) or merge not in MERGES:
        raise ValueError(f"merge: expected one of {', '.join(map(repr, MERGES))}, got {merge!r}")
    if merge != "concat" and directions == 1:
        raise ValueError(f"merge: expected 'concat' without bidirectional=True, got {merge!r}")
    if merge == "none" and layers > 1:
        raise ValueError("merge: expected a single layer with 'none', whose outputs no layer above could read")
    if _check.flag(residual, "residual") and layers == 1:
        raise ValueError("residual: expected num_layers of at least 2, between which inputs are added, got 1")
    return Joint(merge, bool(residual), hidden)
