"""Pictures of a training: learning curves, and norms of the gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlstm import _check
from fastlstm.plot.figure import COLORS, INK, finish, log_axis, new_figure, whole_steps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def learning_curves_figure(
    history: Mapping[str, Sequence[float]],
    names: Sequence[str] | None = None,
    *,
    title: str = "",
    units: Mapping[str, str] | None = None,
    log: bool = False,
    best: str | None = None,
) -> Figure:
    """The figures of every epoch: a panel for each figure, with a curve for training and one for validation.

    Parameters
    ----------
    history : History, or dict of lists of numbers
    names : list of str, optional
        Names of the figures to draw, without ``"val_"``; by default all.
    title : str, default ""
    units : dict of str, optional
        Units of the figures, by name: ``{"loss": "nats"}``.
    log : bool, default False
        Whether the loss has a logarithmic axis.
    best : "min" or "max", optional
        Mark the epoch with the lowest or the highest validation figure in the first panel; without a validation, that
        of the training.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If best is something else, there is no figure of a name, or the history is empty.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from fastlstm.plot import learning_curves_figure
    >>> figure = learning_curves_figure({"loss": [0.9, 0.5], "val_loss": [1.0, 0.8], "mae": [0.6, 0.4]}, best="min")
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['loss', 'mae']
    """
    if best not in (None, "min", "max"):
        raise ValueError(f"best: expected 'min', 'max' or None, got {best!r}")
    _check.instance(history, Mapping, "history", "a History, or lists of numbers by name")
    there = list(dict.fromkeys(name.removeprefix("val_") for name in history))
    chosen = there if names is None else _check.items(names, "names", "figures")
    for name in chosen:
        if name not in there:
            raise ValueError(f"names: expected some of {there}, got {name!r}")
    if not chosen:
        raise ValueError("history: expected at least one epoch, got none")
    figure = new_figure(11, 1.4 + 3.0 * len(chosen))
    panels = figure.subplots(len(chosen), 1, sharex=True, squeeze=False)[:, 0]
    for k, (axes, name) in enumerate(zip(panels, chosen, strict=True)):
        _curves(axes, history, name)
        if k == 0 and best:
            _mark(axes, history.get("val_" + name) or history[name], best)
        if log and name == "loss":
            log_axis(axes)
        label = name.replace("_", " ") + (f" ({units[name]})" if units and name in units else "")
        finish(axes, title if k == 0 else "", label, "epoch" if k == len(chosen) - 1 else "")
        whole_steps(axes)
    figure.align_ylabels()
    return figure


def _curves(axes: Axes, history: Mapping[str, Sequence[float]], name: str) -> None:
    for key, said, color, style in (
        (name, "training", COLORS[0], "-"),
        ("val_" + name, "validation", COLORS[1], "--"),
    ):
        values = history.get(key)
        if values:
            marker = "o" if len(values) <= 30 else None
            epochs = np.arange(1, len(values) + 1)
            axes.plot(epochs, values, color=color, ls=style, lw=2, marker=marker, ms=4, label=said)


def _mark(axes: Axes, values: Sequence[float], best: str) -> None:
    numbers = np.array(values, float)
    if np.isnan(numbers).all():
        return
    at = int(np.nanargmin(numbers) if best == "min" else np.nanargmax(numbers))
    axes.axvline(at + 1, color=INK, lw=0.9, ls=":", label=f"best: {numbers[at]:.4g},\nepoch {at + 1}")


def gradient_norms_figure(
    norms: Any, *, clip_norm: float | None = None, title: str = "", smooth: int | None = None
) -> Figure:
    """The norm of the gradient at each step of a training, on a logarithmic axis, with a running median.

    Parameters
    ----------
    norms : (S,) numbers
        Norms before clipping, as `GradientNorms` keeps them.
    clip_norm : float, optional
        The norm at which gradients were clipped: a line shows it, with the share of steps above it.
    title : str, default ""
    smooth : int, optional
        Number of steps of the running median; by default a fiftieth of all, but at least 5. There is no median if there
        are fewer steps.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError
        If norms are not numbers, or smooth is not a whole number.
    ValueError
        If norms have more than one axis, or smooth is below 1.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from fastlstm.plot import gradient_norms_figure
    >>> figure = gradient_norms_figure([3.0, 2.0, 0.5, 0.25], clip_norm=1.0)
    >>> figure.axes[0].get_legend().get_texts()[1].get_text()
    'clipped above 1\\n(50% of steps)'
    """
    values = _check.as_numbers(norms, "norms", "fiu", "real numbers").astype(float)
    _check.shape_of(values, "norms", ("S",))
    span = max(5, len(values) // 50) if smooth is None else _check.positive_int(smooth, "smooth")
    figure = new_figure()
    axes = figure.add_subplot()
    steps = np.arange(1, len(values) + 1)
    shown = np.where(np.isfinite(values) & (values > 0), values, np.nan)
    thick = len(values) <= 200
    axes.plot(
        steps, shown, color=COLORS[5], lw=1.2 if thick else 0.6, marker="o" if thick else None, ms=3, label="step"
    )
    if len(values) > span:
        middle = np.nanmedian(np.lib.stride_tricks.sliding_window_view(_filled(shown), span), axis=-1)
        label = f"median of\n{span} steps"
        axes.plot(steps[span // 2 :][: len(middle)], middle, color=COLORS[0], lw=2.2, label=label)
    if clip_norm is not None:
        share = float((values > clip_norm).mean())
        label = f"clipped above {clip_norm:g}\n({share:.0%} of steps)"
        axes.axhline(clip_norm, color=COLORS[1], lw=1.6, ls="--", label=label)
    if np.isfinite(shown).any():
        log_axis(axes)
    finish(axes, title, "norm of the gradient", "step of the optimizer")
    whole_steps(axes)
    return figure


def _filled(values: Any) -> Any:
    """Replace each NaN by the last number before it, so that every window has a median."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return values
    return values[known[np.maximum(np.searchsorted(known, np.arange(len(values)), side="right") - 1, 0)]]
