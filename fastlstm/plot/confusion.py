"""A picture of a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlstm import _check
from fastlstm.plot.figure import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


def confusion_figure(
    target: Any, pred: Any, names: Sequence[str] | None = None, *, title: str = "", share: bool = True
) -> Figure:
    """The confusion matrix: a row for each true class, a column for each predicted one.

    Parameters
    ----------
    target : whole numbers or words, of any shape
        The true classes: numbers from 0, of which those below 0 are left out; or labels that are words.
    pred : the same, of target's shape, or scores with one more axis, the classes
    names : (C,) str, optional
        Names of the classes in their order, such as an estimator's ``classes_``. By default their numbers, or all words
        that occur, sorted.
    title : str, default ""
    share : bool, default True
        Whether the cells show shares of the row in percent; otherwise counts.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError
        If target or pred are neither words nor numbers of the right kind.
    ValueError
        If the shapes do not fit, nothing is left, there are too few names, or a word is none of them.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from fastlstm.plot import confusion_figure
    >>> figure = confusion_figure([0, 0, 1, 1], [0, 1, 1, 1], ["bad", "good"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['50', '50', '0', '100']
    >>> figure = confusion_figure(["good", "bad"], ["good", "good"])
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['bad', 'good']
    """
    target, pred, names = _without_words(target, pred, names)
    truth = _check.as_numbers(target, "target", "iu", "whole numbers")
    told = _check.as_numbers(pred, "pred", "fiu", "classes or scores")
    classes = len(names) if names is not None else None
    if told.ndim == truth.ndim + 1:
        classes = told.shape[-1] if classes is None else classes
        told = told.argmax(-1)
    _check.shape_of(told, "pred", truth.shape)
    seen = truth >= 0
    truth, told = truth[seen].astype(np.intp), told[seen].astype(np.intp)
    if not len(truth):
        raise ValueError("target: expected at least one class, got none")
    highest = int(max(truth.max(), told.max()))
    classes = highest + 1 if classes is None else classes
    if highest >= classes:
        raise ValueError(f"names: expected at least {highest + 1}, one for each class, got {classes}")
    counts = np.bincount(truth * classes + told, minlength=classes**2).reshape(classes, classes)
    labels = [str(name) for name in names] if names is not None else [str(k) for k in range(classes)]
    return _draw(counts, labels, title, share)


def _without_words(target: Any, pred: Any, names: Sequence[str] | None) -> tuple[Any, Any, Sequence[str] | None]:
    """The classes as numbers, and their names, where they are words."""
    given = {"target": np.asarray(target), "pred": np.asarray(pred)}
    words = {name: array.astype(str) for name, array in given.items() if array.dtype.kind in "USO"}
    if not words:
        return target, pred, names
    known = [
        str(one) for one in (np.unique(np.concatenate([*map(np.ravel, words.values())])) if names is None else names)
    ]
    for name, array in words.items():
        strange = sorted({*array.reshape(-1).tolist()} - {*known})
        if strange:
            raise ValueError(f"{name}: expected some of {known}, got {strange[0]!r}")
        order = np.argsort(known)
        given[name] = order[np.searchsorted(known, array, sorter=order)]
    return given["target"], given["pred"], known


def _draw(counts: NDArray[np.intp], labels: list[str], title: str, share: bool) -> Figure:
    classes = len(labels)
    rows = counts.sum(1, keepdims=True)
    shares = counts / np.maximum(rows, 1)
    values = 100 * shares if share else counts
    side = min(max(3.2, 0.62 * classes), 12)
    figure = new_figure(side + 3.4, side + 1.6)
    axes = figure.add_subplot()
    highest = 100 if share else max(1, int(counts.max()))
    image = axes.imshow(values, cmap="Blues", vmin=0, vmax=highest)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.03)
    bar.set_label("share of the true class (%)" if share else "count", fontsize=12)
    bar.ax.tick_params(labelsize=11)
    bar.outline.set_visible(False)
    if classes <= 25:
        _write(axes, values, highest, "{:.0f}" if share else "{:d}", 13 if classes <= 6 else 10)
    slanted = any(len(label) > 4 for label in labels) and classes > 4
    said = [f"{label} (n = {n:,})" for label, n in zip(labels, rows[:, 0], strict=True)] if classes <= 12 else labels
    axes.set_xticks(range(classes), labels, rotation=45 if slanted else 0, ha="right" if slanted else "center")
    axes.set_yticks(range(classes), said)
    axes.tick_params(labelsize=11 if classes <= 25 else 8, length=0)
    axes.set_xlabel("told", fontsize=12)
    axes.set_ylabel("true", fontsize=12)
    right = np.trace(counts) / counts.sum()
    axes.set_title(f"{title + ': ' if title else ''}{right:.1%} right", fontsize=14, loc="left", pad=10)
    axes.set_xticks(np.arange(classes - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(classes - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", lw=1.5)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def _write(axes: Axes, values: NDArray[Any], highest: float, form: str, size: int) -> None:
    for (row, column), value in np.ndenumerate(values):
        color = "white" if value > 0.55 * highest else INK if value else "#9aa1ab"
        axes.text(column, row, form.format(value), ha="center", va="center", fontsize=size, color=color)
