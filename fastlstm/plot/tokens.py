"""A picture of a text and the weight of each word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlstm import _check
from fastlstm.plot.figure import COLORS, INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

POINTS = 72.0
"""Points of an inch: the text is laid out in points."""
SIZE, LINE, PAD, SPACE, MARGIN = 13.0, 25.0, 2.5, 2.5, 20.0
"""In points: size of the letters, height of a line, padding of a word, space between words, margin of the page."""
CLOSING = frozenset(".,;:!?)]}”’…")


def tokens_figure(
    tokens: Sequence[str],
    weights: Any,
    *,
    title: str = "",
    label: str = "weight",
    signed: bool | None = None,
    width: float = 11,
) -> Figure:
    """The words of a text in lines, each on a background whose colour shows its weight.

    Parameters
    ----------
    tokens : list of str
        Words and marks. A token that is a line break begins a new line.
    weights : (T,) numbers
        The weight of each token: attention, or how a score changes without the word.
    title : str, default ""
    label : str, default "weight"
        Label of the scale: what is measured, and its unit.
    signed : bool, optional
        Whether the scale has both signs, blue above 0 and orange below. Otherwise it goes from 0 to the highest weight.
        By default it has both signs if a weight is negative.
    width : float, default 11
        Width of the picture in inches, at least 4. Its height depends on the text.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError
        If tokens is no list, or weights are not numbers.
    ValueError
        If there is no token, the weights do not fit or are not finite, or width is below 4.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from fastlstm.plot import tokens_figure
    >>> figure = tokens_figure("not a good film .".split(), [0.5, 0.0, 0.3, 0.1, 0.0], label="attention")
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['not', 'a', 'good', 'film', '.']
    """
    words = [str(token) for token in _check.items(tokens, "tokens", "words")]
    values = _check.as_numbers(weights, "weights", "fiu", "real numbers").astype(float)
    if not words:
        raise ValueError("tokens: expected at least one word, got none")
    _check.shape_of(values, "weights", (len(words),))
    if not np.isfinite(values).all():
        raise ValueError(f"weights: expected finite numbers, got {values[~np.isfinite(values)][0]}")
    across = POINTS * _check.number(width, "width", 4)
    figure = new_figure()
    figure.set_layout_engine("none")
    boxes = _lay_out(words, across - 2 * MARGIN)
    top = MARGIN + (30 if title else 0)
    below = top + LINE * (1 + max(line for _, line, _ in boxes))
    height = below + 80
    figure.set_size_inches(across / POINTS, height / POINTS)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, across), ylim=(height, 0))
    axes.axis("off")
    scale = _scale(values, bool((values < 0).any()) if signed is None else signed)
    _write(axes, words, boxes, np.asarray(scale.to_rgba(values)), top)
    if title:
        figure.text(MARGIN / across, 1 - MARGIN / height, title, fontsize=14, va="top", color=INK)
    bar = figure.add_axes((MARGIN / across, 48 / height, 220 / across, 11 / height))
    figure.colorbar(scale, cax=bar, orientation="horizontal").outline.set_visible(False)
    bar.set_xlabel(label, fontsize=12)
    bar.tick_params(labelsize=11)
    bar.locator_params(nbins=5)
    return figure


def _lay_out(words: list[str], across: float) -> list[tuple[float, int, float]]:
    """The left edge of the background of each word in points, the number of its line, and its width in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=SIZE)
    x, line = 0.0, 0
    boxes = []
    for word in words:
        wide = 0.0 if word == "\n" else text_to_path.get_text_width_height_descent(word, font, False)[0] + 2 * PAD
        gap = 0.0 if x == 0 or word in CLOSING else SPACE
        if x and (word == "\n" or x + gap + wide > across):
            x, line, gap = 0.0, line + 1, 0.0
        boxes.append((x + gap, line, wide))
        x += gap + wide
    return boxes


def _scale(values: NDArray[Any], signed: bool) -> ScalarMappable:
    """The colours of the weights. White is 0."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    largest = float(np.abs(values).max()) or 1.0
    colors = [COLORS[1], "white", COLORS[0]] if signed else ["white", COLORS[0]]
    shades = LinearSegmentedColormap.from_list(
        "weights", colors, N=257
    )  # an odd number, so that 0 has a colour of its own
    return ScalarMappable(Normalize(-largest if signed else 0.0, largest), shades)


def _write(
    axes: Axes, words: list[str], boxes: list[tuple[float, int, float]], colors: NDArray[Any], top: float
) -> None:
    from matplotlib.patches import Rectangle

    for word, (x, line, wide), color in zip(words, boxes, colors, strict=True):
        left, middle = MARGIN + x, top + (line + 0.5) * LINE
        dark = color[:3] @ (0.299, 0.587, 0.114) < 0.55
        axes.add_patch(Rectangle((left, middle - 0.42 * LINE), wide, 0.84 * LINE, color=color, lw=0))
        axes.text(
            left + PAD,
            middle + 0.36 * SIZE,
            "" if word == "\n" else word,
            fontsize=SIZE,
            va="baseline",
            color="white" if dark else INK,
            parse_math=False,
        )
