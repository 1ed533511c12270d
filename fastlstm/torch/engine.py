"""Passes of a layer on the weights of a module, and what a pass in training keeps until autograd has let go of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastlstm import threads
from fastlstm._kernels import cpu
from fastlstm.layers.recurrent.ragged import RaggedBatch
from fastlstm.torch.seen import SeenWeights
from fastlstm.torch.spec import Spec, layer_of
from fastlstm.workspace import Workspace

Array = NDArray[Any]
Parts = tuple[Array, ...]

MOST_BATCHES = 8
"""Orders of batches that are kept for the next one of the same shape."""


class Frame(NamedTuple):
    """How the sequences of a call lie.

    Attributes
    ----------
    n, t : int
        N and T.
    time_first : bool
        Whether x and the outputs lie as (T, N, ·).
    lengths : (N,) ints, optional
        Those of a packed sequence, whose x is (S, I), the longest sequence first.
    """

    n: int
    t: int
    time_first: bool
    lengths: Array | None = None

    def shape(self, width: int) -> tuple[int, int, int]:
        return (self.t, self.n, width) if self.time_first else (self.n, self.t, width)


class Lease:
    """A tape that holds what the backward pass of one forward pass reads. A backward pass spends it."""

    def __init__(self, engine: Engine, tape: Workspace, batch: RaggedBatch) -> None:
        self.engine, self.tape, self.batch, self.stamp, self.spent = engine, tape, batch, engine.seen.stamp, False

    def end(self) -> None:
        self.engine.take_back(self.tape)


class Ticket(np.ndarray[Any, np.dtype[np.int64]]):
    """The number of a lease. The lease ends when nobody holds the number any more.

    A tensor over it, which autograd saves, lets a tape be used again as soon as autograd has freed what it saved. Where
    hooks keep another tensor instead, no lease is found, and the forward pass is run again.
    """

    leases: ClassVar[dict[int, Lease]] = {}
    numbers: ClassVar[count[int]] = count()
    lock: ClassVar[threading.Lock] = threading.Lock()  # not every Python counts for two threads at once

    @classmethod
    def of(cls, lease: Lease) -> Tensor:
        with cls.lock:
            number = next(cls.numbers)
        ticket = np.array([number]).view(cls)
        cls.leases[int(ticket[0])] = lease
        return torch.from_numpy(ticket)

    @classmethod
    def lease(cls, ticket: Tensor) -> Lease | None:
        return cls.leases.get(int(ticket.item()))

    def __del__(self) -> None:
        lease = self.leases.pop(int(self[0]), None)
        if lease is not None:
            lease.end()


class Engine:
    """A layer on the weights of a module. Its lock is held by whoever trains or looks at the weights.

    Parameters
    ----------
    spec : Spec
    dtype : torch.float32 or torch.float64
    dropout : float
        The rate between layers, in passes that train.
    """

    def __init__(self, spec: Spec, dtype: torch.dtype, dropout: float) -> None:
        self.spec, self.layer = spec, layer_of(spec, dtype, dropout)
        self.seen = SeenWeights(self.layer, spec.names)
        self.lock = threading.Lock()
        self.free: list[Workspace] = []
        self._isa, self._packs = cpu.isa(), Workspace(0)
        self._batches: dict[tuple[int, int, bool], RaggedBatch] = {}

    def infer(self, x: Array, state: Parts | None, frame: Frame, weights: Sequence[Tensor]) -> tuple[Array, Parts]:
        """New arrays with the outputs and the final state."""
        with self.lock:
            self.seen.look(weights)
        if frame.lengths is None:
            if x.ndim != 3:
                x = x.reshape(frame.shape(x.shape[-1]))
            return self.layer._call_unchecked(x, state, time_first=frame.time_first)
        batch = RaggedBatch(frame.n, frame.t, frame.lengths)
        padded = batch.scatter(x, np.empty(batch.shape(x.shape[1]), x.dtype))
        y, final = self.layer._call_unchecked(padded, state, batch.given)
        return batch.gather(y, np.empty((batch.size, y.shape[2]), y.dtype)), final

    def begin(
        self, x: Array, state: Parts | None, frame: Frame, seed: int | None, weights: Sequence[Tensor]
    ) -> tuple[Lease, Array, Parts]:
        """A forward pass that trains. The outputs and the final state are new arrays."""
        self.seen.look(weights)
        tape, batch = self._tape(), self._batch(frame)
        if seed is not None:
            tape.lasting = {"key": seed, "calls": 0}
        if frame.lengths is None:
            x = x.reshape(batch.shape(x.shape[-1]))
        else:
            x = batch.scatter(x, tape.array("padded", batch.shape(x.shape[1]), x.dtype))
        y, final = self.layer._pass_over(x, state, batch, tape, training=True)
        if frame.lengths is None:
            out = y.copy()
        else:
            out = batch.gather(y, np.empty((batch.size, y.shape[2]), y.dtype))
        return Lease(self, tape, batch), out, tuple(part.copy() for part in final)

    def end(
        self,
        lease: Lease,
        dy: Array | None,
        dstate: Parts | None,
        *,
        trained: Sequence[bool],
        wanted: tuple[bool, bool],
    ) -> tuple[Array | None, Parts, list[Array | None]]:
        """The gradients of x, of the initial state and of the weights: new arrays, or None for those not wanted.

        `trained` says of each weight whether its gradient is wanted, and `wanted` that of x and of the initial state.
        """
        tape, batch, layer = lease.tape, lease.batch, self.layer
        lease.spent = True
        for parameter, one in zip(self.seen.parameters, trained, strict=True):
            parameter.trainable = one
        if dy is None:
            dy = tape.zeros("padded dy", batch.shape(layer.output_size), layer.dtype)
        elif batch.time_first or batch.full:
            dy = dy.reshape(batch.shape(layer.output_size))
        else:
            dy = batch.scatter(dy, tape.array("padded dy", batch.shape(layer.output_size), dy.dtype))
        initial: Parts = ()
        if dstate is None and not wanted[1]:
            dx = layer.backward(dy, tape, input_gradient=wanted[0])
        else:
            dx, initial = layer.backward_with_state(dy, dstate, tape, input_gradient=wanted[0])
            initial = tuple(part.copy() for part in initial) if wanted[1] else ()
        if dx is not None:
            dx = dx.copy() if batch.full else batch.gather(dx, np.empty((batch.size, dx.shape[2]), dx.dtype))
        of_weights = zip(self.seen.parameters, trained, strict=True)
        return dx, initial, [parameter._take_grad() if one else None for parameter, one in of_weights]

    def take_back(self, tape: Workspace) -> None:
        if tape.packs is self._packs:
            self.free.append(tape)

    def _tape(self) -> Workspace:
        if self._isa != cpu.isa():  # whose weights lie in other panels
            self._isa, self._packs, self.free = cpu.isa(), Workspace(0), []
        with suppress(IndexError):  # another thread may take the last one at the same time
            return self.free.pop()
        return Workspace(0, packs=self._packs)

    def _batch(self, frame: Frame) -> RaggedBatch:
        if frame.lengths is not None:
            return RaggedBatch(frame.n, frame.t, frame.lengths)
        key = frame[:3]
        batch = self._batches.get(key)
        if batch is None:
            if len(self._batches) >= MOST_BATCHES:
                self._batches.clear()
            batch = self._batches[key] = RaggedBatch(frame.n, frame.t, time_first=frame.time_first)
        return batch


def follow_torch() -> None:
    """Let the kernels use as many threads as torch does."""
    allowed = torch.get_num_threads()
    if allowed != threads.get_num_threads():
        threads.set_num_threads(min(allowed, threads.MOST_THREADS))
