"""OpenVINO on the same ONNX model, in float32 or bfloat16, and for latency."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov

from bench.contenders import Call, Problem, only
from bench.contenders.onnx_runtime import call_of, model_of


def prepare(problem: Problem, mode: str, threads: int) -> Call:
    only(problem.dtype == "float32", "measured in float32")
    core = ov.Core()
    model = core.read_model(model_of(problem, mode))
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if problem.precision == "bfloat16" else "f32",
    }
    compiled = core.compile_model(model, "CPU", options)

    def run(feed: dict[str, Any]) -> list[Any]:
        found = compiled(feed if mode == "streaming" else feed["x"], share_inputs=True, share_outputs=True)
        # the next call overwrites the outputs, which a stream feeds back
        return [found[0], *(np.array(found[k]) for k in range(1, len(found)))]

    return call_of(problem, mode, run)
