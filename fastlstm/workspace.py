"""Named buffers that are reused. A forward pass leaves there what the backward pass of its layer needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check

CACHE_LINE = 64


def aligned_empty(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """An uninitialised array that begins at a cache line, so that no vector register spans two lines."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(size + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    aligned: NDArray[Any] = raw[start : start + size].view(dtype).reshape(shape)
    return aligned


def aligned_zeros(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    array = aligned_empty(shape, dtype)
    array.fill(0)
    return array


@dataclass
class Part:
    """Which part of a batch a pass is over, if other processes have the other parts.

    Attributes
    ----------
    first : int, default 0
        The row of the whole batch that is the first of this part.
    spare : bool, default False
        Whether there was no row for this part, so that it has one that must not count.
    sum : function of an array, optional
        Replaces the array by the sum over all parts. None if this part is the whole batch.
    weight : float, default 1
        What the gradient of the loss has been multiplied by before the backward pass.
    """

    first: int = 0
    spare: bool = False
    sum: Callable[[NDArray[Any]], None] | None = None
    weight: float = 1.0


class Workspace:
    """Buffers and notes of a layer at one place in a model.

    A layer asks for the same names at every pass, so that nothing is allocated after the first one. The arrays that a
    pass returns are buffers too: the next pass overwrites them.

    Parameters
    ----------
    seed : int or SeedSequence, optional
        Seed of `rng`; by default a new one from the operating system.
    carries : bool, default False
        Whether each pass begins from the state that the pass before has left; the same for all children.
    precision : "bfloat16" or None, default None
        How training rounds what it multiplies; None rounds nothing. The same for all children.
    part : Part, optional
        Which part of a batch the passes are over; by default the whole. The same for all children.
    packs : Workspace, optional
        That in which training keeps packed weights; by default this one. Children have its children.

    Attributes
    ----------
    notes : dict
        What the forward pass leaves for the backward pass.
    lasting : dict
        What a pass leaves for the next pass: the key of the dropout masks, a running state. It holds only numbers,
        arrays and tuples of arrays, because checkpoints keep it (`state`).
    rng : numpy.random.Generator
        Source of the dropout masks.
    carries : bool
    precision : str or None
    part : Part
    packs : Workspace
    """

    def __init__(
        self,
        seed: int | np.random.SeedSequence | None = None,
        carries: bool = False,
        precision: str | None = None,
        part: Part | None = None,
        packs: Workspace | None = None,
    ) -> None:
        self._packs = packs
        self.notes: dict[str, Any] = {}
        self.lasting: dict[str, Any] = {}
        self.carries, self.precision = carries, _check.precision_of(precision)
        self.part = Part() if part is None else part
        self._seed = seed
        self._buffers: dict[str, NDArray[Any]] = {}
        self._views: dict[str, NDArray[Any]] = {}
        self._children: dict[str, Workspace] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """A contiguous array, aligned to cache lines. It still holds what it was last used for.

        Parameters
        ----------
        name : str
            The same at every pass, so that the same memory is used again.
        shape : tuple of int
        dtype : numpy.dtype
        """
        last = self._views.get(name)
        if last is not None and last.shape == shape and last.dtype == dtype:
            return last
        size = math.prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or buffer.size < size or buffer.dtype != dtype:
            buffer = self._buffers[name] = aligned_empty((size,), dtype)
        view = self._views[name] = buffer[:size].reshape(shape)
        return view

    def zeros(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """The same, filled with zeros."""
        array = self.array(name, shape, dtype)
        array.fill(0)
        return array

    def child(self, name: str) -> Workspace:
        """The workspace of a part of the layer, made when it is first asked for.

        Parameters
        ----------
        name : str
            The layer's name for the part.
        """
        if name not in self._children:
            packs = None if self._packs is None else self._packs.child(name)
            told = (self.carries, self.precision, self.part, packs)
            self._children[name] = type(self)(self._seeds.spawn(1)[0], *told)
        return self._children[name]

    @property
    def packs(self) -> Workspace:
        """Where training keeps packed weights."""
        return self if self._packs is None else self._packs

    def writable(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array itself if it can be written, or lies in a buffer; else a copy of it. It is contiguous."""
        array = np.require(array, None, ["C"])
        if array.flags.writeable:
            return array
        if any(array.base is buffer.base for buffer in self._buffers.values()):
            view = array.view()
            view.flags.writeable = True
            return view
        return array.copy()

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers, those of the children included."""
        return sum(buffer.nbytes for buffer in self._buffers.values()) + sum(
            child.nbytes for child in self._children.values()
        )

    def state(self) -> dict[str, Any]:
        """`lasting` of this workspace and of its children."""
        children = {name: child.state() for name, child in self._children.items()}
        return {"lasting": dict(self.lasting), "children": {name: state for name, state in children.items() if state}}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` has returned."""
        self.lasting = {
            name: tuple(np.array(part) for part in value) if isinstance(value, list | tuple) else value
            for name, value in state["lasting"].items()
        }
        for name, child in state["children"].items():
            self.child(name).restore(child)

    @cached_property
    def _seeds(self) -> np.random.SeedSequence:
        seed = self._seed
        return seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(_check.seed_of(seed))

    @cached_property
    def rng(self) -> np.random.Generator:
        """The source of what a layer leaves out at random, by the workspace's seed."""
        return np.random.default_rng(self._seeds)
