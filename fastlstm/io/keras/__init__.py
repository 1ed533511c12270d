"""Models to and from Keras."""

from fastlstm.io.keras.reader import from_keras as from_keras
from fastlstm.io.keras.writer import to_keras as to_keras
