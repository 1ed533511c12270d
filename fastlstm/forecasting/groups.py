"""Groups of the rows of a table: each becomes a series, and may have columns with one value for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.cells import constant, numbers_or_words
from fastlstm.forecasting.table import Table, is_missing

Ints = NDArray[np.intp]


def grouped_rows(table: Table, keys: Sequence[int]) -> dict[str, Ints]:
    """The rows of each group, in the order in which they come."""
    if not keys:
        return {"": np.arange(len(table.rows))}
    rows: dict[tuple[str, ...], list[int]] = {}
    for at, row in enumerate(table.rows):
        cells = [row[key] for key in keys]
        empty = next((k for k, cell in enumerate(cells) if is_missing(cell)), None)
        if empty is not None:
            raise ValueError(
                f"{table.path}, line {table.lines[at]}: expected a group in each row, got {cells[empty]!r} in "
                f"the column {table.names[keys[empty]]!r}"
            )
        rows.setdefault(tuple(cells), []).append(at)
    labels = {cells: " / ".join(cells) for cells in rows}
    check_labels(list(labels.values()))
    return {labels[cells]: np.array(found) for cells, found in rows.items()}


def static_of(
    table: Table,
    static: Sequence[str],
    columns: Sequence[int],
    grouped: Mapping[str, Ints],
    decimal: str | None,
    notes: list[str],
) -> dict[str, dict[str, float | str]]:
    """The value of each static column for each group."""
    if static and list(grouped) == [""]:
        raise ValueError("static: expected groups, each of which has one value, got one series")
    found: dict[str, dict[str, float | str]] = {}
    for wanted in static:
        at = table.find(wanted, "static")
        name = table.names[at]
        if at in columns or name in found:
            raise ValueError(f"static: expected columns that are not read otherwise, each once, got {name!r}")
        cells = [constant(table, at, label, rows) for label, rows in grouped.items()]
        found[name] = dict(zip(grouped, numbers_or_words(table, at, cells, decimal, notes), strict=True))
    return found


def check_labels(labels: Sequence[str]) -> None:
    """Require that series can be told apart by their labels."""
    if len(set(labels)) < len(labels):
        twice = next(label for k, label in enumerate(labels) if label in labels[:k])
        raise ValueError(f"group: expected groups that can be told apart, got {twice!r} for two; rename one of them")
