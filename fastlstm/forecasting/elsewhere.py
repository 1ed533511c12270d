"""What the forecasters of other libraries share: tables of several instances as a long panel, and signatures."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.panel import DATE, ID, VALUE

Floats = NDArray[np.float64]
F = TypeVar("F", bound=Callable[..., Any])


def shown_with(parameters: list[inspect.Parameter]) -> Callable[[F], F]:
    """A decorator: a constructor shows these parameters, for libraries that read their names and defaults."""

    def decorated(function: F) -> F:
        first = next(iter(inspect.signature(function).parameters.values()))
        function.__dict__["__signature__"] = inspect.Signature([first, *parameters])
        return function

    return decorated


def long_series(tables: Mapping[int, Any]) -> Any:
    """A long panel of all columns of all tables, each a series.

    Parameters
    ----------
    tables : dict of DataFrame (T_i, C)
        The series of each instance by time, by the number of the instance.

    Returns
    -------
    DataFrame with unique_id, ds and y
        The series have whole numbers as names: from left to right those of instance 0, then those of instance 1.
    """
    import pandas

    return pandas.concat([_stacked(table, at * table.shape[1]) for at, table in tables.items()], ignore_index=True)


def long_columns(tables: Mapping[int, Any], width: int) -> Any:
    """The columns that stand beside a long panel.

    Parameters
    ----------
    tables : dict of DataFrame (T_i, K)
        What stands beside the series of each instance by time, by the number of the instance.
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

    names = next(iter(tables.values())).columns
    taken = [name for name in (ID, DATE, VALUE) if name in names]
    if taken:
        raise ValueError(f"X: expected no column called {taken[0]!r}, which has a meaning of its own; rename it")
    rows = [
        table.assign(**{ID: at * width + column, DATE: table.index})
        for at, table in tables.items()
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
