"""Training a model: data in batches, the loop over them, and the state that an interrupted training goes on from."""

from fastlstm.training.history import History as History
from fastlstm.training.seq2seq import Seq2SeqTrainer as Seq2SeqTrainer
from fastlstm.training.seq2seq import generate as generate
from fastlstm.training.train import Trainer as Trainer
