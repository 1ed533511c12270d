"""One step of a recurrent cell at a time, for loops of one's own."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar, Unpack, cast

import numpy as np

from fastlstm import _check
from fastlstm.layers.base import Array
from fastlstm.layers.recurrent.base import Recurrent
from fastlstm.layers.recurrent.direction import Parts
from fastlstm.layers.recurrent.functions import Activation
from fastlstm.layers.recurrent.gru import GRU
from fastlstm.layers.recurrent.lstm import LSTM
from fastlstm.layers.settings import Settings, check
from fastlstm.parameter import Parameter
from fastlstm.workspace import Workspace

State = TypeVar("State")
"""h of a GRU, (h, c) of an LSTM, each (N, H)."""


class OneStep(Generic[State]):
    """Base of the cells: a layer of one direction that is given one step.

    Attributes
    ----------
    layer : Recurrent
        Its parameters are those of the cell, ``weight_ih_l0`` and so on.
    """

    layer: Recurrent[Any]

    def parameters(self) -> list[Parameter]:
        """The trained parameters, for an optimizer."""
        return self.layer.parameters()

    def __call__(self, x: Any, state: Any = None) -> State:
        """The state after a step.

        Parameters
        ----------
        x : (N, I)
        state : optional
            The state before the step, as this returns it; by default zeros, or what is learned.

        Returns
        -------
        h, or (h, c) : each (N, H)

        Raises
        ------
        TypeError
            If x or state are not numbers, or the state of an LSTM is not a tuple (h, c).
        ValueError
            If a shape does not fit, or a number is not finite.
        """
        x = self._input(x)
        _, after = self.layer(x[:, None], self._with_layers(state, len(x)))
        return self._given(after if isinstance(after, tuple) else (after,))

    def forward(self, x: Any, state: Any, tape: Workspace) -> State:
        """The same while training.

        Parameters
        ----------
        x : (N, I)
        state : as in a call
        tape : Workspace
            Keeps what `backward` reads, so that each step of a loop needs its own.

        Returns
        -------
        h, or (h, c) : each (N, H)

        Raises
        ------
        TypeError
            If x or state are not numbers, the state of an LSTM is not a tuple (h, c), or tape is no Workspace.
        ValueError
            If a shape does not fit, or a number is not finite.
        """
        _check.instance(tape, Workspace, "tape", "a Workspace")
        tape.notes["cell"] = None
        x = self._input(x)[:, None]
        _, after = self.layer.forward_with_state(
            x, self.layer._as_state(self._with_layers(state, len(x)), len(x)), tape, training=True, lengths=None
        )
        tape.notes["cell"] = self, self._versions()
        return self._given(tuple(part.copy() for part in after))

    def backward(self, dstate: Any, tape: Workspace) -> tuple[Array, State]:
        """The gradients of x and of the state before the step, from those of the state after it.

        Adds to the gradients of the parameters. Call it once after each `forward`, with the same tape, for the last
        step first.

        Parameters
        ----------
        dstate : (N, H), or a tuple of two
            The gradient by the state after the step, in the form of that state.
        tape : Workspace
            The same as in `forward`.

        Returns
        -------
        dx : (N, I)
        dstate : (N, H), or a tuple of two
            The gradient by the state before the step.

        Raises
        ------
        TypeError
            If dstate is None or not numbers, that of an LSTM is not a tuple (dh, dc), or tape is no Workspace.
        ValueError
            If a shape does not fit, or a number is not finite.
        RuntimeError
            If the last pass over the tape was not a forward pass of this cell, or a parameter has changed since then.
        """
        _check.instance(tape, Workspace, "tape", "a Workspace")
        cell, versions = tape.notes.pop("cell", None) or (None, None)
        if cell is not self:
            raise RuntimeError("backward needs a forward pass of this cell on the same tape just before it")
        if versions != self._versions():
            raise RuntimeError("a parameter has changed since the forward pass: run it again before backward")
        n: int = tape.notes["batch"].N
        given = self.layer._as_state(self._with_layers(dstate, n, "dstate"), n, "dstate")
        if given is None:
            raise TypeError("dstate: expected the gradients of the state after the step, got None")
        zeros = np.zeros((n, 1, self.layer.state_size), given[0].dtype)
        dx, before = self.layer.backward_with_state(zeros, given, tape)
        assert dx is not None
        return dx[:, 0].copy(), self._given(tuple(part.copy() for part in before))

    def _versions(self) -> list[int]:
        return [parameter.version for parameter in self.parameters()]

    def _input(self, x: Any) -> Array:
        return self.layer.as_input(x, "x", ("N", self.layer.input_size))

    def _with_layers(self, state: Any, n: int, name: str = "state") -> Any:
        """A state with the axis of layers."""
        if state is None or (len(self.layer.parts) > 1 and not isinstance(state, tuple | list)):
            return state  # the layer refuses a state of an LSTM that is no tuple
        found = []
        shapes = self.layer._state_shapes(n)
        for k, part in enumerate(state if len(self.layer.parts) > 1 else [state]):
            array = _check.as_numbers(part, name, "fiub", "real numbers")
            if k < len(shapes):  # the layer refuses a state of more parts
                _check.shape_of(array, name, shapes[k][1:])
            found.append(array[None])
        return tuple(found) if len(self.layer.parts) > 1 else found[0]

    @staticmethod
    def _given(parts: Parts) -> State:
        found = tuple(part[0] for part in parts)
        return cast(State, found if len(found) > 1 else found[0])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.layer.input_size}, {self.layer.hidden_size})"


class LSTMCell(OneStep[tuple[Array, Array]]):
    """One step of an `LSTM`.

    Parameters
    ----------
    input_size, hidden_size : int
    bias, forget_bias, peephole, coupled, activation, recurrent_activation, cell_activation, clip, cell_clip, proj_size
        As of an `LSTM`.
    layer_norm, learn_initial_state, dtype, seed
        As of an `LSTM`.
    **settings
        How parameters start, ``init``, their ``regularizers`` and ``constraints``, and which are ``trainable``; see
        `fastlstm.layers.settings.Settings`.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> cell = fl.LSTMCell(3, 4, seed=0)
    >>> state = None
    >>> for x in np.ones((7, 5, 3)):  # 7 steps of 5 sequences
    ...     state = cell(x, state)
    >>> h, c = state
    >>> h.shape, c.shape
    ((5, 4), (5, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        forget_bias: float = 1.0,
        peephole: bool = False,
        coupled: bool = False,
        activation: Activation = "tanh",
        recurrent_activation: Activation = "sigmoid",
        cell_activation: Activation | None = None,
        clip: float | None = None,
        cell_clip: float | None = None,
        proj_size: int | None = None,
        layer_norm: bool | float = False,
        learn_initial_state: bool = False,
        dtype: Any = None,
        seed: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        check(settings, "LSTMCell")
        self.layer = LSTM(
            input_size,
            hidden_size,
            bias=bias,
            forget_bias=forget_bias,
            peephole=peephole,
            coupled=coupled,
            activation=activation,
            recurrent_activation=recurrent_activation,
            cell_activation=cell_activation,
            clip=clip,
            cell_clip=cell_clip,
            proj_size=proj_size,
            layer_norm=layer_norm,
            learn_initial_state=learn_initial_state,
            dtype=dtype,
            seed=seed,
            **settings,
        )


class GRUCell(OneStep[Array]):
    """One step of a `GRU`.

    Parameters
    ----------
    input_size, hidden_size : int
    bias, reset, activation, recurrent_activation, clip, learn_initial_state, dtype, seed
        As of a `GRU`.
    **settings
        How parameters start, ``init``, their ``regularizers`` and ``constraints``, and which are ``trainable``; see
        `fastlstm.layers.settings.Settings`.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> cell = fl.GRUCell(3, 4, seed=0)
    >>> h = cell(np.ones((5, 3)), np.zeros((5, 4)))
    >>> h.shape
    (5, 4)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        reset: Literal["after", "before"] = "after",
        activation: Activation = "tanh",
        recurrent_activation: Activation = "sigmoid",
        clip: float | None = None,
        learn_initial_state: bool = False,
        dtype: Any = None,
        seed: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        check(settings, "GRUCell")
        self.layer = GRU(
            input_size,
            hidden_size,
            bias=bias,
            reset=reset,
            activation=activation,
            recurrent_activation=recurrent_activation,
            clip=clip,
            learn_initial_state=learn_initial_state,
            dtype=dtype,
            seed=seed,
            **settings,
        )
