"""ONNX models whose loading is tried: nodes with weights, graphs within, functions, constants that are computed."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def node(kind, inputs, outputs, **told):
    return helper.make_node(kind, inputs.split(), outputs.split(), **told)


def model(nodes, constants, functions=(), shape=(3, 1, 2), name="x"):
    x, y = helper.make_tensor_value_info(name, 1, shape), helper.make_tensor_value_info("y", 1, None)
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "graph", [x], [y], tensors)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("mine", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=functions).SerializeToString()


def graphs(folder):
    rng = np.random.default_rng(0)
    w, r = (rng.normal(size=(1, 12, size)).astype("float32") for size in (2, 3))
    yield model([node("LSTM", "x w r", "y", hidden_size=3, clip=3.0)], {"w": w, "r": r})
    folded = [
        node("Shape", "w", "shape"),
        node("ConstantOfShape", "shape", "zeros"),
        node("Expand", "zeros shape", "wide"),
        node("Tile", "wide shape", "tiled"),
        node("Gather", "tiled index", "some", axis=1),
        node("Concat", "some some", "both", axis=0),
        node("ReduceSum", "both", "sum", keepdims=0),
        node("Constant", "", "one", value=numpy_helper.from_array(np.ones(3, "float32"))),
        node("Add", "sum one", "more"),
        node("Add", "x more", "y"),
    ]
    yield model(folded, {"w": np.ones((2, 3), "float32"), "index": np.array([0, 2])}, shape=(3,))
    opsets = [helper.make_opsetid("", 21)]
    product = [node("Transpose", "b", "turned"), node("Gemm", "a turned", "c", alpha=0.5)]
    function = helper.make_function("mine", "scaled", ["a", "b"], ["c"], product, opsets)
    then = helper.make_graph(
        [node("Cos", "w", "cosine"), node("MatMul", "x cosine", "then")],
        "then",
        [],
        [helper.make_tensor_value_info("then", TensorProto.FLOAT, None)],
    )
    other = helper.make_graph(
        [node("scaled", "x w", "other", domain="mine")],
        "else",
        [],
        [helper.make_tensor_value_info("other", TensorProto.FLOAT, None)],
    )
    branches = [
        node("ReduceSum", "x", "sum", keepdims=0),
        node("Cast", "sum", "holds", to=TensorProto.BOOL),
        node("If", "holds", "y", then_branch=then, else_branch=other),
    ]
    yield model(branches, {"w": np.ones((2, 2), "float32")}, [function], shape=(3, 2))


def read_graph(path):
    from fastlstm.onnx import InferenceSession

    session = InferenceSession(path)
    session.get_inputs(), session.get_outputs(), session.get_modelmeta()
