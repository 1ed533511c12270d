"""Columns with one value for each series, as what a forecaster reads of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.panel import ID, check_columns, numbers_of, plain

Floats = NDArray[np.float64]

MOST_WORDS = 100
"""Different words that a static column may have."""


@dataclass(frozen=True)
class Static:
    """Columns with one value for each series: numbers, or words.

    Attributes
    ----------
    names : list
    words : list of (list or None)
        The words of each column, in order; None for a column of numbers.
    mean, deviation : (K,)
        Of each column of numbers.
    """

    names: list[Any]
    words: list[list[str] | None]
    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, table: Any, ids: Sequence[Any]) -> Static:
        columns = _static_columns(table, ids)
        words = [None if column.dtype.kind == "f" else sorted(set(column.tolist())) for column in columns.values()]
        for name, known in zip(columns, words, strict=True):
            if known is not None and len(known) > MOST_WORDS:
                raise ValueError(f"static, {name!r}: expected at most {MOST_WORDS} different words, got {len(known)}")
        numbers = [column if column.dtype.kind == "f" else np.zeros(1) for column in columns.values()]
        mean = np.array([column.mean() for column in numbers])
        deviation = np.array([column.std() or 1.0 for column in numbers])
        return cls(list(columns), words, mean, deviation)

    def features(self, table: Any, ids: Sequence[Any]) -> Floats:
        """What the network reads of each series, (S, F): numbers scaled, and a sign for each word."""
        columns = _static_columns(table, ids)
        parts = []
        for at, (name, known) in enumerate(zip(self.names, self.words, strict=True)):
            if name not in columns:
                raise ValueError(f"static: expected the columns {self.names}, got none called {name!r}")
            column = columns[name]
            if known is None:
                parts.append((np.asarray(column, np.float64)[:, None] - self.mean[at]) / self.deviation[at])
            else:
                parts.append((column[:, None] == np.array(known)[None]).astype(np.float64))
        return np.concatenate(parts, axis=1) if parts else np.zeros((len(ids), 0))


def _static_columns(table: Any, ids: Sequence[Any]) -> dict[Any, NDArray[Any]]:
    """The columns of a table with a row for each series, in the order of the series: float64, or str."""
    import pandas

    if type(table).__module__.split(".")[0] == "polars":
        table = pandas.DataFrame({column: table[column].to_list() for column in table.columns})
    if not isinstance(table, pandas.DataFrame):
        raise TypeError(f"static: expected a DataFrame with a row for each series, got {type(table).__name__}")
    check_columns(table, "static")
    table = table.set_index(ID) if ID in table.columns else table
    absent = [label for label in ids if label not in table.index]
    if absent or table.index.has_duplicates:
        got = f"none of {absent[0]!r}" if absent else "several of one"
        raise ValueError(f"static: expected one row for each series, by {ID} or as index, got {got}")
    table = table.loc[list(ids)]
    if table.isna().to_numpy().any():
        raise ValueError(f"static: expected no missing value, got one in {table.columns[table.isna().any()][0]!r}")
    found = {}
    for name in table.columns:
        numeric = pandas.api.types.is_numeric_dtype(table[name])
        what, column = f"static, {name!r}", table[name]
        found[name] = numbers_of(plain(column, what), what) if numeric else column.astype(str).to_numpy(str)
    return found
