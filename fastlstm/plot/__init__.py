"""Pictures, drawn by matplotlib (the extra ``plot``). Each function returns a figure; `save_figure` writes it."""

from fastlstm.plot.confusion import confusion_figure as confusion_figure
from fastlstm.plot.errors import prediction_error_figure as prediction_error_figure
from fastlstm.plot.figure import new_figure as new_figure
from fastlstm.plot.figure import save_figure as save_figure
from fastlstm.plot.forecast import forecast_figure as forecast_figure
from fastlstm.plot.gates import MOST_TOKENS as MOST_TOKENS
from fastlstm.plot.gates import gates_figure as gates_figure
from fastlstm.plot.live import LivePlot as LivePlot
from fastlstm.plot.memory import gradient_distance_figure as gradient_distance_figure
from fastlstm.plot.memory import learning_figure as learning_figure
from fastlstm.plot.series import backtest_figure as backtest_figure
from fastlstm.plot.series import outlook_figure as outlook_figure
from fastlstm.plot.tags import tags_figure as tags_figure
from fastlstm.plot.tokens import tokens_figure as tokens_figure
from fastlstm.plot.training import gradient_norms_figure as gradient_norms_figure
from fastlstm.plot.training import learning_curves_figure as learning_curves_figure
