"""Callbacks: hooks that run during a training. Schedules of the learning rate are in `fastlstm.schedules`."""

from fastlstm.callbacks.averaging import EMA as EMA
from fastlstm.callbacks.averaging import SWA as SWA
from fastlstm.callbacks.bar import ProgressBar as ProgressBar
from fastlstm.callbacks.base import Callback as Callback
from fastlstm.callbacks.base import Progress as Progress
from fastlstm.callbacks.checkpoint import Checkpoint as Checkpoint
from fastlstm.callbacks.logs import CSVLog as CSVLog
from fastlstm.callbacks.logs import GradientNorms as GradientNorms
from fastlstm.callbacks.logs import TensorBoard as TensorBoard
from fastlstm.callbacks.stopping import EarlyStopping as EarlyStopping
