"""A chain of layers, what its passes leave, and its running state."""

from fastlstm.model.model import Model as Model
from fastlstm.model.stream import Stream as Stream
from fastlstm.model.tape import Tape as Tape
