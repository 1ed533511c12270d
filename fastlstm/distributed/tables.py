"""Tables of different packages as one thing: columns are read from it, and put beside those it has."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastlstm.distributed.steps import Column, Steps, column_of

Array = NDArray[Any]


class Table(Protocol):
    """What is asked of a table."""

    names: list[Any]
    rows: int

    def read(self, name: str) -> Column:
        """A column by its name."""

    def extended(self, columns: Mapping[str, Array]) -> Any:
        """A new table of the same kind with columns added: (N,) numbers, or an array for each row."""


def table_of(data: Any) -> Table | None:
    """A dict of arrays, a DataFrame of pandas, a Table or RecordBatch of PyArrow as a `Table`; of all else, None.

    No package is imported: what nobody has imported, data cannot be of.
    """
    if isinstance(data, Mapping):
        return OfArrays(data)
    pandas, pyarrow = sys.modules.get("pandas"), sys.modules.get("pyarrow")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return OfPandas(data)
    if pyarrow is not None and isinstance(data, pyarrow.Table | pyarrow.RecordBatch):
        return OfArrow(data)
    return None


class OfArrays:
    """A dict of arrays, each with as many rows."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data, self.names = data, list(data)
        sizes = {name: len(column) for name, column in data.items()}
        if len({*sizes.values()}) > 1:
            raise ValueError(f"data: expected arrays of one length in the dict, got {sizes!r:.200}")
        self.rows = next(iter(sizes.values()), 0)

    def read(self, name: str) -> Column:
        return column_of(self.data[name], name)

    def extended(self, columns: Mapping[str, Array]) -> dict[str, Any]:
        return {**self.data, **columns}


class OfPandas:
    """A DataFrame. What is no number becomes a column of objects: an array in each row, or a list of them."""

    def __init__(self, data: Any) -> None:
        self.data, self.names, self.rows = data, list(data.columns), len(data)

    def read(self, name: str) -> Column:
        column = self.data[name]
        if column.ndim != 1:
            raise ValueError(f"column {name!r}: expected one of this name, got {column.shape[1]}")
        missing = column.isna()
        if missing.any() and column.dtype.kind != "f":
            raise ValueError(f"column {name!r}: expected numbers, got a missing one in row {int(missing.argmax())}")
        return column_of(column.to_numpy(), name)

    def extended(self, columns: Mapping[str, Array]) -> Any:
        table = self.data.copy(deep=False)
        for name, values in columns.items():
            if values.ndim == 1:
                table[name] = values
            else:
                rows = np.empty(len(values), object)
                for i, row in enumerate(values):
                    rows[i] = list(row) if row.ndim > 1 else row
                table[name] = rows
        return table


class OfArrow:
    """A Table or a RecordBatch. What is no number becomes a column of lists, or of lists of lists."""

    def __init__(self, data: Any) -> None:
        self.data, self.names, self.rows = data, list(data.schema.names), data.num_rows

    def read(self, name: str) -> Column:
        return _arrow_column(self.data.column(name), name)

    def extended(self, columns: Mapping[str, Array]) -> Any:
        table = self.data
        for name, values in columns.items():
            table = table.append_column(name, _arrow_array(values))
        return table


def _arrow_column(column: Any, name: str) -> Column:
    pa: Any = sys.modules["pyarrow"]
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # of an extension type, in some versions
            column = pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)
    if column.null_count:
        i = column.is_null().to_pylist().index(True)
        raise ValueError(f"column {name!r}: expected numbers, got a missing one in row {i}")
    if hasattr(column, "to_numpy_ndarray"):  # tensors of a fixed shape
        return column_of(column.to_numpy_ndarray(), name)
    if not _is_list(column.type):
        return column_of(column.to_numpy(zero_copy_only=False), name)
    counts = column.value_lengths().to_numpy(zero_copy_only=False).astype(np.intp)
    inner = _arrow_column(column.flatten(), name)
    if not isinstance(inner, Steps):
        return Steps(inner, counts)
    if (inner.counts != inner.counts[:1]).any():
        raise ValueError(
            f"column {name!r}: expected steps of one size, got {inner.counts.min()} to {inner.counts.max()}"
        )
    return Steps(inner.values.reshape(len(inner.counts), -1), counts)


def _is_list(kind: Any) -> bool:
    types: Any = sys.modules["pyarrow"].types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _arrow_array(values: Array) -> Any:
    """Numbers as an array of Arrow, with a list around each axis but the first."""
    pa: Any = sys.modules["pyarrow"]
    if values.ndim == 1:
        return pa.array(values)
    inner = _arrow_array(values.reshape(-1, *values.shape[2:]))
    offsets = np.arange(len(values) + 1) * values.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), inner)
