"""A call of a module: in inference, or as a node of torch's graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastlstm.torch.dynamo import leave_to_python
from fastlstm.torch.engine import Engine, Frame, Ticket, follow_torch
from fastlstm.torch.obstacles import tell
from fastlstm.torch.own import own_sequences
from fastlstm.torch.spec import Spec

Array = NDArray[Any]

TWICE = "it has no derivatives of gradients (create_graph=True)"


def as_array(tensor: Tensor) -> Array:
    """The numbers of a tensor where they lie, or in a copy if they are not contiguous."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    found: Array = tensor.numpy() if tensor.is_contiguous() else np.ascontiguousarray(tensor.numpy())
    return found


def as_tensors(y: Array, final: Sequence[Array], x: Tensor) -> tuple[Tensor, ...]:
    """The outputs, whose rows lie as those of x, and the parts of the final state."""
    if y.ndim != x.dim():
        y = y.reshape(*x.shape[:-1], y.shape[-1])
    return tuple(map(torch.from_numpy, (y, *final)))


def as_state(states: Sequence[Tensor], engine: Engine, n: int) -> tuple[Array, ...] | None:
    """The parts of a state, each (layers·D, N, H), from tensors of as many numbers."""
    if not states:
        return None
    arrays = tuple(map(as_array, states))
    if arrays[0].ndim == 3:
        return arrays
    return tuple(array.reshape(-1, n, width) for array, width in zip(arrays, engine.spec.widths, strict=True))


class Pass(torch.autograd.Function):
    """The outputs and the parts of the final state, from x, those of the initial state, if any, and the weights."""

    @staticmethod
    @leave_to_python
    def forward(
        ctx: Any, engine: Engine, frame: Frame, seed: int | None, parts: int, x: Tensor, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        states, weights = as_state(tensors[:parts], engine, frame.n), tensors[parts:]
        with engine.lock:
            lease, y, final = engine.begin(as_array(x), states, frame, seed, weights)
        ctx.told = engine, frame, seed, parts
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(Ticket.of(lease), x, *tensors)
        return as_tensors(y, final, x)

    @staticmethod
    @leave_to_python
    def backward(ctx: Any, dy: Tensor | None, *dstate: Tensor | None) -> Any:
        ticket, x, *tensors = ctx.saved_tensors
        engine, frame, seed, parts = ctx.told
        spec, needs = engine.spec, ctx.needs_input_grad[4:]
        if torch.is_grad_enabled():
            if seed is not None:
                raise RuntimeError("double backward: dropout's masks, which fastlstm has drawn, are not known to torch")
            return *[None] * 4, *differentiable(spec, frame, x, tensors, parts, (dy, *dstate), needs)
        states, weights = tensors[:parts], tensors[parts:]
        given = None if dy is None else as_array(dy)
        of_state = gradients_of_state(dstate, spec, frame.n, x.dtype)
        follow_torch()
        with engine.lock:
            engine.seen.look(weights)
            lease = Ticket.lease(ticket)
            again = lease is None or lease.spent or lease.stamp != engine.seen.stamp
            if again:
                lease, _, _ = engine.begin(as_array(x), as_state(states, engine, frame.n), frame, seed, weights)
            assert lease is not None
            wanted = needs[0], any(needs[1 : 1 + parts])
            found = engine.end(lease, given, of_state, trained=needs[1 + parts :], wanted=wanted)
            if again:
                lease.end()
        dx, initial, of_weights = found
        every = [dx, *(initial or [None] * parts), *of_weights]
        shapes = [x.shape, *[tensor.shape for tensor in tensors]]
        pairs = zip(every, shapes, strict=True)
        return *[None] * 4, *[None if one is None else torch.from_numpy(one.reshape(shape)) for one, shape in pairs]


def gradients_of_state(dstate: Sequence[Tensor | None], spec: Spec, n: int, dtype: torch.dtype) -> Any:
    """Those of the final state as the layer takes them, None if there are none."""
    if all(part is None for part in dstate):
        return None
    places = spec.num_layers * spec.directions
    return tuple(
        np.zeros((places, n, width), str(dtype).removeprefix("torch."))
        if part is None
        else as_array(part).reshape(places, n, width)
        for part, width in zip(dstate, spec.widths, strict=True)
    )


def differentiable(
    spec: Spec, frame: Frame, x: Tensor, tensors: Sequence[Tensor], parts: int, gradients: Any, needs: Sequence[bool]
) -> list[Tensor | None]:
    """The gradients, as a part of the graph, by torch's own code."""
    tell(TWICE, stacklevel=2)
    with torch.enable_grad():
        outputs = own_sequences(spec, frame, x, tensors[:parts], tensors[parts:])
        pairs = [(y, dy) for y, dy in zip(outputs, gradients, strict=True) if dy is not None]
        inputs = [one for one, needed in zip([x, *tensors], needs, strict=True) if needed]
        ys, dys = [y for y, _ in pairs], [dy.reshape(y.shape) for y, dy in pairs]
        found = iter(torch.autograd.grad(ys, inputs, dys, create_graph=True, allow_unused=True))
    return [next(found) if needed else None for needed in needs]


def needs_gradient(x: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor]) -> bool:
    return x.requires_grad or any([one.requires_grad for one in (*weights, *states)])


@leave_to_python
def call(
    engine: Engine,
    frame: Frame,
    seed: int | None,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
) -> tuple[Tensor, ...]:
    """The outputs and the parts of the final state, each (layers·D, N, ·). With a seed, dropout is drawn from it."""
    follow_torch()
    if torch.is_grad_enabled() and needs_gradient(x, states, weights):
        found: tuple[Tensor, ...] = Pass.apply(  # type: ignore[no-untyped-call]
            engine, frame, seed, len(states), x, *states, *weights
        )
        return found
    array, start = as_array(x), as_state(states, engine, frame.n)
    if seed is None:
        y, final = engine.infer(array, start, frame, weights)
    else:
        with engine.lock:
            lease, y, final = engine.begin(array, start, frame, seed, weights)
            lease.end()
    return as_tensors(y, final, x)
