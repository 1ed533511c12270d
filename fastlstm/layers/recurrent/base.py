"""What recurrent layers share: their sizes, and the states that come, go on and stay."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from fastlstm import _check
from fastlstm._check import Shape
from fastlstm.layers.base import Array, Index, Layer, check_features
from fastlstm.layers.recurrent.direction import Parts
from fastlstm.workspace import Workspace


class Recurrent(Layer, abstract=True):
    """Base of the layers that walk (N, T, I) step by step, in layers on top of each other and perhaps both directions.

    A subclass names the parts of its state, each (layers·D, N, H), and writes `forward_with_state`.
    """

    parts: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bidirectional: bool,
        dropout: float,
        bias: bool,
        dtype: Any,
        seed: int | None,
    ) -> None:
        super().__init__(dtype, seed)
        self.input_size = _check.positive_int(input_size, "input_size")
        self.hidden_size = _check.positive_int(hidden_size, "hidden_size")
        self.num_layers = _check.positive_int(num_layers, "num_layers")
        self.bidirectional = _check.flag(bidirectional, "bidirectional")
        self.directions = 2 if bidirectional else 1
        self.dropout = _check.number(dropout, "dropout", 0, 1, open_high=True)
        if self.dropout and self.num_layers == 1:
            name = type(self).__name__
            message = (
                f"dropout: {self.dropout:g} has no effect in {name} of one layer, since it lies between layers; put "
                f"fl.Dropout({self.dropout:g}) after the {name}, or give it num_layers of at least 2"
            )
            warnings.warn(message, stacklevel=3)  # at who calls the subclass
        self.bias = _check.flag(bias, "bias")
        self.input_shape = ("N", "T", self.input_size)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Recurrent:
        """Dropout of one layer is read as none: whoever made the layer has been warned."""
        return cls(**{**config, "dropout": 0.0} if config.get("num_layers", 1) == 1 else config)

    def each_layer(self) -> Iterator[tuple[int, list[str]]]:
        """Features that a layer reads, and the ends of its parameters' names, one for each direction."""
        for k in range(self.num_layers):
            inputs = self.input_size if k == 0 else self.directions * self.hidden_size
            yield inputs, [f"_l{k}", f"_l{k}_reverse"][: self.directions]

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            name = type(self).__name__
            raise ValueError(f"{name} takes sequences (N, T, {self.input_size}), got {_check.describe(shape)}")
        check_features(shape, self.input_size)
        return (*shape[:2], self.directions * self.hidden_size)

    def forward_with_state(
        self, x: Array, state: Parts | None, tape: Workspace, *, training: bool, lengths: Index | None
    ) -> tuple[Array, Parts]:
        """`forward` from an initial state, None for zeros; also returns the final one."""
        raise NotImplementedError(f"{type(self).__name__} must write forward_with_state")

    def carry_on(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        """`forward` from the state that the last pass left, to a new one."""
        running = tape.lasting.get("running")
        y, final = self.forward_with_state(x, running, tape, training=training, lengths=lengths)
        tape.lasting["running"] = self.keep("running", final, tape)
        return y

    def carry(self, index: Index, tape: Workspace) -> None:
        self._goes_forwards("carry its state")
        running: Parts | None = tape.lasting.get("running")
        if running is not None:
            chosen = tuple(np.where((index < 0)[:, None], 0, part[:, index]) for part in running)
            tape.lasting["running"] = self.keep("running", chosen, tape)

    def start(self, batch: int, tape: Workspace) -> None:
        self._goes_forwards("stream")
        self.build()
        tape.notes["stream"] = self.room("stream", batch, tape, self.dtype)
        self.reset(slice(None), tape)

    def step(self, x: Array, tape: Workspace) -> Array:
        y, final = self.forward_with_state(x, tape.notes["stream"], tape, training=False, lengths=None)
        self.keep("stream", final, tape)
        return y

    def reset(self, rows: Any, tape: Workspace) -> None:
        for part in tape.notes["stream"]:
            part[:, rows] = 0

    def room(self, name: str, n: int, tape: Workspace, dtype: Any) -> Parts:
        """Arrays of the tape for a state."""
        shape = (self.num_layers * self.directions, n, self.hidden_size)
        return tuple(tape.array(f"{name}_{part}", shape, dtype) for part in self.parts)

    def keep(self, name: str, state: Parts, tape: Workspace) -> Parts:
        """A copy in the tape."""
        kept = self.room(name, state[0].shape[1], tape, state[0].dtype)
        for old, new in zip(kept, state, strict=True):
            old[...] = new
        return kept

    @staticmethod
    def bounded(values: Array) -> Array:
        """The same within what sums of products can hold, so that none is infinite less infinite.

        Numbers that large saturate the activation, however much larger they are.
        """
        limit = np.finfo(values.dtype).max / 2**32
        return values if -limit <= values.min() and values.max() <= limit else values.clip(-limit, limit)

    def _goes_forwards(self, what: str) -> None:
        if self.bidirectional:
            name = type(self).__name__
            raise ValueError(f"a bidirectional {name} cannot {what}: its reverse direction begins at the end")
