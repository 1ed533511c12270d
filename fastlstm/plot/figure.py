"""What all pictures share: drawn by matplotlib without a display and without its global state."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def new_figure() -> Figure:
    """An empty figure with a canvas that needs no display."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("drawing needs matplotlib: pip install 'fastlstm[plot]'") from None
    figure = Figure(figsize=(11, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a PNG file."""
    figure.savefig(path, format="png", dpi=120)


def finish(axes: Axes, title: str, label: str, steps: str) -> None:
    """Title, labels, grid and legend as all pictures have them."""
    axes.set_title(title, fontsize=14, loc="left", pad=10)
    axes.set_ylabel(label, fontsize=12)
    axes.set_xlabel(steps, fontsize=12)
    axes.tick_params(labelsize=11)
    axes.grid(color="#d9dce1", lw=0.6)
    axes.set_axisbelow(True)
    axes.margins(x=0.01)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(fontsize=11, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
