"""A model as a function that engines of bulk work send to their workers."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check
from fastlstm.distributed.source import Source
from fastlstm.distributed.steps import sequences
from fastlstm.distributed.tables import Table, table_of
from fastlstm.files import PathLike
from fastlstm.model import Model
from fastlstm.threads import MOST_THREADS, default_num_threads, get_num_threads, renew_default, set_num_threads

Array = NDArray[Any]

TAKEN = "an array, a dict of arrays, a DataFrame of pandas, a Table or RecordBatch of PyArrow, or an iterator of these"


class Predictor:
    """A model's `predict` as a function that can be sent to other processes and machines.

    It takes an array and gives an array; it takes a table and gives the table with the predictions as a new column; it
    takes an iterator of these and gives an iterator. So one object is what ``dask.array.map_blocks``,
    ``DataFrame.map_partitions`` of Dask, ``mapInPandas`` and ``mapInArrow`` of Spark, ``map_batches`` of Ray Data and
    ``joblib.Parallel`` call. The bits are those of `Model.predict`. A process loads the model once, for all of its
    threads; see docs/distributed.md.

    Parameters
    ----------
    model : Model or path
        A model as it is now, which travels with the work; or its file, which is read once now and by every worker, all
        of which must see it.
    batch_size : int, default 256
        Number of sequences that are computed at a time.
    lengths : str or True, optional
        The column with the number of real steps of each sequence. True takes each list as long as it is.
    columns : str or list of str, optional
        The columns of a table that are the input: one with a list in each row, (T,), (T, F) or flattened (T * F,); a
        list of such columns, a feature each; or a list of columns of numbers, the steps of a row in the order of time.
        By default the only column there is, else "x".
    output : str or list of str, default "prediction"
        The new column, or one for each output of a model whose output is (N, O). A last axis of size 1 is dropped:
        numbers for an output (N, 1), lists for (N, O) or (N, T, 1), lists of lists for (N, T, O).
    threads : int, optional
        Threads of a worker process. By default those it has: the workers of engines set OMP_NUM_THREADS, which
        fastlstm follows, and a Dask worker without it divides its processors among its threads. In the process that
        made the Predictor the number stays as it is.

    Raises
    ------
    TypeError
        If model is neither a model nor a path, or another argument is of the wrong type.
    ValueError
        If the file is damaged or another argument is out of range.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> model = fl.Model([fl.LSTM(1, 8), fl.Last(), fl.Dense(8, 1)], seed=0)
    >>> predictor = fl.Predictor(model, columns=["monday", "tuesday"], output="wednesday")
    >>> predictor(np.zeros((5, 2, 1))).shape
    (5, 1)
    >>> table = {"shop": ["a", "b"], "monday": np.array([0.0, 1.0]), "tuesday": np.array([0.0, 2.0])}
    >>> print(*predictor(table))
    shop monday tuesday wednesday
    """

    def __init__(
        self,
        model: Model | PathLike,
        *,
        batch_size: int = 256,
        lengths: str | bool | None = None,
        columns: str | Sequence[str] | None = None,
        output: str | Sequence[str] = "prediction",
        threads: int | None = None,
    ) -> None:
        self.batch_size = _check.positive_int(batch_size, "batch_size")
        self.threads = None if threads is None else _check.positive_int(threads, "threads", MOST_THREADS)
        if lengths is not None and lengths is not True and not isinstance(lengths, str):
            raise TypeError(f"lengths: expected the name of a column, True or None, got {lengths!r:.80}")
        self.lengths = lengths
        self.columns = None if columns is None else _names(columns, "columns")
        self._each = not isinstance(output, str)
        self.output = _names(output, "output")
        if isinstance(model, Model):
            if type(model).predict is not Model.predict:
                raise TypeError(f"model: expected a Model, got {type(model).__name__} with a predict of its own")
            self._source = Source.of_model(model)
        elif isinstance(model, str | os.PathLike):
            self._source = Source.of_path(model)
        else:
            raise TypeError(f"model: expected a Model or the path of its file, got {type(model).__name__}")
        self._home = _here()
        self._settled = False

    def __call__(self, data: Any, lengths: Any = None, *, block_info: Any = None) -> Any:
        """The predictions for an array, a table, or each of an iterator.

        Parameters
        ----------
        data : array, dict of arrays, DataFrame, Table, RecordBatch, or an iterator of these
            Arrays are (N, T, F) numbers, or (N, T) tokens. There may be no rows.
        lengths : (N,) ints, optional
            Number of real steps of each sequence of an array; for Dask also (N, 1) or (N, 1, 1).
        block_info : dict, optional
            What Dask says of the blocks of an array: each must hold whole sequences.

        Returns
        -------
        array, table, or an iterator, as data is

        Raises
        ------
        TypeError
            If data is none of these, or its numbers are of the wrong kind.
        ValueError
            If a column is missing, or what `Model.predict` refuses.
        OSError
            If a worker cannot read the file.
        """
        if hasattr(data, "__next__"):
            return map(self, data)
        model = self._model()
        table = table_of(data)
        if table is not None:
            if lengths is not None:
                raise TypeError("lengths: expected none with a table; name a column when the Predictor is made")
            return self._beside(model, table)
        if not isinstance(data, np.ndarray | list | tuple):
            raise TypeError(f"data: expected {TAKEN}, got {type(data).__module__}.{type(data).__qualname__}")
        if self.lengths is not None and lengths is None:
            raise ValueError("lengths: expected those of the array's sequences, got none")
        x = np.asarray(data)
        if len(x) == 0:
            return _nothing(model, x.shape)
        _check_blocks(block_info)
        return model.predict(x, self.batch_size, None if lengths is None else np.asarray(lengths).reshape(-1))

    def _beside(self, model: Model, table: Table) -> Any:
        """The table with the predictions beside its columns."""
        names = self._inputs(table)
        lengths = self.lengths if isinstance(self.lengths, str) else None
        for name in [*names, *([] if lengths is None else [lengths])]:
            if name not in table.names:
                raise ValueError(f"columns: expected one named {name!r}, got {_listed(table)}")
        for name in self.output:
            if name in table.names:
                raise ValueError(f"output: expected the name of a new column, got {name!r}, which the table has")
        if table.rows == 0:
            return table.extended(self._outputs(model, _nothing(model, (0, 0))))
        columns = {name: table.read(name) for name in names}
        real = None if lengths is None else table.read(lengths)
        x, real = sequences(columns, model.input_shape, real, self.lengths is True)
        return table.extended(self._outputs(model, model.predict(x, self.batch_size, real)))

    def _inputs(self, table: Table) -> tuple[str, ...]:
        if self.columns is not None:
            return self.columns
        rest = [name for name in table.names if name != self.lengths]
        if len(rest) != 1 and "x" not in rest:
            raise ValueError(f"columns: expected the names of the input's columns, got none for {_listed(table)}")
        return (rest[0] if len(rest) == 1 else "x",)

    def _outputs(self, model: Model, y: Array) -> Mapping[str, Array]:
        """The predictions as columns."""
        if self._each:
            if y.ndim != 2 or y.shape[1] != len(self.output):
                shape = _check.describe(model.output_shape)
                raise ValueError(f"output: expected a name for each output of a model with {shape}, got {self.output}")
            return {name: np.ascontiguousarray(y[:, i]) for i, name in enumerate(self.output)}
        return {self.output[0]: y[..., 0] if y.ndim > 1 and y.shape[-1] == 1 else y}

    def _model(self) -> Model:
        """The model. A worker process that asks for the first time sets its threads."""
        if not self._settled:
            if self._home != _here():
                _settle(self.threads)
            self._settled = True
        return self._source.model()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_settled": False}

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """By what Dask tells whether two computations are the same."""
        given = self.batch_size, self.lengths, self.columns, self.output, self._each, self.threads
        return "fastlstm.Predictor", self._source.checksum, *given

    def __repr__(self) -> str:
        where = "a model" if self._source.path is None else repr(self._source.path)
        return f"Predictor({where}, columns={self.columns}, lengths={self.lengths!r}, output={self.output})"


def _names(given: Any, argument: str) -> tuple[str, ...]:
    """Names of columns, from one or several."""
    names = (given,) if isinstance(given, str) else tuple(_check.items(given, argument, "names of columns"))
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{argument}: expected the name of a column or several, got {given!r:.80}")
    if len({*names}) < len(names):
        raise ValueError(f"{argument}: expected every name once, got {given!r:.80}")
    return names


def _listed(table: Table) -> str:
    return f"columns {table.names!r:.200}"


def _nothing(model: Model, shape: tuple[int, ...]) -> Array:
    """The output for no sequences of this shape."""
    steps = shape[1] if len(shape) > 1 else 0
    found = model.shape_for((1, steps, *model.input_shape[2:])) if steps else model.output_shape
    sizes = [size if isinstance(size, int) else steps if size == "T" else 0 for size in found[1:]]
    return np.empty((0, *sizes), model.dtype)


def _check_blocks(block_info: Any) -> None:
    """Refuse blocks of a Dask array that cut sequences: each piece would be taken for a whole one."""
    whole = block_info.get(0, {}) if isinstance(block_info, dict) else {}
    cut = [axis for axis, blocks in enumerate(whole.get("num-chunks", ())) if axis and blocks > 1]
    if cut:
        raise ValueError(
            f"data: expected blocks with whole sequences, got axis {cut[0]} in {whole['num-chunks'][cut[0]]} blocks; "
            f"rechunk the array with {{{cut[0]}: -1}}"
        )


def _settle(threads: int | None) -> None:
    """Set the threads of a worker process; None for its share of the processors."""
    if threads is not None:
        set_num_threads(threads)
        return
    renew_default()  # Ray tells a process again with each kind of task
    distributed = sys.modules.get("distributed")
    try:
        worker = distributed.get_worker() if distributed is not None else None
    except ValueError:  # this process imports Dask, but is no worker of it
        return
    if worker is not None:  # whose threads each make calls like this one
        set_num_threads(min(get_num_threads(), max(1, default_num_threads() // worker.state.nthreads)))


_PROCESS = os.urandom(8).hex()


def _here() -> tuple[str, int]:
    """Tells this process from all others, also from a fork of it, and from those of other machines."""
    return _PROCESS, os.getpid()
