"""Forecasts of series, from a file to forecasts with intervals."""

from fastlstm.forecasting.backtest import Backtest as Backtest
from fastlstm.forecasting.backtest import Score as Score
from fastlstm.forecasting.lstm_forecaster import LSTMForecaster as LSTMForecaster
from fastlstm.forecasting.read_series import read_series as read_series
from fastlstm.forecasting.series import Series as Series
from fastlstm.forecasting.skill import Skill as Skill
