"""Recurrent nodes of ONNX as layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.io.onnx.curves import short
from fastlstm.io.onnx.gates import BACK, FUNCTIONS, PEEPHOLES, reordered
from fastlstm.io.onnx.values import Const, Dims, Rows, Uniform, Unknown, Value
from fastlstm.layers import GRU, LSTM, SimpleRNN
from fastlstm.layers.recurrent.functions import DEFAULTS

Array = NDArray[Any]

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
OURS = {name.lower(): ours for ours, name in FUNCTIONS.items()}
USUAL = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
ARGUMENTS = {
    "LSTM": ["recurrent_activation", "activation", "cell_activation"],
    "GRU": ["recurrent_activation", "activation"],
    "RNN": ["activation"],
}
LAYERS: dict[str, Any] = {"LSTM": LSTM, "GRU": GRU, "RNN": SimpleRNN}


class RecurrentNode:
    """An LSTM, a GRU or an RNN: the arguments and the parameters of its layer.

    Attributes
    ----------
    directions, hidden : int
    backwards : bool
        Whether it reads backwards only.
    """

    def __init__(self, op: str, inputs: list[Value | None], attrs: dict[str, Any], features: int | None) -> None:
        self.op = op
        arrays = [self._array(inputs, place, name) for place, name in ((1, "W"), (2, "R"), (3, "B"), (7, "P"))]
        w, r, b, p = arrays
        if w is None or r is None or w.ndim != 3 or r.ndim != 3:
            raise ValueError("expected W and R of three axes")
        direction = attrs.get("direction", "forward")
        self.directions, rows, self.inputs = w.shape
        self.hidden, self.backwards = r.shape[2], direction == "reverse"
        if rows != GATES[op] * self.hidden or r.shape != (self.directions, rows, self.hidden) or not rows:
            raise ValueError(f"expected W (D, {GATES[op]}H, I) and R (D, {GATES[op]}H, H), got {w.shape} and {r.shape}")
        if direction not in ("forward", "reverse", "bidirectional"):
            raise ValueError(f"expected direction forward, reverse or bidirectional, got {direction!r:.80}")
        if self.directions != 1 + (direction == "bidirectional"):
            raise ValueError(f"expected W of {1 + (direction == 'bidirectional')} directions, got {self.directions}")
        if attrs.get("hidden_size", self.hidden) != self.hidden:
            raise ValueError(f"expected hidden_size {self.hidden}, as R has, got {attrs['hidden_size']}")
        if features not in (None, self.inputs):
            raise ValueError(f"expected {self.inputs} features, as W has, got {features}")
        self.dtype = w.dtype
        self.arguments = self._arguments(attrs)
        self.parameters: dict[str, Array] = {}
        for d, end in enumerate(["_l0", "_l0_reverse"][: self.directions]):
            self._weights(end, w[d], r[d])
            self._biases(end, b, d)
            if p is not None and op == "LSTM":
                self._peepholes(end, p, d)
        self._beginning(inputs[5:7])

    @staticmethod
    def _array(inputs: list[Value | None], place: int, name: str) -> Array | None:
        value = inputs[place] if len(inputs) > place else None
        if value is None:
            return None
        if not isinstance(value, Const):
            raise ValueError(f"expected {name} that is a constant")
        return value.array

    def _arguments(self, attrs: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {"bidirectional": self.directions == 2, "go_backwards": self.backwards}
        if "clip" in attrs:
            found["clip"] = short(attrs["clip"])
        if attrs.get("input_forget"):
            found["coupled"] = True
        if self.op == "GRU":
            found["reset"] = "after" if attrs.get("linear_before_reset") else "before"
        return found | self._functions(attrs)

    def _functions(self, attrs: dict[str, Any]) -> dict[str, Any]:
        own = [own.decode() if isinstance(own, bytes) else own for own in attrs.get("activations", [])]
        own = own or USUAL[self.op] * self.directions
        if len(own) != len(USUAL[self.op]) * self.directions or any(name.lower() not in OURS for name in own):
            raise ValueError(f"expected {len(USUAL[self.op])} activations that are known, got {own!r:.120}")
        alphas, betas = list(attrs.get("activation_alpha", [])), list(attrs.get("activation_beta", []))
        functions = []
        for name in (OURS[name.lower()] for name in own):
            usual = DEFAULTS[name]
            numbers = [short(given.pop(0)) if given else u for u, given in zip(usual, (alphas, betas), strict=False)]
            functions.append((name, *numbers) if numbers else name)
        count = len(USUAL[self.op])
        if functions[:count] != functions[-count:]:
            raise ValueError("expected the same activations in both directions, got others")
        return dict(zip(ARGUMENTS[self.op], functions, strict=False))

    def _rows(self, array: Array) -> Array:
        """Blocks of rows in our order; without those of f if it is coupled."""
        array = reordered(array, BACK[self.op])
        if self.arguments.get("coupled"):
            i, _, g, o = np.split(array, 4)
            array = np.concatenate([i, g, o])
        return array

    def _weights(self, end: str, w: Array, r: Array) -> None:
        self.parameters |= {f"weight_ih{end}": self._rows(w), f"weight_hh{end}": self._rows(r)}

    def _biases(self, end: str, both: Array | None, d: int) -> None:
        self.arguments["bias"] = both is not None
        if both is None:
            return
        count = GATES[self.op] * self.hidden
        if both.shape != (self.directions, 2 * count):
            raise ValueError(f"expected B ({self.directions}, {2 * count}), got {both.shape}")
        apart = self.arguments.get("reset") == "after"
        fixed = both[:, count : count + 2 * self.hidden] if apart else both[:, count:]
        ih, hh = self._rows(both[d, :count]), self._rows(both[d, count:])
        self.arguments["two_biases"] = bool(fixed.any())
        if fixed.any():
            self.parameters |= {f"bias_ih{end}": ih, f"bias_hh{end}": hh}
        else:
            self.parameters[f"bias{end}"] = np.concatenate([ih, hh[-self.hidden :]]) if apart else ih

    def _peepholes(self, end: str, p: Array, d: int) -> None:
        if p.shape != (self.directions, 3 * self.hidden):
            raise ValueError(f"expected P ({self.directions}, {3 * self.hidden}), got {p.shape}")
        own = reordered(p[d], PEEPHOLES)
        if self.arguments.get("coupled"):
            i, _, o = np.split(own, 3)
            own = np.concatenate([i, o])
        self.arguments["peephole"] = True
        self.parameters[f"peephole{end}"] = own

    def _beginning(self, states: list[Value | None]) -> None:
        """The initial state: zeros, constants, or an input, which a stream has."""
        arrays: list[Array | None] = []
        for value, part in zip(states, ("initial_h", "initial_c"), strict=False):
            zero = isinstance(value, Uniform) and value.value == 0
            if value is None or zero or isinstance(value, Dims | Unknown):
                if isinstance(value, Dims) or (isinstance(value, Unknown) and value.reason):
                    raise ValueError(f"expected {part} that is zeros, a constant or an input of the graph")
                arrays.append(None)
                continue
            if isinstance(value, Const | Rows):
                array = value.array
                if array.ndim == 3 and array.shape[0] == self.directions and array.shape[2] == self.hidden:
                    if (array == array[:, :1]).all():
                        arrays.append(array[:, 0] if array.any() else None)
                        continue
            raise ValueError(f"expected {part} that is the same for each row of a batch, or an input of the graph")
        if any(array is not None for array in arrays):
            self.arguments["learn_initial_state"] = True
            parts = ("h", "c") if self.op == "LSTM" else ("h",)
            for part, start in zip(parts, [*arrays, None, None], strict=False):
                for d, end in enumerate(["_l0", "_l0_reverse"][: self.directions]):
                    self.parameters[f"{part}0{end}"] = np.zeros(self.hidden, self.dtype) if start is None else start[d]

    def layer(self, merge: str = "concat") -> Any:
        """A layer, whose directions come together in this way."""
        layer = LAYERS[self.op](self.inputs, self.hidden, merge=merge, **self.arguments)
        layer.load_parameters(dict(self.parameters), self.dtype)
        return layer
