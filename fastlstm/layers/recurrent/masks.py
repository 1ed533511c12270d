"""What a recurrent layer leaves out at random while it trains: inputs, weights, and numbers within its cell.

All masks are random words by the key of the tape, the number of the call and the place in the whole batch, so that they
depend neither on threads, nor on the instruction set, nor on how a batch is divided among processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastlstm import _check
from fastlstm._kernels import cpu
from fastlstm._kernels import dropout as kernel
from fastlstm._kernels.options import BEYOND, Masks, Options
from fastlstm.layers.base import Array, Index
from fastlstm.layers.dropout import call_of, drop, drop_backward
from fastlstm.layers.recurrent.ragged import RaggedBatch
from fastlstm.workspace import Workspace


@dataclass(frozen=True)
class Rates:
    """Rates from 0 to below 1, which are the same for all layers and directions.

    Attributes
    ----------
    inputs : float
        Of the inputs of the first layer.
    between : float
        Of the inputs of each layer above.
    weights : float
        Of the weights of the state (DropConnect, Merity et al. 2018).
    variational : bool
        Whether a mask of inputs is the same for all steps of a sequence (Gal and Ghahramani 2016).
    """

    inputs: float = 0.0
    between: float = 0.0
    weights: float = 0.0
    variational: bool = False

    def of_layer(self, k: int) -> float:
        return self.between if k else self.inputs

    def draws(self, layers: int) -> bool:
        """Whether a pass that trains draws anything."""
        return self.inputs > 0 or self.weights > 0 or (self.between > 0 and layers > 1)


def rates_of(inputs: Any, between: float, weights: Any, variational: Any, layers: int) -> Rates:
    """The arguments input_dropout, weight_dropout and variational of a layer, checked."""
    rates = Rates(
        _check.number(inputs, "input_dropout", 0, 1, open_high=True),
        between,
        _check.number(weights, "weight_dropout", 0, 1, open_high=True),
        _check.flag(variational, "variational"),
    )
    if rates.variational and not (rates.inputs or (between and layers > 1)):
        expected = "input_dropout, or dropout between layers, whose masks it is about"
        raise ValueError(f"variational: expected {expected}; got neither")
    return rates


def drop_inputs(x: Array, k: int, rates: Rates, tape: Workspace) -> Array:
    """The inputs (N, T, F) of layer k times a new mask; x itself if nothing is left out."""
    rate = rates.of_layer(k)
    if not rate:
        return x
    name = f"_l{k}"
    if not rates.variational:
        return drop(x, rate, tape, name)
    n, _, features = x.shape
    ones = tape.array("ones" + name, (n, features), x.dtype)
    ones.fill(1)
    tape.notes["factors" + name] = factors = drop(ones, rate, tape, name)
    out = tape.array("varied" + name, x.shape, x.dtype)
    np.multiply(x, factors[:, None], out=out)
    return out


def drop_inputs_backward(dx: Array, k: int, rates: Rates, tape: Workspace) -> Array:
    """The gradient by x, from that by what `drop_inputs` has made of it."""
    if not rates.of_layer(k):
        return dx
    name = f"_l{k}"
    if not rates.variational:
        return drop_backward(dx, tape, name)
    dx *= tape.notes["factors" + name][:, None]
    return dx


class Dropped(NamedTuple):
    """Weights of which a part is left out, and what tells which: rate, key and call."""

    value: Array
    mask: tuple[float, int, int]

    def add_gradient(self, gradient: Array, to: Array, add: bool) -> None:
        """The gradient by the whole weights, from that by these, written or added."""
        kept = np.empty_like(gradient)
        kernel.drop(gradient, kept, *self.mask)
        if add:
            to += kept
        else:
            to[...] = kept


def drop_weights(value: Array, rate: float, tape: Workspace) -> Dropped:
    """Weights with a new mask, which all sequences and steps of a batch share."""
    out = tape.array("dropped weights", value.shape, value.dtype)
    mask = (rate, *call_of(tape))
    kernel.drop(value, out, *mask)
    return Dropped(out, mask)


class LayerMasks(NamedTuple):
    """The masks of one layer. Bytes lie as the outputs (N, T, D·H) of a phase do, and more follow; `state` is (N, D·K).

    K is the numbers of h, which may be fewer than H.
    """

    zone_h: Array | None
    zone_c: Array | None
    candidate: Array | None
    state: Array | None

    def only(self, names: tuple[str, ...]) -> LayerMasks:
        """Those of these names."""
        return LayerMasks(*(mask if name in names else None for name, mask in zip(self._fields, self, strict=True)))

    @property
    def bytes(self) -> tuple[Array | None, Array | None, Array | None]:
        return self[:3]


def draw(
    options: Options | None, n: int, t: int, width: int, units: int, dtype: Any, tape: Workspace, k: int
) -> LayerMasks | None:
    """New masks of layer k, whose outputs are (N, T, width), or None if its cell leaves nothing out.

    `units` are those of all directions, which may be more than the numbers of h.
    """
    if options is None or not options.draws:
        return None
    name = f"_l{k}"

    def places(what: str, rate: float, width: int) -> Array | None:
        if not rate:
            return None
        size = n * t * width
        found = tape.array(what + name, (size + BEYOND,), np.uint8)
        found[size:] = 0
        kernel.mask(found[:size], rate, *call_of(tape), tape.part.first * t * width)
        return found

    state = None
    if options.state_rate:
        ones = tape.array("ones of state" + name, (n, width), dtype)
        ones.fill(1)
        state = drop(ones, options.state_rate, tape, "of state" + name)
    return LayerMasks(
        places("zone_h", options.zone_h, width),
        places("zone_c", options.zone_c, units),
        places("candidate", options.candidate_rate, units),
        state,
    )


def for_kernel(masks: LayerMasks, column: int, seen: int, batch: RaggedBatch, tape: Workspace) -> Masks:
    """The masks of the direction whose outputs begin at this column, for passes over packed weights."""
    state = masks.state
    if state is not None:
        state = tape.zeros("state factors", (batch.N, cpu.width(seen, state.dtype)), state.dtype)
        assert masks.state is not None
        state[:, :seen] = batch.gather_states(masks.state[:, column : column + seen])
    return Masks(*masks.bytes, state)


def for_rows(
    masks: LayerMasks, column: int, units: int, seen_column: int, seen: int, batch: RaggedBatch, order: Index | None
) -> Masks:
    """The same for the plain path, whose rows are in ragged order, or in the order of these rows.

    `units` columns from `column` on are those of the bytes, and `seen` from `seen_column` on those of `state`.
    """

    def rows(mask: Array | None) -> Array | None:
        if mask is None:
            return None
        every = mask[: len(mask) - BEYOND].reshape(batch.N * batch.T, -1)[batch.source, column : column + units]
        found = np.zeros(every.size + BEYOND, np.uint8)
        found[: every.size] = (every if order is None else every[order]).reshape(-1)
        return found

    state = masks.state
    if state is not None:
        state = np.ascontiguousarray(batch.gather_states(state[:, seen_column : seen_column + seen]))
    zone_h, zone_c, candidate = map(rows, masks.bytes)
    return Masks(zone_h, zone_c, candidate, state)
