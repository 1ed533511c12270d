"""The rows of a file that make one series: in order of time, and at evenly spaced steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.date_cells import WAYS, Parsed
from fastlstm.forecasting.dates import DAY, Dates, Step, find_step, mostly_gaps
from fastlstm.forecasting.series import date_text
from fastlstm.forecasting.table import Table
from fastlstm.forecasting.zones import Zone

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

LEAST_STEPS = 100
"""Steps that a group may have of which most lack a row."""


@dataclass(frozen=True)
class Part:
    """The rows of a group in order: values (T, K), and their dates if there are any; `before` have been dropped."""

    group: str
    values: Floats
    dates: Dates | None
    step: Step | None
    zone: Zone | None
    before: int = 0


def parts_of(
    table: Table, grouped: Mapping[str, Ints], values: Floats, parsed: Parsed | None, notes: list[str]
) -> list[Part]:
    """The part of each group."""
    if parsed is None:
        return [Part(group, values[rows], None, None, None) for group, rows in grouped.items()]
    ordered = []
    for rows in grouped.values():
        offsets = None if parsed.offsets is None else parsed.offsets[rows]
        lines = [table.lines[at] for at in rows]
        own = Parsed(parsed.dates[rows], offsets, parsed.zulu)
        ordered.append(_sorted(table.path, lines, values[rows], own, notes))
    local = _on_local_clocks([dates for _, dates in ordered])
    return [Part(group, own, *_clock(dates, local)) for group, (own, dates) in zip(grouped, ordered, strict=True)]


def _sorted(path: str, lines: list[int], values: Floats, parsed: Parsed, notes: list[str]) -> tuple[Floats, Parsed]:
    """The rows in order of elapsed time."""
    dates, offsets = parsed.dates, parsed.offsets
    elapsed = dates if offsets is None else dates - offsets.astype("m8[s]")
    order = np.argsort(elapsed, kind="stable")
    if (np.diff(order) != 1).any():
        note = "The rows were sorted by date."
        notes += [note] if note not in notes else []
    values, dates, elapsed = values[order], dates[order], elapsed[order]
    same = np.flatnonzero(elapsed[1:] == elapsed[:-1])
    if len(same):
        at = int(same[0])
        first, second = (lines[order[at + k]] for k in (0, 1))
        raise ValueError(
            f"{path}: expected each date once, got {date_text(dates[at : at + 1], None)[0]} in lines {first} and "
            f"{second}; if the file has several series, --group names the column that tells them apart"
        )
    return values, Parsed(dates, None if offsets is None else offsets[order], parsed.zulu)


def _on_local_clocks(groups: Sequence[Parsed]) -> bool:
    """Whether the dates of all groups are taken by local clocks, or else by UTC, which has no hour twice.

    They are where no clock changes within a group, and for days and longer steps.
    """
    if all(parsed.offsets is None or not np.ptp(parsed.offsets) for parsed in groups):
        return True
    longest = max((parsed.dates for parsed in groups), key=len)
    step = find_step(longest) if (np.diff(longest).astype(np.int64) > 0).all() else None
    return step is not None and (step.business or step.seconds % DAY == 0)


def _clock(parsed: Parsed, local: bool) -> tuple[Dates, Step | None, Zone | None]:
    """Dates by the local clock or by UTC, their step, and their zone."""
    dates, offsets = parsed.dates, parsed.offsets
    if offsets is None:
        return dates, find_step(dates), None
    dates = dates if local else dates - offsets.astype("m8[s]")
    begin = np.flatnonzero(np.diff(offsets, prepend=offsets[0] - 1))
    return dates, find_step(dates), Zone(dates[begin], offsets[begin], local, parsed.zulu)


def check_gaps(table: Table, dates: Dates) -> None:
    gaps = mostly_gaps(dates)
    if gaps is not None:
        raise ValueError(
            f"{table.path}: expected a row for at least half of the steps from {date_text(dates[:1], None)[0]} to "
            f"{date_text(dates[-1:], None)[0]}, got none for {gaps[0]:,} of {gaps[1]:,} (if the dates mean something "
            f"else, {WAYS})"
        )


def on_grid(table: Table, part: Part, longest: Part) -> Part:
    """A part with a row for each step of the longest one, NaN where there was none.

    Raises
    ------
    ValueError
        If its dates are none of those steps.
    """
    assert part.dates is not None and longest.step is not None
    step = longest.step
    if step.months:  # a group may have its own day of the month
        step = replace(step, origin=part.dates[0])
    ordinals = step.ordinals(part.dates)
    first = int(ordinals[0])
    ordinals = ordinals - first
    length = int(ordinals[-1]) + 1
    dates = step.dates(first + np.arange(length))
    astray = not step.months and (dates[ordinals] != part.dates).any()  # a month may have its value on any day
    if part is not longest and (astray or len(np.unique(ordinals)) < len(ordinals)):
        raise ValueError(
            f"{table.path}: expected steps of a {step.name} in each group, as in {longest.group!r}, got others in "
            f"{part.group!r}"
        )
    if length > 2 * len(part.values) + LEAST_STEPS:
        raise ValueError(
            f"{table.path}: expected rows for at least half of the steps in each group, got {len(part.values)} for "
            f"{length} in {part.group!r}"
        )
    grid = np.full((length, part.values.shape[1]), np.nan)
    grid[ordinals] = part.values
    return replace(part, values=grid, dates=dates, step=step)
