"""How the work of a pass is cut up: among threads, and in time. No choice here changes a bit of a result."""

from __future__ import annotations

import numpy as np

from fastlstm import threads
from fastlstm._kernels import cpu
from fastlstm._kernels.layout import Layout, Ragged, Walk
from fastlstm.layers.base import Array, Index
from fastlstm.layers.recurrent.packing import Packing
from fastlstm.workspace import Workspace

PROJECTION_BUFFER = 1 << 17
"""Bytes of projected inputs held at a time: they should stay in a core's L2 cache beside the weights."""

LARGE_WEIGHTS = 1 << 20
"""Bytes from which on weights are dear to read: those of the inputs then are read once for many steps."""


def layout(
    packing: Packing,
    x_shape: tuple[int, ...],
    y_shape: tuple[int, ...],
    column: int,
    hidden: int,
    *,
    reverse: bool,
    team: int,
    steps: tuple[int, int] | None = None,
    rows: int = 0,
) -> Layout:
    """Where steps (all of them by default) of x (N, T, I) and of columns of y (N, T, ·), from `column` on, lie.

    `team` threads may be used. With `rows`, segments are of about so many rows, or of one step if that has more.
    """
    n, t, inputs = x_shape
    first, last = steps or (0, len(packing.alive))
    order = np.arange(n) if packing.order is None else packing.order
    x_row, y_row = order * (t * inputs), order * (t * y_shape[2]) + column
    x_step, y_step = inputs, y_shape[2]
    if reverse:
        x_row, y_row = x_row + (packing.lengths - 1) * x_step, y_row + (packing.lengths - 1) * y_step
        x_step, y_step = -x_step, -y_step
    if first:
        x_row, y_row = x_row + first * x_step, y_row + first * y_step
    alive = packing.alive[first:last]
    segments, threads = share(alive, rows, team, inputs, hidden, full=packing.full)
    sizes = (n * t * inputs, x_row, x_step, n * t * y_shape[2], y_row, y_step)
    return Layout(n, inputs, hidden, alive, segments, *sizes, threads)


def ragged(
    walk: Walk,
    x_shape: tuple[int, ...],
    y_shape: tuple[int, ...],
    column: int,
    hidden: int,
    *,
    reverse: bool,
    team: int,
) -> Ragged:
    """`layout` of all steps, which follows the walk when its lengths change."""
    n, t, inputs = x_shape
    plans = np.array([plan(team, rows, t, inputs, hidden) for rows in range(n + 1)], np.intp)
    return Ragged(walk, inputs, hidden, y_shape[2], column, reverse, plans, t if team == 1 else anew(t))


def anew(t: int) -> int:
    """Steps after which rows that become fewer are shared anew among threads."""
    return max(8, t // 32)


def share(alive: Index, rows: int, team: int, inputs: int, hidden: int, *, full: bool) -> tuple[Index, int]:
    """Segments (first step, one beyond the last, by units) and the number of threads."""
    t = len(alive)
    if rows:
        before = np.cumsum(alive)
        ends = np.searchsorted(before, np.arange(rows, before[-1] + rows, rows) - rows // 2)
        edges = np.unique(np.concatenate([[0], ends[1:], [t]]))
    elif full or team == 1:
        edges = np.array([0, t])
    else:
        edges = np.unique(np.append(np.arange(0, t, anew(t)), t))
    plans = [plan(team, int(alive[edge]), t, inputs, hidden) for edge in (edges[:1] if full else edges[:-1])]
    by_units = plans[0][1] if full else [units for _, units in plans]
    segments = np.empty((len(edges) - 1, 3), np.intp)
    segments[:, 0], segments[:, 1], segments[:, 2] = edges[:-1], edges[1:], by_units
    return segments, max(used for used, _ in plans)


def plan(available: int, n: int, t: int, inputs: int, hidden: int) -> tuple[int, bool]:
    """How many of the available threads, and whether they share the units of each step or each has rows of its own.

    Rows need no barrier, but every thread reads all the weights; units read them once, but wait for each other at every
    step. Measured on two threads: units win with few rows, and up to some 64 rows where each has many blocks of units.
    """
    step = work(n, inputs, hidden)
    if available == 1 or step * t < threads.SMALL:
        return 1, False
    blocks = -(-hidden // cpu.lanes("float32"))
    few_rows = n < 6 * available
    if step > 4 and blocks >= available and (few_rows or (n <= 64 and blocks >= 8 * available)):
        return available, True
    if n <= 2:
        return 1, False
    return min(available, n), False


def work(n: int, inputs: int, hidden: int, t: int = 1) -> float:
    """Microseconds that t steps of n rows take one thread, about."""
    return t * n * 8 * hidden * (inputs + hidden) / (1e5 if n > 2 else 5e4)


def projection(rows: Layout, panels: Array, tape: Workspace) -> tuple[Array, int]:
    """Scratch for the inputs of some steps, and of how many; none where they are better projected step by step."""
    n, t, dtype = rows.N, rows.T, panels.dtype
    step = 4 * len(panels) * panels.shape[3]
    if t == 1 or not rows.full or not (n < 6 or (n < 48 and panels.nbytes > LARGE_WEIGHTS)):
        return np.empty(0, dtype), 1
    chunk = chunk_of(t, n, step * n * dtype.itemsize, rows.I * step * dtype.itemsize)
    return tape.array("projected", (chunk * n * step,), dtype), chunk


def chunk_of(t: int, n: int, step: int, weights: int) -> int:
    """How many of t steps have their inputs projected at a time: step, weights in bytes of results and of weights.

    At least 24 rows, so that the arithmetic is worth the reading of the weights; as many as stay in the cache; more
    where the weights are much larger than that. The chunks are as even as can be.
    """
    chunk = max(-(-24 // n), PROJECTION_BUFFER // step, weights // 8 // step)
    chunks = max(1, round(t / chunk))
    return -(-t // chunks)
