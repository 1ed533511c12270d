"""A picture of the gates of an LSTM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastlstm import _check
from fastlstm.layers import Gates
from fastlstm.plot.figure import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {
    "input": "input gate i\nwritten",
    "candidate": "candidate g\nwhat to write",
    "forget": "forget gate f\nkept",
    "cell": "cell c\nmemory",
    "output": "output gate o\nshown",
}
SIGNED = ("candidate", "cell")
MOST_TOKENS = 120
"""Tokens that are legible under a picture."""


def gates_figure(
    gates: Gates,
    *,
    sequence: int = 0,
    length: int | None = None,
    tokens: Sequence[str] | None = None,
    values: ArrayLike | None = None,
    most: int = 24,
    title: str = "",
    label: str = "input",
    names: Sequence[str] | None = None,
) -> Figure:
    """Heat maps of the gates, the candidate and the cell of one sequence: a row for each unit, a column for each step.

    The units are ordered by the mean of their forget gates: those with the longest memory are on top.

    Parameters
    ----------
    gates : Gates
        From `LSTM.gates`.
    sequence : int, default 0
        The place of the sequence in the batch.
    length : int, optional
        Number of steps to show, from the first; by default all.
    tokens : list of T str, optional
        The token that was read at each step, written under the picture if there are at most 120 steps.
    values : (T,) or (T, F), optional
        Numbers that were read, drawn as lines above the heat maps.
    most : int, default 24
        Number of units to show at most: those whose cells vary most.
    title : str, default ""
    label : str, default "input"
        Label of the axis of the values.
    names : list of F str, optional
        Names of the values, for a legend.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there is no such sequence, there are fewer tokens than steps, or length or most is below 1.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> x = np.sin(np.arange(30))[None, :, None]
    >>> figure = gates_figure(fl.LSTM(1, 8, seed=0).gates(x), values=x[0])
    >>> [axes.get_ylabel().split()[0] for axes in figure.axes[:6]]
    ['input', 'input', 'candidate', 'forget', 'cell', 'output']
    """
    _check.instance(gates, Gates, "gates", "what LSTM.gates returns")
    n, steps, hidden = gates.cell.shape
    if not -n <= sequence < n:
        raise ValueError(f"sequence: expected {-n} to {n - 1}, got {sequence}")
    if length is not None:
        steps = min(steps, _check.positive_int(length, "length"))
    if tokens is not None and len(tokens) < steps:
        raise ValueError(f"tokens: expected {steps}, one for each step, got {len(tokens)}")
    units = _readable_units(gates.forget[sequence, :steps], gates.cell[sequence, :steps], most)
    figure = new_figure()
    figure.set_size_inches(11, 10.5 if values is None else 12)
    heights = [0.9 + 0.35 * (values is not None)] * (values is not None) + [1.0] * len(PANELS)
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0].tolist()
    if values is not None:
        _draw_values(panels.pop(0), np.asarray(values)[:steps], label, names)
    for axes, (name, words) in zip(panels, PANELS.items(), strict=True):
        _draw_units(figure, axes, getattr(gates, name)[sequence, :steps][:, units].T, words, signed=name in SIGNED)
    if tokens is not None and steps <= MOST_TOKENS:
        size = float(np.clip(900 / steps, 6, 12))
        panels[-1].set_xticks(range(steps), [_visible(token) for token in tokens[:steps]], fontsize=size)
        if max(len(token) for token in tokens[:steps]) > 2:
            panels[-1].tick_params(axis="x", labelrotation=90)
    else:
        panels[-1].set_xlabel("step", fontsize=12)
    if title:
        figure.suptitle(title, fontsize=14, x=0.01, ha="left")
    return figure


def _readable_units(forget: NDArray[Any], cell: NDArray[Any], most: int) -> NDArray[np.intp]:
    """The units whose cells vary most, ordered by the mean of their forget gates."""
    chosen = np.argsort(-cell.std(axis=0), kind="stable")[: _check.positive_int(most, "most")]
    return np.asarray(chosen[np.argsort(-forget.mean(axis=0)[chosen], kind="stable")])


def _draw_values(axes: Axes, values: NDArray[Any], label: str, names: Sequence[str] | None) -> None:
    lines = axes.plot(values, lw=1.4, drawstyle="steps-mid")
    if names is not None:
        axes.legend(lines, names, fontsize=10, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes.set_ylabel(label, fontsize=11)
    axes.grid(color="#d9dce1", lw=0.6)
    axes.margins(x=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_units(figure: Figure, axes: Axes, units: NDArray[Any], words: str, *, signed: bool) -> None:
    largest = max(1.0, float(np.abs(units).max())) if signed else 1.0
    low, colors = (-largest, "RdBu_r") if signed else (0.0, "YlGnBu")
    image = axes.imshow(units, aspect="auto", interpolation="nearest", cmap=colors, vmin=low, vmax=largest)
    axes.set_ylabel(words, fontsize=11)
    axes.set_yticks([])
    axes.tick_params(labelsize=10, length=2)
    bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=12, ticks=[low, (low + largest) / 2, largest])
    bar.ax.tick_params(labelsize=9)
    bar.ax.set_yticklabels([f"{tick:.2g}" for tick in (low, (low + largest) / 2, largest)])


def _visible(token: str) -> str:
    return {" ": "␣", "\n": "↵", "\t": "⇥"}.get(token, token).replace("$", r"\$")
