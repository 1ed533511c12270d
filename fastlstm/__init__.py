"""Fast LSTM networks on a CPU."""

import typing

from fastlstm import _public
from fastlstm import callbacks as callbacks
from fastlstm import constraints as constraints
from fastlstm import init as init
from fastlstm import io as io
from fastlstm import regularizers as regularizers
from fastlstm import schedules as schedules
from fastlstm._version import __version__ as __version__
from fastlstm.activations import sigmoid as sigmoid
from fastlstm.activations import softmax as softmax
from fastlstm.callbacks import Callback as Callback
from fastlstm.callbacks import Checkpoint as Checkpoint
from fastlstm.callbacks import EarlyStopping as EarlyStopping
from fastlstm.config import show_config as show_config
from fastlstm.invariance import get_batch_invariant as get_batch_invariant
from fastlstm.invariance import set_batch_invariant as set_batch_invariant
from fastlstm.io.native import load as load
from fastlstm.io.native import save as save
from fastlstm.layers import GRU as GRU
from fastlstm.layers import LSTM as LSTM
from fastlstm.layers import SLSTM as SLSTM
from fastlstm.layers import Activation as Activation
from fastlstm.layers import ActivityRegularization as ActivityRegularization
from fastlstm.layers import Add as Add
from fastlstm.layers import AttentionPool as AttentionPool
from fastlstm.layers import AveragePool1d as AveragePool1d
from fastlstm.layers import BatchNorm as BatchNorm
from fastlstm.layers import Concat as Concat
from fastlstm.layers import Conv1d as Conv1d
from fastlstm.layers import Decoder as Decoder
from fastlstm.layers import Dense as Dense
from fastlstm.layers import Dropout as Dropout
from fastlstm.layers import EachStep as EachStep
from fastlstm.layers import Embedding as Embedding
from fastlstm.layers import FinalState as FinalState
from fastlstm.layers import GRUCell as GRUCell
from fastlstm.layers import Last as Last
from fastlstm.layers import Layer as Layer
from fastlstm.layers import LayerNorm as LayerNorm
from fastlstm.layers import LSTMCell as LSTMCell
from fastlstm.layers import Magnitude as Magnitude
from fastlstm.layers import MaxPool as MaxPool
from fastlstm.layers import MaxPool1d as MaxPool1d
from fastlstm.layers import MeanPool as MeanPool
from fastlstm.layers import MinLSTM as MinLSTM
from fastlstm.layers import Patch as Patch
from fastlstm.layers import Residual as Residual
from fastlstm.layers import SimpleRNN as SimpleRNN
from fastlstm.layers import Softmax as Softmax
from fastlstm.layers import TiedDense as TiedDense
from fastlstm.layers import Unpatch as Unpatch
from fastlstm.losses import ctc as ctc
from fastlstm.losses import focal as focal
from fastlstm.losses import gaussian_nll as gaussian_nll
from fastlstm.losses import huber as huber
from fastlstm.losses import mae as mae
from fastlstm.losses import mse as mse
from fastlstm.losses import quantile as quantile
from fastlstm.losses import sigmoid_cross_entropy as sigmoid_cross_entropy
from fastlstm.losses import softmax_cross_entropy as softmax_cross_entropy
from fastlstm.losses import student_t_nll as student_t_nll
from fastlstm.model import ChunkStream as ChunkStream
from fastlstm.model import Model as Model
from fastlstm.model import Stream as Stream
from fastlstm.optim import SGD as SGD
from fastlstm.optim import Adam as Adam
from fastlstm.optim import AdamW as AdamW
from fastlstm.optim import RMSprop as RMSprop
from fastlstm.optim import clip_grad_norm as clip_grad_norm
from fastlstm.parameter import Parameter as Parameter
from fastlstm.quantization import Quantized as Quantized
from fastlstm.quantization import quantize as quantize
from fastlstm.threads import get_num_threads as get_num_threads
from fastlstm.threads import set_num_threads as set_num_threads
from fastlstm.training import History as History
from fastlstm.training import Seq2SeqTrainer as Seq2SeqTrainer
from fastlstm.training import Trainer as Trainer
from fastlstm.training import generate as generate
from fastlstm.workspace import Workspace as Workspace

if typing.TYPE_CHECKING:
    from fastlstm import classification as classification
    from fastlstm import data as data
    from fastlstm import datasets as datasets
    from fastlstm import decoding as decoding
    from fastlstm import distributed as distributed
    from fastlstm import estimators as estimators
    from fastlstm import forecasting as forecasting
    from fastlstm import layers as layers
    from fastlstm import losses as losses
    from fastlstm import metrics as metrics
    from fastlstm import plot as plot
    from fastlstm import speech as speech
    from fastlstm import text as text
    from fastlstm.distributed import Predictor as Predictor
else:
    __getattr__ = _public.missing  # a type-checker that saw it would let every name through

__all__ = _public.names(globals())


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
