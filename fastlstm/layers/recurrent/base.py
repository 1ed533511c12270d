"""The base of the recurrent layers: everything but the cell and its own arguments."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, cast

import numpy as np

from fastlstm import _check
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.program import Program, Seen, Turn
from fastlstm.layers.base import Array, Index
from fastlstm.layers.recurrent.direction import Parts
from fastlstm.layers.recurrent.ragged import RaggedBatch
from fastlstm.layers.recurrent.running import Running
from fastlstm.layers.settings import Settings
from fastlstm.masking import Steps, fill_of
from fastlstm.workspace import Workspace

State = TypeVar("State")
"""A state in the public form: h if the cell has no other part, otherwise the tuple of its parts."""


class Recurrent(Running, Generic[State], abstract=True):
    """Base of the layers that read (N, T, I) step by step, in one or more layers and one or both directions.

    A subclass states the arguments of its own, and passes its cell and ``**shared`` to the constructor. Where its
    signature and its docstring have ``**shared``, each shared argument is shown.
    """

    def _single(self, k: int) -> Recurrent[State]:
        """Layer k by itself, in inference: it uses the same parameters, and does not add its input."""
        self.build()
        config, off = self.config(), {"dropout": 0.0, "input_dropout": 0.0, "variational": False, "residual": False}
        config = {name: value for name, value in config.items() if name not in Settings.__annotations__}
        config |= {"input_size": self.output_size if k else self.input_size, "num_layers": 1}
        one = type(self).from_config(config | {name: value for name, value in off.items() if name in config})
        for name in one._parameters:
            one._parameters[name] = self._parameters[name.replace("_l0", f"_l{k}")]
        one._dtype, one._built = self._dtype, True
        one._make_stacks()
        for own, packed in zip(one._matrices(), self._matrices()[k * self.directions * self.heads :], strict=False):
            own.format = packed.format
        return one

    def _first_state(self, n: int) -> Parts | None:
        """The state with which n sequences begin; None for zeros."""
        return None if self._beginning is None else self._beginning.rows(n, Workspace(0))

    def __call__(
        self, x: Any, state: Any = None, lengths: Any = None, mask: Any = None, fill: str = "zero"
    ) -> tuple[Array, State]:
        """The outputs at all steps and the final state. D is the number of directions.

        Parameters
        ----------
        x : (N, T, I)
        state : optional
            The initial state: h (layers·D, N, H), or for an LSTM the tuple (h, c); by default zeros, or what is learned
            with `learn_initial_state`. The order of the first axis is layer 0, layer 0 reverse, layer 1, ... h is
            clipped to ± the largest float / 2^32, so that sums over it do not overflow. A layer with a function without
            bounds, such as relu, does not clip it.
        lengths : (N,) ints from 0 to T, optional
            Number of real steps of each sequence. One without a step keeps its initial state.
        mask : (N, T) bools, or ints 0 and 1, optional
            Which steps are real, instead of lengths. A step that is not keeps the state, in both directions.
        fill : "zero" or "last", default "zero"
            What the outputs are at steps that are not real: zeros, or the output of the last real step before, and
            zeros before the first one, as in Keras.

        Returns
        -------
        y : (N, T, D·H)
            Or (N, T, H) if `merge` says so; with "none" a tuple of both directions' (N, T, H).
        h, or (h, c) : each (layers·D, N, H)
            The state after the last real step of each sequence; in the reverse direction, after its first one.

        Raises
        ------
        TypeError
            If x, state, lengths or mask are not numbers of the right kind, or the state of an LSTM is not a tuple
            (h, c).
        ValueError
            If a shape does not fit, a number is not finite or out of range, both lengths and mask are given, or fill is
            none of these.
        """
        if mask is not None or fill != "zero":
            y, final = self._masked(x, state, lengths, mask, fill)
        else:
            found: tuple[Array, Parts] | None = None
            start: Parts | None = None
            if state is None and self._beginning is None:
                found = self._kept.run(x, lengths)
            elif len(self._kept) and isinstance(x, np.ndarray) and x.ndim == 3:  # which looks at x by itself
                start = self._first_state(len(x)) if state is None else self._as_state(state, len(x))
                found = self._kept.run(x, lengths, start=start)
            y, final = found or self._call(x, state, lengths, start)
        if self.merge == "none":
            return (y[..., : self.state_size], y[..., self.state_size :]), self._given(final)  # type: ignore[return-value]
        return y, self._given(final)

    def _masked(self, x: Any, state: Any, lengths: Any, mask: Any, fill: Any) -> tuple[Array, Parts]:
        """A call with a mask, or whose outputs are filled."""
        x, fill = self.as_input(x), fill_of(fill)
        steps = Steps(lengths, mask, *x.shape[:2])
        y, final = self._call(steps.gather(x), state, steps.lengths)
        return steps.scatter(y, fill, own=True), final

    def _call(self, x: Any, state: Any, lengths: Any, start: Parts | None = None) -> tuple[Array, Parts]:
        """A call without a kept program. `start` is the state as `_as_state` gives it, where that is known."""
        x = self.as_input(x)
        if start is None:
            start = self._as_state(state, len(x))
        lengths = _check.lengths_of(lengths, *x.shape[:2])
        if self._is_plain() or (lengths is not None and not lengths.all()):
            return self.forward_with_state(x, start, Workspace(0), training=False, lengths=lengths)
        return self._call_unchecked(x, start, lengths)

    def _call_unchecked(
        self, x: Array, start: Parts | None, lengths: Index | None = None, *, time_first: bool = False
    ) -> tuple[Array, Parts]:
        """A call on contiguous arrays of the layer's dtype. They are not checked; any of their numbers may be NaN.

        Every length is 1 or more. Full sequences may lie as (T, N, ·), x as well as the output, a new array.
        """
        if start is None and self._beginning is not None:
            start = self._beginning.rows(x.shape[time_first], Workspace(0))
        kept = self._kept_time_first if time_first else self._kept
        found: tuple[Array, Parts] | None = kept.run(x, lengths, start=start)
        if found is not None:
            return found
        if not self._is_plain() and np.isfinite(x).all():
            return self._run_anew(x, start, lengths, time_first=time_first)
        n, t = x.shape[1::-1] if time_first else x.shape[:2]
        return self._pass_over(
            x, start, RaggedBatch(n, t, lengths, time_first=time_first), Workspace(0), training=False
        )

    def _run_anew(
        self, x: Array, start: Parts | None, lengths: Index | None, *, time_first: bool = False
    ) -> tuple[Array, Parts]:
        """Make a program for this call, run it, and keep it."""
        n, t = x.shape[1::-1] if time_first else x.shape[:2]
        tape, seen, turn = Workspace(0), Seen(self.parameters()), Turn("this program", "run another one")
        order = None if lengths is None else RaggedOrder(n, t, lengths)
        given, x = x, x.copy() if self._keeps_x else x
        stages, _, y = self._packed.prepare(x, order, tape, time_first=time_first)
        state = self._state_shapes(n)
        program = Program(stages, x, y, seen, turn, x.shape, 3, y.shape, order, state, copy=self._keeps_x)
        found: tuple[Array, Parts] | None = program.run(given, lengths, np.empty(y.shape, y.dtype), start)
        if found is None:  # the weights or x have changed meanwhile
            return self._call_unchecked(x, start, lengths, time_first=time_first)
        (self._kept_time_first if time_first else self._kept).add(program, tape.nbytes + program.nbytes)
        return found

    def _given(self, state: Parts) -> State:
        """A state in the public form, from its parts."""
        state = self._heads_together(state)
        return cast(State, state if len(state) > 1 else state[0])

    def _as_state(self, state: Any, n: int, name: str = "state") -> Parts | None:
        """The parts of a state in the public form, checked and converted; None for None."""
        if state is None:
            return None
        self.build()
        assert self._dtype is not None
        names = ", ".join(self.parts)
        if len(self.parts) == 1:
            state = (state,)
        elif not isinstance(state, tuple | list) or len(state) != len(self.parts):
            got = f"{type(state).__name__} of {len(state)}" if isinstance(state, tuple | list) else type(state).__name__
            raise TypeError(f"{name}: expected a tuple ({names}), got {got}")
        titles = [name] if len(self.parts) == 1 else [f"{name} {part}" for part in self.parts]
        h, *others = (
            _check.real_array(part, title, self._dtype, shape)
            for part, title, shape in zip(state, titles, self._whole_shapes(n), strict=True)
        )
        return self._heads_apart((self.cell.saturated(h), *others))
