"""What all pictures share. They are drawn by matplotlib without a display and without its global state."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from fastlstm import _check

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#22272e"
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colours that everybody can tell apart (Okabe and Ito 2008), the darker ones first."""


def new_figure(width: float = 11, height: float = 5.5) -> Figure:
    """An empty figure with a canvas that needs no display. As the last line of a notebook's cell it is shown.

    Parameters
    ----------
    width : float, default 11
    height : float, default 5.5
        In inches.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError, ValueError
        If a size is no number from 0.1 to 1000.
    ImportError
        If matplotlib is not installed.
    """
    try:
        import matplotlib.figure
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        from fastlstm.plot.shown import Figure as Shown
    except ImportError:
        raise ImportError("drawing needs matplotlib: pip install 'fastlstm[plot]'") from None
    width, height = _check.number(width, "width", 0.1, 1000), _check.number(height, "height", 0.1, 1000)
    figure: matplotlib.figure.Figure = Shown(
        figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    )
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure to a PNG file.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    if not hasattr(figure, "savefig"):
        raise TypeError(f"figure: expected a figure of matplotlib, got {type(figure).__name__}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # letters that the font lacks, in names of the user
        figure.savefig(path, format="png", dpi=120)


def finish(axes: Axes, title: str, label: str, steps: str) -> None:
    """Set title, labels, grid and, if something has a label, a legend in the style of all pictures."""
    axes.set_title(title, fontsize=14, loc="left", pad=10)
    axes.set_ylabel(label, fontsize=12)
    axes.set_xlabel(steps, fontsize=12)
    axes.tick_params(labelsize=11)
    axes.grid(color="#d9dce1", lw=0.6)
    axes.set_axisbelow(True)
    axes.margins(x=0.01)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        axes.legend(handles, labels, fontsize=11, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def log_axis(axes: Axes) -> None:
    """Make the vertical axis logarithmic, with plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def whole_steps(axes: Axes) -> None:
    """Let the horizontal axis have whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))


def short_dates(axes: Axes) -> None:
    """Let the horizontal axis have dates that say only what is new, so that they do not overlap."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
