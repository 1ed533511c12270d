"""The stream: the running state of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm._check import Shape
from fastlstm._kernels.program import Kept, Turn
from fastlstm.files import PathLike, reading
from fastlstm.layers import Layer
from fastlstm.layers.preparing import prepare
from fastlstm.layers.recurrent import Recurrent
from fastlstm.model.stream_state import checked, kinds_of, read, write
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
        self._batch = batch
        self._layers, self._input_shape = layers, input_shape
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

    @property
    def batch(self) -> int:
        """The number of sequences."""
        return self._batch

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
        """Set the state to what sequences begin with, so that new ones do.

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
        chosen: Any = slice(None) if rows is None else self._rows(rows)
        with self._turn:
            for layer, workspace in zip(self._layers, self._workspaces, strict=True):
                layer.reset(chosen, workspace)

    def _rows(self, rows: Any) -> Any:
        """Places in the batch, from an int, a list of ints or a mask."""
        try:
            index = np.asarray(rows)
            if not index.size and index.dtype != bool:
                index = index.astype(np.intp)  # an empty list is one of floats to NumPy
            if index.dtype == bool and index.shape != (self.batch,):
                raise IndexError("a mask has an entry for each row")
            if index.ndim > 1:
                raise IndexError(f"they stand in one list, not in an array of shape {_check.describe(index.shape)}")
            return np.arange(self.batch)[index]
        except (IndexError, ValueError, OverflowError) as error:
            raise ValueError(f"rows: expected rows of a batch of {self.batch}, got {rows!r} ({error})") from None

    def clone(self, rows: Any = None) -> Stream:
        """A stream of its own that goes on from the state of this one, with the same model.

        Parameters
        ----------
        rows : int, list of ints or mask, optional
            The sequences whose states it has, in this order; a sequence may come several times, as in a beam search. By
            default all.

        Returns
        -------
        Stream
            Its batch is the number of these rows.

        Raises
        ------
        ValueError
            If rows are not rows of the batch, or there is none.
        RuntimeError
            If another call is using the stream.

        Examples
        --------
        >>> import fastlstm as fl
        >>> stream = fl.Model([fl.GRU(1, 4)], seed=0).stream(batch=2)
        >>> first = stream.step([[1.0], [2.0]])
        >>> beam = stream.clone(rows=[1, 1, 0])
        >>> beam.batch, beam.step([[3.0], [4.0], [5.0]]).shape
        (3, (3, 4))
        """
        self._kinds_of_state()  # a layer that does not tell its state says so
        chosen = np.arange(self.batch) if rows is None else np.atleast_1d(self._rows(rows))
        if not len(chosen):
            raise ValueError(f"rows: expected at least one row of the batch, got {rows!r}")
        other = Stream(self._layers, self._input_shape, len(chosen))
        with self._turn:
            for layer, old, new in zip(self._layers, self._workspaces, other._workspaces, strict=True):
                state = {name: np.take(part, chosen, axis=-2) for name, part in layer.running(old).items()}
                layer.go_on(state, new)
        return other

    def states(self) -> list[Any]:
        """The state of each layer after the last step, as a call of the layer takes and gives it.

        Returns
        -------
        list
            For each layer of the model h, (layers, N, H), or the tuple (h, c) of an `LSTM`; None for a layer that is
            not recurrent. The arrays are new.

        Raises
        ------
        RuntimeError
            If another call is using the stream.
        """
        with self._turn:
            return [
                whole(tuple(layer.running(workspace).values())) if isinstance(layer, Recurrent) else None
                for layer, workspace in zip(self._layers, self._workspaces, strict=True)
            ]

    def state_dict(self) -> dict[str, Array]:
        """The state of all sequences, to go on from later: see `load_state_dict`.

        Returns
        -------
        dict
            New arrays by the number of the layer and the name of the part: ``"0.h"`` and ``"0.c"``, each (layers, N,
            H); of a pool what it has added up, once there was a step.

        Raises
        ------
        ValueError
            If a layer of one's own has a state and does not tell it.
        RuntimeError
            If another call is using the stream.

        Examples
        --------
        >>> import fastlstm as fl
        >>> stream = fl.Model([fl.LSTM(1, 4), fl.MeanPool()], seed=0).stream()
        >>> first = stream.step([1.0])
        >>> {name: part.shape for name, part in stream.state_dict().items()}
        {'0.h': (1, 1, 4), '0.c': (1, 1, 4), '1.total': (1, 4), '1.count': (1, 1)}
        """
        self._kinds_of_state()  # a layer that does not tell its state says so
        with self._turn:
            return {
                f"{i}.{name}": part
                for i, (layer, workspace) in enumerate(zip(self._layers, self._workspaces, strict=True))
                for name, part in layer.running(workspace).items()
            }

    def load_state_dict(self, state: Any) -> None:
        """Go on from a state.

        Parameters
        ----------
        state : dict of arrays
            What `state_dict` of a stream of the same model has returned, with as many sequences. It is copied.

        Raises
        ------
        TypeError
            If it is no dict of arrays of numbers.
        ValueError
            If a part is missing or unknown, or its shape does not fit, or a number is not finite. The state of the
            stream is then what it was.
        RuntimeError
            If another call is using the stream.
        """
        found = checked(state, self._layers, self._kinds_of_state())
        with self._turn:
            for layer, workspace, own in zip(self._layers, self._workspaces, found, strict=True):
                layer.go_on(own, workspace)

    def _kinds_of_state(self) -> list[dict[str, tuple[Shape, Any]]]:
        """For each layer, the shape and dtype of the parts of its state, by their names in `state_dict`."""
        return kinds_of(self._layers, self._input_shape, self.batch)

    def save(self, path: PathLike) -> None:
        """Write the state to a file, whole or not at all: safetensors, with a checksum. It does not hold the model.

        Raises
        ------
        OSError
            If the path is not that of a regular file, or cannot be written.
        ValueError, RuntimeError
            As in `state_dict`.
        """
        write(path, self.state_dict())

    def load(self, path: PathLike) -> None:
        """Go on from the state in a file that `save` of a stream of the same model has written.

        Raises
        ------
        OSError
            If the file does not exist, is no regular file, or may not be read.
        ValueError
            If the file is damaged or holds something else, or the state does not fit, as in `load_state_dict`. The
            state of the stream is then what it was.
        RuntimeError
            If another call is using the stream.

        Examples
        --------
        >>> import fastlstm as fl, numpy as np, tempfile
        >>> model = fl.Model([fl.LSTM(1, 4)], seed=0)
        >>> stream, later = model.stream(), model.stream()
        >>> first = stream.step([1.0])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     stream.save(f"{folder}/state.safetensors")
        ...     later.load(f"{folder}/state.safetensors")
        >>> np.array_equal(stream.step([2.0]), later.step([2.0]))
        True
        """
        arrays = read(path)
        with reading(path):
            self.load_state_dict(arrays)


def whole(parts: tuple[Array, ...]) -> Any:
    """A state as a call gives it: the tuple of its parts, or h if there is no other."""
    return parts if len(parts) > 1 else parts[0]
