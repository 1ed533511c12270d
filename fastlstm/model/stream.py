"""The running state of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm._check import Shape
from fastlstm._kernels.program import Kept, Turn
from fastlstm.layers import Layer
from fastlstm.layers.preparing import prepare
from fastlstm.workspace import Workspace

Array = NDArray[Any]


class Stream:
    """The running state of a model over sequences that come a step at a time. See `Model.stream`.

    A stream serves one call at a time; a second thread that uses it meanwhile gets a RuntimeError.

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
        self._turn = Turn("this stream", "give each thread a stream of its own, or let them take turns with a lock")
        self._steps, self._blocks = Kept(drops=False), Kept(drops=False)  # a step is not undone
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
        y: Array | None = self._steps.run(x_t)
        if y is not None:
            return y
        x = x_t if isinstance(x_t, np.ndarray) else _check.as_numbers(x_t, "x_t", *self._kinds)
        if self.batch == 1 and x.ndim == len(self._step_shape) - 1:
            x = x[None]
        x = self._layers[0].as_input(x, "x_t", self._step_shape)
        y = self._steps.run(x)
        return self._run_anew(self._steps, x[:, None], step=True) if y is None else y

    def run(self, x: Any) -> Array:
        """A block of steps: (batch, T, F), or (batch, T) tokens, in; the output for each step, a new array, out."""
        y: Array | None = self._blocks.run(x)
        if y is not None:
            return y
        x = self._layers[0].as_input(x, "x", (self.batch, "T", *self._step_shape[1:]))
        y = self._blocks.run(x)
        return self._run_anew(self._blocks, x) if y is None else y

    def _run_anew(self, kept: Kept, x: Array, *, step: bool = False) -> Array:
        with self._turn:
            program = prepare(self._layers, self._workspaces, x, streaming=True, turn=self._turn, step=step)
            y = (program.y[:, 0] if step else program.y).copy()
            kept.add(program, sum(workspace.nbytes for workspace in self._workspaces) + program.nbytes)
        return y

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
        with self._turn:
            for layer, workspace in zip(self._layers, self._workspaces, strict=True):
                layer.reset(chosen, workspace)
