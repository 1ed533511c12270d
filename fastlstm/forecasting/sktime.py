"""`LSTMForecaster` as a forecaster of sktime: ``from fastlstm.forecasting.sktime import LSTMForecaster``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np

from fastlstm.forecasting import lstm_forecaster
from fastlstm.forecasting.elsewhere import long_columns, long_series, shown_with, unstacked

try:
    from sktime.datatypes import update_data
    from sktime.forecasting.base import BaseForecaster
except ImportError as error:
    raise ImportError("fastlstm.forecasting.sktime needs sktime, which is not installed: pip install sktime") from error

_PARAMETERS = list(inspect.signature(lstm_forecaster.LSTMForecaster).parameters.values())


class LSTMForecaster(BaseForecaster):
    """`fastlstm.forecasting.LSTMForecaster` with the interface of sktime.

    One network learns from all columns of y, and from all instances of a panel or a hierarchy. A forecast knows nothing
    of the other columns or instances at the same time; none is made for the values that it has learned from. NaN is a
    missing value.

    Parameters
    ----------
    season : int, optional
        Steps after which the series resemble themselves; by default that of their frequency.
    **parameters
        Those of `fastlstm.forecasting.LSTMForecaster`, with its defaults. With strategy="recursive", `fit` needs no
        `fh`.

    Attributes
    ----------
    forecaster_ : fastlstm.forecasting.LSTMForecaster
        What has learned, on a long panel in which the series are numbered; it can be saved without pickle.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If a number is outside its range, or a word is none of those.

    Notes
    -----
    `update(y, update_params=True)`, sktime's default, trains anew on all values so far, and with update_params=False
    goes on from the new ones without a training, which is a matter of milliseconds. X in `predict` has rows for the
    steps of fh, but may leave out the columns in `past_covariates`. For steps before the last that it leaves out, the
    value before them holds.

    Examples
    --------
    >>> from fastlstm.forecasting.sktime import LSTMForecaster
    >>> from sktime.datasets import load_airline
    >>> forecaster = LSTMForecaster(epochs=2).fit(load_airline(), fh=[1, 2, 3])
    >>> forecaster.predict().index.astype(str).tolist()
    ['1961-01', '1961-02', '1961-03']
    >>> forecaster.predict_interval(coverage=0.9).columns.tolist()
    [('Number of airline passengers', 0.9, 'lower'), ('Number of airline passengers', 0.9, 'upper')]
    """

    _tags: ClassVar[dict[str, Any]] = {
        "authors": "The fastlstm developers",
        "maintainers": "The fastlstm developers",
        "python_dependencies": "sktime>=1.0",
        "y_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"],
        "X_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"],
        "capability:multivariate": True,
        "capability:exogenous": True,
        "capability:categorical_in_X": False,
        "capability:non_contiguous_X": True,
        "capability:missing_values": True,
        "capability:insample": False,
        "capability:pred_int": True,
        "capability:pred_int:insample": False,
        "capability:update": True,
        "capability:random_state": True,
        "property:randomness": "derandomized",
        "requires-fh-in-fit": True,
    }
    _config: ClassVar[dict[str, Any]] = {"remember_data": False}  # the data are kept once, in `_cur_y` and `_cur_X`
    _y: Any = None  # which sktime looks for where a user wants them twice
    _X: Any = None

    @shown_with(_PARAMETERS)
    def __init__(self, season: int | None = None, **parameters: Any) -> None:
        self.__dict__.update(lstm_forecaster.LSTMForecaster(season, **parameters).get_params())
        super().__init__()
        self.set_tags(**{"requires-fh-in-fit": self.strategy == "direct"})

    def _fit(self, y: Any, X: Any, fh: Any) -> Self:
        self._cur_y, self._cur_X = y, X
        return self._learn(fh)

    def _learn(self, fh: Any) -> Self:
        """Train on all values so far."""
        self._instances = _instances(self._cur_y)
        parameters = self.get_params(deep=False)
        parameters["freq"] = self.freq or getattr(self.cutoff, "freqstr", None)
        horizon: dict[str, Any] = {} if fh is None else {"fh": int(fh.to_relative(self.cutoff)[-1])}
        self.forecaster_ = lstm_forecaster.LSTMForecaster(**parameters)
        self.forecaster_.fit(*self._seen(), **horizon, progress=False)
        return self

    def _update(self, y: Any, X: Any = None, update_params: bool = True) -> Self:
        whole = update_data(self._cur_y, y)
        new = [] if self._instances is None else _instances(whole).difference(self._instances)
        if len(new) and not update_params:
            raise ValueError(f"y: expected instances that fit has seen with update_params=False, got {new[0]!r}")
        self._cur_y, self._cur_X = whole, update_data(self._cur_X, X)
        if update_params:
            return self._learn(self._fh)
        self.forecaster_.update(*self._seen())
        return self

    def _seen(self) -> tuple[Any, Any]:
        """All values so far as a long panel: each series up to the end of the longest, where NaN is a missing value."""
        moments = self._cur_y.index.get_level_values(-1).unique().sort_values()
        if moments.dtype.kind in "iu" and (step := np.gcd.reduce(np.diff(moments))) > 1:
            raise ValueError(f"y: expected whole numbers one apart as index, as fh counts them, got steps of {step}")
        series = {at: _up_to(self._end, table) for at, table in self._tables(self._cur_y, "y").items()}
        if self._cur_X is None:
            return long_series(series), None
        columns = {at: _up_to(self._end, table) for at, table in self._tables(self._cur_X, "X").items()}
        return long_series(series), long_columns(columns, self._cur_y.shape[1])

    @property
    def _end(self) -> Any:
        """The last moment of all, as an index."""
        moments = self._cur_y.index.get_level_values(-1)
        return moments[[moments.argmax()]]

    def _tables(self, frame: Any, name: str) -> dict[int, Any]:
        """The rows of each instance by time, by its number."""
        if self._instances is None:
            return {0: frame}
        above = list(range(frame.index.nlevels - 1))
        rows = dict(iter(frame.groupby(level=above if len(above) > 1 else 0)))
        absent = [instance for instance in self._instances if instance not in rows]
        if absent:
            raise ValueError(f"{name}: expected rows of each instance, got none of {absent[0]!r}")
        return {at: rows[instance].droplevel(above) for at, instance in enumerate(self._instances)}

    def _predict(self, fh: Any, X: Any) -> Any:
        return self._asked(fh, X, self.forecaster_.predict, self._cur_y.columns)

    def _predict_quantiles(self, fh: Any, X: Any, alpha: Any) -> Any:
        import pandas

        quantiles = partial(self.forecaster_.predict_quantiles, alpha)
        return self._asked(fh, X, quantiles, pandas.MultiIndex.from_product([self._get_varnames(), alpha]))

    def _asked(self, fh: Any, X: Any, forecast: Callable[[int, Any], Any], names: Any) -> Any:
        """The steps of fh of a forecast as sktime has it, below these names."""
        import pandas

        steps, width = fh.to_relative(self.cutoff).to_numpy() - 1, self._cur_y.shape[1]
        tables = {} if X is None else self._tables(X, "X")
        coming = {at: _up_to(self._end, table) for at, table in tables.items()}
        numbers, moments = unstacked(
            forecast(int(steps[-1]) + 1, long_columns(coming, width) if coming else None), width
        )
        index, known = moments[steps], self._instances
        for table in tables.values():
            absent = index[~index.isin(table.index)]
            if len(absent) and not {*table.columns} <= {*self.past_covariates}:
                raise ValueError(f"X: expected rows of the steps of fh, got none of {absent[0]}")
        if known is not None:
            levels = [known.get_level_values(at).repeat(len(steps)) for at in range(known.nlevels)]
            index = pandas.MultiIndex.from_arrays([*levels, index.append([index] * (len(known) - 1))])
        rows = numbers[:, steps].reshape(-1, len(names))
        return pandas.DataFrame(rows, index.set_names(self._cur_y.index.names), names)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Parameters that sktime's tests of estimators make small forecasters of; `parameter_set` changes nothing."""
        small = {"hidden_size": 3, "epochs": 1, "window": 4}
        return [small, {**small, "season": 3, "strategy": "recursive", "scaling": "standard"}]


def _instances(y: Any) -> Any:
    """What the instances of a panel are called, in rising order; None for one series."""
    return y.index.droplevel(-1).unique().sort_values() if y.index.nlevels > 1 else None


def _up_to(end: Any, table: Any) -> Any:
    """A table that has a row at this moment, if need be an empty one."""
    return table if end[0] in table.index else table.reindex(table.index.append(end))
