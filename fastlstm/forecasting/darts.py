"""`LSTMForecaster` as a model of darts: ``from fastlstm.forecasting.darts import LSTMForecaster``."""

from __future__ import annotations

import copy
import inspect
from typing import Any, Self

from fastlstm import _check
from fastlstm.forecasting import lstm_forecaster
from fastlstm.forecasting.elsewhere import long_series, shown_with, unstacked
from fastlstm.forecasting.parameters import MOST_STEPS

try:
    from darts import TimeSeries
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel

    from fastlstm.forecasting.darts_series import as_list, columns_of, coming_of, placed, static_of, table_of
except ImportError as error:
    raise ImportError("fastlstm.forecasting.darts needs darts, which is not installed: pip install darts") from error

_LEAST_VALUES = 3
"""Values that darts gives to a training at least, beside those of one horizon."""

_FOUND_OUT = ("past_covariates", "freq")
"""Parameters of our forecaster that follow from the series and the covariates of `fit`."""

_PARAMETERS = [
    inspect.Parameter("output_chunk_length", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=12),
    inspect.Parameter("use_static_covariates", inspect.Parameter.KEYWORD_ONLY, default=True),
    *(
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(lstm_forecaster.LSTMForecaster).parameters.items()
        if name not in _FOUND_OUT
    ),
]


class LSTMForecaster(GlobalForecastingModel):
    """`fastlstm.forecasting.LSTMForecaster` as a global model of darts.

    One network learns from all components of all series, with past, future and static covariates; a forecast knows
    nothing of the other series at the same time. NaN is a missing value. It forecasts the series that it has been
    fitted on, from their ends or, without a new training, from later ones: `predict(series=)` takes no other series.

    Parameters
    ----------
    output_chunk_length : int, default 12
        The horizon: steps that are learned to be forecast. `predict` goes further with strategy="recursive" only.
    use_static_covariates : bool, default True
        Whether the network reads the static covariates of series that have them.
    **parameters
        Those of `fastlstm.forecasting.LSTMForecaster`, with its defaults, but for `past_covariates` and `freq`, which
        follow from what `fit` gets.

    Attributes
    ----------
    forecaster_ : fastlstm.forecasting.LSTMForecaster
        What has learned, on a long panel in which the series are numbered; it can be saved without pickle.

    Raises
    ------
    TypeError
        If an argument is of the wrong type, or there is none of a name.
    ValueError
        If a number is outside its range, or a word is none of those.

    Examples
    --------
    >>> import numpy as np
    >>> from darts import TimeSeries
    >>> from fastlstm.forecasting.darts import LSTMForecaster
    >>> series = TimeSeries.from_values(np.arange(60.0) + np.tile([0.0, 5.0], 30))
    >>> model = LSTMForecaster(4, season=2, epochs=2).fit(series)
    >>> model.predict(3).values().round().ravel().tolist()
    [60.0, 66.0, 62.0]
    >>> model.predict(3, num_samples=100).n_samples
    100
    """

    supports_multivariate = True
    supports_past_covariates = True
    supports_future_covariates = True
    supports_static_covariates = True
    supports_probabilistic_prediction = True
    supports_sample_weight = False
    supports_optimized_historical_forecasts = False
    min_train_samples = 1

    @shown_with(_PARAMETERS)
    def __init__(self, output_chunk_length: int = 12, *, use_static_covariates: bool = True, **parameters: Any) -> None:
        strange = [name for name in parameters if name in _FOUND_OUT]
        if strange:
            raise TypeError(f"{strange[0]}: expected none, which follows from what fit gets")
        self._horizon = _check.positive_int(output_chunk_length, "output_chunk_length", MOST_STEPS)
        lstm_forecaster.LSTMForecaster(**parameters)  # whose errors come now, not in fit
        super().__init__(add_encoders=None)
        self._considers_static_covariates = _check.flag(use_static_covariates, "use_static_covariates")
        self._parameters = parameters
        self._told: list[Any] = []

    def fit(self, series: Any, past_covariates: Any = None, future_covariates: Any = None, verbose: Any = None) -> Self:
        """Learn from series.

        Parameters
        ----------
        series : TimeSeries, or list of TimeSeries
            Of one frequency and with the same number of components.
        past_covariates, future_covariates : TimeSeries, or list of TimeSeries, optional
            For each series, at all of its steps.
        verbose : bool, optional
            Whether a progress bar is shown.

        Returns
        -------
        LSTMForecaster
            Itself.

        Raises
        ------
        ValueError
            If frequencies or numbers of components differ, or covariates do not cover their series.
        """
        told = as_list(series, "series")
        kinds = {f"{each.width} components by {each.freq_str}" for each in told}
        if len(kinds) > 1:
            raise ValueError(f"series: expected the same frequency and width, got {' and '.join(sorted(kinds))}")
        self.training_series = self.past_covariate_series = self.future_covariate_series = None  # of an earlier fit
        self._uses_past_covariates = self._uses_future_covariates = self._uses_static_covariates = False
        super().fit(series, past_covariates, future_covariates)
        self._told = told
        past, columns = columns_of(dict(enumerate(told)), past_covariates, future_covariates)
        freq = None if told[0].has_range_index else told[0].freq_str
        self.forecaster_ = lstm_forecaster.LSTMForecaster(**self._parameters, past_covariates=past, freq=freq)
        self.forecaster_.fit(
            long_series({at: table_of(each) for at, each in enumerate(told)}),
            columns,
            self._horizon,
            static=static_of(told) if self.uses_static_covariates else None,
            progress=bool(verbose),
        )
        return self

    def predict(
        self,
        n: int,
        series: Any = None,
        past_covariates: Any = None,
        future_covariates: Any = None,
        num_samples: int = 1,
        verbose: Any = None,
        predict_likelihood_parameters: bool = False,
        show_warnings: bool = True,
        random_state: int | None = None,
    ) -> Any:
        """Forecast the steps that follow each series.

        Parameters
        ----------
        n : int
            Steps; at most output_chunk_length unless strategy="recursive".
        series : TimeSeries, or list of TimeSeries, optional
            Series of `fit`, which may go on further than there. By default the one that `fit` got.
        past_covariates, future_covariates : TimeSeries, or list of TimeSeries, optional
            For each of these series, as in `fit`. Future covariates are needed for the n steps to come, past ones up to
            the end of the series.
        num_samples : int, default 1
            1 for the forecast; more for as many drawn paths, in which each component is drawn by itself.
        random_state : int, optional
            Of the paths; by default that of the model.
        verbose, show_warnings
            Change nothing.

        Returns
        -------
        TimeSeries, or list of TimeSeries

        Raises
        ------
        ValueError
            If nothing has been learned yet, a series is none of those of `fit`, n is more than the model can, or
            covariates do not reach far enough.
        """
        if series is None and self.training_series is not None:
            series = self.training_series
            past_covariates = self.past_covariate_series if past_covariates is None else past_covariates
            future_covariates = self.future_covariate_series if future_covariates is None else future_covariates
        if series is None and self._told:
            raise ValueError("series: expected the series to forecast, as fit got several, got None")
        told = {"predict_likelihood_parameters": predict_likelihood_parameters, "show_warnings": False}
        super().predict(n, series, past_covariates, future_covariates, num_samples, **told)
        steps = _check.positive_int(n, "n", MOST_STEPS)
        if steps > self._horizon and self._parameters["strategy"] == "direct":
            raise ValueError(
                f"n: expected at most {self._horizon}, which is output_chunk_length, got {steps}; fit a model with "
                f"output_chunk_length={steps}, or with strategy='recursive'"
            )
        asked = placed(as_list(series, "series"), self._told)
        forecaster = self._at_the_ends_of(asked, past_covariates, future_covariates)
        coming = coming_of(asked, self._told, future_covariates, steps) if self.uses_future_covariates else None
        if _check.positive_int(num_samples, "num_samples") == 1:
            numbers = unstacked(forecaster.predict(steps, coming), self._told[0].width)[0]
        else:
            paths = forecaster.sample_paths(num_samples, steps, coming, random_state=random_state)
            numbers = paths.reshape(len(self._told), -1, *paths.shape[1:]).transpose(0, 3, 1, 2)
        found = [self._build_forecast_series(numbers[at], each) for at, each in asked.items()]
        return found[0] if isinstance(series, TimeSeries) else found

    def _at_the_ends_of(self, asked: dict[int, Any], past: Any, future: Any) -> lstm_forecaster.LSTMForecaster:
        """The forecaster, where some series go on further than in `fit` a copy that knows the new values."""
        if all(len(each) == len(self._told[at]) for at, each in asked.items()):
            return self.forecaster_
        _, columns = columns_of(asked, past, future)
        return copy.copy(self.forecaster_).update(
            long_series({at: table_of(each) for at, each in asked.items()}), columns
        )

    @property
    def output_chunk_length(self) -> int:
        return self._horizon

    @property
    def _target_window_lengths(self) -> tuple[int, int]:
        return _LEAST_VALUES, self._horizon

    @property
    def extreme_lags(self) -> tuple[int | None, ...]:
        past = (-_LEAST_VALUES, -1) if self.uses_past_covariates else (None, None)
        future = (-_LEAST_VALUES, self._horizon - 1) if self.uses_future_covariates else (None, None)
        return -_LEAST_VALUES, self._horizon - 1, *past, *future, 0

    @property
    def _model_encoder_settings(self) -> tuple[Any, ...]:
        return _LEAST_VALUES, self._horizon, True, True, None, None
