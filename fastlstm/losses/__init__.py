"""Losses: each gives a value and its gradient by the predictions."""

from fastlstm.losses.base import Loss as Loss
from fastlstm.losses.base import get as get
from fastlstm.losses.base import step_weights as step_weights
from fastlstm.losses.densities import gaussian_nll as gaussian_nll
from fastlstm.losses.densities import gaussian_parameters as gaussian_parameters
from fastlstm.losses.densities import quantile as quantile
from fastlstm.losses.densities import quantiles as quantiles
from fastlstm.losses.densities import student_t_nll as student_t_nll
from fastlstm.losses.densities import student_t_parameters as student_t_parameters
from fastlstm.losses.labelling import ctc as ctc
from fastlstm.losses.pointwise import focal as focal
from fastlstm.losses.pointwise import huber as huber
from fastlstm.losses.pointwise import mae as mae
from fastlstm.losses.pointwise import mse as mse
from fastlstm.losses.pointwise import sigmoid_cross_entropy as sigmoid_cross_entropy
from fastlstm.losses.pointwise import softmax_cross_entropy as softmax_cross_entropy
