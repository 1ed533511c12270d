"""The passes of a model over a tape: forwards, in training or not, and backwards."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm._check import Shape
from fastlstm._kernels.stage import ShapeChanged
from fastlstm.layers import Layer
from fastlstm.layers.preparing import lengths_behind, lowest_trained, one_by_one, prepare
from fastlstm.masking import Steps, padded
from fastlstm.model.tape import Recorded, Tape, apart, owner
from fastlstm.parameter import Parameter

Array = NDArray[Any]


class Passes:
    """The part of a `Model` that runs its layers over a tape. The model sets the attributes."""

    layers: tuple[Layer, ...]
    dtype: np.dtype[Any]
    input_shape: Shape
    _shapes: list[Shape]
    _parameters: list[Parameter]

    def tape(self, seed: int | None = 0, carry: bool = False, *, precision: str | None = None) -> Tape:
        """A new tape for `forward` and `backward`.

        Parameters
        ----------
        seed : int or None, default 0
            Seed of the dropout masks. None draws a new one.
        carry : bool, default False
            Whether each pass, in training or not, starts from the final state of the pass before: the state after the
            last real step of each sequence. The first pass starts from the initial state. No gradient flows back into
            the pass before (truncated back-propagation). All passes must have the same number of sequences, unless
            `carry` is called between them.
        precision : "bfloat16" or None, default None
            How training passes round what their products multiply, as in `Trainer`.

        Raises
        ------
        TypeError
            If seed is not a whole number or None, or carry is not True or False.
        ValueError
            If seed is negative, precision is none of these or is given for a model in float64, or carry is True and a
            layer cannot carry its state: a bidirectional layer, pooling or a `Decoder`.

        Examples
        --------
        >>> import fastlstm as fl, numpy as np
        >>> model, x = fl.Model([fl.LSTM(1, 4)], seed=0), np.ones((2, 6, 1))
        >>> tape = model.tape(carry=True)
        >>> first, second = model.forward(x[:, :4], tape).copy(), model.forward(x[:, 4:], tape)
        >>> np.allclose(second, model.predict(x)[:, 4:])
        True
        """
        precision = _check.precision_of(precision, self.dtype)
        tape = Tape(self, _check.seed_of(seed), _check.flag(carry, "carry"), precision)
        if tape.carries:
            for i, (layer, workspace) in enumerate(zip(self.layers, tape.workspaces, strict=True)):
                try:
                    layer.carry(np.empty(0, np.intp), workspace)
                except ValueError as error:
                    raise ValueError(f"layer {i} ({type(layer).__name__}): {error}") from None
        return tape

    def carry(self, index: Any, tape: Tape) -> None:
        """Rearrange the carried state: row k gets the state of row ``index[k]``, or begins anew for -1.

        Parameters
        ----------
        index : (N,) ints from -1 to R - 1
            R is the number of rows with a state, ``tape.rows``: 0 before the first pass. The next pass must have N
            sequences.
        tape : Tape
            A tape from ``tape(carry=True)`` of this model.

        Raises
        ------
        TypeError
            If index does not hold whole numbers.
        ValueError
            If index is not of shape (N,), a number in it is out of range, or the tape is not such a tape.
        RuntimeError
            If another call is using the tape.

        Examples
        --------
        >>> import fastlstm as fl, numpy as np
        >>> model = fl.Model([fl.LSTM(1, 4)], seed=0)
        >>> tape = model.tape(carry=True)
        >>> first = model.forward(np.ones((2, 3, 1)), tape).copy()
        >>> model.carry([1, -1, -1], tape)  # the second sequence goes on, two new ones begin
        >>> model.forward(np.ones((3, 3, 1)), tape).shape
        (3, 3, 4)
        """
        self._check_tape(tape)
        if not tape.carries:
            raise ValueError("tape: expected one from tape(carry=True), got one that carries no state")
        index = _check.int_array(index, "index", ("N",), -1, tape.rows - 1)
        with tape.turn:
            for layer, workspace in zip(self.layers, tape.workspaces, strict=True):
                layer.carry(index, workspace)
            tape._rows = len(index)

    def as_input(self, x: Any, lengths: Any = None) -> tuple[Array, NDArray[np.intp] | None]:
        """x and lengths, checked and converted for a pass. Lengths are None if all sequences are full.

        x may be a list of sequences of different lengths, (T, F) or (T,) each, instead of both.
        """
        if type(x) is not np.ndarray:
            x, own = padded(x)
            if own is not None and lengths is not None:
                raise ValueError("lengths: expected none beside a list of sequences of different lengths, got some")
            lengths = lengths if own is None else own
        x = self.layers[0].as_input(x, shape=self.input_shape)
        return x, _check.lengths_of(lengths, *x.shape[:2])

    def shape_for(self, shape: Shape) -> Shape:
        """The shape of the output for an input of this shape, with the number of steps that the layers make of T."""
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    def output_lengths(self, lengths: Any) -> NDArray[np.intp] | None:
        """The number of real steps of each output, for such lengths of the inputs: fewer behind strides of a `Conv1d`.

        Parameters
        ----------
        lengths : (N,) ints from 0

        Returns
        -------
        (N,) ints, or None
            None if all steps are real, as those of a `Decoder` are.

        Examples
        --------
        >>> import fastlstm as fl
        >>> fl.Model([fl.Conv1d(1, 2, 3, stride=2), fl.LSTM(2, 4)]).output_lengths([9, 4, 2])
        array([4, 1, 0])
        """
        return lengths_behind(self.layers, _check.int_array(lengths, "lengths", ("N",), 0, np.iinfo(np.int32).max))

    def forward(self, x: Any, tape: Tape, *, training: bool = False, lengths: Any = None, mask: Any = None) -> Array:
        """The forward pass: the output for a mini-batch. The next pass over the tape overwrites the output.

        Parameters
        ----------
        x : (N, T, F) numbers, or (N, T) tokens, or a list of sequences of different lengths
            Do not change it before the backward pass.
        tape : Tape
            A tape of this model, from `tape`.
        training : bool, default False
            Whether dropout is active, and the tape keeps what `backward` needs.
        lengths : (N,) ints from 0 to T, optional
            Number of real steps of each sequence; by default T.
        mask : (N, T) bools, or ints 0 and 1, optional
            Which steps are real, instead of lengths. What the layers draw at random is that of the real steps alone.

        Returns
        -------
        y : array of the shape `output_shape`

        Raises
        ------
        TypeError
            If x, lengths or mask are not numbers of the right kind.
        ValueError
            If the shape of x, lengths or mask does not fit, a number is not finite or out of range, both lengths and
            mask are given, the tape is not of this model, or it carries the state of another number of sequences.
        RuntimeError
            If another call is using the tape.
        """
        self._check_tape(tape)
        if mask is not None:
            x, own = self.as_input(x)
            steps = Steps(lengths if own is None else own, mask, *x.shape[:2])
            return self._pass_forward(x, tape, training=training, lengths=steps.lengths, steps=steps)
        if tape.program is not None and not training:
            with tape.turn:
                tape.recorded = None
                try:
                    found: Array | None = tape.program.run(apart(x, tape.lent.values()), lengths)
                except ShapeChanged:
                    found = None
            if found is not None:
                return found
        x, lengths = self.as_input(x, lengths)
        return self._pass_forward(x, tape, training=training, lengths=lengths)

    def _pass_forward(
        self,
        x: Array,
        tape: Tape,
        *,
        training: bool,
        lengths: NDArray[np.intp] | None,
        steps: Steps | None = None,
    ) -> Array:
        """`forward` for x and lengths that `as_input` has returned. `steps` move those of x and of the output."""
        self._check_tape(tape)
        with tape.turn:
            tape.recorded = None
            x = apart(x, tape.lent.values())
            if steps is not None:
                x = steps.gather(x, partial(tape.moved.array, "x"))
            if tape.carries:
                if tape.rows not in (0, len(x)):
                    raise ValueError(f"x: expected {tape.rows} sequences, as many as the tape carries, got {len(x)}")
                tape._rows = len(x)
            elif not training and (lengths is None or lengths.all()):
                tape.program = prepare(self.layers, tape.workspaces, x, lengths=lengths, turn=tape.turn)
                y: Array = tape.program.y
                tape.lent["y"] = owner(y)
                return self._moved_back(y, tape, steps)
            replay = tape.repeat(x) if training and lengths is None and not tape.carries else None
            if replay is not None:
                x = replay.y
            else:
                x = one_by_one(self.layers, tape.workspaces, x, lengths, training=training)
            tape.lent["trained y" if training else "y"] = owner(x)
            tape.recorded = Recorded(training, x.shape, self._versions(), replay, steps)
            return self._moved_back(x, tape, steps)

    def _moved_back(self, y: Array, tape: Tape, steps: Steps | None) -> Array:
        """An output whose steps stand where those of x were before they were moved."""
        if steps is None or not self._per_step:
            return y
        return steps.back(y, partial(tape.moved.array, "y"))

    def _check_tape(self, tape: Tape) -> None:
        if not isinstance(tape, Tape) or tape.model is not self:
            raise ValueError(f"tape: expected one from this model's tape(), got {tape!r}")

    def _versions(self) -> list[int]:
        return [parameter.version for parameter in self._parameters]

    def backward(
        self, dy: Any, tape: Tape, *, input_gradient: bool = True, after: Callable[[int], None] | None = None
    ) -> Array | None:
        """The backward pass: add to the gradients of all parameters.

        Call it once after each `forward` with training=True, with the same tape.

        Parameters
        ----------
        dy : array of the output's shape
            Gradient of the loss with respect to the output.
        tape : Tape
            The tape of the forward pass.
        input_gradient : bool, default True
            Whether the gradient with respect to x is computed. False saves this work. The pass then ends at the lowest
            layer that has a parameter which is not frozen.
        after : function of an int, optional
            Is called with the number of each layer as soon as the layer's parameters have their gradients; the last
            layer comes first.

        Returns
        -------
        dx : (N, T, F) or None
            Gradient of the loss with respect to x; None for tokens, or without input_gradient.

        Raises
        ------
        TypeError
            If dy does not hold real numbers.
        ValueError
            If dy is of another shape or not finite, or the tape is not of this model.
        RuntimeError
            If the last pass over the tape was not a forward pass with training=True, a parameter has changed since
            then, or another call is using the tape.
        """
        self._check_tape(tape)
        with tape.turn:
            recorded, tape.recorded = tape.recorded, None
            if recorded is None or not recorded.training:
                raise RuntimeError("backward needs a forward pass with training=True on the same tape just before it")
            if recorded.versions != self._versions():
                raise RuntimeError("a parameter has changed since the forward pass: run it again before backward")
            if "dx" in tape.lent:
                dy = apart(dy, (tape.lent["dx"],))
            dx = self._pass_backward(dy, tape, recorded, input_gradient, after)
            if not input_gradient or dx is None:
                return None
            tape.lent["dx"] = owner(dx)
            return dx if recorded.steps is None else recorded.steps.back(dx, partial(tape.moved.array, "dx"))

    def _pass_backward(
        self, dy: Any, tape: Tape, recorded: Recorded, input_gradient: bool, after: Callable[[int], None] | None
    ) -> Array | None:
        """The backward pass of a forward pass that has been recorded; dx, if it is wanted."""
        replay = recorded.replay
        if replay is not None and replay.knows(dy):
            _check.finite(dy, "dy")
            return replay.backward(dy, wanted=input_gradient, after=after)
        dx: Array | None = _check.real_array(dy, "dy", self.dtype, recorded.output_shape)
        assert dx is not None
        if recorded.steps is not None and self._per_step:
            dx = recorded.steps.gather(dx, partial(tape.moved.array, "dy"))
        if replay is not None:
            return replay.backward(dx, wanted=input_gradient, after=after)
        lowest = 0 if input_gradient else lowest_trained(self.layers)
        for i in reversed(range(lowest, len(self.layers))):
            assert dx is not None
            dx = self.layers[i].backward(dx, tape.workspaces[i], input_gradient=i > lowest or input_gradient)
            if after is not None:
                after(i)
        return dx

    @property
    def _per_step(self) -> bool:
        """Whether there is an output at each step."""
        return self._shapes[-1][1:2] == ("T",)
