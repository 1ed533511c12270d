"""The running state of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm._check import Shape
from fastlstm._kernels.program import Program, Stage
from fastlstm.layers import Layer
from fastlstm.threads import get_num_threads
from fastlstm.workspace import Workspace

Array = NDArray[Any]


def prepare(
    layers: Sequence[Layer],
    workspaces: Sequence[Workspace],
    x: Array,
    *,
    streaming: bool = False,
    shape: tuple[int, ...] | None = None,
    least_ndim: int | None = None,
) -> Program | None:
    """The layers as one program from x, or None if one has no stages; for later inputs of x's shape, or of `shape`."""
    stages: list[Stage] = []
    y = x
    for layer, workspace in zip(layers, workspaces, strict=True):
        ready = layer.prepare(y, workspace, streaming=streaming)
        if ready is None:
            return None
        stages += ready[0]
        y = ready[1]
    parameters = [parameter for layer in layers for parameter in layer.parameters()]
    shape = x.shape if shape is None else shape
    return Program(stages, x, y, parameters, get_num_threads(), shape, len(shape) if least_ndim is None else least_ndim)


class Stream:
    """The running state of a model over sequences that come a step at a time. See `Model.stream`.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> stream = fl.Model([fl.LSTM(3, 8), fl.Last(), fl.Dense(8, 1)], seed=0).stream(batch=2)
    >>> stream.step(np.ones((2, 3))).shape
    (2, 1)
    """

    def __init__(self, layers: Sequence[Layer], input_shape: Shape, batch: int) -> None:
        self.batch = batch
        self._layers = layers
        self._workspaces = [Workspace(0) for _ in layers]
        self._program: Program | None = None
        self._step_shape: Shape = (batch, *input_shape[2:])
        self._kinds = ("iu", "whole numbers") if layers[0].takes_tokens else ("fiub", "real numbers")
        for i, (layer, workspace) in enumerate(zip(layers, self._workspaces, strict=True)):
            try:
                layer.start(batch, workspace)
            except ValueError as error:
                raise ValueError(f"layer {i} ({type(layer).__name__}): {error}") from None

    def step(self, x_t: Any) -> Array:
        """One step: (batch, F), or (batch,) tokens, in; the model's output for it, a new array, out.

        With a batch of one, (F,) or a single token will do.
        """
        if self._program is not None:
            y: Array | None = self._program.run(x_t, get_num_threads())
            if y is not None:
                return y[:, 0].copy()
        x = x_t if isinstance(x_t, np.ndarray) else _check.as_numbers(x_t, "x_t", *self._kinds)
        if self.batch == 1 and x.ndim == len(self._step_shape) - 1:
            x = x[None]
        x = self._layers[0].as_input(x, "x_t", self._step_shape)[:, None]
        least = len(self._step_shape) - (self.batch == 1)
        self._program = self._prepare(x, shape=self._step_shape, least_ndim=least)
        return self._run(x, self._program)[:, 0].copy()

    def run(self, x: Any) -> Array:
        """A block of steps: (batch, T, F), or (batch, T) tokens, in; the output for each step, a new array, out."""
        shape = (self.batch, "T", *self._step_shape[1:])
        x = self._layers[0].as_input(x, "x", shape)
        return self._run(x, self._prepare(x)).copy()

    def _prepare(self, x: Array, **shape: Any) -> Program | None:
        return prepare(self._layers, self._workspaces, x, streaming=True, **shape)

    def _run(self, x: Array, program: Program | None) -> Array:
        if program is not None:
            y: Array = program.go()
            return y
        for layer, workspace in zip(self._layers, self._workspaces, strict=True):
            x = layer.step(x, workspace)
        return x

    def reset(self, rows: Any = None) -> None:
        """Begin anew: the state of these rows (an index, a list or a mask), or of all, becomes zero."""
        chosen: Any = slice(None)
        if rows is not None:
            try:
                index = np.asarray(rows)
                if index.dtype == bool and index.shape != (self.batch,):
                    raise IndexError("a mask has an entry for each row")
                chosen = np.arange(self.batch)[index]
            except IndexError as error:
                raise ValueError(f"rows: expected rows of a batch of {self.batch}, got {rows!r} ({error})") from None
        for layer, workspace in zip(self._layers, self._workspaces, strict=True):
            layer.reset(chosen, workspace)
