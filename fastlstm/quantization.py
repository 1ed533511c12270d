"""Fewer bits for the weights of inference, as few as a bound on the error allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm._kernels import cpu
from fastlstm.layers.chain import walk
from fastlstm.layers.decoder import Decoder
from fastlstm.layers.matrix import NARROW, Kind, MatrixLayer, is_narrow
from fastlstm.model import Model

Array = NDArray[Any]

MORE_BITS: dict[Kind, Kind] = {"int8": "int8x16", "int8x16": "bfloat16", "bfloat16": None}
"""What a matrix takes next if its kind costs too much accuracy. Where no inputs are rounded, "int8x16" is "int8"."""


@dataclass(frozen=True)
class Quantized:
    """What `quantize` has done to a model. ``print`` shows it as a table.

    Attributes
    ----------
    weights : dict
        For each matrix, by the place of its layer and the layer's own name for its first parameter, such as
        ``"0.weight_ih_l0"``, its kind: "bfloat16", "int8x16", "int8" or None.
    in_use : dict
        Likewise what this processor computes with: None also where fewer bits would not be faster.
    error : float or None
        The largest difference of an output on the sample from that of the weights as they are, as a share of the range
        of these outputs; None without a sample. A `Decoder` has the tokens before it that the latter choose.
    """

    weights: dict[str, Kind]
    in_use: dict[str, Kind]
    error: float | None

    def __str__(self) -> str:
        wide = max(map(len, self.weights), default=0)
        lines = [
            f"{name:{wide}}  {kind or 'as it is'}{'' if self.in_use[name] == kind else ', used as it is'}"
            for name, kind in self.weights.items()
        ]
        end = (
            "no sample, so the error is not known" if self.error is None else f"{self.error:.3%} of the outputs' range"
        )
        return "\n".join([*lines, f"{'error':{wide}}  {end}"])


@dataclass
class _Matrix:
    """A matrix of a layer: the k-th that its `weights` are for."""

    layer: MatrixLayer
    k: int
    name: str

    @property
    def in_use(self) -> Kind:
        used = "exact" if cpu.isa() == "plain" else self.layer._matrices()[self.k].used()
        return None if used == "exact" else used

    @property
    def more_bits(self) -> Kind:
        """The next kind that differs."""
        further = MORE_BITS[self.kind]
        rounds = self.layer._matrices()[self.k].multiplied and cpu.multiplies("int8x16")
        return MORE_BITS[further] if further == "int8x16" and not rounds else further

    @property
    def kind(self) -> Kind:
        kinds = self.layer.weights
        return kinds[self.k] if isinstance(kinds, list) else kinds

    @kind.setter
    def kind(self, kind: Kind) -> None:
        kinds = self.layer.weights
        new = list(kinds) if isinstance(kinds, list) else [kinds] * len(self.layer._matrices())
        new[self.k] = kind
        self.layer.weights = new


def quantize(
    model: Model, weights: str | None = "int8", *, sample: Any = None, lengths: Any = None, bound: float | None = None
) -> Quantized:
    """Let inference hold the weights of a model with fewer bits: `predict`, `model(x)` and streams become faster.

    Products are taken of the narrow numbers and added up in float32 ("bfloat16") or exactly ("int8", "int8x16"); gates,
    states and all else stay in float32. In int8, each output channel of a matrix has a scale, and so has each row of
    inputs at each step. With "int8x16" weights have 8 bits, and the inputs that they are multiplied with 16. The
    parameters and training stay as they are, so it can be taken back with ``quantize(model, None)``. A saved model
    remembers it. What single layers had before is replaced. It must not be called while another thread uses the model.

    A matrix that would not be faster is used as it is, and so is all on the plain path (``FASTLSTM_ISA=plain``). Where
    the processor has no products of such numbers (see `show_config`), the weights become float32 as they are read, and
    inputs are not rounded.

    Parameters
    ----------
    model : Model
        Of float32. It is changed.
    weights : "int8", "int8x16", "bfloat16" or None, default "int8"
        The fewest bits that a matrix may have; None for the weights as they are.
    sample : array, optional
        Inputs as for `Model.predict`, on which the error is measured.
    lengths : (N,) ints, optional
        Lengths of the sequences of the sample.
    bound : float, optional
        The largest error on the sample, as a share of the outputs' range. Where `weights` would exceed it, the matrix
        that costs most gets more bits, again and again, until it is kept. It needs a sample.

    Returns
    -------
    Quantized
        The kind of each matrix, and the error on the sample.

    Raises
    ------
    TypeError
        If model is no Model, or the sample or the bound is not of the right type.
    ValueError
        If weights is another word, the model is float64 or has no matrix, bound is negative or lacks a sample, the
        sample does not fit, or its outputs are all the same or not finite.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> model = fl.Model([fl.LSTM(8, 64), fl.Last(), fl.Dense(64, 4)], seed=0)
    >>> x = np.random.default_rng(0).normal(size=(32, 20, 8))
    >>> fl.quantize(model, "bfloat16", sample=x).error < 0.01
    True
    >>> fl.quantize(model, "int8", sample=x, bound=0.01).error <= 0.01
    True
    """
    if not isinstance(model, Model):
        raise TypeError(f"model: expected a Model, got {type(model).__name__}")
    if weights is not None and not is_narrow(weights):
        raise ValueError(f"weights: expected one of {NARROW} or None, got {weights!r:.80}")
    if bound is not None:
        bound = _check.number(bound, "bound", 0)
        if sample is None:
            raise ValueError("bound: expected a sample to measure the error on, got none")
    matrices = [
        _Matrix(layer, k, f"{place}.{packed.parameters[0].name.rpartition('.')[2]}")
        for place, layer in walk(model.layers)
        if isinstance(layer, MatrixLayer)
        for k, packed in enumerate(layer._matrices())
    ]
    if weights is not None and model.dtype != np.float32:
        raise ValueError(f"model: expected float32 for weights={weights!r}, got {model.dtype}")
    if not matrices:
        raise ValueError("model: expected a layer with matrices, such as LSTM or Dense, got none")
    before = [matrix.kind for matrix in matrices]
    try:
        error = _choose(model, matrices, weights, sample, lengths, bound)
    except BaseException:
        _set(matrices, before)
        raise
    kinds, in_use = {one.name: one.kind for one in matrices}, {one.name: one.in_use for one in matrices}
    return Quantized(kinds, in_use, error)


def _choose(
    model: Model, matrices: list[_Matrix], weights: Kind, sample: Any, lengths: Any, bound: float | None
) -> float | None:
    """Set the kinds of all matrices. Returns the error on the sample, if there is one."""
    if sample is None:
        _set(matrices, [weights] * len(matrices))
        return None
    _set(matrices, [None] * len(matrices))
    exact = _outputs(model, sample, lengths)
    tokens = None
    if isinstance(model.layers[-1], Decoder):  # else a token that is chosen otherwise changes all that follow
        tokens = exact.argmax(-1)
        exact = _outputs(model, sample, lengths, tokens)
    span = float(np.ptp(exact))
    if not 0 < span < np.inf:
        raise ValueError(
            f"sample: expected finite outputs that differ, got a range of {span:g} from the weights as they are"
        )

    def error() -> float:
        found = float(np.max(np.abs(_outputs(model, sample, lengths, tokens) - exact))) / span
        return found if found >= 0 else float("inf")  # where some are NaN

    def alone(matrix: _Matrix, kind: Kind) -> float:
        """The error if only this matrix is of this kind."""
        kinds = [one.kind for one in matrices]
        _set(matrices, [kind if one is matrix else None for one in matrices])
        found = error()
        _set(matrices, kinds)
        return found

    _set(matrices, [weights] * len(matrices))
    found = error()
    if bound is None or found <= bound:
        return found
    costs = [alone(matrix, weights) for matrix in matrices]
    while found > bound:
        worst = int(np.argmax(costs))
        if costs[worst] < 0:
            raise ValueError(f"bound: the model itself gives other outputs each time, which differ by {found:g}")
        matrix = matrices[worst]
        matrix.kind = matrix.more_bits
        costs[worst] = -1.0 if matrix.kind is None else alone(matrix, matrix.kind)
        found = error()
    return found


def _set(matrices: list[_Matrix], kinds: list[Kind]) -> None:
    for matrix, kind in zip(matrices, kinds, strict=True):
        matrix.kind = kind


def _outputs(model: Model, sample: Any, lengths: Any, tokens: Array | None = None) -> Array:
    """The outputs at real steps, in float64; of a decoder that has these tokens (N, S) before it, if they are given."""
    if tokens is not None:
        tape, decoder = model.tape(), model.layers[-1]
        assert isinstance(decoder, Decoder)
        decoder._teach(tokens, tape.workspaces[-1])
        return model.forward(sample, tape, lengths=lengths).astype(float)
    y = model.predict(sample, lengths=lengths).astype(float)
    real = None if lengths is None else model.output_lengths(lengths)
    return y if real is None or y.ndim < 3 else y[np.arange(y.shape[1]) < real[:, None]]
