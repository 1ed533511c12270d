"""Recurrent layers and their machinery."""

from fastlstm.layers.recurrent.base import Recurrent as Recurrent
from fastlstm.layers.recurrent.gates import Gates as Gates
from fastlstm.layers.recurrent.gru import GRU as GRU
from fastlstm.layers.recurrent.lstm import LSTM as LSTM
from fastlstm.layers.recurrent.min_lstm import MinLSTM as MinLSTM
from fastlstm.layers.recurrent.one_step import GRUCell as GRUCell
from fastlstm.layers.recurrent.one_step import LSTMCell as LSTMCell
from fastlstm.layers.recurrent.simple_rnn import SimpleRNN as SimpleRNN
from fastlstm.layers.recurrent.slstm import SLSTM as SLSTM
