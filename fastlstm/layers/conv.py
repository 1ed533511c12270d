"""The convolution over time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Unpack

import numpy as np

from fastlstm import _check, init
from fastlstm._check import Shape
from fastlstm._kernels import blas, cpu
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.rows import gather, scatter_add
from fastlstm._kernels.stage import Stage
from fastlstm._kernels.steps import take_steps
from fastlstm.layers.base import Array, Index, as_rows, check_features
from fastlstm.layers.matrix import Kinds, MatrixLayer
from fastlstm.layers.packed import Packed, PackedMatrix, worth_training
from fastlstm.layers.settings import Settings
from fastlstm.layers.windows import Padding, Windows, stages_of_stream, told, windows_of
from fastlstm.workspace import Workspace


class PackedKernels(PackedMatrix):
    """The packed kernels (O, I, K) of a convolution, as a matrix (O, K·I) for windows of whole steps."""

    def matrix(self) -> Array:
        return by_steps(super().matrix())

    @property
    def sizes(self) -> tuple[int, int]:
        outputs, inputs, steps = self._weight.shape
        return outputs, inputs * steps


class Conv1d(MatrixLayer):
    """A convolution over time, (N, T, I) to (N, T', O).

    y[t] = b + Σ_k W[:, :, k] x[s·t + d·k - p], with s the stride, d the dilation and p the padding at the beginning:
    a cross-correlation, as in PyTorch, Keras and ONNX, whose groups are not there. Each sequence of a batch with
    lengths is that sequence alone: what lies beyond its end reads as zeros, and it has as many real outputs as alone
    (see `Model.output_lengths`).

    Parameters
    ----------
    input_size : int
        I, the number of features of x.
    output_size : int
        O, the number of features of y. The parameter ``weight`` (O, I, K) starts from `init.glorot_uniform` of a matrix
        (O, I·K), ``bias`` (O) from zeros.
    kernel_size : int
        K, the number of steps that an output sees.
    stride : int, default 1
        Steps from one output to the next.
    dilation : int, default 1
        Steps from one that an output sees to the next.
    padding : "valid", "same", "causal", int or pair of ints, default "valid"
        Steps of zeros around each sequence. "valid": none. "same": so many on both sides that T' is T / stride, rounded
        up; an odd one stands at the end. "causal": (K - 1)·dilation before the first step, so that an output sees no
        later step. Otherwise their number, at both sides or before and behind.
    padding_mode : "zeros", "reflect", "replicate" or "circular", default "zeros"
        What padding shows: zeros, the sequence reflected at its first and last step, these steps again, or the other
        end of the sequence. As in PyTorch; of a sequence that is too short to be reflected the rest are zeros.
    bias : bool, default True
        Whether there is a b.
    dtype : "float32", "float64" or None
        None takes the model's.
    seed : int, optional
        Seed of the starting values; by default from the model.
    weights : "bfloat16", "int8x16", "int8" or None, default None
        How inference holds the weights; see `fastlstm.quantize`. None is as they are.
    **settings
        How parameters start, ``init``, their ``regularizers`` and ``constraints``, and which are ``trainable``; see
        `fastlstm.layers.settings.Settings`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of the right kind or out of range. From a call, if an output sees more steps than there
        are.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> fl.Conv1d(3, 8, kernel_size=5, stride=2, padding="same", seed=0)(np.ones((2, 9, 3))).shape
    (2, 5, 8)
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        padding: Padding = "valid",
        padding_mode: str = "zeros",
        bias: bool = True,
        dtype: Any = None,
        seed: int | None = None,
        weights: Kinds = None,
        **settings: Unpack[Settings],
    ) -> None:
        super().__init__(dtype, seed, **settings)
        self.input_size = _check.positive_int(input_size, "input_size")
        self.output_size = _check.positive_int(output_size, "output_size")
        self.windows = windows_of(kernel_size, stride, dilation, padding, padding_mode)
        self.padding, self.bias = told(padding), _check.flag(bias, "bias")
        self.input_shape = ("N", "T", self.input_size)
        size = self.windows.size
        self.add("weight", (self.output_size, self.input_size, size), init.glorot_uniform, fan=self.input_size * size)
        if bias:
            self.add("bias", (self.output_size,), init.zeros, fan=self.input_size * size)
        self._packed = PackedKernels(self._parameters["weight"], self._parameters.get("bias"))
        self.weights = weights

    def _matrices(self) -> list[Packed]:
        return [self._packed]

    def output_shape(self, shape: Shape) -> Shape:
        check_features(shape, self.input_size)
        return self.windows.output_shape(shape, self.output_size, "Conv1d")

    def output_lengths(self, lengths: Index) -> Index:
        return self.windows.output_lengths(lengths)

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        tape.notes["past"] = 0
        if tape.carries and self.windows.reach:
            return self._carry_on(x, tape, training=training, lengths=lengths)
        return self._forward(x, self.windows, tape, training=training, lengths=lengths)

    def _forward(self, x: Array, windows: Windows, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        places = windows.kept(len(x), x.shape[1], lengths, tape)
        columns, y = self._room(x, places, tape)
        seen(x, places, columns)
        tape.notes["shape"], tape.notes["seen"] = x.shape, places
        if training or cpu.isa() == "plain":
            bias = self.parameter("bias").value if self.bias else np.empty(0, x.dtype)
            blas.affine(columns, self._matrix(tape), bias, as_rows(y), self._format(tape))
        else:
            self._packed.prepare(columns, as_rows(y), tape).go()
        return y

    def _carry_on(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        """`forward` behind the last real steps of the pass before, and its own kept for the next one."""
        reach, steps = self.windows.reach, x.shape[1]
        past = tape.lasting.get("running", [np.zeros((reach, len(x), self.input_size), x.dtype)])[0]
        whole = tape.array("whole", (len(x), reach + steps, self.input_size), x.dtype)
        whole[:, :reach], whole[:, reach:] = past.transpose(1, 0, 2), x
        last = np.arange(reach)[:, None] + (steps if lengths is None else lengths)
        tape.lasting["running"] = (whole[np.arange(len(x)), last],)
        tape.notes["past"] = reach
        more = None if lengths is None else lengths + reach
        return self._forward(whole, self._of_stream, tape, training=training, lengths=more)

    def _room(self, x: Array, places: Index, tape: Workspace) -> tuple[Array, Array]:
        """The arrays of what the windows see, (N·T', K·I), and of the output."""
        n, count, size = places.shape
        columns = tape.array("columns", (n * count, size * self.input_size), x.dtype)
        return columns, tape.array("y", (n, count, self.output_size), x.dtype)

    def _matrix(self, tape: Workspace) -> Array:
        """The kernels as `PackedKernels` has them."""
        weight = self.parameter("weight").read()
        outputs, inputs, size = weight.shape
        matrix = tape.array("matrix", (outputs, size * inputs), weight.dtype)
        matrix.reshape(outputs, size, inputs)[...] = weight.transpose(0, 2, 1)
        return matrix

    def _format(self, tape: Workspace) -> str:
        """The format in which training takes products; "exact" on the plain path."""
        if self.output_size == 1:  # a single column is an inner product
            return "exact"
        return worth_training(tape.precision, self._dtype, *self._packed.sizes)

    def _prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array] | None:
        if cpu.isa() == "plain" or order is not None or not x.flags.c_contiguous:
            return None
        windows = self._of_stream if streaming else self.windows
        steps = x.shape[1] + (windows.reach if streaming else 0)
        places = windows.places(len(x), steps, None)
        columns, y = self._room(x, places, tape)

        looking = stages_of_stream(x, places, columns, tape.notes["stream"]) if streaming else []
        looking = looking or [take_steps(as_rows(x), places.reshape(-1), columns.reshape(-1, self.input_size))]
        return [*looking, self._packed.prepare(columns, as_rows(y), tape)], y

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        n, t, inputs = tape.notes["shape"]
        places = tape.notes["seen"]
        columns, _ = self._room(dy, places, tape)
        weight, bias = self.parameter("weight"), self.parameter("bias") if self.bias else None
        dcolumns = tape.array("dcolumns", columns.shape if input_gradient else (0, columns.shape[1]), dy.dtype)
        matrix, rows, format = self._matrix(tape), as_rows(np.ascontiguousarray(dy)), self._format(tape)
        none = np.empty(0, dy.dtype)
        learned = bias if bias is not None and bias.trainable else None
        if weight.trainable:
            dmatrix = tape.array("dmatrix", matrix.shape, dy.dtype)
            dbias, add = (none, True) if learned is None else learned.accumulator()
            blas.affine_backward(rows, columns, matrix, dmatrix, dbias, dcolumns, False, add, format)
            grad = weight.grad
            grad += dmatrix.reshape(len(grad), -1, inputs).transpose(0, 2, 1)
        else:
            if learned is not None:
                learned.grad[...] += rows.sum(0)
            if input_gradient:
                blas.affine(rows, np.ascontiguousarray(matrix.T), none, dcolumns, format)
        if not input_gradient:
            return None
        dx = tape.array("dx", (n * t + 1, inputs), dy.dtype)  # the last row is that of the padding
        scatter_add(dcolumns.reshape(-1, inputs), np.where(places < 0, n * t, places).reshape(-1), dx, False)
        past: int = tape.notes["past"]  # steps of the pass before, to which no gradient goes
        return np.ascontiguousarray(dx[:-1].reshape(n, t, inputs)[:, past:])

    @property
    def _of_stream(self) -> Windows:
        """The windows over the steps of a block and those before it that they see."""
        return replace(self.windows, sides=(0, 0))

    @property
    def _how(self) -> str:
        return (
            f"stride={self.windows.stride}, padding={self.padding!r} and padding_mode={self.windows.mode!r}: an output "
            "for each step as it comes needs stride=1, padding='causal' and zeros"
        )

    def start(self, batch: int, tape: Workspace) -> None:
        if not self.windows.is_causal:
            raise ValueError(f"Conv1d cannot stream with {self._how}")
        self.build()
        tape.notes["stream"] = np.zeros((self.windows.reach, batch, self.input_size), self.dtype)

    def step(self, x: Array, tape: Workspace) -> Array:
        return self._forward(self._with_past(x, tape), self._of_stream, tape, training=False, lengths=None)

    def _with_past(self, x: Array, tape: Workspace) -> Array:
        """The next steps of a stream behind those before them that windows still see; the last ones are kept."""
        past = tape.notes["stream"]
        whole = tape.array("whole", (len(x), len(past) + x.shape[1], x.shape[2]), x.dtype)
        whole[:, : len(past)] = past.transpose(1, 0, 2)
        whole[:, len(past) :] = x
        past[...] = whole[:, x.shape[1] :].transpose(1, 0, 2)
        return whole

    def reset(self, rows: Any, tape: Workspace) -> None:
        tape.notes["stream"][:, np.arange(tape.notes["stream"].shape[1])[rows].reshape(-1)] = 0

    def running_kinds(self, batch: int, shape: Shape) -> dict[str, tuple[Shape, Any]]:
        self.build()
        reach = self.windows.reach
        return {"inputs": ((reach, batch, self.input_size), self.dtype)} if reach else {}

    def running(self, tape: Workspace) -> dict[str, Array]:
        past = tape.notes["stream"]
        return {"inputs": past.copy()} if len(past) else {}

    def go_on(self, state: dict[str, Array], tape: Workspace) -> None:
        if state:
            tape.notes["stream"][...] = state["inputs"]

    def carry(self, index: Index, tape: Workspace) -> None:
        if not self.windows.is_causal:
            raise ValueError(f"Conv1d cannot carry a state with {self._how}")
        if "running" in tape.lasting:
            (past,) = tape.lasting["running"]
            tape.lasting["running"] = (np.where((index < 0)[:, None], past.dtype.type(0), past[:, index]),)

    def _carried_shapes(self, n: int) -> list[tuple[int, ...]]:
        reach = self.windows.reach
        return [(reach, n, self.input_size)] if reach else []

    def config(self) -> dict[str, Any]:
        return {
            "input_size": self.input_size,
            "output_size": self.output_size,
            "kernel_size": self.windows.size,
            "stride": self.windows.stride,
            "dilation": self.windows.dilation,
            "padding": self.padding,
            **({} if self.windows.mode == "zeros" else {"padding_mode": self.windows.mode}),
            "bias": self.bias,
            **self.settings(),
        }


def by_steps(weight: Array) -> Array:
    """Kernels (O, I, K) as a matrix (O, K·I)."""
    return np.ascontiguousarray(weight.transpose(0, 2, 1)).reshape(len(weight), -1)


def seen(x: Array, places: Index, columns: Array) -> Array:
    """Write the rows of x that windows see, which are zeros where they see padding, to the columns."""
    gather(as_rows(x), places.reshape(-1), columns.reshape(-1, x.shape[-1]))
    return columns
