"""The stream: the running state of a model."""

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
    """The running state of a model for sequences that come step by step. See `Model.stream`.

    A stream serves one call at a time. A second thread that uses it at the same time gets a RuntimeError.

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
        self._steps, self._blocks = Kept(drops=False), Kept(drops=False)  # a step that failed cannot be undone
        self._step_shape: Shape = (batch, *input_shape[2:])
        self._kinds = ("iu", "whole numbers") if layers[0].takes_tokens else ("fiub", "real numbers")
        for i, (layer, workspace) in enumerate(zip(layers, self._workspaces, strict=True)):
            try:
                layer.start(batch, workspace)
            except ValueError as error:
                raise ValueError(f"layer {i} ({type(layer).__name__}): {error}") from None

    def step(self, x_t: Any) -> Array:
        """Feed one step, and return the output as a new array.

        Parameters
        ----------
        x_t : (batch, F) numbers, or (batch,) tokens
            If batch is 1, also (F,) or a single token.

        Returns
        -------
        y_t : (batch, G)
            The output after this step.

        Raises
        ------
        TypeError
            If x_t does not hold numbers of the right kind.
        ValueError
            If the shape of x_t does not fit, or a number is not finite or out of range.
        RuntimeError
            If another call is using the stream.
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
        """Feed a block of steps, and return their outputs as a new array.

        Parameters
        ----------
        x : (batch, T, F) numbers, or (batch, T) tokens

        Returns
        -------
        y : (batch, T, G)
            The output after each step.

        Raises
        ------
        TypeError
            If x does not hold numbers of the right kind.
        ValueError
            If the shape of x does not fit, or a number is not finite or out of range.
        RuntimeError
            If another call is using the stream.
        """
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
        """Set the state to zero, so that new sequences begin.

        Parameters
        ----------
        rows : int, list of ints or mask, optional
            The sequences of the batch that begin again; by default all.

        Raises
        ------
        ValueError
            If rows are not rows of the batch.
        RuntimeError
            If another call is using the stream.
        """
        chosen: Any = slice(None)
        if rows is not None:
            try:
                index = np.asarray(rows)
                if not index.size and index.dtype != bool:
                    index = index.astype(np.intp)  # an empty list is one of floats to NumPy
                if index.dtype == bool and index.shape != (self.batch,):
                    raise IndexError("a mask has an entry for each row")
                chosen = np.arange(self.batch)[index]
            except (IndexError, ValueError, OverflowError) as error:
                raise ValueError(f"rows: expected rows of a batch of {self.batch}, got {rows!r} ({error})") from None
        with self._turn:
            for layer, workspace in zip(self._layers, self._workspaces, strict=True):
                layer.reset(chosen, workspace)
