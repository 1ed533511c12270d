"""How far results lie from those in float64, where weights and inputs are those in float32.

The errors of a case by kind:

- errors: of an output, the largest as a share of the range of the float64 output
- losses: of the losses of training steps, the largest as a share of the float64 loss
- gradients: of Adam's running means of the gradients after these steps, the norm of the error over that of the float64
  one, of the parameter where this is largest
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench import steps
from bench.cases import Case, StepCase, cases_of
from bench.contenders import Array, make_problem, ours
from bench.steps import ours as our_steps

Errors = dict[str, dict[str, dict[str, float]]]
"""By kind, contender and case."""


def errors(names: list[str], suite: str, cell: str, threads: int, folder: Path) -> Errors:
    """From the results that the process of each contender has left in the folder."""
    results = {name: np.load(folder / f"{name}.npz") for name in names}
    found: Errors = {}
    for _, case in cases_of(suite, cell):
        right = exact(case, threads)
        for name, arrays in results.items():
            if f"{case}/0" in arrays:
                theirs = [arrays[f"{case}/{k}"] for k in range(len(right))]
                for kind, value in errors_of(case, theirs, right).items():
                    found.setdefault(kind, {}).setdefault(name, {})[str(case)] = value
    return found


def exact(case: Case | StepCase, threads: int) -> list[Array]:
    """The output; or the losses of training steps, and the running means of the gradients after them."""
    if isinstance(case, StepCase):
        return exact_steps(case, threads)
    problem = make_problem(case, "float32")
    problem = replace(problem, dtype="float64", weights=wide_weights(problem.weights), x=wide(problem.x))
    return [ours.model_of(problem, threads).predict(problem.x)]


def exact_steps(case: StepCase, threads: int) -> list[Array]:
    problem = steps.make_problem(case, "float32")
    batches = [(wide(x), wide(y)) for x, y in problem.batches]
    problem = replace(problem, dtype="float64", weights=wide_weights(problem.weights), batches=batches)
    losses, *means, _ = our_steps.prepare(problem, threads).results()
    return [losses, *means]


def wide_weights(weights: Mapping[str, Array]) -> dict[str, Array]:
    return {name: wide(value) for name, value in weights.items()}


def wide(array: Array) -> Array:
    """Tokens stay what they are."""
    return array.astype("float64") if array.dtype == np.float32 else array


def errors_of(case: Case | StepCase, found: Sequence[Array], exact: Sequence[Array]) -> dict[str, float]:
    """Of one contender, by kind."""
    if isinstance(case, Case):
        return {"errors": error(found[0], exact[0])}
    distances = [distance(*pair) for pair in zip(found[1:], exact[1:], strict=True)]
    return {"losses": float(np.max(np.abs(found[0] / exact[0] - 1))), "gradients": float(np.max(distances))}


def error(found: Array, y: Array) -> float:
    return float(np.max(np.abs(found - y)) / (y.max() - y.min()))


def distance(found: Array, exact: Array) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))
