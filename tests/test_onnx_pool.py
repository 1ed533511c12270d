"""MaxPool in a session, beside ONNX Runtime."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from onnx import TensorProto, helper  # noqa: E402

import fastlstm as fl  # noqa: E402
from fastlstm.onnx import InferenceSession  # noqa: E402


def model_of(axes, **attributes):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None] * (2 + axes))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node("MaxPool", ["x"], ["y"], **attributes)], "graph", [x], [y])
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


CASES = [
    {"kernel_shape": [k], "strides": [s], **sides}
    for k, s in ((2, 1), (3, 1), (3, 2), (4, 3), (5, 2))
    for sides in (
        {},
        {"auto_pad": "SAME_UPPER"},
        {"auto_pad": "SAME_LOWER"},
        {"auto_pad": "VALID"},
        {"pads": [0, 1]},
        {"pads": [1, 1]},
        {"pads": [1, 0], "ceil_mode": 1},
        {"ceil_mode": 1},
        {"dilations": [2]},
    )
] + [{"kernel_shape": [2, 3], "strides": [1, 2], "pads": [1, 0, 0, 2]}]


@pytest.mark.parametrize("attributes", CASES, ids=str)
def test_the_largest_of_each_window(attributes):
    axes = len(attributes["kernel_shape"])
    content = model_of(axes, **attributes)
    x = np.random.default_rng(0).normal(size=(2, 3, 11, 12)[: 2 + axes]).astype("f4") - 3
    (expected,) = runtime.InferenceSession(content).run(None, {"x": x})
    np.testing.assert_array_equal(InferenceSession(content).run(None, {"x": x})[0], expected)


def test_a_pool_that_we_have_written(tmp_path):
    model = fl.Model([fl.Dense(4, 4), fl.MaxPool1d(3, 1, padding="same")], seed=0)
    fl.io.to_onnx(model, tmp_path / "m.onnx")
    x = np.random.default_rng(0).normal(size=(5, 11, 4)).astype("f4")
    (found,) = InferenceSession(tmp_path / "m.onnx").run(None, {"x": x})
    np.testing.assert_allclose(found, model.predict(x), atol=1e-6)
