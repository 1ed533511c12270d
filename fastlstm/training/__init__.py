"""Training: data in mini-batches, the loop over them, and the state from which an interrupted training is resumed."""

from fastlstm.training.history import History as History
from fastlstm.training.seq2seq import Seq2SeqTrainer as Seq2SeqTrainer
from fastlstm.training.seq2seq import generate as generate
from fastlstm.training.train import Trainer as Trainer
