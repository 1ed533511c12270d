"""What is known of the tensors of a graph that is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(eq=False)
class Axis:
    """An axis of a tensor.

    Attributes
    ----------
    role : str
        "N", "T", "F" (features), "D" (directions), "S" (states side by side), "1"; "" if it is not known yet; "NT" of
        `parts` that lie in one axis.
    size : int or None
    """

    role: str
    size: int | None = None
    parts: tuple[Axis, ...] = ()

    def bind(self, role: str) -> None:
        """Say what the axis is; ValueError if it is something else."""
        if self.role not in ("", role):
            raise ValueError(f"expected axis {role} of (N, T, F), got {self.role}")
        self.role = role


@dataclass(frozen=True)
class Const:
    """An array that is known."""

    array: Array


@dataclass(frozen=True)
class Dims:
    """Sizes: numbers, axes whose size is meant, or None for what is not known."""

    entries: tuple[int | Axis | None, ...]
    scalar: bool = False


@dataclass(frozen=True)
class Uniform:
    """An array of one number, of any shape."""

    value: float


@dataclass(frozen=True)
class Rows:
    """The same state for each row of a batch, (D, 1, H)."""

    array: Array


@dataclass(frozen=True)
class Data:
    """What a node of the chain gives.

    Attributes
    ----------
    source : str
        The name of the node.
    axes : tuple of Axis
    ends : tuple of (str, int)
        Of final states: the recurrent nodes and directions that they are of; `source` is then not used.
    half : int or None
        Of the outputs of one of two directions, which one.
    """

    source: str
    axes: tuple[Axis, ...]
    ends: tuple[tuple[str, int], ...] = ()
    half: int | None = None


@dataclass(frozen=True)
class Curve:
    """A function of each number of another tensor.

    Attributes
    ----------
    base : Data
        What it is a function of.
    values : array
        Those at `POINTS`.
    before : Data or Curve
        What the last operator reads.
    layer : str or tuple, optional
        The last operator as the function of an `Activation`.
    """

    base: Data
    values: Array
    before: Data | Curve
    layer: Any = None
    depth: int = 1


@dataclass(frozen=True)
class Unknown:
    """Something that no layer stands for; an error for whoever needs it."""

    reason: str


Value = Const | Dims | Uniform | Rows | Data | Curve | Unknown


def reshaped(axes: tuple[Axis, ...], target: Sequence[int | Axis | None]) -> tuple[Axis, ...]:
    """The axes behind a Reshape; -1 and None take what is left."""
    wanted = [axes[k] if size == 0 and k < len(axes) else size for k, size in enumerate(target)]
    atoms = [atom for axis in axes for atom in (axis.parts or (axis,)) if atom.role != "1" and atom.size != 1]
    free = [k for k, size in enumerate(wanted) if size is None or (isinstance(size, int) and size == -1)]
    if len(free) > 1:
        raise ValueError("expected sizes of which at most one is not known, got several")
    at = free[0] if free else len(wanted)
    front, atoms = _taken(atoms, wanted[:at])
    back, rest = _taken(atoms[::-1], wanted[at + 1 :][::-1])
    if not free and rest:
        raise ValueError("expected sizes for all axes, got too few")
    middle = [_together(rest[::-1])] if free else []
    return (*front, *middle, *back[::-1])


def _taken(atoms: list[Axis], wanted: Sequence[int | Axis | None]) -> tuple[list[Axis], list[Axis]]:
    """The axes of these sizes, from the first ones, and what is left. The order of the parts of each is kept."""
    found = []
    for size in wanted:
        if isinstance(size, Axis) and size.parts:
            found.append(size)
            atoms = atoms[len(size.parts) :]
        elif isinstance(size, Axis) and size.role != "1" and size.size != 1:
            if not atoms or atoms[0] is not size:
                raise ValueError("expected axes that keep their order, got others")
            found.append(size)
            atoms = atoms[1:]
        elif isinstance(size, Axis) or size == 1:
            found.append(Axis("1", 1))
        else:
            assert isinstance(size, int)
            count, product = 0, 1
            while product < size and count < len(atoms):
                product *= atoms[count].size or size + 1
                count += 1
            if product != size:
                raise ValueError(f"expected axes that have the size {size} together, got others")
            found.append(_together(atoms[:count]))
            atoms = atoms[count:]
    return found, atoms


def _together(atoms: list[Axis]) -> Axis:
    """One axis of several."""
    if not atoms:
        return Axis("1", 1)
    if len(atoms) == 1:
        return atoms[0]
    roles = sorted(atom.role for atom in atoms)
    if roles in (["D", "F"], ["F", "S"]):
        if atoms[-1].role != "F":
            raise ValueError("expected the outputs of directions side by side, got them unit by unit")
        return Axis("F", math.prod(atom.size or 0 for atom in atoms))
    if "D" in roles or "S" in roles or "F" in roles:
        raise ValueError("expected features that stay on an axis of their own, got them together with another one")
    sizes = [atom.size for atom in atoms]
    whole = math.prod(size for size in sizes if size) if all(sizes) else None
    return Axis("NT", whole, tuple(atoms))


def uniform(array: Array) -> Uniform | None:
    """An array of one number that it may be."""
    if array.size and array.dtype.kind == "f" and (array == array.flat[0]).all():
        return Uniform(float(array.flat[0]))
    return None


POINTS = np.concatenate([np.linspace(-9, 9, 91), [-0.01, 0.013]])
"""Where functions are compared. The 46th is 0."""

ERF = np.vectorize(math.erf, otypes=[np.float64])
"""The error function."""
