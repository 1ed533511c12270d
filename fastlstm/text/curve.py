"""The picture of how a language model has learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fastlstm.plot import new_figure
from fastlstm.plot.figure import finish

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINING, VALIDATION = "#8a8f98", "#c8382c"


def curve_figure(logs: Mapping[str, Sequence[float]], *, title: str = "", token: str = "character") -> Figure:
    """Training and validation loss after each epoch.

    Parameters
    ----------
    logs : dict of lists
        Such as a `History`: ``loss`` and ``val_loss`` in nats.
    title, token : str
        What is shown, and what a token is called.

    Examples
    --------
    >>> from fastlstm.text.curve import curve_figure
    >>> figure = curve_figure({"loss": [2.1, 1.8], "val_loss": [2.0, 1.9]})
    >>> figure.axes[0].get_ylabel()
    'nats a character'
    """
    figure = new_figure()
    from matplotlib.ticker import MaxNLocator

    axes = figure.add_subplot()
    epochs = range(1, len(logs["loss"]) + 1)
    axes.plot(epochs, logs["loss"], color=TRAINING, lw=1.4, marker="o", ms=3, label="training, with dropout")
    if "val_loss" in logs:
        axes.plot(epochs, logs["val_loss"], color=VALIDATION, lw=1.8, marker="o", ms=4, label="validation")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    finish(axes, title, f"nats a {token}", "epoch")
    return figure
