"""The embedding: a vector for each token."""

from __future__ import annotations

from typing import Any, Unpack

from fastlstm import _check, init
from fastlstm._check import Shape
from fastlstm._kernels import rows
from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.stage import Stage
from fastlstm.layers.base import Array, Index, as_rows
from fastlstm.layers.matrix import Kinds, MatrixLayer
from fastlstm.layers.packed import Packed, PackedTable
from fastlstm.layers.settings import Settings
from fastlstm.workspace import Workspace


class Embedding(MatrixLayer):
    """Tokens (N, T), whole numbers from 0 to num_tokens - 1, to vectors (N, T, output_size).

    Parameters
    ----------
    num_tokens : int
        Size of the vocabulary.
    output_size : int
        Size of a vector. The vectors are the parameter ``weight`` (num_tokens, output_size), which starts uniform
        within ±0.05.
    dtype : "float32", "float64" or None
        None takes the model's.
    seed : int, optional
        Seed of the starting values; by default from the model.
    weights : "bfloat16", "int8x16", "int8" or None, default None
        How inference holds the vectors; see `fastlstm.quantize`. "int8x16" is as "int8", for nothing is multiplied.
    **settings
        How parameters start, ``init``, their ``regularizers`` and ``constraints``, and which are ``trainable``; see
        `fastlstm.layers.settings.Settings`.

    Examples
    --------
    >>> import fastlstm as fl
    >>> fl.Embedding(100, 8, seed=0)([[3, 1, 4]]).shape
    (1, 3, 8)
    """

    takes_tokens = True
    input_shape = ("N", "T")

    def __init__(
        self,
        num_tokens: int,
        output_size: int,
        *,
        dtype: Any = None,
        seed: int | None = None,
        weights: Kinds = None,
        **settings: Unpack[Settings],
    ) -> None:
        super().__init__(dtype, seed, **settings)
        self.num_tokens = _check.positive_int(num_tokens, "num_tokens")
        self.output_size = _check.positive_int(output_size, "output_size")
        self.add("weight", (self.num_tokens, self.output_size), init.uniform)
        self._packed = PackedTable(self._parameters["weight"])
        self.weights = weights

    def _matrices(self) -> list[Packed]:
        return [self._packed]

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 2:
            raise ValueError(f"Embedding takes tokens (N, T) and must be the first layer, got {_check.describe(shape)}")
        return (*shape, self.output_size)

    def as_input(self, x: Any, name: str = "x", shape: Shape | None = None) -> Array:
        self.build()
        return _check.int_array(x, name, shape or self.input_shape, 0, self.num_tokens - 1)

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        tape.notes["x"] = x
        y = tape.array("y", (*x.shape, self.output_size), self.dtype)
        if training or not x.size:
            rows.gather(self.parameter("weight").value, x.reshape(-1), as_rows(y))
        else:
            self._packed.prepare(x.reshape(-1), as_rows(y)).go()
        return y

    def _prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array]:
        y = tape.array("y", (*x.shape, self.output_size), self.dtype)
        return [self._packed.prepare(x.reshape(-1), as_rows(y))], y

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> None:
        if not self.parameter("weight").trainable:
            return
        dweight, add = self.parameter("weight").accumulator()
        rows.scatter_add(as_rows(dy), tape.notes["x"].reshape(-1), dweight, add)

    def config(self) -> dict[str, Any]:
        return {"num_tokens": self.num_tokens, "output_size": self.output_size, **self.settings()}
