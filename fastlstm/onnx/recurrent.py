"""LSTM, GRU and RNN as our layers, whose packed weights are kept from call to call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx.reference.op_run import OpRun

from fastlstm import _check
from fastlstm.layers import GRU as GRULayer
from fastlstm.layers import LSTM as LSTMLayer
from fastlstm.layers import SimpleRNN
from fastlstm.layers.recurrent.base import Recurrent
from fastlstm.layers.recurrent.functions import DEFAULTS
from fastlstm.onnx.products import narrow
from fastlstm.workspace import Workspace

Array = NDArray[Any]

NAMES = {name.replace("_", ""): name for name in DEFAULTS}
"""Our names of the functions by those of ONNX in small letters."""

DIRECTIONS = ("forward", "reverse", "bidirectional")


class Kind(NamedTuple):
    """What the nodes of one operator have.

    Attributes
    ----------
    rows : tuple of int
        The gates of ONNX in the order of ours.
    functions : tuple of str
        The arguments of a layer that `activations` are, one direction after the other.
    usual : tuple of str
        What they are where no activations are told.
    parts : int
        Parts of the state.
    """

    rows: tuple[int, ...]
    functions: tuple[str, ...]
    usual: tuple[str, ...]
    parts: int


class Node(OpRun):
    """A recurrent node. Its layers are made anew only when weights or attributes are others than at the last call."""

    kind: Kind
    _kept: tuple[list[Array | None], dict[str, Any], list[Recurrent[Any]]] | None = None

    def _run(
        self,
        x: Array,
        w: Array,
        r: Array,
        b: Array | None = None,
        lengths: Array | None = None,
        *others: Array | None,
        **told: Any,
    ) -> tuple[Array, ...]:
        initial = [others[k] if k < len(others) else None for k in range(self.kind.parts)]
        peephole = others[2] if len(others) > 2 else None
        told_type = x.dtype if narrow(x) else None
        if told_type is not None:
            x, w, r, b, peephole = (None if a is None else a.astype(np.float32) for a in (x, w, r, b, peephole))  # type: ignore[assignment]
            initial = [None if part is None else part.astype(np.float32) for part in initial]
        if told.get("layout"):
            x = x.swapaxes(0, 1)
            initial = [None if part is None else part.swapaxes(0, 1) for part in initial]
        layers = self._layers([w, r, b, peephole], told)
        y, state = run(layers, *checked(x, w, r, lengths, initial))
        if told.get("layout"):
            y, state = y.transpose(2, 0, 1, 3), [part.swapaxes(0, 1) for part in state]
        outputs = [y, *state][: max(1, len(self.output))]
        return tuple(part if told_type is None else part.astype(told_type) for part in outputs)

    def _layers(self, arrays: list[Array | None], told: dict[str, Any]) -> list[Recurrent[Any]]:
        """One layer for both directions, or one for each if their functions differ."""
        kept = self._kept  # once: another thread may set it
        if kept is None or kept[1] != told or not all(map(same, kept[0], arrays)):
            # a constant is known again by its object, what somebody may change in place by its numbers
            held = [array.copy() if array is not None and array.flags.writeable else array for array in arrays]
            kept = self._kept = (held, dict(told), layers_of(self.kind, self.layer, arrays, told))
        return kept[2]

    def layer(self, sizes: tuple[int, int], options: dict[str, Any], told: dict[str, Any]) -> Recurrent[Any]:
        """A layer of such sizes."""
        raise NotImplementedError(f"{type(self).__name__} must write layer")


class LSTM(Node):
    op_domain = ""
    kind = Kind((0, 2, 3, 1), ("recurrent_activation", "activation", "cell_activation"), ("Sigmoid", "Tanh", "Tanh"), 2)

    def layer(self, sizes: tuple[int, int], options: dict[str, Any], told: dict[str, Any]) -> Recurrent[Any]:
        return LSTMLayer(*sizes, coupled=bool(told["input_forget"]), **options)


class GRU(Node):
    op_domain = ""
    kind = Kind((1, 0, 2), ("recurrent_activation", "activation"), ("Sigmoid", "Tanh"), 1)

    def layer(self, sizes: tuple[int, int], options: dict[str, Any], told: dict[str, Any]) -> Recurrent[Any]:
        return GRULayer(*sizes, reset="after" if told["linear_before_reset"] else "before", **options)


class RNN(Node):
    op_domain = ""
    kind = Kind((0,), ("activation",), ("Tanh",), 1)

    def layer(self, sizes: tuple[int, int], options: dict[str, Any], told: dict[str, Any]) -> Recurrent[Any]:
        return SimpleRNN(*sizes, **options)


def same(old: Array | None, new: Array | None) -> bool:
    """Whether two weights are the same: one constant, or of equal numbers."""
    if old is None or new is None or (old is new and not new.flags.writeable):
        return old is new
    return old.dtype == new.dtype and np.array_equal(old, new)


def functions_of(kind: Kind, told: dict[str, Any], directions: int) -> list[dict[str, Any]]:
    """The functions of each direction. Alphas and betas are used up in order by those that have them."""
    names = told["activations"] or [*kind.usual] * directions
    if len(kind.usual) == 1 and [*names] == ["Tanh", "Tanh"]:  # an RNN's default, for one direction, too
        names = names[:directions]
    if len(names) != len(kind.usual) * directions:
        raise ValueError(f"activations: expected {len(kind.usual) * directions}, got {names!r:.200}")
    alphas, betas = [*(told["activation_alpha"] or [])], [*(told["activation_beta"] or [])]
    found: list[Any] = []
    for name in names:
        known = NAMES.get(name.lower())
        if known is None:
            raise ValueError(f"activations: expected functions of {', '.join(NAMES)}, got {name!r:.80}")
        numbers = [*DEFAULTS[known]]
        for k, given in enumerate((alphas, betas)[: len(numbers)]):
            if given:
                numbers[k] = float(given.pop(0))
        found.append((known, *numbers) if numbers else known)
    size = len(kind.usual)
    return [dict(zip(kind.functions, found[d * size :], strict=False)) for d in range(directions)]


def layers_of(kind: Kind, make: Any, arrays: Sequence[Array | None], told: dict[str, Any]) -> list[Recurrent[Any]]:
    """The layers of a node with these W, R, B and P."""
    w, r, b, p = arrays
    assert w is not None and r is not None
    if told["direction"] not in DIRECTIONS:
        raise ValueError(f"direction: expected one of {', '.join(DIRECTIONS)}, got {told['direction']!r:.80}")
    directions, gates, hidden = 1 + (told["direction"] == "bidirectional"), len(kind.rows), r.shape[-1]
    if told["hidden_size"] not in (None, hidden):
        raise ValueError(f"hidden_size: expected {hidden}, the last axis of R, got {told['hidden_size']}")
    if w.ndim != 3 or r.ndim != 3:
        raise ValueError(f"W, R: expected three axes, got shapes {w.shape} and {r.shape}")
    _check.shape_of(w, "W", (directions, gates * hidden, "I"))
    _check.shape_of(r, "R", (directions, gates * hidden, hidden))
    options: dict[str, Any] = {"dtype": w.dtype, "two_biases": b is not None, "bias": b is not None}
    if told["clip"] is not None:
        options["clip"] = float(told["clip"])
    if p is not None:
        _check.shape_of(p, "P", (directions, 3 * hidden))
        options["peephole"] = True
    if b is not None:
        _check.shape_of(b, "B", (directions, 2 * gates * hidden))
    functions = functions_of(kind, told, directions)
    joined = functions[0] == functions[-1]
    layers = []
    for d in range(1 if joined else directions):
        way = {"bidirectional": directions == 2} if joined else {}
        way["go_backwards"] = not way.get("bidirectional") and (told["direction"] == "reverse" or d == 1)
        layer = make((w.shape[2], hidden), options | way | functions[d], told)
        own = slice(None) if joined else slice(d, d + 1)
        layer._see_parameters(parameters(kind, layer, *(None if a is None else a[own] for a in arrays)))
        layer.build()
        layers.append(layer)
    return layers


def parameters(
    kind: Kind, layer: Recurrent[Any], w: Array | None, r: Array | None, b: Array | None, p: Array | None
) -> dict[str, Array]:
    """The parameters of a layer: the blocks of ONNX in our order, without those of f where f is 1 - i."""
    assert w is not None and r is not None
    rows = [row for gate, row in enumerate(kind.rows) if layer.cell.gates == len(kind.rows) or gate != 1]
    found = {}

    def put(name: str, array: Array, order: Sequence[int], blocks: int) -> None:
        split = array.reshape(blocks, -1, *array.shape[1:])
        found[name] = np.concatenate([split[k] for k in order])

    for d, suffix in enumerate(("_l0", "_l0_reverse")[: len(w)]):
        gates = len(kind.rows)
        put("weight_ih" + suffix, w[d], rows, gates)
        put("weight_hh" + suffix, r[d], rows, gates)
        if b is not None:
            put("bias_ih" + suffix, b[d], rows, 2 * gates)
            put("bias_hh" + suffix, b[d], [gates + row for row in rows], 2 * gates)
        if p is not None:  # i, o, f as i, f, o
            put("peephole" + suffix, p[d], (0, 1) if layer.cell.gates == 3 else (0, 2, 1), 3)
    return found


def checked(
    x: Array, w: Array, r: Array, lengths: Array | None, initial: list[Array | None]
) -> tuple[Array, list[Array] | None, NDArray[np.intp] | None]:
    """X (T, N, I), the initial state and the lengths, None for zeros and for full sequences."""
    _check.shape_of(x, "X", (*x.shape[:2], w.shape[2]))
    t, n, _ = x.shape
    if x.dtype != w.dtype:
        raise ValueError(f"X: expected {w.dtype}, that of W, got {x.dtype}")
    shape = (len(w), n, r.shape[2])
    for part, name in zip(initial, ("initial_h", "initial_c"), strict=False):
        if part is not None:
            _check.shape_of(part, name, shape)
    state = None
    if any(part is not None for part in initial):
        state = [np.zeros(shape, x.dtype) if part is None else np.ascontiguousarray(part) for part in initial]
    return x, state, None if lengths is None else _lengths(lengths, n, t)


def _lengths(lengths: Array, n: int, t: int) -> NDArray[np.intp] | None:
    found = _check.int_array(lengths, "sequence_lens", (n,), 0, t)
    return None if (found == t).all() else found


def run(
    layers: list[Recurrent[Any]], x: Array, state: list[Array] | None, lengths: NDArray[np.intp] | None
) -> tuple[Array, list[Array]]:
    """Y (T, D, N, H) and the parts of the final state (D, N, H)."""
    (t, n, _), found = x.shape, []
    for d, layer in enumerate(layers):
        own = None if state is None else tuple(part if len(layers) == 1 else part[d : d + 1] for part in state)
        found.append(_run_layer(layer, x, own, lengths))
    ys = [y.reshape(t, n, layers[0].directions, -1) for y, _ in found]
    states = [*zip(*(final for _, final in found), strict=True)]
    y, *parts = (
        joined[0] if len(found) == 1 else np.concatenate(joined, axis)
        for joined, axis in [(ys, 2), *((part, 0) for part in states)]
    )
    return y.transpose(0, 2, 1, 3), parts


def _run_layer(
    layer: Recurrent[Any], x: Array, state: tuple[Array, ...] | None, lengths: NDArray[np.intp] | None
) -> tuple[Array, tuple[Array, ...]]:
    """The outputs (T, N, D·H) and the final state of one layer."""
    t, n, _ = x.shape
    if not t * n:
        final = tuple(np.zeros(shape, x.dtype) for shape in layer._state_shapes(n))
        return np.zeros((t, n, layer.output_size), x.dtype), final if state is None else state
    if lengths is None:
        return layer._call_unchecked(np.ascontiguousarray(x), state, time_first=True)
    rows = np.ascontiguousarray(x.swapaxes(0, 1))
    if lengths.all():
        y, final = layer._call_unchecked(rows, state, lengths)
    else:  # an empty sequence keeps its initial state
        y, final = layer.forward_with_state(rows, state, Workspace(0), training=False, lengths=lengths)
    return y.swapaxes(0, 1), final
