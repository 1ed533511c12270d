"""How far results lie from those in float64: the largest error as a share of the range of the float64 output."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.cases import Case, cases_of
from bench.contenders import Array, make_problem, ours


def errors(names: list[str], suite: str, cell: str, threads: int, folder: Path) -> dict[str, dict[str, float]]:
    """Of each contender and case, from the results that its process has left in the folder."""
    results = {name: np.load(folder / f"{name}.npz") for name in names}
    found: dict[str, dict[str, float]] = {name: {} for name in names}
    for _, case in cases_of(suite, cell):
        assert isinstance(case, Case)
        y = exact(case, threads)
        for name, arrays in results.items():
            if f"{case}/0" in arrays:
                found[name][str(case)] = error(arrays[f"{case}/0"], y)
    return found


def exact(case: Case, threads: int) -> Array:
    """The output where weights and input are those in float32, and everything after is computed in float64."""
    problem = make_problem(case, "float32")
    weights = {name: value.astype("float64") for name, value in problem.weights.items()}
    wide = replace(problem, dtype="float64", weights=weights, x=problem.x.astype("float64"))
    return ours.model_of(wide, threads).predict(wide.x)


def error(found: Array, y: Array) -> float:
    return float(np.max(np.abs(found - y)) / (y.max() - y.min()))
