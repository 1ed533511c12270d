"""Layers: each public one has a file."""

from fastlstm.layers.activation import Activation as Activation
from fastlstm.layers.activity import ActivityRegularization as ActivityRegularization
from fastlstm.layers.attention import AttentionPool as AttentionPool
from fastlstm.layers.base import Layer as Layer
from fastlstm.layers.conv import Conv1d as Conv1d
from fastlstm.layers.decoder import Decoder as Decoder
from fastlstm.layers.dense import Dense as Dense
from fastlstm.layers.dropout import Dropout as Dropout
from fastlstm.layers.embedding import Embedding as Embedding
from fastlstm.layers.final_state import FinalState as FinalState
from fastlstm.layers.last import Last as Last
from fastlstm.layers.max_pool import MaxPool1d as MaxPool1d
from fastlstm.layers.norm import BatchNorm as BatchNorm
from fastlstm.layers.norm import LayerNorm as LayerNorm
from fastlstm.layers.pooling import MaxPool as MaxPool
from fastlstm.layers.pooling import MeanPool as MeanPool
from fastlstm.layers.recurrent.gates import Gates as Gates
from fastlstm.layers.recurrent.gru import GRU as GRU
from fastlstm.layers.recurrent.lstm import LSTM as LSTM
from fastlstm.layers.recurrent.min_lstm import MinLSTM as MinLSTM
from fastlstm.layers.recurrent.one_step import GRUCell as GRUCell
from fastlstm.layers.recurrent.one_step import LSTMCell as LSTMCell
from fastlstm.layers.recurrent.simple_rnn import SimpleRNN as SimpleRNN
from fastlstm.layers.recurrent.slstm import SLSTM as SLSTM
from fastlstm.layers.softmax import Softmax as Softmax
from fastlstm.layers.tied import TiedDense as TiedDense
