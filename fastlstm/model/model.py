"""The model: a chain of layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Never, overload

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check, hints, html
from fastlstm._check import Shape, describe
from fastlstm._kernels.program import Kept
from fastlstm.layers import Layer
from fastlstm.layers.chain import Row, in_a_row, input_shape_of, shapes_of, walk
from fastlstm.layers.holder import rows_of
from fastlstm.layers.matrix import MatrixLayer
from fastlstm.layers.preparing import run_kept
from fastlstm.masking import Steps, fill_of
from fastlstm.model.chunks import ChunkStream
from fastlstm.model.passes import Passes
from fastlstm.model.stream import Stream
from fastlstm.parameter import Parameter

Array = NDArray[Any]

USUAL = 256
"""Sequences of a mini-batch of `Model.predict`."""
MOST_STREAMS = 1 << 40
"""The largest batch of a stream. No memory holds the states of more, nor can NumPy count all their bytes."""


@hints.told
class Model(Passes):
    """A chain of layers. Its input is (N, T, F), or tokens (N, T) if the first layer is an `Embedding`.

    Parameters
    ----------
    layers : list of Layer
        Each layer must take the output of the layer before. A layer may occur only once.
    dtype : "float32" or "float64", default "float32"
        dtype of all parameters and computations.
    seed : int, optional
        Seed of the starting values. The same seed gives the same bits. By default a new seed is drawn; the attribute
        ``seed`` holds it.
    weights : "bfloat16", "int8x16", "int8" or None, default None
        How inference holds the weights of all layers that have matrices; see `fastlstm.quantize`. None leaves each
        layer as it is.

    Raises
    ------
    TypeError
        If layers is not a list of layers, dtype is neither float32 nor float64, or seed is not a whole number.
    ValueError
        If there is no layer, a layer occurs twice, shares the parameters of a layer that is not before it, has another
        dtype or cannot take the output of the layer before, or seed is negative.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> model = fl.Model([fl.LSTM(3, 8), fl.Last(), fl.Dense(8, 1)], seed=0)
    >>> model.predict(np.zeros((5, 7, 3))).shape
    (5, 1)
    >>> print(model)
    layer        output shape   parameters
    --------------------------------------
    0 LSTM       (N, T, 8)             384
    1 Last       (N, 8)                  0
    2 Dense      (N, 1)                  9
    --------------------------------------
    total                              393
    """

    @hints.hinted
    def __init__(
        self,
        layers: Iterable[Layer],
        dtype: Any = "float32",
        seed: int | None = None,
        *,
        weights: str | None = None,
    ) -> None:
        self.layers = tuple(in_a_row(layers, "layers"))
        self.dtype = _check.dtype_of(dtype)
        self.seed = np.random.SeedSequence(_check.seed_of(seed)).entropy
        if not self.layers:
            raise ValueError("layers: expected at least one, got none")
        for i, layer in enumerate(self.layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"layers: expected layers, got {layer!r} at {i}")
            if any(layer is earlier for earlier in self.layers[:i]):
                raise ValueError(f"layers: {type(layer).__name__} at {i} stands in the model twice")
            if not all(any(shared is earlier for earlier in self.layers[:i]) for shared in layer._shares()):
                raise ValueError(
                    f"layers: {type(layer).__name__} at {i} uses the parameters of a layer that is not before it"
                )
            if layer.dtype is not None and layer.dtype != self.dtype:
                raise ValueError(
                    f"dtype: layer {i} ({type(layer).__name__}) is {layer.dtype}, but the model is {self.dtype}; "
                    f"pass dtype={str(layer.dtype)!r} to the model"
                )
        every = [layer for _, layer in walk(self.layers)]
        if len({id(layer) for layer in every}) < len(every):
            raise ValueError("layers: expected every layer once, got one twice within others")
        self.input_shape = input_shape_of(self.layers)
        self._shapes = shapes_of(self.layers, self.input_shape)
        seeds = np.random.SeedSequence(self.seed).spawn(len(self.layers))
        for layer, child in zip(self.layers, seeds, strict=True):
            layer.build(self.dtype, np.random.default_rng(child))
        for name, parameter in {**self.named_parameters(), **self.named_buffers()}.items():
            if "." not in parameter.name:  # a layer that two models share keeps its first name
                parameter.name = name
        if weights is not None:
            for layer in every:
                if isinstance(layer, MatrixLayer):
                    layer.weights = weights
        self._kept = Kept()
        self._parameters = [parameter for layer in self.layers for parameter in layer.parameters()]

    def __len__(self) -> int:
        """The number of layers."""
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Model: ...
    def __getitem__(self, index: int | slice) -> Layer | Model:
        """A layer; or for a slice a model of these layers, which shares them and their parameters with this one."""
        if isinstance(index, slice):
            return Model(Row(self.layers[index]), self.dtype)
        try:
            return self.layers[index]
        except (TypeError, IndexError) as error:
            last = len(self.layers) - 1
            raise type(error)(f"index: expected {-last - 1} to {last}, or a slice of layers, got {index!r}") from None

    @property
    def output_shape(self) -> Shape:
        """The shape of the output, such as ``("N", "T", 8)``, or ``("N", 1)`` without a time axis."""
        return self._shapes[-1]

    def parameters(self) -> list[Parameter]:
        """All parameters, frozen ones too, each with ``name``, ``value`` and ``grad``."""
        return list(self._parameters)

    def named_parameters(self) -> dict[str, Parameter]:
        """The parameters by the number of the layer and the name, such as ``"0.weight_ih_l0"``."""
        return {
            f"{i}.{name}": layer.parameter(name)
            for i, layer in enumerate(self.layers)
            for name in layer.parameter_shapes()
        }

    def buffers(self) -> list[Parameter]:
        """All arrays that are saved with the model but not trained, such as the running mean of a `BatchNorm`."""
        return list(self.named_buffers().values())

    def named_buffers(self) -> dict[str, Parameter]:
        """The buffers by the number of the layer and the name, such as ``"1.running_mean"``."""
        return {
            f"{i}.{name}": layer.buffer(name) for i, layer in enumerate(self.layers) for name in layer.buffer_shapes()
        }

    @property
    def num_parameters(self) -> int:
        """The total size of all parameters."""
        return sum(parameter.size for parameter in self.parameters())

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        for parameter in self._parameters:
            parameter.zero_grad()

    @hints.takes_unknown
    def predict(
        self,
        x: Any,
        batch_size: int = USUAL,
        lengths: Any = None,
        mask: Any = None,
        fill: str = "zero",
        **unknown: Never,
    ) -> Array:
        """The output for all of x, computed batch_size sequences at a time. Threads may call it at the same time.

        Parameters
        ----------
        x : (N, T, F) numbers, or (N, T) tokens
            Or a list of sequences of different lengths, (T, F) numbers or (T,) tokens, whose lengths count. Outputs of
            each step then have as many steps as the longest one.
        batch_size : int, default 256
            Number of sequences in a mini-batch.
        lengths : (N,) ints from 0 to T, optional
            Number of real steps of each sequence; by default T.
        mask : (N, T) bools, or ints 0 and 1, optional
            Which steps are real, instead of lengths. A step that is not keeps the state, and no layer looks at it.
        fill : "zero" or "last", default "zero"
            What a model with an output at each step gives at steps that are not real: what its layers make of zeros, or
            its output at the last real step before, and zeros before the first one.

        Returns
        -------
        y : array of the shape `output_shape`
            A new array.

        Raises
        ------
        TypeError
            If x, lengths or mask are not numbers of the right kind, or batch_size is not a whole number.
        ValueError
            If the shape of x, lengths or mask does not fit, a number is not finite or out of range, batch_size is below
            1, both lengths and mask are given, or fill is none of these, or "last" for a model without an output at
            each step.

        Examples
        --------
        >>> import fastlstm as fl, numpy as np
        >>> fl.Model([fl.LSTM(1, 4)], seed=0).predict(np.ones((2, 3, 1)), lengths=[3, 1])[1, :, 0].round(3).tolist()[1:]
        [0.0, 0.0]
        """
        if mask is not None or fill != "zero" or unknown:
            hints.refuse("Model.predict", unknown)
            return self._masked(x, batch_size, lengths, mask, fill)
        if batch_size is USUAL or (type(batch_size) is int and 0 < batch_size < 1 << 62):
            y: Array | None = self._kept.run(x, lengths, batch_size)
            if y is not None:
                return y
        batch_size = _check.positive_int(batch_size, "batch_size")
        x, lengths = self.as_input(x, lengths)
        output: Array | None = None
        for start in range(0, len(x), batch_size):
            rows = slice(start, start + batch_size)
            out = None if output is None else output[rows]
            y = run_kept(self._kept, self.layers, x[rows], None if lengths is None else lengths[rows], out)
            if len(x) <= batch_size:
                return y
            if output is None:
                output = np.empty((len(x), *y.shape[1:]), y.dtype)
                output[rows] = y
        assert output is not None
        return output

    def _masked(self, x: Any, batch_size: int, lengths: Any, mask: Any, fill: Any) -> Array:
        """`predict` with a mask, or whose outputs are filled."""
        if fill_of(fill) != "zero" and not self._per_step:
            raise ValueError(f"fill: expected 'zero' for a model without an output at each step, got {fill!r}")
        x, own = self.as_input(x, lengths if mask is None else None)
        steps = Steps(lengths if own is None else own, mask, *x.shape[:2])
        y = self.predict(steps.gather(x), batch_size, steps.lengths)
        return steps.scatter(y, fill, own=True) if self._per_step else y

    @hints.takes_unknown
    def __call__(self, x: Any, lengths: Any = None, mask: Any = None, fill: str = "zero", **unknown: Never) -> Array:
        """The same as `predict`."""
        if unknown:
            hints.refuse("Model.__call__", unknown)
        return self.predict(x, lengths=lengths, mask=mask, fill=fill)

    @overload
    def stream(self, batch: int = 1, *, look_ahead: None = None) -> Stream: ...
    @overload
    def stream(self, batch: int = 1, *, look_ahead: int) -> ChunkStream: ...
    @hints.hinted
    def stream(self, batch: int = 1, *, look_ahead: int | None = None) -> Stream | ChunkStream:
        """A running state for sequences that come step by step.

        Parameters
        ----------
        batch : int, default 1
            Number of sequences side by side.
        look_ahead : int, optional
            For models that also read backwards: the outputs of a step are given once so many further steps have come,
            from 0, and the reverse directions begin there. By default nothing waits, and nothing reads backwards.

        Returns
        -------
        Stream, or ChunkStream with a look-ahead

        Raises
        ------
        TypeError
            If batch or look_ahead is not a whole number.
        ValueError
            If batch is below 1 or above 2^40, look_ahead is below 0, or a layer cannot stream: a `Decoder`, or without
            look_ahead one that reads backwards. With look_ahead, also if such a layer stands behind one of your own
            that has a state.
        MemoryError
            If there is no memory for the states of so many sequences.
        """
        batch = _check.positive_int(batch, "batch", MOST_STREAMS)
        if look_ahead is None:
            try:
                return Stream(self.layers, self.input_shape, batch)
            except MemoryError as error:
                raise MemoryError(f"batch: expected memory for the states of {batch} sequences: {error}") from None
        if isinstance(look_ahead, bool) or not isinstance(look_ahead, int | np.integer):
            raise TypeError(f"look_ahead: expected a whole number, got {look_ahead!r}")
        if look_ahead < 0:
            raise ValueError(f"look_ahead: expected at least 0, got {look_ahead}")
        return ChunkStream(self.layers, self.input_shape, self.output_shape[-1], batch, int(look_ahead))

    def summary(self) -> None:
        """Print the layers with their output shapes and numbers of parameters, and how many are frozen, if some are."""
        print(self)

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        rows: list[tuple[object, ...]] = [
            (place, type(layer).__name__, describe(shape), layer.num_parameters)
            for place, layer, shape in rows_of(self.layers, self.input_shape)
        ]
        frozen = sum(parameter.size for parameter in self._parameters if not parameter.trainable)
        caption = f"Model, {self.dtype.name}, {describe(self.input_shape)} to {describe(self.output_shape)}"
        rows += [("", "total", "", self.num_parameters), *([("", "of them frozen", "", frozen)] if frozen else [])]
        return html.table(("", "layer", "output shape", "parameters"), rows, caption)

    def __str__(self) -> str:
        rows = rows_of(self.layers, self.input_shape)
        names = [f"{place} {type(layer).__name__}" for place, layer, _ in rows]
        shapes = [describe(shape) for _, _, shape in rows]
        counts = [f"{layer.num_parameters:,}" for _, layer, _ in rows]
        total = f"{self.num_parameters:,}"
        name_width, shape_width = max(12, *map(len, names)), max(14, *map(len, shapes))
        count_width = max(10, len(total))
        lines = [f"{'layer':{name_width}} {'output shape':{shape_width}} {'parameters':>{count_width}}"]
        rule = "-" * len(lines[0])
        lines.append(rule)
        for name, shape, count in zip(names, shapes, counts, strict=True):
            lines.append(f"{name:{name_width}} {shape:{shape_width}} {count:>{count_width}}")
        lines += [rule, f"{'total':{name_width}} {'':{shape_width}} {total:>{count_width}}"]
        frozen = sum(parameter.size for parameter in self._parameters if not parameter.trainable)
        if frozen:
            for word, size in (("trainable", self.num_parameters - frozen), ("frozen", frozen)):
                lines.append(f"{word:{name_width}} {'':{shape_width}} {size:>{count_width},}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        brought = [id(behind) for layer in self.layers for behind in layer._with_behind()[1:]]
        said = [repr(layer) for layer in self.layers if id(layer) not in brought]
        return f"Model([{', '.join(said)}], dtype={self.dtype.name!r})"
