"""The base of layers that multiply by matrices, whose weights inference may hold with fewer bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm._kernels import cpu
from fastlstm.layers.base import Layer
from fastlstm.layers.packed import Packed

Kind = str | None
"""How inference holds the weights of a matrix: None as they are, or one of `NARROW`."""

Kinds = Kind | Sequence[Kind]
"""One for all matrices of a layer, or one for each."""

NARROW = cpu.NARROW


class MatrixLayer(Layer, abstract=True):
    """Base of layers with packed matrices. A subclass writes `_matrices`, and sets `weights` when it has them."""

    def _matrices(self) -> list[Packed]:
        """The packed matrices; those of recurrent layers by layer and direction: 0, 0 reverse, 1, ..."""
        raise NotImplementedError(f"{type(self).__name__} must write packed")

    @property
    def weights(self) -> Kind | list[Kind]:
        """How inference holds the weights: None as they are, "bfloat16", "int8x16" or "int8" with fewer bits.

        It is a list, one for each of `_matrices`, if they differ. It must not be changed while the layer runs. See
        `fastlstm.quantize`.
        """
        kinds = self._kinds()
        return kinds[0] if len({*kinds}) == 1 else kinds

    @weights.setter
    def weights(self, kind: Kinds) -> None:
        packed = self._matrices()
        one = kind is None or isinstance(kind, str)
        kinds: list[Any] = [kind] * len(packed) if one else _check.items(kind, "weights", "kinds")
        for each in kinds:
            if each is not None and not is_narrow(each):
                raise ValueError(f"weights: expected one of {NARROW} or None, got {each!r:.80}")
        if len(kinds) != len(packed):
            raise ValueError(f"weights: expected one kind, or one for each of {len(packed)} matrices, got {kind!r:.80}")
        _check_dtype(kinds, self._dtype)
        for own, each in zip(packed, kinds, strict=True):
            if own.format != (each or "exact"):
                own.format = "exact" if each is None else str(each)
                for parameter in own.parameters:
                    parameter.touch()  # prepared passes then look again

    def _kinds(self) -> list[Kind]:
        return [None if own.format == "exact" else own.format for own in self._matrices()]

    def build(self, dtype: Any = None, rng: np.random.Generator | None = None) -> None:
        if not self._built:
            _check_dtype(self._kinds(), self._dtype or dtype)
        super().build(dtype, rng)

    def load_parameters(self, arrays: dict[str, Any], dtype: Any) -> None:
        _check_dtype(self._kinds(), dtype)
        super().load_parameters(arrays, dtype)

    def _shown(self) -> dict[str, Any]:
        return self.config() if self.weights is None else {**self.config(), "weights": self.weights}


def is_narrow(kind: Any) -> bool:
    """Whether it is the word for a kind with fewer bits."""
    return isinstance(kind, str) and kind in NARROW


def _check_dtype(kinds: list[Kind], dtype: Any) -> None:
    """Require that only float32 has fewer bits."""
    if any(kinds) and dtype is not None and _check.dtype_of(dtype) == np.float64:
        raise ValueError(f"weights: expected None for a layer in float64, got {next(filter(None, kinds))!r}")
