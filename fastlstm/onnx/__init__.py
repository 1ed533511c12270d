"""Any ONNX graph, by ONNX Runtime's signatures: onnx's own reference evaluator with our kernels.

Needs the package onnx: ``pip install 'fastlstm[onnx]'``.
"""

try:
    import onnx as _onnx  # noqa: F401
except ImportError as error:
    raise ImportError("fastlstm.onnx needs the package onnx: pip install 'fastlstm[onnx]'") from error

from fastlstm.onnx.session import InferenceSession as InferenceSession
from fastlstm.onnx.session import ModelMeta as ModelMeta
from fastlstm.onnx.values import NodeArg as NodeArg
