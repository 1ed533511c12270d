"""Attention pooling: all steps of a sequence in one vector, by a mean with learned weights."""

from __future__ import annotations

from typing import Any, Literal, Unpack

import numpy as np

from fastlstm import _check, init
from fastlstm._check import Shape
from fastlstm._kernels import activations, blas
from fastlstm.layers.base import Array, Index, as_rows, check_features, clear_empty
from fastlstm.layers.dense import backward_of_rows
from fastlstm.layers.pooling import Pooling, pieces
from fastlstm.layers.settings import Settings
from fastlstm.masking import Steps
from fastlstm.workspace import Workspace


class AttentionPool(Pooling):
    """(N, T, F) to (N, F): a weighted mean of the real steps of each sequence. The weights depend on the steps.

    Additive attention (Bahdanau et al. 2015) with a learned context vector v instead of a query (Yang et al. 2016)::

        score_t = v · tanh(W x_t + b)     a = softmax(score)     y = sum over t of a_t x_t

    With ``score="linear"`` the score is v · x_t alone.

    Parameters
    ----------
    input_size : int
        F, the number of features of a step.
    attention_size : int, optional
        A, the number of rows of W; by default F. The parameters are ``weight``, W (A, F), ``bias``, b (A), and
        ``context``, v (1, A). With a linear score it is not given, and ``context`` (1, F) is the one parameter.
    score : "additive" or "linear", default "additive"
        How the score of a step comes of it.
    dtype : "float32", "float64" or None
        None takes the model's.
    seed : int, optional
        Seed of the starting values; by default from the model.
    **settings
        How parameters start, ``init``, their ``regularizers`` and ``constraints``, and which are ``trainable``; see
        `fastlstm.layers.settings.Settings`.

    Raises
    ------
    TypeError, ValueError
        If a size is no whole number from 1, score is none of both, or attention_size is given with a linear score.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> model = fl.Model([fl.LSTM(3, 8), fl.AttentionPool(8), fl.Dense(8, 2)], seed=0)
    >>> x = np.random.default_rng(0).normal(size=(5, 7, 3))
    >>> model.predict(x).shape
    (5, 2)
    >>> steps = fl.Model(model.layers[:1]).predict(x)  # what the pool sees
    >>> model.layers[1].weights(steps).shape
    (5, 7)
    """

    _parts = ("total", "largest", "divisor")

    def __init__(
        self,
        input_size: int,
        attention_size: int | None = None,
        *,
        score: Literal["additive", "linear"] = "additive",
        dtype: Any = None,
        seed: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        super().__init__(dtype, seed, **settings)
        if not isinstance(score, str) or score not in ("additive", "linear"):
            raise ValueError(f"score: expected 'additive' or 'linear', got {score!r:.80}")
        if score == "linear" and attention_size is not None:
            raise ValueError(f"attention_size: expected none with score='linear', got {attention_size!r:.80}")
        self.score = score
        self.input_size = _check.positive_int(input_size, "input_size")
        self.attention_size = (
            self.input_size if attention_size is None else _check.positive_int(attention_size, "attention_size")
        )
        self.input_shape = ("N", "T", self.input_size)
        if score == "additive":
            self.add("weight", (self.attention_size, self.input_size), init.glorot_uniform)
            self.add("bias", (self.attention_size,), init.zeros, fan=self.input_size)
        self.add("context", (1, self.attention_size), init.glorot_uniform)

    def output_shape(self, shape: Shape) -> Shape:
        check_features(shape, self.input_size)
        return super().output_shape(shape)

    def weights(self, x: Any, lengths: Any = None, *, mask: Any = None) -> Array:
        """The weight of each step, (N, T): from 0, with a sum of 1 for each sequence with a step, and 0 in the padding.

        Parameters
        ----------
        x : (N, T, F)
            The input of the layer: the outputs of the layer before it.
        lengths : (N,) ints from 0 to T, optional
            Number of real steps of each sequence.
        mask : (N, T) bools, or ints 0 and 1, optional
            Which steps are real, instead of lengths.
        """
        x = self.as_input(x)
        steps = Steps(lengths, mask, *x.shape[:2])
        return steps.scatter(self._weights(steps.gather(x), Workspace(0), steps.lengths))

    def _weights(self, x: Array, tape: Workspace, lengths: Index | None) -> Array:
        scores = self._scores(x, tape)
        if lengths is not None:
            np.copyto(scores, -np.inf, where=np.arange(x.shape[1]) >= np.maximum(lengths, 1)[:, None])
        activations.softmax(scores, scores)
        clear_empty(scores, lengths)
        return scores

    def _scores(self, x: Array, tape: Workspace) -> Array:
        """The scores, (N, T). tanh(W x + b) is left in the tape."""
        n, t, _ = x.shape
        scores = tape.array("scores", (n * t, 1), x.dtype)
        hidden = as_rows(x) if self.score == "linear" else self._hidden(as_rows(x), tape)
        blas.affine(hidden, self.parameter("context").value, np.empty(0, x.dtype), scores)
        return scores.reshape(n, t)

    def _hidden(self, x: Array, tape: Workspace) -> Array:
        hidden = tape.array("hidden", (len(x), self.attention_size), x.dtype)
        blas.affine(x, self.parameter("weight").value, self.parameter("bias").value, hidden)
        activations.activate("tanh", hidden.reshape(-1), hidden.reshape(-1))
        return hidden

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        x = np.ascontiguousarray(x)
        weights = self._weights(x, tape, lengths)
        tape.notes["x"], tape.notes["weights"], tape.notes["lengths"] = x, weights, lengths
        y = tape.array("y", (x.shape[0], self.input_size), x.dtype)
        clear_empty(y, lengths)
        for rows, length in pieces(x.shape, lengths):
            np.einsum("nt,ntf->nf", weights[rows, :length], x[rows, :length], out=y[rows])
        return y

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        x, weights = tape.notes["x"], tape.notes["weights"]
        dscores = tape.zeros("dscores", weights.shape, x.dtype)
        for rows, length in pieces(x.shape, tape.notes["lengths"]):
            np.einsum("nf,ntf->nt", dy[rows], x[rows, :length], out=dscores[rows, :length])
        dscores -= np.einsum("nt,nt->n", dscores, weights)[:, None]
        dscores *= weights
        dx = tape.array("dx", x.shape if input_gradient else (0, self.input_size), x.dtype)
        self._backward_of_scores(dscores.reshape(-1, 1), as_rows(x), as_rows(dx), tape)
        if not input_gradient:
            return None
        direct = tape.array("direct", x.shape, x.dtype)
        np.multiply(weights[:, :, None], dy[:, None], out=direct)
        dx += direct
        return dx

    def _backward_of_scores(self, dscores: Array, x: Array, dx: Array, tape: Workspace) -> None:
        """Write dx (R, F), and add the gradients of the parameters, from that by the scores (R, 1)."""
        if self.score == "linear":
            backward_of_rows(dscores, x, dx, self.parameter("context"), None)
            return
        hidden = tape.array("hidden", (len(x), self.attention_size), x.dtype)
        dhidden = tape.array("dhidden", hidden.shape, x.dtype)
        backward_of_rows(dscores, hidden, dhidden, self.parameter("context"), None)
        np.multiply(hidden, hidden, out=hidden)
        np.subtract(1, hidden, out=hidden)
        np.multiply(dhidden, hidden, out=dhidden)  # tanh' = 1 - tanh²
        backward_of_rows(dhidden, x, dx, self.parameter("weight"), self.parameter("bias"))

    def _begin(self, n: int, features: int) -> tuple[Array, ...]:
        return np.zeros((n, features)), np.full((n, 1), np.finfo(np.float64).min), np.zeros((n, 1))

    def _advance(self, x: Array, *state: Array) -> Array:
        """The pool of all steps so far. Sums have exp(score - largest score so far), to avoid overflow.

        Milakov and Gimelshein 2018.
        """
        total, largest, divisor = state
        score = self._scores(np.ascontiguousarray(x)[:, None], Workspace(0))
        before, largest[...] = largest.copy(), np.maximum(largest, score)
        for running, new in ((total, x), (divisor, 1)):
            running *= np.exp(before - largest)
            running += np.exp(score - largest) * new
        return total / divisor

    def config(self) -> dict[str, Any]:
        size = {"attention_size": self.attention_size} if self.score == "additive" else {"score": self.score}
        return {"input_size": self.input_size, **size, **self.settings()}
