"""How a pass is divided among threads and in time. No choice here changes a bit of a result."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastlstm._kernels import cpu
from fastlstm._kernels.layout import Layout, RaggedLayout, RaggedOrder
from fastlstm.layers.base import Array, Index
from fastlstm.layers.recurrent.ragged import RaggedBatch
from fastlstm.layers.recurrent.weights import Weights
from fastlstm.workspace import Workspace

PROJECTION_BUFFER = 1 << 17
"""Bytes of projected inputs held at a time: they should stay in a core's L2 cache beside the weights."""

LARGE_WEIGHTS = 1 << 20
"""Bytes of weights from which on W is read once for many steps, because reading it takes long."""


class Sizes(NamedTuple):
    """What decides how a cell's work is shared.

    `hidden` is the numbers of y, `weights` the number of weights of a step, and `blocks` that of blocks of units.
    """

    hidden: int
    weights: int
    blocks: int


def sizes_of(weights: Weights) -> Sizes:
    """The sizes of one direction. The blocks are those in float32, so that both dtypes are shared alike."""
    phases = weights.phases
    blocks = min(cpu.panel_shapes(of.kernel, of.inputs, of.units, np.float32, seen=of.seen)[0][0] for of in phases)
    size = sum(of.gates * of.units * (of.inputs + of.seen) for of in phases)
    return Sizes(weights.out, size, blocks)


def layout(
    batch: RaggedBatch,
    x_shape: tuple[int, ...],
    y_shape: tuple[int, ...],
    column: int,
    sizes: Sizes,
    *,
    reverse: bool,
    team: int,
    steps: tuple[int, int] | None = None,
    rows: int = 0,
) -> Layout:
    """Where the rows of x (N, T, I) and of columns of y (N, T, ·), from `column` on, lie, both as the batch says.

    Parameters
    ----------
    reverse : bool
        Whether each sequence is processed from its end.
    team : int
        The number of threads that may be used.
    steps : (first, one beyond the last), optional
        All steps by default.
    rows : int, optional
        About how many rows a segment has. A step with more rows is a segment of its own. By default segments are as
        long as threads share the rows in one way.
    """
    n, t, inputs = batch.N, batch.T, x_shape[2]
    first, last = steps or (0, batch.longest)
    of_sequence, of_step = batch.strides
    x_row, y_row = batch.index * (of_sequence * inputs), batch.index * (of_sequence * y_shape[2]) + column
    x_step, y_step = of_step * inputs, of_step * y_shape[2]
    if reverse:
        x_row, y_row = x_row + (batch.lengths - 1) * x_step, y_row + (batch.lengths - 1) * y_step
        x_step, y_step = -x_step, -y_step
    if first:
        x_row, y_row = x_row + first * x_step, y_row + first * y_step
    alive = batch.alive[first:last]
    segments, used = share(alive, rows, team, sizes, full=batch.full)
    places = (n * t * inputs, x_row, x_step, n * t * y_shape[2], y_row, y_step)
    return Layout(n, inputs, sizes.hidden, alive, segments, *places, used)


def ragged_layout(
    order: RaggedOrder,
    x_shape: tuple[int, ...],
    y_shape: tuple[int, ...],
    column: int,
    sizes: Sizes,
    *,
    reverse: bool,
    team: int,
) -> RaggedLayout:
    """The same for all steps of a ragged order whose lengths may change."""
    n, t, inputs = x_shape
    plans = np.array([plan(team, rows, t, sizes) for rows in range(n + 1)], np.intp)
    every = t if team == 1 else share_every(t)
    return RaggedLayout(order, inputs, sizes.hidden, y_shape[2], column, reverse, plans, every)


def share_every(t: int) -> int:
    """The number of steps after which rows, which become fewer, are shared anew among threads."""
    return max(8, t // 32)


def share(alive: Index, rows: int, team: int, sizes: Sizes, *, full: bool) -> tuple[Index, int]:
    """Segments (first step, one beyond the last, whether threads share units) and the number of threads."""
    t = len(alive)
    if rows:
        offset = np.cumsum(alive)  # of the step after each
        ends = np.searchsorted(offset, np.arange(rows, offset[-1] + rows, rows) - rows // 2)
        edges = np.unique(np.concatenate([[0], ends[1:], [t]]))
    elif full or team == 1:
        edges = np.array([0, t])
    else:
        edges = np.unique(np.append(np.arange(0, t, share_every(t)), t))
    plans = [plan(team, int(alive[edge]), t, sizes) for edge in (edges[:1] if full else edges[:-1])]
    by_units = plans[0][1] if full else [units for _, units in plans]
    segments = np.empty((len(edges) - 1, 3), np.intp)
    segments[:, 0], segments[:, 1], segments[:, 2] = edges[:-1], edges[1:], by_units
    return segments, max(used for used, _ in plans)


def plan(available: int, n: int, t: int, sizes: Sizes) -> tuple[int, bool]:
    """How many of the available threads to use, and whether they share units. Otherwise they share rows.

    Threads that share rows need no barrier, but each reads all the weights. Threads that share the units of each step
    read the weights once between them, but wait for each other at every step. Measured on two threads: sharing units is
    faster with few rows, and with up to some 64 rows where each thread has many blocks of units.
    """
    step = cpu.step_work(n, sizes.weights)
    if available == 1 or step * t < cpu.WORTH_SHARING:
        return 1, False
    few_rows = n < 6 * available
    if step > 4 and sizes.blocks >= available and (few_rows or (n <= 64 and sizes.blocks >= 8 * available)):
        return available, True
    if n <= 2:
        return 1, False
    return min(available, n), False


def projection(rows: Layout, weights: int, step: int, dtype: np.dtype[Any], tape: Workspace) -> tuple[Array, int]:
    """Scratch for W x of some steps, and their number. It is empty where each step had better project its own.

    `weights` is the bytes of the packed weights, and `step` the numbers of W x of one row.
    """
    n, t = rows.N, rows.T
    if t == 1 or not rows.full or not (n < 6 or (n < 48 and weights > LARGE_WEIGHTS)):
        return np.empty(0, dtype), 1
    chunk = chunk_of(t, n, step * n * dtype.itemsize, rows.I * step * dtype.itemsize)
    return tape.array("projected", (chunk * n * step,), dtype), chunk


def chunk_of(t: int, n: int, step: int, weights: int) -> int:
    """The number of steps, of t, whose inputs are projected at a time.

    `step` is the bytes of a step's results, and `weights` those of W. A chunk has at least 24 rows, so that there is
    enough arithmetic for each weight that is read, and as many steps as stay in the cache. It has more where the
    weights are much larger than that. Chunks are as even as possible.
    """
    chunk = max(-(-24 // n), PROJECTION_BUFFER // step, weights // 8 // step)
    chunks = max(1, round(t / chunk))
    return -(-t // chunks)
