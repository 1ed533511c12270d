"""ONNX Runtime on a chain of ONNX nodes, LSTM, GRU or RNN. Its inputs are (T, N, I), as the operator wants them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

from bench.contenders import STREAMED, Array, Call, Problem, only


def prepare(problem: Problem, mode: str, threads: int) -> Call:
    only(problem.dtype == "float32", "measured in float32")
    return session_of(problem, mode, threads, model_of(problem, mode))


def session_of(problem: Problem, mode: str, threads: int, model: bytes) -> Call:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return call_of(problem, mode, lambda feed: session.run(None, feed))


def call_of(problem: Problem, mode: str, run: Any) -> Call:
    """A call of `run`, from a dict of inputs to the outputs: y, and the parts of the state."""
    case = problem.case
    feed = {"x": np.ascontiguousarray(problem.x.transpose(1, 0, 2))}
    zeros = np.zeros((case.directions, case.n, case.hidden), problem.dtype)

    def results(y: Array) -> list[Array]:
        return [np.asarray(y).transpose(2, 0, 1, 3).reshape(case.n, case.t, -1)]

    if mode != "streaming":
        return Call(lambda: run(feed), lambda: results(run(feed)[0]))
    start = dict.fromkeys(given(problem), zeros)
    feed.update(start)

    def step() -> Array:
        y, *state = run(feed)
        feed.update(zip(start, state, strict=True))
        out: Array = y
        return out

    def streamed() -> list[Array]:
        feed.update(start)
        return [results(step()) for _ in range(STREAMED)][-1]

    return Call(step, streamed)


def given(problem: Problem) -> list[str]:
    """The inputs for the parts of the state."""
    return [f"{part}0" for part in problem.cell.parts]


def model_of(problem: Problem, mode: str) -> bytes:
    case, named = problem.case, problem.cell.onnx
    direction = "bidirectional" if case.directions == 2 else "forward"
    # a list has an entry for each direction
    options = {key: one * case.directions if isinstance(one, list) else one for key, one in named.options.items()}
    nodes, tensors, value = [], [], "x"
    before, after = (given(problem), problem.cell.parts) if mode == "streaming" else ([], ())
    for layer in range(case.layers):
        suffixes = problem.suffixes(layer)
        biases = [[problem.rows(name + s, named.gates) for name in ("bias_ih", "bias_hh")] for s in suffixes]
        parts = {
            "W": np.stack([problem.rows("weight_ih" + s, named.gates) for s in suffixes]),
            "R": np.stack([problem.rows("weight_hh" + s, named.gates) for s in suffixes]),
            "B": np.stack([np.concatenate(pair) for pair in biases]),
        }
        tensors += [numpy_helper.from_array(array, f"{name}{layer}") for name, array in parts.items()]
        names = [value, *(f"{name}{layer}" for name in parts), *(["", *before] if before else [])]
        last = layer == case.layers - 1
        out = "y" if last else f"y{layer}"
        nodes.append(
            helper.make_node(named.name, names, [out, *after], hidden_size=case.hidden, direction=direction, **options)
        )
        if not last:  # (T, D, N, H) to (T, N, D·H)
            tensors.append(numpy_helper.from_array(np.array([0, 0, -1]), f"shape{layer}"))
            nodes.append(helper.make_node("Transpose", [out], [f"t{layer}"], perm=[0, 2, 1, 3]))
            nodes.append(helper.make_node("Reshape", [f"t{layer}", f"shape{layer}"], [f"x{layer}"]))
            value = f"x{layer}"

    def of(name: str, *shape: int) -> Any:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

    held = (case.directions, case.n, case.hidden)
    inputs = [of("x", case.t, case.n, case.inputs), *(of(name, *held) for name in before)]
    outputs = [of("y", case.t, case.directions, case.n, case.hidden), *(of(name, *held) for name in after)]
    graph = helper.make_graph(nodes, case.cell, inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content
