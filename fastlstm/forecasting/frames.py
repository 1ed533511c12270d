"""Tables of several instances, as other libraries have them, as a long panel of `LSTMForecaster`, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.panel import DATE, ID, VALUE

Floats = NDArray[np.float64]


def long_series(tables: Sequence[Any]) -> Any:
    """A long panel of all columns of all tables, each a series.

    Parameters
    ----------
    tables : list of DataFrame (T_i, C)
        The series of each instance by time.

    Returns
    -------
    DataFrame with unique_id, ds and y
        The series have whole numbers as names: those of the first table, from left to right, then those of the second.
    """
    import pandas

    return pandas.concat([_stacked(table, at * table.shape[1]) for at, table in enumerate(tables)], ignore_index=True)


def long_columns(tables: Sequence[Any], width: int) -> Any:
    """The columns that stand beside a long panel.

    Parameters
    ----------
    tables : list of DataFrame (T_i, K)
        What stands beside the series of each instance by time.
    width : int
        The series of each instance.

    Returns
    -------
    DataFrame with unique_id, ds and K columns

    Raises
    ------
    ValueError
        If one of the K columns has the name of one of a long panel.
    """
    import pandas

    taken = [name for name in (ID, DATE, VALUE) if name in tables[0].columns]
    if taken:
        raise ValueError(f"X: expected no column called {taken[0]!r}, which has a meaning of its own; rename it")
    rows = [
        table.assign(**{ID: at * width + column, DATE: table.index})
        for at, table in enumerate(tables)
        for column in range(width)
    ]
    return pandas.concat(rows, ignore_index=True)


def _stacked(table: Any, first: int) -> Any:
    """The columns of a table below each other, named from a number on."""
    import pandas

    rows, width = table.shape
    names = np.repeat(np.arange(first, first + width), rows)
    moments = table.index.append([table.index] * (width - 1))
    return pandas.DataFrame(
        {ID: names, DATE: moments, VALUE: table.to_numpy(np.float64, na_value=np.nan).T.reshape(-1)}
    )


def unstacked(forecast: Any, width: int) -> tuple[Floats, Any]:
    """A long forecast as numbers (instances, steps, width, K), and the moments of the steps, which are those of all.

    Parameters
    ----------
    forecast : DataFrame
        What `LSTMForecaster` gives for what `long_series` has made: unique_id, ds and K columns.
    width : int
        The series of each instance.
    """
    import pandas

    steps = int((forecast[ID] == forecast[ID].iloc[0]).sum())
    values = forecast.drop(columns=[ID, DATE]).to_numpy(np.float64)
    numbers = values.reshape(-1, width, steps, values.shape[1]).swapaxes(1, 2)
    return numbers, pandas.Index(forecast[DATE].iloc[:steps])
