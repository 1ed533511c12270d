"""A stream in chunks, for models that read backwards too: each chunk waits for some steps behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm._check import Shape
from fastlstm._kernels.program import Turn
from fastlstm.layers import Layer
from fastlstm.layers.recurrent import Recurrent
from fastlstm.workspace import Workspace

Array = NDArray[Any]


class ChunkStream:
    """The running state of a model for sequences that come in chunks, each with a look-ahead. See `Model.stream`.

    The outputs of a step are given once `look_ahead` further steps have come. The forward direction of each layer
    carries on exactly from chunk to chunk. The reverse direction begins anew at the last step that has come, so
    that it has read at least `look_ahead` steps behind each one whose outputs are given (Zhang et al. 2016, "Highway
    long short-term memory RNNs for distant speech recognition", latency-controlled). If all steps come before the first
    outputs are given, these are the outputs of a whole pass.

    A stream serves one call at a time. A second thread that uses it at the same time gets a RuntimeError.

    Attributes
    ----------
    look_ahead : int

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> model = fl.Model([fl.LSTM(3, 8, bidirectional=True), fl.Dense(16, 1)], seed=0)
    >>> stream = model.stream(batch=2, look_ahead=4)
    >>> [stream.run(np.ones((2, 3, 3))).shape[1] for _ in range(4)]
    [0, 2, 3, 3]
    >>> stream.finish().shape
    (2, 4, 1)
    """

    def __init__(
        self, layers: Sequence[Layer], input_shape: Shape, output_size: int | str, batch: int, look_ahead: int
    ) -> None:
        self._batch, self.look_ahead = batch, look_ahead
        self._input, self._shape, self._output_size = layers[0], (batch, "T", *input_shape[2:]), output_size
        self._turn = Turn("this stream", "give each thread a stream of its own, or let them take turns with a lock")
        self._layers, self._added = layers_apart(layers)
        self._check_layers(layers)
        self.reset()

    @property
    def batch(self) -> int:
        """The number of sequences."""
        return self._batch

    def _check_layers(self, layers: Sequence[Layer]) -> None:
        """A layer may look ahead only as long as the layers before it give it what lies ahead."""
        narrow: Layer | None = None
        for i, layer in enumerate(layers):
            name = type(layer).__name__
            try:
                if not isinstance(layer, Recurrent):
                    layer.start(self.batch, Workspace(0))
            except ValueError as error:
                raise ValueError(f"layer {i} ({name}): {error}") from None
            if narrow is not None and reads_backwards(layer):
                before = type(narrow).__name__
                raise ValueError(
                    f"look_ahead: layer {i} ({name}) reads backwards behind {before}, which gives one step at a time"
                )
            narrow = layer if by_steps(layer) else narrow

    def reset(self) -> None:
        """Forget everything, so that new sequences begin. Steps whose outputs were not given are lost.

        Raises
        ------
        RuntimeError
            If another call is using the stream.
        """
        with self._turn:
            self._begin()

    def _begin(self) -> None:
        self._waiting: Array | None = None
        self._workspaces = [Workspace(0) for _ in self._layers]
        for layer, workspace in zip(self._layers, self._workspaces, strict=True):
            if not isinstance(layer, Recurrent):
                layer.start(self.batch, workspace)

    def run(self, x: Any) -> Array:
        """Feed a block of steps, and return the outputs of the steps that now have `look_ahead` steps behind them.

        Parameters
        ----------
        x : (batch, T, F) numbers, or (batch, T) tokens

        Returns
        -------
        y : (batch, S, G)
            The outputs of S steps, which may be 0, after those that were given before. A new array.

        Raises
        ------
        TypeError
            If x does not hold numbers of the right kind.
        ValueError
            If the shape of x does not fit, or a number is not finite or out of range.
        RuntimeError
            If another call is using the stream.
        """
        x = self._input.as_input(x, "x", self._shape)
        with self._turn:
            x = x.copy() if self._waiting is None else np.concatenate([self._waiting, x], axis=1)
            return self._given(x, max(0, x.shape[1] - self.look_ahead))

    def finish(self) -> Array:
        """The outputs of the steps that still wait for others. The sequences end here, and new ones may begin.

        Returns
        -------
        y : (batch, S, G)
            A new array; S is `look_ahead`, or less if fewer steps have come.

        Raises
        ------
        RuntimeError
            If another call is using the stream.
        """
        with self._turn:
            x = self._waiting
            y = self._nothing() if x is None else self._given(x, x.shape[1])
            self._begin()
            return y

    def _given(self, x: Array, count: int) -> Array:
        """The outputs of the first `count` steps of all that are there. The others wait."""
        y = self._pass(x, count) if count else self._nothing()
        self._waiting = x[:, count:].copy() if count < x.shape[1] else None
        return y

    def _nothing(self) -> Array:
        """No outputs, in the shape of outputs."""
        size = self._output_size if isinstance(self._output_size, int) else 0
        return np.empty((self.batch, 0, size), self._input.dtype)

    def _pass(self, x: Array, count: int) -> Array:
        for layer, added, workspace in zip(self._layers, self._added, self._workspaces, strict=True):
            if isinstance(layer, Recurrent):
                y = carried_on(layer, x, count, workspace)
                x = y + x if added else y
            elif by_steps(layer):
                x = layer.step(np.ascontiguousarray(x[:, :count]), workspace)
            else:
                x = layer.forward(x, workspace, training=False, lengths=None)
        return x[:, :count].copy()


def layers_apart(layers: Sequence[Layer]) -> tuple[list[Layer], list[bool]]:
    """The layers, those of several bidirectional ones each by itself, and whether each adds its input to its output.

    What the second of these carries on from depends on what the first one has read ahead.
    """
    found: list[Layer] = []
    added = []
    for layer in layers:
        if isinstance(layer, Recurrent) and layer.bidirectional and layer.num_layers > 1:
            if layer.skip is not None:
                name = type(layer).__name__
                raise ValueError(f"look_ahead: expected a {name} of both directions without skip, got {layer.skip!r}")
            found += [layer._single(k) for k in range(layer.num_layers)]
            added += [layer.residual and k > 0 for k in range(layer.num_layers)]
        else:
            found.append(layer)
            added.append(False)
    return found, added


def by_steps(layer: Layer) -> bool:
    """Whether the layer has a state of its own in a stream, and so gives one step after the other."""
    return not isinstance(layer, Recurrent) and type(layer).step is not Layer.step


def reads_backwards(layer: Layer) -> bool:
    return isinstance(layer, Recurrent) and (layer.bidirectional or layer.go_backwards)


def carried_on(layer: Recurrent[Any], x: Array, count: int, tape: Workspace) -> Array:
    """The outputs of a layer over x, whose forward direction begins from the state in the tape, and leaves there that
    after `count` steps.
    """
    start = tape.notes.get("running")
    y, final = layer.forward_with_state(x, start, tape.child("all"), training=False, lengths=None)
    if count < x.shape[1]:
        given = x[:, :count]
        _, final = layer.forward_with_state(given, start, tape.child("given"), training=False, lengths=None)
    kept = tuple(part.copy() for part in final)
    if reads_backwards(layer):
        begin = layer._first_state(len(x)) or [np.zeros_like(part) for part in kept]
        for part, first in zip(kept, begin, strict=True):
            apart = (-1, layer.directions, layer.heads, *part.shape[1:])
            part.reshape(apart)[:, -1] = first.reshape(apart)[:, -1]
    tape.notes["running"] = kept
    return y
