"""Windows of tables that may be larger than memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.data.epochs import Epochs, rng_of, seed_of
from fastlstm.data.windows import windows
from fastlstm.unpack import whole

Array = NDArray[Any]


class Frames(Epochs):
    """Batches of windows of DataFrames or CSV files, which pandas reads in chunks.

    A window may begin in one chunk and end in the next: the windows are the same for any size of chunk.

    Parameters
    ----------
    source : DataFrame, path of a CSV file, or list of them
        Rows in order of time. Each frame or file is a series of its own.
    length, horizon : int
        Steps in a window, and steps that follow it.
    inputs, targets : str or list of str
        Names of the columns.
    batch_size : int, default 32
        The last batch of an epoch may be smaller.
    stride : int, default 1
        Steps from the start of one window to the start of the next.
    group : str, optional
        The column whose value says which series a row belongs to. Rows of several series may be mixed, if those of each
        series are in order of time.
    continued : bool, default False
        Whether each frame or file continues the series of the one before.
    prepare : function of a DataFrame, optional
        Takes each chunk and returns the one to use: with scaled columns, new ones, or fewer rows.
    shuffle : bool, default True
        Whether each epoch has an order of its own: the files come in random order (unless continued), and the windows
        are shuffled within a pool.
    pool : int, default 2048
        Number of windows in the pool, which is in memory.
    seed : int or None, default 0
        Seed of the order; None draws one.
    chunksize : int, default 10000
        Rows that are read at a time.
    dtype : str, default "float32"
        Or "float64".
    **read_csv
        More arguments of ``pandas.read_csv``: sep, decimal, names, ...

    Yields
    ------
    x : (B, length, inputs), y : (B, horizon, targets)

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ImportError
        If there is a file to read and pandas is not installed.
    ValueError
        If a number is outside its range; when it is read, if a column is missing or not of numbers, a value is missing
        (the message has the row), or a file is damaged or no table.

    Examples
    --------
    >>> from fastlstm.data import Frames
    >>> with open("weather.csv", "w") as file:
    ...     _ = file.write("wind,rain\\n" + "3.5,0\\n" * 100)
    >>> batches = Frames("weather.csv", length=24, horizon=6, inputs=["wind", "rain"], targets="rain", chunksize=30)
    >>> [(x.shape, y.shape) for x, y in batches][-1]
    ((7, 24, 2), (7, 6, 1))
    """

    def __init__(
        self,
        source: Any,
        length: int,
        horizon: int,
        *,
        inputs: str | Sequence[str],
        targets: str | Sequence[str],
        batch_size: int = 32,
        stride: int = 1,
        group: str | None = None,
        continued: bool = False,
        prepare: Callable[[Any], Any] | None = None,
        shuffle: bool = True,
        pool: int = 2048,
        seed: int | None = 0,
        chunksize: int = 10_000,
        dtype: str = "float32",
        **read_csv: Any,
    ) -> None:
        self._sources = list(source) if isinstance(source, list | tuple) else [source]
        if any(not hasattr(part, "iloc") for part in self._sources):
            _pandas()
        self._length, self._horizon = _check.positive_int(length, "length"), _check.positive_int(horizon, "horizon")
        self._stride, self._chunksize = (
            _check.positive_int(stride, "stride"),
            _check.positive_int(chunksize, "chunksize"),
        )
        self._inputs, self._targets = _names(inputs, "inputs"), _names(targets, "targets")
        self._columns = list(dict.fromkeys([*self._inputs, *self._targets]))
        self._group, self._prepare, self._read_csv = group, prepare, read_csv
        self._continued, self._shuffle = _check.flag(continued, "continued"), _check.flag(shuffle, "shuffle")
        self._batch_size, self._seed = _check.positive_int(batch_size, "batch_size"), seed_of(seed)
        wanted = _check.positive_int(pool, "pool") if shuffle else 1
        self._pool = (
            -(-wanted // self._batch_size) * self._batch_size
        )  # whole batches, so that only the last of an epoch is smaller
        self._dtype = _check.dtype_of(dtype)

    def at(self, epoch: int) -> Iterator[tuple[Array, Array]]:
        return self._batches(rng_of(self._seed, epoch))

    def _batches(self, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
        x = np.empty((self._pool, self._length, len(self._inputs)), self._dtype)
        y = np.empty((self._pool, self._horizon, len(self._targets)), self._dtype)
        filled = 0
        for past, future in self._windows(rng):
            at = 0
            while at < len(past):
                taken = min(self._pool - filled, len(past) - at)
                x[filled : filled + taken], y[filled : filled + taken] = past[at : at + taken], future[at : at + taken]
                at, filled = at + taken, filled + taken
                if filled == self._pool:
                    yield from self._pooled(x, y, rng)
                    filled = 0
        yield from self._pooled(x[:filled], y[:filled], rng)

    def _pooled(self, x: Array, y: Array, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
        order = rng.permutation(len(x)) if self._shuffle else np.arange(len(x))
        for k in range(0, len(x), self._batch_size):
            chosen = order[k : k + self._batch_size]
            yield x[chosen], y[chosen]

    def _windows(self, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
        """Views of all windows, as the chunks come."""
        mixed = self._shuffle and not self._continued
        runs: dict[Any, _Run] = {}
        for k in rng.permutation(len(self._sources)) if mixed else range(len(self._sources)):
            if not self._continued:
                runs = {}
            for key, values in self._series(int(k)):
                run = runs.setdefault(key, _Run())
                rows = run.extended(values)
                if len(rows) < self._length + self._horizon:
                    continue
                last = [self._columns.index(name) for name in self._targets]
                first = [self._columns.index(name) for name in self._inputs]
                x, y = windows(rows, self._length, self._horizon, self._stride, inputs=first, targets=last)
                run.begin(len(x) * self._stride)
                yield x, y

    def _series(self, k: int) -> Iterator[tuple[Any, Array]]:
        """For each chunk and each series in it: the name of the series, and its new rows."""
        source, before = self._sources[k], 0
        name = f"frame {k + 1}" if hasattr(source, "iloc") else os.fspath(source)
        for chunk in self._chunks(source):
            size = len(chunk)
            frame = chunk if self._prepare is None else self._prepare(chunk)
            values = self._values(frame, name, before)
            before += size
            if self._group is None:
                yield None, values
                continue
            for key, rows in frame.groupby(self._group, sort=False).indices.items():
                yield key, values[rows]

    def _chunks(self, source: Any) -> Iterator[Any]:
        if hasattr(source, "iloc"):
            for start in range(0, len(source), self._chunksize):
                yield source.iloc[start : start + self._chunksize]
            return
        with (
            whole(os.fspath(source), "a CSV file"),
            _pandas().read_csv(source, chunksize=self._chunksize, **self._read_csv) as chunks,
        ):
            yield from chunks

    def _values(self, frame: Any, name: str, before: int) -> Array:
        """The columns of a frame as numbers, (rows, columns)."""
        wanted = [*self._columns] if self._group is None else [*self._columns, self._group]
        for column in wanted:
            if column not in frame.columns:
                raise ValueError(f"{name}: expected a column {column!r}, got {list(frame.columns)}")
        for column in wanted:
            if column != self._group and frame[column].dtype.kind not in "fiub":
                raise ValueError(f"{name}, column {column!r}: expected numbers, got {frame[column].dtype}")
            missing = np.flatnonzero(frame[column].isna())
            if len(missing):
                row = before + int(missing[0]) + 1
                raise ValueError(f"{name}, row {row}, column {column!r}: expected a value, got none; fill or drop it")
        values: Array = frame[self._columns].to_numpy(self._dtype)
        return values


class _Run:
    """The part of a series that is still needed: the rows from the start of the next window on."""

    def __init__(self) -> None:
        self._rows: Array | None = None
        self._skip = 0  # rows before the next window that have not been read yet

    def extended(self, values: Array) -> Array:
        """The kept rows and the new ones after them."""
        rows = values if self._rows is None else np.concatenate([self._rows, values])
        dropped = min(self._skip, len(rows))
        self._rows, self._skip = rows[dropped:], self._skip - dropped
        return self._rows

    def begin(self, start: int) -> None:
        """Drop the rows before this one, where the next window begins."""
        assert self._rows is not None
        self._skip = max(0, start - len(self._rows))
        self._rows = self._rows[start:].copy()


def _names(columns: Any, name: str) -> list[str]:
    chosen = [columns] if isinstance(columns, str) else _check.items(columns, name, "columns")
    if not chosen:
        raise ValueError(f"{name}: expected at least one column, got none")
    return chosen


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise ImportError("reading CSV files needs pandas: pip install pandas") from None
    return pandas
