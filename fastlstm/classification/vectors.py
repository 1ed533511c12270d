"""Vectors of words, learned from their neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.classification.vocabulary import PADDING

Array = NDArray[Any]

WINDOW = 5
"""Words on each side that count as neighbours."""

SMOOTHING = 0.75
"""Exponent of the frequencies of the neighbours. It keeps rare neighbours from having too much weight."""


def word_vectors(texts: Sequence[Array], tokens: int, size: int, seed: int = 0) -> Array:
    """Vectors of words: words with the same neighbours have similar vectors.

    A matrix tells how much more often than by chance two words are within five words of each other: it has
    log(p(a, b) / (p(a) p(b))) where that is positive, else 0. The vectors are its first singular vectors times the
    square roots of the singular values (Levy, Goldberg and Dagan 2015), computed by random projections (Halko et al.
    2011).

    Parameters
    ----------
    texts : list of (T,) tokens
    tokens : int
        Size of the vocabulary.
    size : int
        Size of a vector.
    seed : int, default 0
        Seed of the projections.

    Returns
    -------
    (tokens, size) float32
        Scaled to a standard deviation of 0.1. Tokens that do not occur, and dimensions beyond the rank of the matrix,
        have zeros up to rounding.

    Raises
    ------
    TypeError, ValueError
        If tokens or size is not a whole number from 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.classification import word_vectors
    >>> word_vectors([np.array([2, 3, 2, 4]), np.array([4, 3])], tokens=5, size=2).shape
    (5, 2)
    """
    tokens, size = _check.positive_int(tokens, "tokens"), _check.positive_int(size, "size")
    matrix = _information(_counts(texts, tokens))
    found = np.zeros((tokens, size), np.float32)
    rank = min(size + 16, tokens)
    basis = matrix @ np.random.default_rng(seed).standard_normal((tokens, rank)).astype(np.float32)
    for _ in range(3):
        basis = matrix @ (matrix.T @ np.linalg.qr(basis)[0])
    basis = np.linalg.qr(basis)[0]
    left, values, _ = np.linalg.svd((matrix.T @ basis).T, full_matrices=False)
    vectors = (basis @ left)[:, :size] * np.sqrt(values[:size])
    found[:, : vectors.shape[1]] = vectors
    deviation = float(found.std())
    return found * np.float32(0.1 / deviation) if deviation else found


def _counts(texts: Sequence[Array], tokens: int) -> Any:
    """How often two tokens are neighbours, as a sparse matrix (tokens, tokens)."""
    from scipy import sparse

    flat = np.concatenate([*texts, np.empty(0, np.intp)])
    text = np.repeat(np.arange(len(texts)), [len(each) for each in texts])
    counts = sparse.csr_matrix((tokens, tokens), dtype=np.float32)
    for apart in range(1, WINDOW + 1):
        beside = text[apart:] == text[:-apart]
        a, b = flat[:-apart][beside], flat[apart:][beside]
        counts += sparse.csr_matrix((np.ones(len(a), np.float32), (a, b)), (tokens, tokens))
    return counts + counts.T


def _information(counts: Any) -> Any:
    """Positive pointwise mutual information of all pairs of tokens, as a sparse matrix."""
    from scipy import sparse

    pairs = counts.tocoo()
    often = np.asarray(counts.sum(axis=1), np.float64).ravel()
    often[PADDING] = 0
    beside = often**SMOOTHING
    ratio = pairs.data * max(float(beside.sum()), 1e-300) / (often[pairs.row] * beside[pairs.col])
    information = np.log(np.maximum(ratio, 1.0)).astype(np.float32)
    found = sparse.csr_matrix((information, (pairs.row, pairs.col)), counts.shape)
    found.eliminate_zeros()
    return found
