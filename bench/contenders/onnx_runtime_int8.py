"""ONNX Runtime on the same ONNX model, quantized by quantize_dynamic with its default settings."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
from onnxruntime.quantization import quantize_dynamic

from bench.contenders import Call, Problem, only
from bench.contenders.onnx_runtime import model_of, session_of


def prepare(problem: Problem, mode: str, threads: int) -> Call:
    only(problem.case.cell == "lstm", "it quantizes LSTMs only")
    return session_of(problem, mode, threads, quantized(model_of(problem, mode)))


def quantized(model: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        exact, rounded = Path(folder) / "exact.onnx", Path(folder) / "rounded.onnx"
        exact.write_bytes(model)
        quantize_dynamic(exact, rounded)
        content = rounded.read_bytes()
    kinds = {node.op_type for node in onnx.load_from_string(content).graph.node}
    assert "DynamicQuantizeLSTM" in kinds, kinds  # else it would be float32 that is measured
    return content
