"""A picture of the tags along a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.plot.figure import COLORS, INK, finish, new_figure, whole_steps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
MOST_NAMED = 12
"""Classes, and features, that a legend names."""


def tags_figure(
    pred: Any,
    target: Any = None,
    x: Any = None,
    *,
    names: Sequence[str] | None = None,
    title: str = "",
    label: str = "value",
) -> Figure:
    """The tags along one sequence, a stripe in the colour of each, below the numbers that were read.

    Parameters
    ----------
    pred : (T,) labels, str or int
        What was told, as a row of `SequenceTagger.predict`.
    target : (T,) labels, optional
        The true ones: a stripe of their own, and marks where the two differ.
    x : (T,) or (T, F) numbers, optional
        What was read, as curves above the stripes.
    names : (F,) str, optional
        Names of the features, for the legend.
    title : str, default ""
    label : str, default "value"
        What the features are, and their unit.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError
        If pred or target are not labels, or x not numbers.
    ValueError
        If the lengths do not fit, or there are too few names.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from fastlstm.plot import tags_figure
    >>> figure = tags_figure(["up", "up", "down"], ["up", "down", "down"], [1.0, 2.0, 1.5])
    >>> figure.axes[0].get_title(loc="left"), [tick.get_text() for tick in figure.axes[1].get_yticklabels()]
    ('66.7% right', ['true', 'told'])
    """
    rows = {"told": _labels(pred, "pred")}
    steps = len(rows["told"])
    if target is not None:
        rows = {"true": _labels(target, "target", steps), **rows}
    classes = sorted({one for row in rows.values() for one in row}, key=_order)
    curves = None if x is None else _curves_of(x, steps)
    figure = new_figure(
        11, 1.3 + 0.6 * len(rows) + (0 if curves is None else 2.8) + 0.12 * min(len(classes), MOST_NAMED)
    )
    if curves is None:
        stripes = figure.add_subplot()
        first = stripes
    else:
        first, stripes = figure.subplots(2, 1, sharex=True, height_ratios=[3, 0.7 * len(rows)])
        _draw_curves(first, curves, names, label)
    _draw_stripes(stripes, rows, classes)
    if target is not None:
        right = float(np.mean([one == other for one, other in zip(*rows.values(), strict=True)]))
        title = f"{title + ': ' if title else ''}{right:.1%} right"
    first.set_title(title, fontsize=14, loc="left", pad=10)
    return figure


def _labels(given: Any, name: str, steps: int | None = None) -> list[str]:
    array = np.asarray(given)
    if array.dtype.kind not in "iubUSO":
        raise TypeError(f"{name}: expected labels (str or int), got dtype {array.dtype}")
    _check.shape_of(array, name, ("T",) if steps is None else (steps,))
    return [str(one) for one in array.tolist()]


def _order(label: str) -> tuple[int, float, str]:
    """Numbers by their size, before words."""
    return (0, float(label), "") if label.lstrip("-").isdigit() else (1, 0.0, label)


def _curves_of(x: Any, steps: int) -> NDArray[np.float64]:
    curves = _check.as_numbers(x, "x", "fiub", "real numbers").astype(np.float64)
    _check.shape_of(curves, "x", (steps,) if curves.ndim == 1 else (steps, "F"))
    return curves.reshape(steps, -1)


def _draw_curves(axes: Axes, curves: NDArray[np.float64], names: Sequence[str] | None, label: str) -> None:
    features = curves.shape[1]
    called = [f"feature {k}" for k in range(features)] if names is None else _check.items(names, "names", "names")
    if len(called) != features:
        raise ValueError(f"names: expected {features}, one for each feature, got {len(called)}")
    named = range(0 if features == 1 and names is None else MOST_NAMED)
    styles = ("-", "--", ":", "-.")
    for k, name in enumerate(called):
        style = styles[k // len(COLORS) % len(styles)]
        axes.plot(
            curves[:, k], color=COLORS[k % len(COLORS)], ls=style, lw=1.6, label=str(name) if k in named else None
        )
    finish(axes, "", label, "")


def _draw_stripes(axes: Axes, rows: dict[str, list[str]], classes: list[str]) -> None:
    colors = dict(zip(classes, _colors(len(classes)), strict=True))
    steps = len(rows["told"])
    for at, row in enumerate(rows.values()):
        for begin, end in _runs(row):
            axes.barh(at, end - begin, 0.86, begin - 0.5, color=colors[row[begin]], lw=0)
            if (end - begin) / steps > 0.01 * (len(row[begin]) + 1):  # there is room for it
                ink = "white" if _bright(colors[row[begin]]) < 0.5 else INK
                axes.text((begin + end - 1) / 2, at, row[begin], color=ink, fontsize=10, ha="center", va="center")
    true = rows.get("true", rows["told"])
    wrong = [k for k in range(steps) if true[k] != rows["told"][k]]
    if wrong:
        axes.plot(wrong, np.full(len(wrong), 0.5), "d", color=INK, mec="white", ms=6)
    finish(axes, "", "", "step")
    _name(axes, colors, bool(wrong))
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlim(-0.5, steps - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(False)
    whole_steps(axes)


def _name(axes: Axes, colors: dict[str, Any], wrong: bool) -> None:
    """The legend of the stripes, which cannot be read off their runs."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(color=color, label=name) for name, color in [*colors.items()][:MOST_NAMED]]
    if len(colors) > MOST_NAMED:
        handles.append(Patch(color="none", label=f"... {len(colors) - MOST_NAMED} more"))
    if wrong:
        handles.append(Line2D([], [], color=INK, marker="d", ms=6, lw=0, label="told wrongly"))
    axes.legend(handles=handles, fontsize=11, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _bright(color: Any) -> float:
    """How bright a colour is, from 0 to 1 (ITU-R BT.601)."""
    from matplotlib.colors import to_rgb

    return float(np.dot(to_rgb(color), (0.299, 0.587, 0.114)))


def _runs(row: list[str]) -> list[tuple[int, int]]:
    """The first place and the end of each run of the same label."""
    cuts = [0, *(k for k in range(1, len(row)) if row[k] != row[k - 1]), len(row)]
    return list(zip(cuts, cuts[1:], strict=False))


def _colors(count: int) -> list[Any]:
    """A colour for each class; of more than there are to tell apart, shades that also differ in brightness."""
    if count <= len(COLORS):
        return list(COLORS[:count])
    from matplotlib import colormaps

    return [colormaps["viridis"](k / (count - 1)) for k in range(count)]
