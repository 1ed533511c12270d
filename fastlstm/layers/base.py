"""The base of all layers."""

from __future__ import annotations

import inspect
import threading
from typing import Any, ClassVar, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check, hints
from fastlstm._check import Shape
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.program import Kept
from fastlstm._kernels.stage import Stage
from fastlstm.layers import settings as told
from fastlstm.layers.preparing import run_kept
from fastlstm.layers.replay import Backward, Calls, recorded
from fastlstm.parameter import Initializer, Parameter
from fastlstm.workspace import Workspace

Array = NDArray[Any]
Index = NDArray[np.intp]

_building = threading.RLock()
"""The lock for setting starting values. All layers share it, because a layer with a lock could not be copied."""


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
class Layer(metaclass=_Settled):
    """Base of all layers: parameters, and a forward and a backward pass over arrays in a `Workspace`.

    A subclass sets `input_shape`, adds its parameters with `add`, adds arrays that are saved but not trained with
    `add_buffer`, and writes `output_shape`, `forward`, `backward` and `config`. `fastlstm.load` then knows it by the
    name of its class.

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
    """

    registry: ClassVar[dict[str, type[Layer]]] = {}
    takes_tokens: ClassVar[bool] = False
    told_more: ClassVar[bool] = False
    """Whether a pass depends on more than x, its lengths and the parameters. Then even the shape of y may differ."""
    mixes_rows: bool = False
    """Whether in training a sequence's output depends on the other sequences of the batch."""
    keeps_x: bool = False
    """Whether the stages of `prepare` keep x itself, so that a program copies inputs into its own."""
    penalises: bool = False
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
        if "prepare" not in own and own & {"forward", "step"}:
            cls.prepare = Layer.prepare  # type: ignore[method-assign]
        if "replay" not in own and own & {"forward", "backward"}:
            cls.replay = Layer.replay  # type: ignore[method-assign]

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

    def add(
        self, name: str, shape: tuple[int, ...], initializer: Initializer, *, blocks: int = 1, fan: int | None = None
    ) -> None:
        """Add a parameter. `blocks` and `fan` are what an `Initializer` that a user chooses is told of it."""
        self._parameters[name] = Parameter(name, shape, initializer, blocks=blocks, fan=fan)

    def add_buffer(self, name: str, shape: tuple[int, ...], initializer: Initializer) -> None:
        """Add an array that is saved with the layer, but not trained."""
        self._buffers[name] = Parameter(name, shape, initializer)

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """float32 or float64; None if it was not given and the layer is not built yet."""
        return self._dtype

    def build(self, dtype: Any = None, rng: np.random.Generator | None = None) -> None:
        """Fix the dtype, and set the starting values of all parameters that have no value yet."""
        if self._built:
            return
        with _building:
            if self._built:  # by another thread, which held the lock
                return
            if self._dtype is None:
                self._dtype = _check.dtype_of(dtype or "float32")
            missing = [parameter for parameter in self._arrays().values() if not parameter.is_set]
            if missing and (self._seed is not None or rng is None):
                rng = np.random.default_rng(self._seed)
            for parameter in missing:
                assert rng is not None
                parameter.initialize(rng, self._dtype)
            self._built = True  # last: other threads then use the layer without the lock

    def parameters(self) -> list[Parameter]:
        """The parameters, frozen ones too; the layer is built first if it is not yet."""
        self.build()
        return list(self._parameters.values())

    def parameter(self, name: str) -> Parameter:
        """A parameter by the layer's own name for it."""
        self.build()
        return self._parameters[name]

    @property
    def trainable(self) -> bool:
        """Whether any parameter of the layer is trained. Set it to freeze them all (False), or to train all."""
        return any(parameter.trainable for parameter in self._parameters.values())

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        for parameter in self._parameters.values():
            parameter.trainable = trainable

    def settings(self) -> dict[str, Any]:
        """What is told of the parameters and is not as usual, for `config`."""
        return told.config_of(self._parameters, self._init)

    def buffers(self) -> list[Parameter]:
        """The arrays that are saved with the layer but not trained; the layer is built first if it is not yet."""
        self.build()
        return list(self._buffers.values())

    def buffer(self, name: str) -> Parameter:
        """A buffer by the layer's own name for it."""
        self.build()
        return self._buffers[name]

    def _arrays(self) -> dict[str, Parameter]:
        return {**self._parameters, **self._buffers}

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: parameter.shape for name, parameter in self._parameters.items()}

    def shares(self) -> list[Layer]:
        """Layers whose parameters this layer uses too. They come before it in a model."""
        return []

    def with_behind(self) -> list[Layer]:
        """The layer, and the one that it brings along, which stands behind it wherever layers stand in a row."""
        return [self]

    def held(self) -> dict[str, Layer]:
        """The layers that this layer holds, by their places in it, which are also the names of their workspaces."""
        return {}

    def buffer_shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: buffer.shape for name, buffer in self._buffers.items()}

    def load_parameters(self, arrays: dict[str, Any], dtype: Any) -> None:
        """Set all parameters and buffers to these arrays, one for each name; see `Parameter.assign`."""
        self._dtype = _check.dtype_of(dtype)
        for name, parameter in self._arrays().items():
            parameter.assign(arrays[name], self._dtype)

    def see_parameters(self, arrays: dict[str, Array]) -> None:
        """Let these arrays, of the layer's dtype, be the values of parameters by name; see `Parameter.see`."""
        for name, array in arrays.items():
            self._parameters[name].see(array)

    @property
    def num_parameters(self) -> int:
        return sum(parameter.size for parameter in self._parameters.values())

    def as_input(self, x: Any, name: str = "x", shape: Shape | None = None) -> Array:
        """x, checked and converted for `forward`. A model may give a more exact shape."""
        self.build()
        assert self._dtype is not None
        return _check.real_array(x, name, self._dtype, shape or self.input_shape)

    def __call__(self, x: Any) -> Any:
        """The output for x in inference."""
        y = self._kept.run(x)
        if y is not None:
            return y
        x = self.as_input(x)
        if type(self).prepare is Layer.prepare:
            return self.forward(x, Workspace(0), training=False, lengths=None)
        return run_kept(self._kept, self.with_behind(), x)

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of the output for an input of this shape; ValueError if the layer cannot take it."""
        raise NotImplementedError(f"{type(self).__name__} must write output_shape")

    def output_lengths(self, lengths: Index) -> Index | None:
        """The number of real steps of each output, for these of the input, (N,): `lengths` itself if they stay.

        A layer that gives another number of steps than it gets writes this. None means that all its steps are real.
        """
        return lengths

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        """The output, an array of the tape. If `training`, the tape also gets what `backward` needs."""
        raise NotImplementedError(f"{type(self).__name__} must write forward")

    def prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array] | None:
        """`forward` in inference as stages that can be run many times, and the array of their output.

        The stages read x where it lies. If `streaming`, they start from the running state. With an `order` they follow
        its lengths. None means that the layer has no stages: then `forward`, or `step` in a stream, is called.
        """
        return None

    def replay(self, x: Array, tape: Workspace) -> tuple[Calls, Array, Backward] | None:
        """`forward` in training over full sequences as calls that can be made many times.

        Returns the calls, the array of their output, and a function that returns the calls of `backward`. None means
        that the layer has no such calls: then `forward` and `backward` are called.
        """
        return None

    def record(self, x: Array, tape: Workspace) -> tuple[Calls, Array, Backward]:
        """Run `forward` in training over full sequences, and return the calls by which it is run again.

        Returns what `replay` does; its function runs the calls that it returns. A layer that holds others writes this.
        """
        return recorded(self, x, tape)

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        """Add to the gradients of the parameters, and return that of the input.

        What is added to that of a frozen parameter does not count, and may be left out. None is returned if
        `input_gradient` is False, or the input is tokens.
        """
        raise NotImplementedError(f"{type(self).__name__} must write backward")

    def start(self, batch: int, tape: Workspace) -> None:
        """Prepare the tape for `step` with a batch of streams."""

    def step(self, x: Array, tape: Workspace) -> Array:
        """The outputs of the next steps of a stream, (N, T, F) to (N, T, G). The running state is in the tape."""
        return self.forward(x, tape, training=False, lengths=None)

    def reset(self, rows: Any, tape: Workspace) -> None:
        """Set the running state of some rows, given by an index, to zero."""

    def running_kinds(self, batch: int, shape: Shape) -> dict[str, tuple[Shape, Any]]:
        """The shape and dtype of each part of the running state, whose last axis but one is that of the sequences.

        `shape` is that of the layer's input. A layer with a state writes this, `running` and `go_on`.
        """
        if type(self).reset is not Layer.reset:
            name = type(self).__name__
            raise ValueError(f"{name} does not tell its running state: it must write running_kinds, running and go_on")
        return {}

    def running(self, tape: Workspace) -> dict[str, Array]:
        """A copy of the running state of a stream."""
        return {}

    def go_on(self, state: dict[str, Array], tape: Workspace) -> None:
        """Go on from what `running` has returned, after `start`."""

    def carry(self, index: Index, tape: Workspace) -> None:
        """Set the running state of row k to that of row index[k], or to zeros for -1; see `Model.carry`.

        A layer with a state keeps it in a tape that `carries`. A layer that cannot do so raises ValueError.
        """

    def carried_shapes(self, n: int) -> list[tuple[int, ...]]:
        """The shapes of the parts of the state of n rows that a tape carries in ``lasting["running"]``."""
        return []

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """A new layer from what `config` has returned."""
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
