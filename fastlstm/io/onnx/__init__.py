"""Models to and from ONNX. The package onnx is imported by a call only."""

from fastlstm.io.onnx.reading import from_onnx as from_onnx
from fastlstm.io.onnx.writing import to_onnx as to_onnx
