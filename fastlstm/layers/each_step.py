"""A chain of layers that sees each step as a short sequence."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm._check import Shape
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.stage import Blocks, Stage
from fastlstm.layers.base import Array, Index, Layer, check_features
from fastlstm.layers.chain import Chain, in_a_row
from fastlstm.layers.holder import Holder
from fastlstm.workspace import Workspace

TOGETHER = 64
"""Steps that go through the chain at a time in inference, so that what lies between its layers stays in the caches."""


class EachStep(Holder):
    """(N, T, S·C) to (N, T, G): a chain of layers over each step by itself, read as S steps of C features.

    With a `Conv1d` in it, chunks of a signal, each of them a step of the model, become vectors that a recurrent layer
    reads one after the other, offline or in a stream: what Keras has as ``TimeDistributed`` of a convolution. What the
    chain gives for a step, a sequence (S', G') or a vector, are the features of the output, those of its steps one
    after the other. The chain sees no other step, and no state goes from one to the next.

    Parameters
    ----------
    layers : list of Layer
        The chain, from (N·T, S, C). Its parameters have names such as ``"0.weight"``, those of the first layer.
    steps : int
        S, the steps of the short sequence.
    channels : int, default 1
        C, the features of each of them.
    dtype : "float32", "float64" or None
        None takes that of the layers, or the model's.
    seed : int, optional
        Seed of the starting values; by default from the model.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If there is no layer, one cannot take the output of the one before, or one is as `Residual` refuses it, or, like
        `BatchNorm`, looks at other sequences of the batch, which here are the other steps.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> chunks = np.ones((2, 7, 512))  # 7 chunks of 512 samples
    >>> encoder = fl.EachStep([fl.Conv1d(1, 4, 64, stride=32), fl.Activation("relu"), fl.MaxPool()], steps=512)
    >>> fl.Model([encoder, fl.LSTM(4, 8), fl.Dense(8, 1)], seed=0).predict(chunks).shape
    (2, 7, 1)
    """

    def __init__(
        self, layers: Iterable[Layer], steps: int, channels: int = 1, *, dtype: Any = None, seed: int | None = None
    ) -> None:
        found = in_a_row(layers, "layers")
        if not found:
            raise ValueError("layers: expected at least one, got none")
        self.steps = _check.positive_int(steps, "steps")
        self.channels = _check.positive_int(channels, "channels")
        super().__init__([Chain(found, [str(i) for i in range(len(found))])], dtype, seed)
        self.input_shape = ("N", "T", self.steps * self.channels)
        self.output_shape(self.input_shape)
        if self.mixes_rows:
            raise ValueError(
                "layers: expected layers that see each step by itself, got one that mixes those of a batch"
            )

    def as_input(self, x: Any, name: str = "x", shape: Shape | None = None) -> Array:
        if np.ndim(x) == 2 and shape is None:  # a layer without a model takes x with or without steps
            shape = ("N", self.steps * self.channels)
        return super().as_input(x, name, shape)

    def _inner(self, x: Array) -> Array:
        """The steps of x as sequences of their own, without a copy."""
        return x.reshape(-1, self.steps, self.channels)

    def output_shape(self, shape: Shape) -> Shape:
        check_features(shape, self.steps * self.channels, "steps * channels")
        sizes = self.chains[0].output_shape(self._inner_shape(shape))[1:]
        return (*shape[:-1], prod(int(size) for size in sizes))

    def _inner_shape(self, shape: Shape) -> Shape:
        return ("N", self.steps, self.channels)

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        inner = self._inner(np.ascontiguousarray(x))
        y = self.chains[0].forward(inner, self._own(tape), training=training, lengths=None)
        if training and self._penalises:
            tape.notes["penalty"] = self._penalty(self._own(tape))
        tape.notes["shapes"] = x.shape, y.shape
        return np.ascontiguousarray(y).reshape(*x.shape[:-1], -1)

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        outer, inner = tape.notes["shapes"]
        dy = np.ascontiguousarray(dy).reshape(inner)
        dx = self.chains[0].backward(dy, self._own(tape), input_gradient=input_gradient)
        return None if dx is None else np.ascontiguousarray(dx).reshape(outer)

    def _prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array] | None:
        if not x.flags.c_contiguous:
            return None
        rows = self._inner(x)
        block = tape.zeros("block", (min(len(rows), TOGETHER), *rows.shape[1:]), x.dtype)
        stages, found = self.chains[0].prepare(block, self._own(tape), streaming=False, order=None)
        if not found.flags.c_contiguous or found is block:
            return None
        y = tape.array("y", tuple(int(size) for size in self.output_shape(x.shape)), x.dtype)
        return [Blocks(stages, block, found, rows, y.reshape(len(rows), -1))], y

    def _own(self, tape: Workspace) -> Workspace:
        """The tape, whose parts for the chain carry nothing from pass to pass."""
        if tape.carries:
            for place in self.chains[0].places:
                tape.child(place).carries = False
        return tape

    def config(self) -> dict[str, Any]:
        return {"layers": list(self.chains[0].layers), "steps": self.steps, "channels": self.channels}
