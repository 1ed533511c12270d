"""Tables and small pictures for notebooks: HTML that needs nothing from elsewhere, and whose words are escaped."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b")
WIDTH, HEIGHT, EDGE = 360, 130, 6

Curve = Sequence[float] | NDArray[Any]


def table(header: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """A table. Numbers stand to the right; a row of fewer cells ends early."""
    head = "".join(f'<th style="text-align:left">{escape(one)}</th>' for one in header)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    title = f'<caption style="text-align:left">{escape(caption)}</caption>' if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    if isinstance(value, float):
        value = f"{value:.4g}"
    elif isinstance(value, int):
        value = f"{value:,}"
    else:
        return f'<td style="text-align:left">{escape(str(value))}</td>'
    return f'<td style="text-align:right">{value}</td>'


def line(curves: Mapping[str, Curve], *, band: tuple[Curve, Curve] | None = None, title: str = "") -> str:
    """A picture of curves over 1, 2, ..., with a band behind them; nothing if there are no two finite numbers.

    What is not finite is a gap.
    """
    values = [np.asarray(one, np.float64).reshape(-1) for one in (*curves.values(), *(band or ()))]
    steps = max(map(len, values), default=0)
    finite = np.concatenate([one[np.isfinite(one)] for one in values]) if values else np.empty(0)
    if steps < 2 or len(finite) < 2:
        return ""
    low, high = float(finite.min()), float(finite.max())
    room = (WIDTH - 2 * EDGE) / (steps - 1), (HEIGHT - 2 * EDGE) / ((high - low) or 1.0)

    def point(k: int, value: float) -> str:
        return f"{EDGE + k * room[0]:.1f},{HEIGHT - EDGE - (value - low) * room[1]:.1f}"

    shapes = []
    if band is not None:
        for piece in _runs(np.isfinite(values[-2]) & np.isfinite(values[-1])):
            edges = [(k, values[-2][k]) for k in piece] + [(k, values[-1][k]) for k in reversed(piece)]
            points = " ".join(point(k, float(value)) for k, value in edges)
            shapes.append(f'<polygon points="{points}" fill="{COLOURS[0]}" fill-opacity="0.2"/>')
    for k, curve in enumerate(values[: len(curves)]):
        colour = COLOURS[k % len(COLOURS)]
        shapes += [
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5" stroke-linecap="round"/>'
            for points in _pieces(curve, point)
        ]
    legend = "".join(
        f'<span style="color:{COLOURS[k % len(COLOURS)]}">&#9632;</span> {escape(name)} '
        for k, name in enumerate(curves)
    )
    words = f"{escape(title)} {legend}from {low:.4g} to {high:.4g}".strip()
    picture = f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">{"".join(shapes)}</svg>'
    return f"<div>{picture}<br/><small>{words}</small></div>"


def _pieces(curve: NDArray[Any], point: Any) -> list[str]:
    """The points of each piece of a curve between gaps; a piece of one point is there twice, so that it is seen."""
    return [
        " ".join(point(k, float(curve[k])) for k in (piece * 2 if len(piece) == 1 else piece))
        for piece in _runs(np.isfinite(curve))
    ]


def _runs(there: NDArray[np.bool_]) -> list[list[int]]:
    """The places of each piece between gaps."""
    places = np.flatnonzero(there)
    return [run.tolist() for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if len(run)]


def picture(values: NDArray[Any], low: float, high: float, title: str) -> str:
    """A grey picture of (rows, columns), from low, white, to high, black. What is not finite is white."""
    span = (high - low) or 1.0
    shade = np.nan_to_num(np.clip((values - low) / span, 0, 1))
    grey = np.asarray(255 - np.round(shade * 255), np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in grey)  # each begins with its filter, none
    size = struct.pack(">IIBBBBB", grey.shape[1], grey.shape[0], 8, 0, 0, 0, 0)
    parts = (b"IHDR", size), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part)) for name, part in parts
    )
    code = base64.b64encode(png).decode("ascii")
    style = f"image-rendering:pixelated;width:{WIDTH}px;height:{min(HEIGHT, 12 * len(grey))}px;border:1px solid #888"
    return f'<div><img style="{style}" src="data:image/png;base64,{code}"/><br/><small>{escape(title)}</small></div>'
