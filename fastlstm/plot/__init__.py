"""Pictures, drawn by matplotlib (the extra ``plot``); each function returns a figure, `save_figure` writes it."""

from fastlstm.plot.figure import new_figure as new_figure
from fastlstm.plot.figure import save_figure as save_figure
from fastlstm.plot.forecast import forecast_figure as forecast_figure
