"""Models to and from files and frameworks."""

from fastlstm.io import pickled as _pickled  # noqa: F401 (says how a model is pickled)
from fastlstm.io.keras import from_keras as from_keras
from fastlstm.io.keras import to_keras as to_keras
from fastlstm.io.native import load as load
from fastlstm.io.native import save as save
from fastlstm.io.onnx import from_onnx as from_onnx
from fastlstm.io.onnx import to_onnx as to_onnx
from fastlstm.io.parts import Parts as Parts
from fastlstm.io.torch import from_torch as from_torch
from fastlstm.io.torch import to_torch as to_torch
