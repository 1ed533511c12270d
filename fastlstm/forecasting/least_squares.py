"""Nonlinear least squares for many small problems at once (Levenberg-Marquardt, by Marquardt 1963)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEP = 1e-4
"""Difference by which derivatives are taken; parameters are of the order of 1."""

SMALL = 1e-10
"""Share of the values' sum of squares below which errors are rounding."""


def logistic(x: Floats) -> Floats:
    """Numbers between 0 and 1; x beyond 30 is cut off."""
    result: Floats = 1 / (1 + np.exp(-np.clip(x, -30.0, 30.0)))
    return result


@dataclass(frozen=True)
class Problem:
    """What is fitted to each of S series: M models with P parameters, of which a model may ignore some.

    Attributes
    ----------
    errors : callable
        (parameters (S, K, P), models (K,)) to errors (T, S, K); a value that is missing has the error 0.
    active : (M, P)
        True where a model has the parameter.
    centre, width : (P,)
        Mean and standard deviation of the normal distribution that parameters are expected to have. It draws them
        to the centre where a series is too short to tell.
    count : (S,)
        Values of each series that are not missing.
    size : (S,)
        Sum of squares of each series.
    """

    errors: Callable[[Floats, NDArray[np.intp]], Floats]
    active: NDArray[np.bool_]
    centre: Floats
    width: Floats
    count: Floats
    size: Floats

    def cost(self, squares: Floats, parameters: Floats) -> Floats:
        """Minus twice the logarithm of the posterior density but for a constant, (S, K)."""
        floor = self.size[:, None] * SMALL + np.finfo(np.float64).tiny
        cost = self.count[:, None] * np.log(squares + floor) + self._penalty(parameters)
        return np.where(np.isfinite(cost), cost, np.inf)

    def _penalty(self, parameters: Floats) -> Floats:
        penalty: Floats = np.square((parameters - self.centre) / self.width).sum(-1)
        return penalty


def minimize(problem: Problem, starts: Sequence[Floats], rounds: int) -> tuple[Floats, Floats]:
    """Parameters (S, M, P) near the least sum of squares, and that sum (S, M).

    Parameters
    ----------
    problem : Problem
    starts : list of (P,)
        Parameters from the best of which each fit begins.
    rounds : int
        Passes over the data. Each gives errors and, by differences, derivatives at one step for each series and model.
    """
    at = _best_start(problem, starts)
    models, moved, first = _variants(problem.active)
    trial, damping = at, np.full(at.shape[:2], 0.01)
    best = np.full(at.shape[:2], np.inf)
    squares = best.copy()
    gram = np.zeros((*at.shape, at.shape[-1]))
    slope = np.zeros(at.shape)
    for _ in range(rounds):
        errors = problem.errors(trial[:, models] + STEP * moved, models)
        new_squares = np.square(errors[..., first]).sum(0)
        cost = problem.cost(new_squares, trial)
        better = cost < best
        new_gram, new_slope = _normal_equations(errors, moved, first, problem.active)
        at = np.where(better[..., None], trial, at)
        best, squares = np.where(better, cost, best), np.where(better, new_squares, squares)
        gram = np.where(better[..., None, None], new_gram, gram)
        slope = np.where(better[..., None], new_slope, slope)
        damping = np.clip(np.where(better, damping / 5, damping * 5), 1e-6, 1e6)
        trial = at - _step(problem, at, gram, slope, squares, damping)
    return at, squares


def _best_start(problem: Problem, starts: Sequence[Floats]) -> Floats:
    count = len(problem.active)
    models = np.tile(np.arange(count), len(starts))
    points = np.where(problem.active[models], np.repeat(np.array(starts), count, axis=0), problem.centre)
    points = np.broadcast_to(points, (len(problem.count), *points.shape))
    cost = problem.cost(np.square(problem.errors(points, models)).sum(0), points)
    cost = cost.reshape(len(cost), len(starts), count)
    shaped = points.reshape(*cost.shape, -1)
    return np.take_along_axis(shaped, cost.argmin(1)[:, None, :, None], axis=1)[:, 0]


def _variants(active: NDArray[np.bool_]) -> tuple[NDArray[np.intp], Floats, NDArray[np.intp]]:
    """Parameters as they are, then each one moved: models (K,), moved (K, P), and where each model begins, (M,)."""
    models: list[int] = []
    moved: list[Floats] = []
    first: list[int] = []
    for model, row in enumerate(active):
        first.append(len(models))
        for parameter in (None, *np.flatnonzero(row)):
            models.append(model)
            moved.append(np.zeros(len(row)))
            if parameter is not None:
                moved[-1][parameter] = 1.0
    return np.array(models), np.array(moved), np.array(first)


def _normal_equations(
    errors: Floats, moved: Floats, first: NDArray[np.intp], active: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """J'J (S, M, P, P) and J'e (S, M, P) of the derivatives J of errors by parameters."""
    series, (count, parameters) = errors.shape[1], active.shape
    gram = np.zeros((series, count, parameters, parameters))
    slope = np.zeros((series, count, parameters))
    for model, at in enumerate(first):
        own = np.flatnonzero(active[model])
        now = errors[..., at]
        change = ((errors[..., at + 1 : at + 1 + len(own)] - now[..., None]) / STEP).transpose(1, 2, 0)
        gram[:, model, own[:, None], own] = change @ change.swapaxes(1, 2)
        slope[:, model, own] = (change @ now.T[..., None])[..., 0]
    return gram, slope


def _step(problem: Problem, at: Floats, gram: Floats, slope: Floats, squares: Floats, damping: Floats) -> Floats:
    """The step of Levenberg and Marquardt, at most 2 in each parameter."""
    variance = (squares + problem.size[:, None] * SMALL) / np.maximum(problem.count, 1)[:, None]
    variance = np.where(variance > 0, variance, 1.0)[..., None]
    prior = 1 / np.square(problem.width)
    pull = np.where(problem.active, prior * (at - problem.centre), 0.0)
    curvature = gram / variance[..., None] + np.eye(at.shape[-1]) * prior
    diagonal = np.einsum("...ii->...i", curvature) * damping[..., None]
    curvature = curvature + np.eye(at.shape[-1]) * diagonal[..., None]
    right = slope / variance + pull
    good = np.isfinite(curvature).all((-1, -2)) & np.isfinite(right).all(-1)
    curvature = np.where(good[..., None, None], curvature, np.eye(at.shape[-1]))
    step = np.linalg.solve(curvature, np.where(good[..., None], right, 0.0)[..., None])[..., 0]
    return np.clip(np.where(problem.active, step, 0.0), -2.0, 2.0)
