"""Metrics: how good predictions are, beside the loss.

A metric is a function of (pred, target, weights) that returns a weighted mean over the steps, or a `Measure`, which is
gathered over all batches. Predictions are what the model gives: scores, not probabilities.
"""

from fastlstm.metrics.accumulator import Accumulator as Accumulator
from fastlstm.metrics.base import Mean as Mean
from fastlstm.metrics.base import Measure as Measure
from fastlstm.metrics.classification import accuracy as accuracy
from fastlstm.metrics.classification import auc as auc
from fastlstm.metrics.classification import bits_per_character as bits_per_character
from fastlstm.metrics.classification import f1 as f1
from fastlstm.metrics.classification import perplexity as perplexity
from fastlstm.metrics.classification import top_k as top_k
from fastlstm.metrics.edit import edit_distance as edit_distance
from fastlstm.metrics.edit import error_rate as error_rate
from fastlstm.metrics.edit import label_error_rate as label_error_rate
from fastlstm.metrics.names import METRICS as METRICS
from fastlstm.metrics.names import Metric as Metric
from fastlstm.metrics.names import get as get
from fastlstm.metrics.regression import mae as mae
from fastlstm.metrics.regression import mase as mase
from fastlstm.metrics.regression import mse as mse
from fastlstm.metrics.regression import rmse as rmse
from fastlstm.metrics.regression import seasonal_scale as seasonal_scale
from fastlstm.metrics.regression import smape as smape
