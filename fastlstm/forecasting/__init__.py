"""Forecasts of series, from a file to forecasts with an error band."""

from fastlstm.forecasting.backtest import Backtest as Backtest
from fastlstm.forecasting.backtest import Forecast as Forecast
from fastlstm.forecasting.backtest import Score as Score
from fastlstm.forecasting.forecaster import Forecaster as Forecaster
from fastlstm.forecasting.lstm_forecaster import LSTMForecaster as LSTMForecaster
from fastlstm.forecasting.rolling import RollingBacktest as RollingBacktest
from fastlstm.forecasting.series import Series as Series
from fastlstm.forecasting.series import read_series as read_series
from fastlstm.forecasting.skill import Skill as Skill
