"""Optimizers: they turn gradients into steps of the parameters."""

from fastlstm.optim.adaptive import Adam as Adam
from fastlstm.optim.adaptive import AdamW as AdamW
from fastlstm.optim.adaptive import RMSprop as RMSprop
from fastlstm.optim.base import Optimizer as Optimizer
from fastlstm.optim.base import get as get
from fastlstm.optim.norms import clip_grad_norm as clip_grad_norm
from fastlstm.optim.norms import clip_grad_value as clip_grad_value
from fastlstm.optim.norms import grad_norm as grad_norm
from fastlstm.optim.sgd import SGD as SGD
