"""The passes of a recurrent layer, forwards and backwards, from any state."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm._kernels import cpu
from fastlstm._kernels.forward import Pass
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.stage import Call, Stage
from fastlstm.layers.base import Array, Index
from fastlstm.layers.recurrent.direction import Parts
from fastlstm.layers.recurrent.ragged import RaggedBatch
from fastlstm.layers.recurrent.structure import Structure
from fastlstm.layers.replay import Backward, Calls
from fastlstm.workspace import Workspace


class Passes(Structure, abstract=True):
    """The part of a `Recurrent` layer that runs its directions over a batch."""

    def forward_with_state(
        self, x: Array, state: Parts | None, tape: Workspace, *, training: bool, lengths: Index | None
    ) -> tuple[Array, Parts]:
        """`forward` from an initial state, for a loop of your own in which a loss sees the states.

        Parameters
        ----------
        x : (N, T, I)
            Contiguous, and of the layer's dtype.
        state : tuple of arrays (layers·D, N, H), optional
            The initial state, one array for each of `parts`; None for what every sequence begins with. An `SLSTM` of
            several heads takes each head by itself, (layers·D·heads, N, H/heads).
        tape : Workspace
            Keeps what `backward_with_state` needs.
        training : bool
            Whether that follows.
        lengths : (N,) ints from 0 to T, or None
            Number of real steps of each sequence; None if all are.

        Returns
        -------
        y : (N, T, D·H)
        state : tuple of arrays, as the initial one
            The final state. Both are arrays of the tape, which its next pass writes anew.

        Examples
        --------
        >>> import fastlstm as fl, numpy as np
        >>> layer, tape, x = fl.LSTM(3, 4, seed=0), fl.Workspace(0), np.ones((2, 5, 3), "float32")
        >>> y, (h, c) = layer.forward_with_state(x, None, tape, training=True, lengths=None)
        >>> dx, (dh, dc) = layer.backward_with_state(np.zeros_like(y), (np.ones_like(h), np.zeros_like(c)), tape)
        >>> dx.shape, dh.shape
        ((2, 5, 3), (1, 2, 4))
        """
        return self._pass_over(x, state, self._batch(x, lengths, tape), tape, training=training)

    def _pass_over(
        self, x: Array, state: Parts | None, batch: RaggedBatch, tape: Workspace, *, training: bool
    ) -> tuple[Array, Parts]:
        """The same over a batch whose order is known. x and the output lie as it says."""
        self.build()
        final = self._room("final", batch.N, tape, x.dtype)
        return self._forward(x, state, final, batch, tape, training=training), final

    def _forward(
        self,
        x: Array,
        state: Parts | None,
        final: Parts | None,
        batch: RaggedBatch,
        tape: Workspace,
        *,
        training: bool,
    ) -> Array:
        """`_pass_over` that writes the final state into `final` if that is given."""
        self.build()
        x = np.ascontiguousarray(x)  # the layer before may return a view
        tape.notes["batch"], tape.notes["plain"] = batch, self._is_plain()
        if self._beginning is not None:
            tape.notes["begins"] = slice(None) if state is None else None
            state = state or self._beginning.rows(batch.N, tape)
        y = self._run(x, state, final, batch, tape, training=training)
        if final is not None:
            batch.keep_empty(final, state)
        return batch.without_empty(y)

    def _run(
        self, x: Array, state: Parts | None, final: Parts | None, batch: RaggedBatch, tape: Workspace, *, training: bool
    ) -> Array:
        """`_forward` by the kernels, which run a step of sequences without one."""
        if tape.notes["plain"]:
            final = final or self._room("final", batch.N, tape, x.dtype)
            return self._plain.forward(self.cell.saturated(x), state, final, batch, tape, training=training)
        if training:
            return self._trained.forward(x, state, final, batch, self.checkpoint_every or batch.T, tape)
        order = None if batch.full else batch
        stages, passes, y = self._packed.prepare(x, order, tape, time_first=batch.time_first)
        for prepared in passes:
            prepared.begin(state)
        for stage in stages:
            stage.go()
        if final is not None:
            for prepared in passes:
                prepared.end(final)
        return y

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        if tape.notes["plain"] or self._beginning is not None:
            return self.backward_with_state(dy, None, tape, input_gradient=input_gradient)[0]
        batch: RaggedBatch = tape.notes["batch"]
        dy = batch.without_empty(np.ascontiguousarray(dy))
        return self._trained.backward(dy, None, None, batch, tape, wanted=input_gradient)

    def backward_with_state(
        self, dy: Array, dstate: Parts | None, tape: Workspace, *, input_gradient: bool = True
    ) -> tuple[Array | None, Parts]:
        """`backward` of `forward_with_state`.

        Parameters
        ----------
        dy : (N, T, D·H)
            The gradient of the loss by y.
        dstate : tuple of arrays, optional
            That by the final state, in the form of that state; None for zeros.
        tape : Workspace
            The same as in `forward_with_state`.
        input_gradient : bool, default True
            Whether dx is wanted.

        Returns
        -------
        dx : (N, T, I) or None
        dstate : tuple of arrays
            The gradient by the initial state.
        """
        batch: RaggedBatch = tape.notes["batch"]
        initial = self._room("initial", batch.N, tape, dy.dtype)
        stack = self._plain if tape.notes["plain"] else self._trained
        dy = batch.without_empty(np.ascontiguousarray(dy))
        dend = dstate
        if dstate is not None and batch.empty is not None:
            dend = tuple(part.copy() for part in dstate)
            batch.keep_empty(dend, None)
        dx = stack.backward(dy, dend, initial, batch, tape, wanted=input_gradient)
        batch.keep_empty(initial, dstate)
        if self._beginning is not None and tape.notes["begins"] is not None:
            self._beginning.add_gradient(initial, tape.notes["begins"])
        return dx, initial

    def _prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array] | None:
        if self._is_plain():
            return None
        self.build()
        stages, passes, y = self._packed.prepare(np.ascontiguousarray(x), order, tape)
        for prepared in passes:
            prepared.fresh = not streaming
        if self._beginning is not None and not streaming:
            stages.insert(0, self._begin_anew(passes, len(x)))
        return stages, y

    def _begin_anew(self, passes: list[Pass], n: int) -> Stage:
        """A stage that lets passes begin with the state that is no zeros."""
        assert self._beginning is not None
        start = self._beginning.rows(n, Workspace(0))  # which later passes over the tape leave alone

        def begin(nothing: Array) -> Array:
            for prepared in passes:
                prepared.begin(start)
            return nothing

        nothing = np.zeros(1)  # what the stage reads and writes, since it must do so
        return Call(begin, nothing, nothing, "the initial state")

    def _replay(self, x: Array, tape: Workspace) -> tuple[Calls, Array, Backward] | None:
        n, t, _ = x.shape
        options = self.cell.options
        draws = self._rates.draws(self.num_layers) or (options is not None and options.draws)
        if self._is_plain() or self.checkpoint_every is not None or draws or self._joint.changes(self.num_layers):
            return None
        if n * t <= cpu.SINGLE or self._beginning is not None:
            return None
        return self._trained.replay(x, self._full_batch(n, t, tape), tape)

    def _room(self, name: str, n: int, tape: Workspace, dtype: Any) -> Parts:
        """Arrays of the tape for the parts of a state."""
        shapes = zip(self.parts, self._state_shapes(n), strict=True)
        return tuple(tape.array(f"{name}_{part}", shape, dtype) for part, shape in shapes)

    def _keep(self, name: str, state: Parts, tape: Workspace) -> Parts:
        """Copy a state into the tape. Returns the copy."""
        kept = self._room(name, state[0].shape[1], tape, state[0].dtype)
        for old, new in zip(kept, state, strict=True):
            old[...] = new
        return kept

    def _batch(self, x: Array, lengths: Index | None, tape: Workspace) -> RaggedBatch:
        """The row order of x (N, T, I)."""
        n, t, _ = x.shape
        return self._full_batch(n, t, tape) if lengths is None else RaggedBatch(n, t, lengths)

    @staticmethod
    def _full_batch(n: int, t: int, tape: Workspace) -> RaggedBatch:
        """The row order of a batch of full sequences. It is kept for the next batch of the same shape."""
        batch: RaggedBatch | None = tape.notes.get("full batch")
        if batch is None or (batch.N, batch.T) != (n, t):
            batch = tape.notes["full batch"] = RaggedBatch(n, t, None)
        return batch
