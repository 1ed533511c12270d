"""Pictures of the memory of a network: how far gradients reach, and how it learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fastlstm import _check
from fastlstm.plot.figure import finish, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = ("#c8382c", "#1f6fb2", "#7fb2dd", "#b58a2f", "#8a8f98", "#5b8c5a")
FLOOR = 1e-12
"""The smallest share that is drawn: a smaller gradient is lost in the rounding of float32, and 0 has no logarithm."""


def gradient_distance_figure(
    norms: Mapping[str, Mapping[str, ArrayLike]],
    *,
    title: str = "",
    label: str = "norm of the gradient, one step back = 1",
) -> Figure:
    """Norms of the gradient of a loss at the last step by the states before, over their distance in time.

    Parameters
    ----------
    norms : dict of dict of (T,)
        By panel, such as "before training", and by network: the norms in the order of distance, the first for the state
        one step before the last. Each line is divided by its first norm.
    title : str, default ""
    label : str, default "norm of the gradient, one step back = 1"
        Label of the vertical axis.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> figure = gradient_distance_figure({"before": {"network": 0.9 ** np.arange(100)}})
    >>> figure.axes[0].get_yscale()
    'log'
    """
    figure = new_figure()
    names = list(dict.fromkeys(name for panel in norms.values() for name in panel))
    panels = figure.subplots(1, len(norms), sharey=True, squeeze=False)[0]
    lowest = 1.0
    for axes, (when, lines) in zip(panels, norms.items(), strict=True):
        for name, values in lines.items():
            array = np.asarray(values, float)
            shares = np.maximum(array / array[0], FLOOR)
            lowest = min(lowest, float(shares.min()))
            color = COLORS[names.index(name) % len(COLORS)]
            axes.semilogy(np.arange(1, len(shares) + 1), shares, color=color, lw=1.8, label=name)
        finish(axes, when, label if axes is panels[0] else "", "steps before the last")
    panels[0].set_ylim(bottom=max(lowest, FLOOR) / 3)
    _finish_all(figure, title)
    return figure


def learning_figure(
    curves: Mapping[str, Mapping[str, ArrayLike]],
    *,
    every: int = 1,
    chance: Mapping[str, float] | None = None,
    title: str = "",
    label: str = "loss",
) -> Figure:
    """Losses over the steps of a training: a panel for each task, a line for each network.

    Parameters
    ----------
    curves : dict of dict of (M,)
        By task and by network: mean losses, each over `every` steps.
    every : int, default 1
        Number of steps of a mean.
    chance : dict of float, optional
        By task: the loss of a network without memory, drawn as a dotted line.
    title : str, default ""
    label : str, default "loss"
        Label of the vertical axis.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> figure = learning_figure({"adding": {"network": [0.2, 0.1, 0.01]}}, every=50, chance={"adding": 1 / 6})
    >>> figure.axes[0].get_title(loc="left")
    'adding'
    """
    every = _check.positive_int(every, "every")
    figure = new_figure()
    names = list(dict.fromkeys(name for panel in curves.values() for name in panel))
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, (task, lines) in zip(panels, curves.items(), strict=True):
        for name, values in lines.items():
            array = np.asarray(values, float)
            color = COLORS[names.index(name) % len(COLORS)]
            axes.semilogy(every * np.arange(1, len(array) + 1), array, color=color, lw=1.6, label=name)
        if chance is not None and task in chance:
            axes.axhline(chance[task], color="#22272e", lw=1, ls=":", label="without memory")
        finish(axes, task, label if axes is panels[0] else "", "training step")
    _finish_all(figure, title)
    return figure


def _finish_all(figure: Figure, title: str) -> None:
    """Replace the legends of the panels by one below them, and set the title."""
    lines = {}
    for axes in figure.axes:
        lines.update({text: line for line, text in zip(*axes.get_legend_handles_labels(), strict=True)})
        legend = axes.get_legend()
        if legend is not None:
            legend.remove()
    columns = min(len(lines), 3)
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=columns, frameon=False, fontsize=11)
    if title:
        figure.suptitle(title, fontsize=14, x=0.01, ha="left")
