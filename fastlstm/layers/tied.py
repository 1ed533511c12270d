"""A linear map with the weights of an embedding."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm.layers.base import Layer
from fastlstm.layers.dense import Dense
from fastlstm.layers.embedding import Embedding
from fastlstm.layers.packed import PackedMatrix
from fastlstm.parameter import Parameter


class TiedDense(Dense):
    """Scores of all tokens, y = x Eᵀ + b, where E are the vectors of an embedding that stands earlier in the model.

    A language model that ties both has fewer parameters and is often better (Press and Wolf 2017; Inan et al. 2017). E
    is one parameter, the embedding's: the gradients of both places add up in it.

    Parameters
    ----------
    embedding : Embedding
        The layer whose ``weight`` is used: what comes in has its ``output_size``, what goes out its ``num_tokens``.
    bias : bool, default True
        One for each token, the layer's own.

    Raises
    ------
    ValueError
        By the model, if the embedding does not stand before this layer in it.

    Examples
    --------
    >>> import fastlstm as fl
    >>> embedding = fl.Embedding(100, 16)
    >>> model = fl.Model([embedding, fl.LSTM(16, 16), fl.TiedDense(embedding)], seed=0)
    >>> model.predict([[3, 1, 4]]).shape
    (1, 3, 100)
    >>> [parameter.name for parameter in model.parameters()][-1]
    '2.bias'
    """

    def __init__(self, embedding: Embedding, *, bias: bool = True, dtype: Any = None, seed: int | None = None) -> None:
        if not isinstance(embedding, Embedding):
            raise TypeError(f"embedding: expected an Embedding, got {embedding!r}")
        super().__init__(embedding.output_size, embedding.num_tokens, bias=bias, dtype=dtype, seed=seed)
        self.embedding = embedding
        self._shared = embedding._parameters["weight"]
        del self._parameters["weight"]
        self._packed = PackedMatrix(self._shared, self._parameters.get("bias"))

    def shares(self) -> list[Layer]:
        return [self.embedding]

    def build(self, dtype: Any = None, rng: np.random.Generator | None = None) -> None:
        self.embedding.build(self._dtype or dtype)
        if self._dtype is None:
            self._dtype = self.embedding.dtype
        if self._dtype != self.embedding.dtype:
            raise ValueError(f"dtype: expected {self.embedding.dtype}, that of the embedding, got {self._dtype}")
        super().build(dtype, rng)

    def parameter(self, name: str) -> Parameter:
        """One parameter by the layer's own name for it; ``"weight"`` is the embedding's."""
        self.build()
        return self._shared if name == "weight" else self._parameters[name]

    def config(self) -> dict[str, Any]:
        return {"embedding": self.embedding, "bias": self.bias}
