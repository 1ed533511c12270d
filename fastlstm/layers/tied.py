"""The tied dense layer: a linear map with the weights of an embedding."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from fastlstm.layers.base import Layer
from fastlstm.layers.dense import Dense
from fastlstm.layers.embedding import Embedding
from fastlstm.layers.matrix import Kinds
from fastlstm.layers.packed import PackedMatrix
from fastlstm.layers.settings import Settings
from fastlstm.parameter import Parameter


class TiedDense(Dense):
    """Scores of all tokens, y = x Eᵀ + b, where E are the vectors of an embedding earlier in the model.

    A language model with tied weights has fewer parameters and is often better (Press and Wolf 2017; Inan et al. 2017).
    E is a parameter of the embedding only: the gradients of both layers are added up in it.

    Parameters
    ----------
    embedding : Embedding
        The layer whose ``weight`` is used. x has ``output_size`` features, y has ``num_tokens``.
    bias : bool, default True
        Whether there is a b, the layer's own, with a number for each token.
    dtype : "float32", "float64" or None
        None takes that of the embedding.
    seed : int, optional
        Seed of the starting values; by default from the model.
    weights : "bfloat16", "int8x16", "int8" or None, default None
        How inference holds the weights; see `fastlstm.quantize`. None is as they are.
    **settings
        How parameters start, ``init``, their ``regularizers`` and ``constraints``, and which are ``trainable``; see
        `fastlstm.layers.settings.Settings`. They are about the bias: E is told of in its embedding.

    Raises
    ------
    TypeError
        If embedding is no Embedding.
    ValueError
        From the model, if the embedding does not come before this layer.

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

    def __init__(
        self,
        embedding: Embedding,
        *,
        bias: bool = True,
        dtype: Any = None,
        seed: int | None = None,
        weights: Kinds = None,
        **settings: Unpack[Settings],
    ) -> None:
        if not isinstance(embedding, Embedding):
            raise TypeError(f"embedding: expected an Embedding, got {embedding!r}")
        super().__init__(embedding.output_size, embedding.num_tokens, bias=bias, dtype=dtype, seed=seed, **settings)
        self.embedding = embedding
        self._shared = embedding._parameters["weight"]
        del self._parameters["weight"]
        self._packed = PackedMatrix(self._shared, self._parameters.get("bias"))
        self.weights = weights

    def _shares(self) -> list[Layer]:
        return [self.embedding]

    def build(self, dtype: Any = None, rng: np.random.Generator | None = None) -> None:
        self.embedding.build(self._dtype or dtype)
        if self._dtype is None:
            self._dtype = self.embedding.dtype
        if self._dtype != self.embedding.dtype:
            raise ValueError(f"dtype: expected {self.embedding.dtype}, that of the embedding, got {self._dtype}")
        super().build(dtype, rng)

    def parameter(self, name: str) -> Parameter:
        """A parameter by the layer's own name for it. ``"weight"`` is that of the embedding."""
        self.build()
        return self._shared if name == "weight" else self._parameters[name]

    def config(self) -> dict[str, Any]:
        return {"embedding": self.embedding, "bias": self.bias, **self.settings()}
