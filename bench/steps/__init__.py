"""Whole training steps of models: gradients set to zero, forward, loss, backward, clipping of the norm, Adam.

A contender is a module with `prepare(problem, threads)`. All begin with the same parameters and take the same batches
in turn. Each first takes some steps from the start, of which these are compared:

- the losses
- Adam's running means of the gradients, an array for each parameter, in the order of the problem's. They show the
  gradients and the clipping of every step, and so what the steps before have done
- how far each parameter has moved, as a norm. Not the parameters: Adam divides by the root mean square of the gradient,
  so that a step is rounding where the gradient is
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cases import StepCase

Array = NDArray[Any]

COMPARED = 2
"""Steps from the start; the second shows what the first has done."""
BATCHES = 4
LARGEST_NORM = 1.0
LEARNING_RATE, BETAS, EPSILON = 1e-3, (0.9, 0.999), 1e-8


@dataclass(frozen=True)
class StepProblem:
    """Parameters by layer and name, an LSTM's as in PyTorch but with one bias; and batches of x and y. The dtype is
    that of all of them; with a precision, products are to be computed in that instead."""

    case: StepCase
    dtype: str
    weights: dict[str, Array]
    batches: list[tuple[Array, Array]]
    precision: str | None = None

    def in_turn(self) -> Iterator[tuple[Array, Array]]:
        return cycle(self.batches)

    def moved(self, values: list[Array]) -> Array:
        """How far each parameter has moved from where it began."""
        before = self.weights.values()
        return np.array([np.linalg.norm(now - start) for now, start in zip(values, before, strict=True)])


def make_problem(case: StepCase, dtype: str, precision: str | None = None) -> StepProblem:
    rng = np.random.default_rng(0)
    bound = case.hidden**-0.5
    shapes: dict[str, tuple[int, ...]] = {}
    if case.tokens is not None:
        shapes["embedding.weight"] = (case.tokens, case.inputs)
    for layer in range(case.layers):
        shapes[f"lstm.weight_ih_l{layer}"] = (4 * case.hidden, case.hidden if layer else case.inputs)
        shapes[f"lstm.weight_hh_l{layer}"] = (4 * case.hidden, case.hidden)
        shapes[f"lstm.bias_l{layer}"] = (4 * case.hidden,)
    shapes["dense.weight"] = (case.outputs, case.hidden)
    shapes["dense.bias"] = (case.outputs,)
    weights = {name: rng.uniform(-bound, bound, shape).astype(dtype) for name, shape in shapes.items()}
    return StepProblem(case, dtype, weights, [make_batch(case, dtype, rng) for _ in range(BATCHES)], precision)


def make_batch(case: StepCase, dtype: str, rng: np.random.Generator) -> tuple[Array, Array]:
    """Tokens or numbers, and what the loss wants: whole numbers, numbers, or 0 and 1."""
    x: Array
    y: Array
    if case.tokens is None:
        x = rng.standard_normal((case.n, case.t, case.inputs)).astype(dtype)
    else:
        x = rng.integers(0, case.tokens, (case.n, case.t))
    leading = (case.n, case.t) if case.every_step else (case.n,)
    if case.loss == "softmax_cross_entropy":
        y = rng.integers(0, case.outputs, leading)
    elif case.loss == "sigmoid_cross_entropy":
        y = rng.integers(0, 2, (*leading, case.outputs)).astype(dtype)
    else:
        y = rng.standard_normal((*leading, case.outputs)).astype(dtype)
    return x, y
