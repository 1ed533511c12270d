"""The forecaster of one series or thousands: a classical forecast, and an LSTM that learns what it misses."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fastlstm import _check, hints
from fastlstm.application import Application
from fastlstm.callbacks import Callback
from fastlstm.communicator import Communicator
from fastlstm.forecasting import shown, stored
from fastlstm.forecasting.backtest import Backtest
from fastlstm.forecasting.covariates import future_of
from fastlstm.forecasting.data import Data
from fastlstm.forecasting.earlier import Earlier, EarlierOutlook
from fastlstm.forecasting.gaps import MUCH
from fastlstm.forecasting.given import data_of
from fastlstm.forecasting.learning import Learned, learn, refitted
from fastlstm.forecasting.outlook import Outlook, ends_of, outlook_of
from fastlstm.forecasting.panel import Panel
from fastlstm.forecasting.parameters import MOST_STEPS, Parameters, check_parameters
from fastlstm.forecasting.rolling import rolled
from fastlstm.model import Model

Floats = NDArray[np.float64]


class LSTMForecaster(Parameters, Application):
    """Forecasts one series, or thousands by one network.

    A forecast has two halves. The classical half is a combination of exponential smoothing, Theta and autoregression,
    fitted to each series. The other half is an LSTM, one for all series, that reads a window of each and says what the
    classical forecast will miss. Held-out values decide how much of what it says is believed: with little data, not
    much (the winner of the M4 competition was such a hybrid, Smyl 2020).

    Parameters
    ----------
    season : int, optional
        Steps after which the series resemble themselves, such as 12 for months; 1 for none. By default that of their
        frequency, or without dates that of their autocorrelation.
    window : int, optional
        Steps that the network reads. By default two seasons, but from 24 to 168, or 14 patches; fewer for short series.
    patch : int, default 1
        Steps that one step of the LSTM reads, such as 24 for the hours of a day (segments, Lin et al. 2023): a long
        window is then read in few steps, each of which sees a whole day. The window is a multiple of it.
    strategy : "direct" or "recursive", default "direct"
        Whether the network forecasts all steps at once, or one, which becomes a value for the next one. Only a
        recursive forecaster forecasts more steps than `fit` was told.
    distribution : str, default "point"
        What the network learns: "point", a number for each step, with quantiles from earlier errors; "quantile";
        "normal"; "student_t", for heavy tails; "negative_binomial", for counts; "zero_inflated", for counts that often
        are zero; or "tweedie", for amounts that often are zero.
    loss : "mae", "mse" or "huber", default "mae"
        The loss of the training for distribution="point".
    scaling : str, default "instance"
        How the network sees a series: each window minus its own mean and over its own deviation, "instance" (as
        reversible instance normalisation has it, Kim et al. 2022); with those of the whole series, "standard", or its
        median and quartiles, "robust"; or "log", which works on the logarithm of positive series. All of it is undone
        on output.
    past_covariates : list of str, default ()
        Columns of X that are not known for the steps to come.
    calendar : bool, default True
        Whether the network reads the hour, the weekday and the day of the year, as far as the frequency has them.
    holidays : str, optional
        A country such as "DE", or "US-CA" for a part of one, whose public holidays it reads; needs the package
        holidays.
    freq : str, optional
        The frequency of the dates, as pandas writes it; by default found out.
    hidden_size : int, default 32
        Units of the LSTM.
    num_layers : int, default 1
    dropout : float, default 0
        Rate of dropout before the last layer, from 0 to below 1.
    epochs : int, default 40
        At most; the training ends earlier if the held-out loss has not improved for `patience` epochs.
    patience : int, default 6
    batch_size : int, default 64
    learning_rate : float, default 0.003
        Of Adam.
    validation : float, default 0.2
        Share of each series, at its end, that is held out from the training, for `patience`, the share of the network
        and the band: at least one horizon of each series that is long enough, and from 50 series on just that.
    max_windows : int, default 20000
        Windows to learn from at most; they are drawn from all.
    random_state : int or None, default 0
        The same number gives the same bits.

    Attributes
    ----------
    history_ : History
        The losses of the training.
    season_ : int
        The season that was given or found.
    share_ : float
        How much of what the network says is believed: 0 for the classical forecast alone.
    interrupted : bool
        Whether Ctrl-C has ended the training.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If a number is outside its range, or a word is none of those.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from fastlstm.forecasting import LSTMForecaster
    >>> months = pd.date_range("2015-01", periods=96, freq="MS")
    >>> sales = pd.Series(100 + np.arange(96) + 10 * np.sin(np.arange(96) * 2 * np.pi / 12), months, name="sales")
    >>> forecaster = LSTMForecaster(epochs=2).fit(sales, fh=6)
    >>> forecaster.predict().round().tolist()
    [196.0, 202.0, 207.0, 209.0, 209.0, 206.0]
    >>> forecaster.predict_interval(coverage=0.9).columns.tolist()
    ['lower', 'upper']
    """

    word: ClassVar[str] = "forecaster"
    kind: ClassVar[str | None] = "panel"
    known_kinds: ClassVar[tuple[str | None, ...]] = ("panel", None)
    noun: ClassVar[str] = "forecaster"

    _learned_parts: Learned | Earlier | None = None
    _data: Data | None = None
    _told: Parameters | None = None

    def _repr_html_(self) -> str:
        """What it has learned, for a notebook."""
        return shown.html_of_forecaster(self)

    @property
    def _learned_with(self) -> Parameters:
        """The parameters that what was learned was learned with, whatever `set_params` has changed since."""
        return self if self._told is None else self._told

    @property
    def season_(self) -> int:
        """The season that was given or found."""
        return self._known[0].reader.season

    @property
    def share_(self) -> float:
        """How much of what the network says is believed."""
        return self._known[0].share

    @property
    def _known(self) -> tuple[Learned, Data]:
        """What `fit` has learned, and the series to forecast; RuntimeError before it."""
        learned: Any = self._learned(self._learned_parts)
        if isinstance(learned, Earlier):
            raise ValueError(
                "this forecaster comes from a file of an earlier version, which can only predict: fit anew"
            )
        return learned, self._learned(self._data)

    @property
    def _panel(self) -> Panel:
        """The series to forecast."""
        learned = self._learned(self._learned_parts)
        if self._data is None and isinstance(learned, Earlier):
            raise RuntimeError("a file of an earlier version has no series: give them to update first")
        return self._learned(self._data).panel

    @hints.hinted
    def fit(
        self,
        y: Any,
        X: Any = None,
        fh: int = 12,
        *,
        static: Any = None,
        callbacks: Iterable[Callback] = (),
        progress: bool | None = None,
        resume: str | os.PathLike[str] | None = None,
        communicator: Communicator | None = None,
    ) -> Self:
        """Learn from series.

        Parameters
        ----------
        y : array (T,) or (T, C), Series, or DataFrame
            One series, or several: side by side, or as a long panel with the columns ``unique_id``, ``ds`` and ``y``,
            as Nixtla's libraries have it. pandas or polars. The index has dates, periods or whole numbers, evenly
            spaced. NaN is a missing value: nothing is learned from it, and nothing judged by it.
        X : array (T, K) or DataFrame, optional
            Other columns at the same steps. They must be known for the steps to come, see `predict`, unless they are
            named in `past_covariates`: what each adds is found by a regression whose errors are smoothed. For a long
            panel: with ``unique_id`` and ``ds``; by default all other columns of y.
        fh : int, default 12
            The forecasting horizon: steps to forecast.
        static : DataFrame, optional
            Columns with one number or word for each series, by ``unique_id`` or as index.
        callbacks : list of Callback, optional
        progress : bool, optional
            Whether a bar is shown; by default on a terminal only.
        resume : path, optional
            A folder in which the training keeps its state, and from which it goes on; see `Trainer.fit_batches`.
        communicator : Communicator, optional
            The other processes that learn the same; see `Trainer`.

        Returns
        -------
        LSTMForecaster
            Itself.

        Raises
        ------
        TypeError
            If y or X are not of numbers, or the index is neither of dates nor of whole numbers.
        UserWarning
            If more than a fifth of y is missing.
        ValueError
            If there are no values, dates are not evenly spaced or there twice, X does not fit, or values are not
            positive with scaling="log", or negative with a distribution of counts.
        """
        check_parameters(self)
        data = data_of(self, y, X)
        missing = data.missing
        if missing > MUCH:
            warnings.warn(
                f"much of y is missing ({missing:.0%}): forecasts rest on the few values there are", stacklevel=3
            )
        horizon, run = _check.positive_int(fh, "fh", MOST_STEPS), {"progress": progress, "resume": resume}
        learned, self.history_, self.interrupted = learn(
            self, data, horizon, static, callbacks, communicator=communicator, **run
        )
        self._learned_parts, self._data, self._told = learned, data, Parameters(**self.get_params())
        return self

    def update(self, y: Any, X: Any = None, *, refit: bool = False) -> Self:
        """Go on from new values, without a new training.

        Parameters
        ----------
        y, X
            As in `fit`, in the same containers. Arrays follow what is known; dates say where values belong: behind the
            end, or in the place of what was there.
        refit : bool, default False
            Whether the classical half is fitted again, to all values.

        Returns
        -------
        LSTMForecaster
            Itself.

        Raises
        ------
        RuntimeError
            If nothing has been learned yet.
        ValueError
            If the container or the columns are others, or a series is not known.
        """
        self._learned(self._learned_parts)
        new = data_of(self._learned_with, y, X, self._data)
        data = new if self._data is None else self._data.followed_by(new)
        if refit:
            self._learned_parts = refitted(self._known[0], data)
        self._data = data
        return self

    @hints.hinted
    def predict(self, fh: int | None = None, X: Any = None) -> Any:
        """Forecast the steps that follow each series.

        Parameters
        ----------
        fh : int, optional
            Steps; by default those of `fit`, which are the most unless strategy="recursive".
        X : array (fh, K) or DataFrame, optional
            The columns of `fit` for the steps to come, but those of `past_covariates`. Needed if there are any.

        Returns
        -------
        array (fh,) or (fh, C), Series or DataFrame
            In the container of y, with its index going on. The mean of a distribution, or the
            median for "quantile" and for a point forecast by the mean absolute error.

        Raises
        ------
        RuntimeError
            If nothing has been learned yet.
        ValueError
            If fh is more than the forecaster can, or X does not fit.
        """
        outlook, steps = self._ahead(fh, X)
        return self._panel.given_back(outlook.point()[:, :steps])

    @hints.hinted
    def predict_interval(self, fh: int | None = None, X: Any = None, coverage: float = 0.9) -> Any:
        """Intervals that hold the values to come with this probability, each by itself.

        Parameters
        ----------
        fh, X
            As in `predict`.
        coverage : float, default 0.9
            From 0 to below 1.

        Returns
        -------
        array (fh, 2) or (fh, C, 2), or DataFrame with the columns lower and upper
            A wide DataFrame has these two for each series; a long one has unique_id, ds, lower and upper.
        """
        coverage = _check.number(coverage, "coverage", 0, 1, open_high=True)
        outlook, steps = self._ahead(fh, X)
        return self._panel.given_back(outlook.quantiles(ends_of(coverage))[:, :steps], ["lower", "upper"])

    @hints.hinted
    def predict_quantiles(self, levels: Sequence[float] = (0.1, 0.5, 0.9), fh: int | None = None, X: Any = None) -> Any:
        """Quantiles of the values to come.

        Parameters
        ----------
        levels : list of float, default (0.1, 0.5, 0.9)
            Above 0 and below 1.
        fh, X
            As in `predict`.

        Returns
        -------
        array (fh, Q) or (fh, C, Q), or DataFrame with a column for each level
        """
        wanted = [
            _check.number(level, "levels", 0, 1, open_high=True) for level in _check.items(levels, "levels", "numbers")
        ]
        if not wanted or min(wanted) <= 0:
            raise ValueError(f"levels: expected numbers above 0 and below 1, got {levels!r}")
        outlook, steps = self._ahead(fh, X)
        return self._panel.given_back(outlook.quantiles(np.array(wanted))[:, :steps], wanted)

    def sample_paths(
        self, count: int = 100, fh: int | None = None, X: Any = None, *, random_state: int | None = None
    ) -> Floats:
        """Draw paths that the series may take: each step from its quantiles, and the steps together as errors were.

        Parameters
        ----------
        count : int, default 100
        fh, X
            As in `predict`.
        random_state : int, optional
            By default that of the forecaster.

        Returns
        -------
        (count, fh), or (S, count, fh) for several series
        """
        count = _check.positive_int(count, "count")
        outlook, steps = self._ahead(fh, X)
        rng = np.random.default_rng(self.random_state if random_state is None else _check.seed_of(random_state))
        found = outlook.paths(count, rng)[..., :steps]
        return np.asarray(found[0] if self._panel.layout in ("array", "series") else found)

    def backtest(
        self,
        y: Any,
        X: Any = None,
        fh: int = 12,
        *,
        origins: int = 3,
        step: int | None = None,
        coverage: float = 0.9,
        static: Any = None,
    ) -> Backtest:
        """Forecast the last values of series from several origins, as one would have done then.

        A forecaster of the same parameters learns from what comes before the first origin, and goes on from origin to
        origin as `update` does. This one stays as it is.

        Parameters
        ----------
        y, X, fh, static
            As in `fit`.
        origins : int, default 3
        step : int, optional
            Steps from one origin to the next; by default fh.
        coverage : float, default 0.9
            Of the intervals.

        Returns
        -------
        Backtest
        """
        horizon, count = _check.positive_int(fh, "fh", MOST_STEPS), _check.positive_int(origins, "origins")
        step = horizon if step is None else _check.positive_int(step, "step")
        coverage = _check.number(coverage, "coverage", 0, 1, open_high=True)
        whole, back = data_of(self, y, X), horizon + step * (count - 1)
        shortest = int(min(whole.lengths))
        if shortest < back + 3:
            raise ValueError(
                f"y: expected at least {back + 3} values of each series for {count} origins of {horizon} steps, "
                f"got {shortest}"
            )
        known = whole.cut(back)
        learned, _, _ = learn(self, known, horizon, static)
        return rolled(self, learned, known, whole, horizon, step, count, coverage)

    def evaluate(
        self, y: Any, X: Any = None, fh: int | None = None, *, step: int | None = None, coverage: float = 0.9
    ) -> Backtest:
        """Forecast values that came after those of `fit`, as one would have done it then, without a new training.

        The first origin is where the values that are known end, and the last one before the end of the new values. This
        forecaster stays as it is; `update` would go on from there.

        Parameters
        ----------
        y, X
            As in `update`.
        fh : int, optional
            Steps of each forecast; by default those of `fit`.
        step : int, optional
            Steps from one origin to the next; by default fh.
        coverage : float, default 0.9
            Of the intervals.

        Returns
        -------
        Backtest

        Raises
        ------
        RuntimeError
            If nothing has been learned yet.
        ValueError
            If there is no value after those that are known, or as in `update` and `predict`.
        """
        learned, known = self._known
        horizon = self._steps(fh, learned.reader.horizon)
        step = horizon if step is None else _check.positive_int(step, "step")
        coverage = _check.number(coverage, "coverage", 0, 1, open_high=True)
        whole = known.followed_by(data_of(self._learned_with, y, X, known))
        count = -(-int((whole.lengths - known.lengths).max()) // step)
        if count < 1:
            raise ValueError(f"y: expected values after the {int(known.lengths.max())} that are known, got none")
        return rolled(self._learned_with, learned, known, whole, horizon, step, count, coverage)

    def _steps(self, fh: int | None, horizon: int) -> int:
        """The steps of a forecast that are asked for, of so many that were learned."""
        steps = horizon if fh is None else _check.positive_int(fh, "fh", MOST_STEPS)
        if steps > horizon and self._learned_with.strategy == "direct":
            raise ValueError(
                f"fh: expected at most {horizon}, as fit was told, got {steps}; fit again with fh={steps}, or "
                "with strategy='recursive'"
            )
        return steps

    def _ahead(self, fh: int | None, X: Any) -> tuple[Outlook | EarlierOutlook, int]:
        """What comes, and how many steps of it are asked for."""
        panel, learned = self._panel, self._learned_parts
        if isinstance(learned, Earlier):
            return learned.outlook(self._learned(self._data), self._learned_with.scaling), self._steps(
                fh, learned.horizon
            )
        learned, data = self._known
        reader = learned.reader
        steps = self._steps(fh, reader.horizon)
        future, horizon = future_of(X, panel, reader.covariates, steps), max(steps, reader.horizon)
        if future is not None:
            future = [np.pad(part, ((0, horizon - steps), (0, 0)), mode="edge") for part in future]
        return outlook_of(self._learned_with, learned, data, horizon, future), steps

    def _parts(self) -> tuple[Model, dict[str, Any]]:
        if isinstance(self._learned_parts, Earlier):
            return self._learned_parts.model, self._learned_parts.beside
        learned, data = self._known
        return learned.model, stored.parts_as_dict(self._learned_with, learned, data)

    @classmethod
    def _of_parts(cls, model: Model, beside: dict[str, Any]) -> Self:
        learned: Learned | Earlier
        if "scaling" in beside:
            learned, data = Earlier.from_dict(model, beside), None
            parameters = Parameters(**learned.parameters)
        else:
            parameters, learned, data = stored.parts_from_dict(model, beside)
        forecaster = cls(**parameters.get_params())
        forecaster._learned_parts, forecaster._data, forecaster._told = learned, data, parameters
        return forecaster
