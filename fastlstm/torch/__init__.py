"""LSTM, GRU and RNN for PyTorch on fastlstm's kernels: ``import fastlstm.torch``.

`accelerate` lets the modules of a model that stands run on them. `LSTM`, `GRU`, `RNN`, `LSTMCell`, `GRUCell` and
`RNNCell` are torch's modules that do so from the start.
"""

try:
    import torch as _torch
except ImportError as error:
    raise ImportError("fastlstm.torch needs PyTorch, which is not installed: pip install torch") from error

from fastlstm.torch.accelerate import Accelerated as Accelerated
from fastlstm.torch.accelerate import accelerate as accelerate
from fastlstm.torch.accelerate import restore as restore
from fastlstm.torch.modules import GRU as GRU
from fastlstm.torch.modules import LSTM as LSTM
from fastlstm.torch.modules import RNN as RNN
from fastlstm.torch.modules import GRUCell as GRUCell
from fastlstm.torch.modules import LSTMCell as LSTMCell
from fastlstm.torch.modules import RNNCell as RNNCell
from fastlstm.torch.openmp import borrow_threads

borrow_threads()
del _torch, borrow_threads
