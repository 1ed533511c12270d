"""Models: chains of layers, with their tapes and streams."""

from fastlstm.model.chunks import ChunkStream as ChunkStream
from fastlstm.model.model import Model as Model
from fastlstm.model.stream import Stream as Stream
from fastlstm.model.tape import Tape as Tape
