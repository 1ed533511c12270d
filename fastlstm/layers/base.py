"""The base of all layers."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check, hints
from fastlstm._check import Shape
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.program import Kept
from fastlstm._kernels.stage import Stage
from fastlstm.layers import settings as told
from fastlstm.layers.parametrized import Parametrized
from fastlstm.layers.preparing import run_kept
from fastlstm.layers.replay import Backward, Calls, recorded
from fastlstm.layers.stateful import Stateful
from fastlstm.parameter import Parameter
from fastlstm.workspace import Workspace

Array = NDArray[Any]
Index = NDArray[np.intp]


class _Settled(type):
    """The type of layers. When the constructor of the class itself has ended, all parameters are there."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        try:
            layer = super().__call__(*args, **kwargs)
        except TypeError as error:
            hints.explain(error, kwargs)
            raise
        if layer._told:
            layer._init = told.apply(layer._told, layer._parameters)
        return layer

    @property
    def __signature__(cls) -> inspect.Signature:
        """That of the constructor; `help` would else show that of the call above."""
        return cast("type[Layer]", cls)._signature()


@hints.told
class Layer(Parametrized, Stateful, metaclass=_Settled):
    """Base of all layers: parameters, and a forward and a backward pass over arrays in a `Workspace`.

    A layer of your own is a subclass: it sets `input_shape`, adds its parameters with `add`, adds arrays that are saved
    but not trained with `add_buffer`, and writes `output_shape`, `forward`, `backward` and `config`. `fastlstm.load`
    then knows it by the name of its class. One with a state in a stream also writes `start`, `step`, `reset`,
    `running_kinds`, `running` and `go_on`, and one that carries a state from pass to pass `carry`. `docs/layers.md`
    has an example.

    Parameters
    ----------
    dtype : "float32", "float64" or None, default None
        None takes the model's; a layer without a model is float32.
    seed : int or None, default None
        Seed of the starting values. None takes one from the model; a layer without a model takes a new one from the
        operating system.
    init, regularizers, constraints, trainable
        What is told of the parameters, by the keywords of `fastlstm.layers.settings.Settings`: how they start, their
        penalties in the loss, what is made true of them after each step, and which are trained. A layer of your own
        takes these if it passes them on, and saves them if `config` holds what `settings` returns.

    Attributes
    ----------
    input_shape : tuple of int or str
        The shape of what it takes, with names for the sizes that may be any: ``("N", "T", 3)``.
    takes_tokens : bool, default False
        Whether it takes whole numbers, as `Embedding` does; `backward` then returns None.
    told_more : bool, default False
        Whether a pass depends on more than x, its lengths and the parameters. Then even the shape of y may differ.
    mixes_rows : bool, default False
        Whether in training a sequence's output depends on the other sequences of the batch.
    registry : dict
        All classes of layers by name, by which files name them.
    """

    registry: ClassVar[dict[str, type[Layer]]] = {}
    takes_tokens: ClassVar[bool] = False
    told_more: ClassVar[bool] = False
    mixes_rows: bool = False
    _keeps_x: bool = False
    """Whether the stages of `_prepare` keep x itself, so that a program copies inputs into its own."""
    _penalises: bool = False
    """Whether a pass in training notes a ``penalty``, a part of the loss whose gradient `backward` adds by itself."""
    input_shape: Shape

    def __init_subclass__(cls, *, abstract: bool = False, **kwargs: Any) -> None:
        """Register the layer by its name. An `abstract` layer is a base of others, and is not registered."""
        super().__init_subclass__(**kwargs)
        if abstract:
            return
        known = Layer.registry.get(cls.__name__)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"a layer of the name {cls.__name__} is known already, from {known.__module__}")
        Layer.registry[cls.__name__] = cls
        own = set(cls.__dict__)  # a base's prepared pass would hide them
        if "_prepare" not in own and own & {"forward", "step"}:
            cls._prepare = Layer._prepare  # type: ignore[method-assign]
        if "_replay" not in own and own & {"forward", "backward"}:
            cls._replay = Layer._replay  # type: ignore[method-assign]

    _told: told.Settings = {}
    _init: Any = None

    def __init__(self, dtype: Any = None, seed: int | None = None, **settings: Unpack[told.Settings]) -> None:
        told.check(settings, type(self).__name__)
        if settings:
            self._told = settings
        self._dtype = None if dtype is None else _check.dtype_of(dtype)
        self._seed = _check.seed_of(seed)
        self._parameters: dict[str, Parameter] = {}
        self._buffers: dict[str, Parameter] = {}
        self._built = False
        self._kept = Kept()

    @classmethod
    def _signature(cls) -> inspect.Signature:
        """How the class is called."""
        whole = inspect.signature(cls.__init__)
        return whole.replace(parameters=[*whole.parameters.values()][1:], return_annotation=whole.empty)

    def settings(self) -> dict[str, Any]:
        """What is told of the parameters and is not as usual, for `config`."""
        return told.config_of(self._parameters, self._init)

    def _shares(self) -> list[Layer]:
        """Layers whose parameters this layer uses too. They come before it in a model."""
        return []

    def _with_behind(self) -> list[Layer]:
        """The layer, and the one that it brings along, which stands behind it wherever layers stand in a row."""
        return [self]

    def _held(self) -> dict[str, Layer]:
        """The layers that this layer holds, by their places in it, which are also the names of their workspaces."""
        return {}

    def as_input(self, x: Any, name: str = "x", shape: Shape | None = None) -> Array:
        """x, checked and converted for `forward`: contiguous, and of the layer's dtype.

        Parameters
        ----------
        x : array
            Of real numbers, or whole ones if `takes_tokens`. A layer that takes several shapes writes this method.
        name : str, default "x"
            How errors call it.
        shape : tuple of int or str, optional
            What a model expects; by default `input_shape`.

        Raises
        ------
        TypeError
            If x is no array of numbers of the right kind.
        ValueError
            If its shape does not fit, or a number is not finite.
        """
        self.build()
        assert self._dtype is not None
        return _check.real_array(x, name, self._dtype, shape or self.input_shape)

    def __call__(self, x: Any) -> Any:
        """The output for x in inference."""
        y = self._kept.run(x)
        if y is not None:
            return y
        x = self.as_input(x)
        if type(self)._prepare is Layer._prepare:
            return self.forward(x, Workspace(0), training=False, lengths=None)
        return run_kept(self._kept, self._with_behind(), x)

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of the output.

        Parameters
        ----------
        shape : tuple of int or str
            That of the input, with names for the sizes that may be any: ``("N", "T", 3)``. They stay as they are where
            the output has the same size.

        Returns
        -------
        tuple of int or str

        Raises
        ------
        ValueError
            If the layer cannot take it.
        """
        raise NotImplementedError(f"{type(self).__name__} must write output_shape")

    def output_lengths(self, lengths: Index) -> Index | None:
        """The number of real steps of each output. A layer that gives another number of steps than it gets writes this.

        Parameters
        ----------
        lengths : (N,) ints
            The number of real steps of each input.

        Returns
        -------
        (N,) ints or None
            `lengths` itself if they stay. None means that all steps are real.
        """
        return lengths

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        """The output.

        Parameters
        ----------
        x : array
            As `as_input` gives it. It must not be changed.
        tape : Workspace
            Where arrays come from, so that nothing is allocated after the first pass, and where `notes` keep what
            `backward` needs.
        training : bool
            Whether `backward` follows.
        lengths : (N,) ints from 0 to T, or None
            Number of real steps of each sequence; None if all are. What is written at other steps counts for nothing.

        Returns
        -------
        array
            May be one of the tape, which the next pass writes anew.
        """
        raise NotImplementedError(f"{type(self).__name__} must write forward")

    def _prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array] | None:
        """`forward` in inference as stages that can be run many times, and the array of their output.

        The stages read x where it lies. If `streaming`, they start from the running state. With an `order` they follow
        its lengths. None means that the layer has no stages: then `forward`, or `step` in a stream, is called.
        """
        return None

    def _replay(self, x: Array, tape: Workspace) -> tuple[Calls, Array, Backward] | None:
        """`forward` in training over full sequences as calls that can be made many times.

        Returns the calls, the array of their output, and a function that returns the calls of `backward`. None means
        that the layer has no such calls: then `forward` and `backward` are called.
        """
        return None

    def _record(self, x: Array, tape: Workspace) -> tuple[Calls, Array, Backward]:
        """Run `forward` in training over full sequences, and return the calls by which it is run again.

        Returns what `_replay` does; its function runs the calls that it returns. A layer that holds others writes this.
        """
        return recorded(self, x, tape)

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        """Add to the gradients of the parameters, and return that of the input.

        Parameters
        ----------
        dy : array
            The gradient of the loss by the output of the last pass over the tape. It must not be changed.
        tape : Workspace
            The same as in `forward`.
        input_gradient : bool, default True
            Whether the gradient of the input is wanted.

        Returns
        -------
        array or None
            The gradient of x; None if it is not wanted, or x is tokens. What is added to that of a frozen parameter
            does not count, and may be left out.
        """
        raise NotImplementedError(f"{type(self).__name__} must write backward")

    def step(self, x: Array, tape: Workspace) -> Array:
        """The outputs of the next steps of a stream, which move its running state on.

        Parameters
        ----------
        x : (N, T, F)
            The next steps, one or more.
        tape : Workspace
            The same as in `start`.

        Returns
        -------
        (N, T, G)
        """
        return self.forward(x, tape, training=False, lengths=None)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """A new layer from what `config` has returned.

        Parameters
        ----------
        config : dict

        Returns
        -------
        Layer
            Without values of its parameters.
        """
        return cls(**config)

    def config(self) -> dict[str, Any]:
        """The arguments of the constructor, without dtype and seed: JSON values, or layers that share parameters."""
        raise NotImplementedError(f"{type(self).__name__} must write config")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in self._shown().items())})"

    def _shown(self) -> dict[str, Any]:
        """What `repr` shows."""
        return self.config()


def clear_empty(x: Array, lengths: Index | None) -> None:
    """Write zeros into (N, ...) for each sequence of length 0."""
    if lengths is not None and not lengths.all():
        x[lengths == 0] = 0


def as_rows(x: Array) -> Array:
    """(..., F) as (R, F), without a copy."""
    return x.reshape(-1, x.shape[-1])


def check_features(shape: Shape, input_size: int, name: str = "input_size") -> None:
    if shape[-1] != input_size and not isinstance(shape[-1], str):
        raise ValueError(f"{name}: expected {shape[-1]}, the size of what comes in, got {input_size}")
