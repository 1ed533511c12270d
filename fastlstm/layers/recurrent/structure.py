"""What a recurrent layer consists of: its arguments, its parameters, and the directions of its layers."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self, Unpack

import numpy as np

from fastlstm import _check, init
from fastlstm._check import Shape
from fastlstm._kernels import cpu
from fastlstm._kernels.program import Kept
from fastlstm.layers.base import check_features
from fastlstm.layers.matrix import MatrixLayer
from fastlstm.layers.packed import Packed
from fastlstm.layers.recurrent.beginning import Beginning, FixedState, LearnedState
from fastlstm.layers.recurrent.cells import Cell
from fastlstm.layers.recurrent.direction import Direction, Parts
from fastlstm.layers.recurrent.inference import PackedDirection, PackedStack
from fastlstm.layers.recurrent.joint import joint_of
from fastlstm.layers.recurrent.masks import rates_of
from fastlstm.layers.recurrent.phased_direction import PhasedDirection
from fastlstm.layers.recurrent.shared import SharedWithU, complete, config_of, described, spelled_out
from fastlstm.layers.recurrent.stack import PlainStack, TrainedStack
from fastlstm.layers.recurrent.training import TrainedDirection
from fastlstm.layers.recurrent.weights import Weights
from fastlstm.parameter import Initializer


class Structure(MatrixLayer, abstract=True):
    """The part of a `Recurrent` layer that is there before any pass."""

    checkpoint_every: int | None = None
    heads = 1
    """Parts of the units, each of which sees no other: a matrix U of each part's own."""

    _takes: ClassVar[Any] = SharedWithU
    """Which of the shared arguments the constructor takes as ``**shared``: this or `Shared`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__doc__ = described(cls.__doc__, cls._takes)

    @classmethod
    def _signature(cls) -> inspect.Signature:
        return spelled_out(super()._signature(), cls._takes)

    def __init__(self, cell: Cell, input_size: int, hidden_size: int, **shared: Unpack[SharedWithU]) -> None:
        told, settings = complete(self._takes, shared)
        super().__init__(told["dtype"], told["seed"], **settings)
        self.two_biases = _check.flag(told["two_biases"], "two_biases")
        self.cell = cell = replace(cell, two_biases=True) if self.two_biases else cell
        self.input_size = _check.positive_int(input_size, "input_size")
        self.hidden_size = _check.positive_int(hidden_size, "hidden_size")
        self._units = self.hidden_size // self.heads
        self.num_layers = _check.positive_int(told["num_layers"], "num_layers")
        self.bidirectional = _check.flag(told["bidirectional"], "bidirectional")
        self.directions = 2 if self.bidirectional else 1
        self.dropout = _check.number(told["dropout"], "dropout", 0, 1, open_high=True)
        if self.dropout and self.num_layers == 1:
            name = type(self).__name__
            message = (
                f"dropout: {self.dropout:g} has no effect in {name} of one layer, since it lies between layers; put "
                f"fl.Dropout({self.dropout:g}) after the {name}, or give it num_layers of at least 2"
            )
            warnings.warn(message, stacklevel=4)  # points to the call of the subclass
        self._rates = rates_of(
            told["input_dropout"], self.dropout, told["weight_dropout"], told["variational"], self.num_layers
        )
        self.input_dropout, self.weight_dropout = self._rates.inputs, self._rates.weights
        self.variational = self._rates.variational
        self.go_backwards = _check.flag(told["go_backwards"], "go_backwards")
        if self.go_backwards and self.bidirectional:
            raise ValueError("go_backwards: expected False with bidirectional=True, which goes both ways, got True")
        self.state_size = cell.projection or self.hidden_size
        self._joint = joint_of(
            told["merge"], told["residual"], told["skip"], self.state_size, self.num_layers, self.directions
        )
        self.merge, self.residual, self.skip = self._joint.merge, self._joint.residual, self._joint.skip
        self.output_size = self._joint.output_width(self.num_layers)
        self._keeps_x = self._joint.reads_x
        self.bias = _check.flag(told["bias"], "bias")
        if self.two_biases and not self.bias:
            raise ValueError("two_biases: expected False with bias=False, which leaves both out, got True")
        self.learn_initial_state = _check.flag(told["learn_initial_state"], "learn_initial_state")
        self.input_shape = ("N", "T", self.input_size)
        self._add_parameters(self._bias_start())
        self._make_stacks()
        self._kept_time_first = Kept()
        self.weights = told["weights"]

    def _matrices(self) -> list[Packed]:
        return [direction for layer in self._packed.layers for direction in layer]

    def _bias_start(self) -> Initializer:
        """How the bias starts."""
        return init.zeros

    def _add_parameters(self, bias_start: Initializer) -> None:
        cell = self.cell
        starts: dict[str, Initializer] = {
            "weight_ih": partial(init.glorot_uniform, blocks=cell.gates),
            "weight_hh": partial(cell.recurrent, blocks=cell.gates),
            "bias": bias_start,
            "bias_ih": bias_start,
            "bias_hh": init.zeros,
            "peephole": init.zeros,
            **dict.fromkeys(("scale_ih", "scale_hh", "scale_c"), init.ones),
            "shift_c": init.zeros,
            "weight_hr": init.glorot_uniform,
        }
        for inputs, suffixes in self._each_layer():
            for suffix in suffixes:
                for name, shape in cell.shapes(inputs, self._units).items():
                    if self.bias or not name.startswith("bias"):
                        blocks = max(1, shape[0] // self._units)
                        self.add(name + suffix, shape, starts[name], blocks=blocks, fan=self._units)
                for part, width in zip(cell.parts, cell.widths(self._units), strict=True):
                    if self.learn_initial_state:
                        self.add(f"{part}0{suffix}", (width,), init.zeros)

    def _make_stacks(self) -> None:
        weights = [
            [
                Weights(self.cell, self._parameters, suffix, reverse=d >= self.heads or self.go_backwards)
                for d, suffix in enumerate(suffixes)
            ]
            for _, suffixes in self._each_layer()
        ]
        packed = [[PackedDirection(own) for own in layer] for layer in weights]
        trained = [[TrainedDirection(own) for own in layer] for layer in weights]
        kind = Direction if len(self.cell.plain_phases) == 1 else PhasedDirection
        plain = [[kind(own) for own in layer] for layer in weights]
        self._beginning: Beginning | None = None
        every = [suffix for _, suffixes in self._each_layer() for suffix in suffixes]
        if self.learn_initial_state:
            self._beginning = LearnedState(self.cell, self._parameters, every)
        elif self.cell.starts:
            self._beginning = FixedState(self.cell, len(every), self._units, self)
        self._packed = PackedStack(self.cell, packed, self._joint)
        self._trained = TrainedStack(trained, self.input_size, self._joint, self._rates)
        self._plain = PlainStack(plain, self.input_size, self._joint, self._rates)

    def _each_layer(self) -> Iterator[tuple[int, list[str]]]:
        """For each layer, the number of input features, and the suffix of the names of each direction and head."""
        for k in range(self.num_layers):
            inputs = self._joint.input_width(k, self.input_size)
            directions = [f"_l{k}", f"_l{k}_reverse"][: self.directions]
            heads = [""] if self.heads == 1 else [f"_head{head}" for head in range(self.heads)]
            yield inputs, [direction + head for direction in directions for head in heads]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A new layer from what `config` has returned.

        Dropout of a single layer has no effect. It is set to 0, so that its warning does not come a second time.
        """
        return cls(**{**config, "dropout": 0.0} if config.get("num_layers", 1) == 1 else config)

    def config(self) -> dict[str, Any]:
        sizes = {"input_size": self.input_size, "hidden_size": self.hidden_size}
        return {**sizes, **config_of(self), **self.settings()}

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            name = type(self).__name__
            raise ValueError(f"{name} takes sequences (N, T, {self.input_size}), got {_check.describe(shape)}")
        check_features(shape, self.input_size)
        if self.merge == "none":
            raise ValueError(
                "merge: 'none' gives two outputs, of which a model can take only one; call the layer itself"
            )
        return (*shape[:2], self.output_size)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts of the state: ("h", "c") of an LSTM."""
        return self.cell.parts

    def _is_plain(self) -> bool:
        return cpu.isa() == "plain"

    def _state_shapes(self, n: int) -> list[tuple[int, ...]]:
        """The shapes of the parts of a state, each head by itself."""
        places = self.num_layers * self.directions * self.heads
        return [(places, n, width) for width in self.cell.widths(self._units)]

    def _whole_shapes(self, n: int) -> list[tuple[int, ...]]:
        """The shapes of the parts of a state in the public form."""
        shapes = self._state_shapes(n)
        if self.heads == 1:
            return shapes
        return [(places // self.heads, n, width * self.heads) for places, n, width in shapes]

    def _heads_together(self, state: Parts) -> Parts:
        """A state whose heads stand side by side, each part (layers·D, N, H), from one with each by itself."""
        if self.heads == 1:
            return state
        split = [part.reshape(-1, self.heads, *part.shape[1:]) for part in state]
        return tuple(part.transpose(0, 2, 1, 3).reshape(len(part), part.shape[2], -1) for part in split)

    def _heads_apart(self, state: Parts) -> Parts:
        """The reverse: each part (layers·D·heads, N, H/heads)."""
        if self.heads == 1:
            return state
        split = [part.reshape(*part.shape[:2], self.heads, -1).transpose(0, 2, 1, 3) for part in state]
        return tuple(np.ascontiguousarray(part).reshape(-1, *part.shape[2:]) for part in split)
