"""How the outputs of the directions of a layer, and those of layers, come together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm.layers.base import Array
from fastlstm.workspace import Workspace

SKIPS = (None, "input", "output", "both")
"""No connections past layers; those from x to every layer, those from every layer to the output, or both."""

MERGES = ("concat", "sum", "mul", "ave", "none")
"""Side by side, added, multiplied, their mean, or each by itself (then the layer gives two arrays)."""


@dataclass(frozen=True)
class Joint:
    """What becomes of the outputs (..., D·H) of a layer's directions, and what the layers read.

    Attributes
    ----------
    merge : str
        One of MERGES.
    residual : bool
        Whether each layer but the first adds the output of the one below to that.
    hidden : int
        H.
    directions : int, default 1
        D.
    skip : str or None
        One of SKIPS (Graves 2013): whether each layer but the first also reads x, beside the output of the one below,
        and whether the outputs of all layers stand side by side.
    """

    merge: str
    residual: bool
    hidden: int
    directions: int = 1
    skip: str | None = None

    @property
    def reads_x(self) -> bool:
        return self.skip in ("input", "both")

    @property
    def gives_all(self) -> bool:
        return self.skip in ("output", "both")

    @property
    def width(self) -> int:
        """The last axis of a layer's output."""
        return self.hidden * (self.directions if self.merge in ("concat", "none") else 1)

    def input_width(self, k: int, inputs: int) -> int:
        """The last axis of what layer k reads. x has `inputs`."""
        return self.width + self.reads_x * inputs if k else inputs

    def output_width(self, layers: int) -> int:
        """The last axis of the output of all layers."""
        return self.width * (layers if self.gives_all else 1)

    def combines(self, k: int) -> bool:
        """Whether the output of layer k is anything else than those of its directions side by side."""
        return self.merge not in ("concat", "none") or (self.residual and k > 0)

    def changes(self, layers: int) -> bool:
        """Whether anything stands between the layers, or behind the last one."""
        return self.skip is not None or self.combines(layers - 1)

    def kept(self, k: int, layers: int, inputs: int) -> int:
        """How many numbers training keeps at each step for what layer k reads and gives, with their gradients.

        What the last of all layers gives, and the gradient of that, are not counted, nor are x and its gradient.
        """
        given = [self.hidden * self.directions]
        if self.merge not in ("concat", "none"):
            given.append(self.hidden)
        if self.residual and k:
            given.append(given[-1])
        numbers = sum(given[:-1] if k == layers - 1 and not self.gives_all else given)
        if self.merge not in ("concat", "none"):
            numbers += given[0]  # the gradients of the directions
        if self.gives_all:
            numbers += self.width
        if k:
            read = self.input_width(k, inputs)
            numbers += read
            if self.reads_x:  # the layer below and x side by side, and the gradients of both apart
                numbers += read + self.width + (inputs if k == 1 else 0)
        return numbers

    def read(self, below: Array, x: Array, k: int, tape: Workspace) -> Array:
        """What layer k reads, from the output of the layer below and x; both are the same for the first layer."""
        if not (k and self.reads_x):
            return below
        out = tape.array(f"read_l{k}", (*x.shape[:-1], below.shape[-1] + x.shape[-1]), x.dtype)
        np.concatenate([below, x], axis=-1, out=out)
        return out

    def read_backward(
        self, dread: Array, past: Array | None, k: int, inputs: int, tape: Workspace
    ) -> tuple[Array, Array | None]:
        """The gradients by the output of the layer below, and by x as layers from k on read it past those below.

        `past` is the latter of the layers above k, None if there are none.
        """
        if not (k and self.reads_x):
            return dread, past
        width = dread.shape[-1] - inputs
        below = tape.array(f"below_l{k}", (*dread.shape[:-1], width), dread.dtype)
        below[...] = dread[..., :width]
        found = tape.array("past", (*dread.shape[:-1], inputs), dread.dtype)
        np.add(dread[..., width:], 0 if past is None else past, out=found)
        return below, found

    def given(self, outputs: list[Array], tape: Workspace) -> Array:
        """The output, from those of all layers."""
        if not self.gives_all:
            return outputs[-1]
        last = outputs[-1]
        out = tape.array("given", (*last.shape[:-1], len(outputs) * last.shape[-1]), last.dtype)
        np.concatenate(outputs, axis=-1, out=out)
        return out

    def given_backward(self, dy: Array, above: Array | None, k: int, tape: Workspace) -> Array:
        """The gradient by the output of layer k, from those by the output and by what is read above."""
        if not self.gives_all:
            return dy if above is None else above
        own = dy[..., k * self.width : (k + 1) * self.width]
        found = tape.array(f"given_l{k}", own.shape, dy.dtype)
        np.add(own, 0 if above is None else above, out=found)
        return found

    def forward(self, both: Array, x: Array | None, k: int, tape: Workspace) -> Array:
        """The output of layer k from those of its directions and x, the layer below; `both` itself if it is the same.

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
        """Add the part of the gradient by the output of the layer below that goes past layer k."""
        if self.residual and k and dx is not None:
            dx += dy


def joint_of(merge: Any, residual: Any, skip: Any, hidden: int, layers: int, directions: int) -> Joint:
    """The arguments of a layer of these names, checked."""
    if not isinstance(merge, str) or merge not in MERGES:
        raise ValueError(f"merge: expected one of {', '.join(map(repr, MERGES))}, got {merge!r}")
    if merge != "concat" and directions == 1:
        raise ValueError(f"merge: expected 'concat' without bidirectional=True, got {merge!r}")
    if merge == "none" and layers > 1:
        raise ValueError("merge: expected a single layer with 'none', whose outputs no layer above could read")
    if _check.flag(residual, "residual") and layers == 1:
        raise ValueError("residual: expected num_layers of at least 2, between which inputs are added, got 1")
    if not (skip is None or isinstance(skip, str)) or skip not in SKIPS:
        raise ValueError(f"skip: expected 'input', 'output', 'both' or None, got {skip!r}")
    if skip is not None and layers == 1:
        raise ValueError("skip: expected num_layers of at least 2, past which connections go, got 1")
    return Joint(merge, bool(residual), hidden, directions, skip)
