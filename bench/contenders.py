"""Who is measured. Each gets the same weights and inputs and gives a call to be timed and its results to be compared.

A contender is a function of (case, mode, weights, x, dtype, threads) that imports its framework and returns
(call, results): `call()` is one pass, `results()` the arrays of the last one, y first, in NumPy and batch-first. Mode
is "inference", or "training": forward, and backward of the sum of the outputs, to the weights and to x.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cases import Case

Array = NDArray[Any]
Weights = dict[str, Array]
Call = tuple[Callable[[], Any], Callable[[], list[Array]]]


def make_problem(case: Case, dtype: str) -> tuple[Weights, Array]:
    """Weights under PyTorch's names, and an input."""
    rng = np.random.default_rng(0)
    bound = case.hidden**-0.5
    weights = {}
    for layer in range(case.layers):
        inputs = case.inputs if layer == 0 else case.directions * case.hidden
        for suffix in [f"_l{layer}", f"_l{layer}_reverse"][: case.directions]:
            shapes = {"weight_ih": inputs, "weight_hh": case.hidden, "bias_ih": None, "bias_hh": None}
            for name, width in shapes.items():
                shape = (4 * case.hidden,) if width is None else (4 * case.hidden, width)
                weights[name + suffix] = rng.uniform(-bound, bound, shape).astype(dtype)
    return weights, rng.standard_normal((case.n, case.t, case.inputs)).astype(dtype)


def fastlstm(case: Case, mode: str, weights: Weights, x: Array, dtype: str, threads: int) -> Call:
    import fastlstm as fl

    fl.set_num_threads(threads)
    model = fl.Model([fl.io.from_torch(weights)], dtype=dtype)
    tape = model.tape()
    found: list[Array] = []
    if mode == "inference":

        def infer() -> None:
            found[:] = [model.forward(x, tape)]

        return infer, lambda: found

    dy = np.ones((case.n, case.t, case.directions * case.hidden), dtype)

    def train() -> None:
        model.zero_grad()
        y = model.forward(x, tape, training=True)
        found[:] = [y, model.backward(dy, tape), model.parameters()[1].grad]

    return train, lambda: found


def torch(case: Case, mode: str, weights: Weights, x: Array, dtype: str, threads: int) -> Call:
    import torch

    torch.set_num_threads(threads)
    module = torch.nn.LSTM(
        case.inputs, case.hidden, case.layers, batch_first=True, bidirectional=case.directions == 2
    ).to(getattr(torch, dtype))
    module.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    found: list[Any] = []
    if mode == "inference":
        tensor = torch.tensor(x)

        def infer() -> None:
            with torch.inference_mode():
                found[:] = [module(tensor)[0]]

        return infer, lambda: [found[0].numpy()]

    tensor = torch.tensor(x, requires_grad=True)

    def train() -> None:
        module.zero_grad()
        tensor.grad = None
        found[:] = [module(tensor)[0]]
        found[0].sum().backward()

    return train, lambda: [found[0].detach().numpy(), tensor.grad.numpy(), module.weight_hh_l0.grad.numpy()]


def onnxruntime(case: Case, mode: str, weights: Weights, x: Array, dtype: str, threads: int) -> Call:
    import onnxruntime as ort

    if mode != "inference" or dtype != "float32":
        raise LookupError("ONNX Runtime runs LSTMs in inference and in float32")
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    model = onnx_model(case, weights)
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {"x": np.ascontiguousarray(x.transpose(1, 0, 2))}
    found: list[Array] = []

    def infer() -> None:
        found[:] = session.run(["y"], feed)

    def results() -> list[Array]:
        y = found[0]
        return [y.transpose(2, 0, 1, 3).reshape(case.n, case.t, -1)]

    return infer, results


def onnx_model(case: Case, weights: Weights) -> bytes:
    """A chain of ONNX LSTM nodes; their rows are the gates i, o, f, c."""
    import onnx
    from onnx import helper, numpy_helper

    def rows(name: str) -> Array:
        blocks = weights[name].reshape(4, case.hidden, -1)
        return blocks[[0, 3, 1, 2]].reshape(4 * case.hidden, -1)

    direction = "bidirectional" if case.directions == 2 else "forward"
    nodes, tensors, value = [], [], "x"
    for layer in range(case.layers):
        suffixes = [f"_l{layer}", f"_l{layer}_reverse"][: case.directions]
        parts = {
            "W": np.stack([rows("weight_ih" + s) for s in suffixes]),
            "R": np.stack([rows("weight_hh" + s) for s in suffixes]),
            "B": np.stack([np.concatenate([rows("bias_ih" + s), rows("bias_hh" + s)])[:, 0] for s in suffixes]),
        }
        tensors += [numpy_helper.from_array(array, f"{name}{layer}") for name, array in parts.items()]
        names = [value, *(f"{name}{layer}" for name in parts)]
        last = layer == case.layers - 1
        out = "y" if last else f"y{layer}"
        nodes.append(helper.make_node("LSTM", names, [out], hidden_size=case.hidden, direction=direction))
        if not last:  # (T, D, N, H) to (T, N, D·H)
            tensors.append(numpy_helper.from_array(np.array([0, 0, -1]), f"shape{layer}"))
            nodes.append(helper.make_node("Transpose", [out], [f"t{layer}"], perm=[0, 2, 1, 3]))
            nodes.append(helper.make_node("Reshape", [f"t{layer}", f"shape{layer}"], [f"x{layer}"]))
            value = f"x{layer}"
    graph = helper.make_graph(
        nodes,
        "lstm",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [case.t, case.n, case.inputs])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


CONTENDERS: dict[str, Callable[..., Call]] = {"fastlstm": fastlstm, "torch": torch, "onnxruntime": onnxruntime}
