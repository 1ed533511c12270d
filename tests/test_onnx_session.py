"""Sessions over ONNX graphs: what nodes compute, against the equations, ONNX Runtime and onnx's own reference."""

import numpy as np
import pytest
from onnx_cases import computed, model_of, random_node

onnx = pytest.importorskip("onnx", reason="onnx is not installed")

from onnx import TensorProto, helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from fastlstm.onnx import InferenceSession, products  # noqa: E402

PARTS = {"LSTM": ["Y", "Y_h", "Y_c"], "GRU": ["Y", "Y_h"], "RNN": ["Y", "Y_h"]}


def recurrent_model(kind, inputs, told, dtype, constant=True, left_out=()):
    """A model of one node, the feed of its inputs, and the names of its outputs."""
    arrays = {name: a if name == "sequence_lens" else a.astype(dtype) for name, a in inputs.items() if a is not None}
    fixed = {name: arrays[name] for name in ("W", "R", "B", "P") if constant and name in arrays}
    feed = {name: array for name, array in arrays.items() if name not in fixed}
    outputs = ["" if name in left_out else name for name in PARTS[kind]]
    names = [name if value is not None else "" for name, value in inputs.items()]
    node = helper.make_node(kind, names, outputs, **told)
    results = {name: (dtype, None) for name in outputs if name}
    return model_of([node], feed, results, fixed), feed, [*results]


def close(found, expected, tolerance):
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * max(1, np.abs(theirs).max(initial=0)))


@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize("seed", range(40))
def test_recurrent_nodes_are_their_equations(kind, seed, path):
    rng = np.random.default_rng(seed)
    inputs, told = random_node(kind, rng, layout=seed % 2, shortest=0)
    model, feed, _ = recurrent_model(kind, inputs, told, "float64", constant=seed % 3 > 0)
    session, expected = InferenceSession(model), computed(kind, inputs, told)
    close(session.run(None, feed), expected, 1e-10)
    close(session.run(None, feed), expected, 1e-10)


@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize("seed", range(30))
def test_recurrent_nodes_equal_onnx_runtime(kind, seed):
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    inputs, told = random_node(kind, np.random.default_rng(seed))
    model, feed, names = recurrent_model(kind, inputs, told, "float32", left_out=PARTS[kind][: seed % 2])
    theirs = runtime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(names, feed)
    close(InferenceSession(model).run(names, feed), theirs, 2e-5)


@pytest.mark.parametrize("kind", PARTS)
def test_float16_by_way_of_float32(kind):
    inputs, told = random_node(kind, np.random.default_rng(3))
    model, feed, _ = recurrent_model(kind, inputs, told, "float16")
    found = InferenceSession(model).run(None, feed)
    assert {array.dtype for array in found} == {np.dtype("float16")}
    close(found, computed(kind, inputs, told), 1e-2)


@pytest.mark.parametrize("kind", PARTS)
def test_weights_of_a_run_are_those_of_that_run(kind):
    """Other weights in the same array are seen, too."""
    inputs, told = random_node(kind, np.random.default_rng(5))
    model, feed, _ = recurrent_model(kind, inputs, told, "float64", constant=False)
    session = InferenceSession(model)
    session.run(None, feed)
    feed["R"] *= -0.5
    close(session.run(None, feed), computed(kind, inputs | {"R": feed["R"]}, told), 1e-10)


def test_lengths_of_zero_keep_the_initial_state():
    inputs, told = random_node("LSTM", np.random.default_rng(0))
    n, d, h = inputs["X"].shape[1], len(inputs["W"]), told["hidden_size"]
    inputs |= {name: np.full((d, n, h), 0.5) for name in ("initial_h", "initial_c")}
    inputs["sequence_lens"] = np.zeros(n, np.int32)
    model, feed, _ = recurrent_model("LSTM", inputs, told, "float64")
    y, h, c = InferenceSession(model).run(None, feed)
    assert not y.any() and (h == 0.5).all() and (c == 0.5).all()


CONVOLUTIONS = [
    ((2, 3, 11), (4, 3, 3), {}),
    ((1, 3, 11), (4, 3, 3), {"pads": [2, 1], "strides": [2], "dilations": [3]}),
    ((2, 4, 9), (6, 2, 2), {"group": 2, "auto_pad": "SAME_UPPER", "strides": [2]}),
    ((2, 4, 9), (4, 1, 4), {"group": 4, "pads": [3, 0]}),
    ((2, 4, 9), (8, 1, 2), {"group": 4, "auto_pad": "SAME_LOWER"}),
    ((1, 1, 20), (7, 1, 5), {"auto_pad": "VALID", "strides": [4]}),
    ((2, 3, 7, 6), (5, 3, 3, 2), {"pads": [1, 0, 1, 2], "strides": [2, 1]}),
    ((2, 4, 7, 6), (4, 2, 2, 3), {"group": 2, "dilations": [2, 1], "auto_pad": "SAME_UPPER"}),
    ((1, 2, 4, 5, 6), (3, 2, 2, 2, 3), {"pads": [1, 0, 0, 0, 1, 0]}),
]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape, kernel, told", CONVOLUTIONS)
def test_convolutions(shape, kernel, told, dtype, bias, path):
    rng = np.random.default_rng(0)
    x, w, b = (rng.normal(size=size).astype(dtype) for size in (shape, kernel, kernel[:1]))
    names, constants = ["x", "w"] + ["b"] * bias, {"w": w} | ({"b": b} if bias else {})
    model = model_of([helper.make_node("Conv", names, ["y"], **told)], {"x": x}, {"y": (dtype, None)}, constants)
    if dtype == "float32" and not {"dilations", "auto_pad"} <= {*told}:  # ONNX Runtime has not both
        runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
        expected = runtime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"x": x})
    else:
        expected = [convolved(x, w, b if bias else np.zeros(len(w)), told)]
    close(InferenceSession(model).run(None, {"x": x}), expected, 1e-5 if dtype == "float32" else 1e-12)


def convolved(x, w, b, told):
    """The sum of the definition, one output at a time."""
    axes = x.ndim - 2
    strides, dilations = (told.get(name, [1] * axes) for name in ("strides", "dilations"))
    reach = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations, strict=True)]
    pads, auto, group = told.get("pads", [0] * 2 * axes), told.get("auto_pad", "NOTSET"), told.get("group", 1)
    if auto.startswith("SAME"):
        totals = [max(0, (-(-t // s) - 1) * s + k - t) for t, s, k in zip(x.shape[2:], strides, reach, strict=True)]
        less, more = [total // 2 for total in totals], [total - total // 2 for total in totals]
        pads = less + more if auto == "SAME_UPPER" else more + less
    x = np.pad(x, [(0, 0), (0, 0), *zip(pads[:axes], pads[axes:], strict=True)])
    sizes = [(t - k) // s + 1 for t, k, s in zip(x.shape[2:], reach, strides, strict=True)]
    y = np.zeros((len(x), len(w), *sizes), x.dtype)
    for n, o, *at in np.ndindex(*y.shape):
        first = o // (len(w) // group) * w.shape[1]
        seen = [slice(p * s, p * s + k, d) for p, s, k, d in zip(at, strides, reach, dilations, strict=True)]
        y[(n, o, *at)] = b[o] + (x[(n, slice(first, first + w.shape[1]), *seen)] * w[o]).sum()
    return y


PRODUCTS = [
    ("MatMul", (3, 4), (4, 5), {}),
    ("MatMul", (40, 71), (71, 33), {}),
    ("MatMul", (5, 8, 41), (41, 67), {}),
    ("MatMul", (2, 3, 4), (4, 5), {}),
    ("MatMul", (2, 3, 4), (2, 4, 5), {}),
    ("MatMul", (4,), (4, 5), {}),
    ("MatMul", (3, 4), (4,), {}),
    ("MatMul", (0, 4), (4, 5), {}),
    ("Gemm", (3, 4), (4, 5), {}),
    ("Gemm", (4, 30), (5, 4), {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}),
    ("Gemm", (30, 4), (5, 4), {"transB": 1, "beta": 0.0}),
    ("Gemm", (50, 70), (5, 70), {"transB": 1}),
    ("Gemm", (70, 270), (5, 70), {"transA": 1, "transB": 1}),
]


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind, left, right, told", PRODUCTS)
def test_products(kind, left, right, told, dtype, constant, path):
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=size).astype(dtype) for size in (left, right))
    fixed, names = {"b": b} if constant else {}, ["a", "b"]
    if kind == "Gemm":
        fixed["c"], names = rng.normal(size=5).astype(dtype), ["a", "b", "c"]
    feed = {"a": a} if constant else {"a": a, "b": b}
    model = model_of([helper.make_node(kind, names, ["y"], **told)], feed, {"y": (dtype, None)}, fixed)
    session, expected = InferenceSession(model), ReferenceEvaluator(onnx.load_model_from_string(model)).run(None, feed)
    for _ in range(3):  # a constant is packed when it is seen again
        found = session.run(None, feed)
        assert found[0].dtype == dtype
        close(found, expected, 1e-6 if dtype == "float32" else 1e-12)


def test_a_matrix_that_may_not_be_written_is_no_constant():
    """Somebody may still write to what it is a view of."""
    base, a = np.ones((4, 20), "float32"), np.ones((3, 4), "float32")
    b = base.view()
    b.flags.writeable = False
    session = InferenceSession(
        model_of([helper.make_node("MatMul", ["a", "b"], ["y"])], {"a": a, "b": b}, {"y": ("float32", None)})
    )
    for value in (1, 2, 3):
        base[:] = value
        assert (session.run(None, {"a": a, "b": b})[0] == 4 * value).all()


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_products_of_whole_numbers_are_exact(dtype):
    a, b = np.arange(12, dtype=dtype).reshape(3, 4) << 20, np.arange(20, dtype=dtype).reshape(4, 5)
    model = model_of([helper.make_node("MatMul", ["a", "b"], ["y"])], {"a": a, "b": b}, {"y": (dtype, None)})
    assert (InferenceSession(model).run(None, {"a": a, "b": b})[0] == a @ b).all()


def graph(nodes, inputs, outputs):
    made = {
        name: helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in [*inputs, *((name, TensorProto.FLOAT, None) for name in outputs)]
    }
    return helper.make_graph(nodes, "inner", [made[name] for name, *_ in inputs], [made[name] for name in outputs])


def flow(kind):
    """A node with graphs that have products within, its inputs by name, and its outputs."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(3, 4)).astype("f4"), rng.normal(size=(4, 4)).astype("f4")
    product = helper.make_node("MatMul", ["before" if kind != "If" else "x", "w"], ["after"])
    inner = ("before", TensorProto.FLOAT, None)
    if kind == "If":
        other = helper.make_node("Neg", ["x"], ["other"])
        then, otherwise = graph([product], [], ["after"]), graph([other], [], ["other"])
        node = helper.make_node("If", ["condition"], ["y"], then_branch=then, else_branch=otherwise)
        return [node], {"x": x, "w": w, "condition": np.array(True)}, ["y"]
    if kind == "Loop":
        goes = helper.make_node("Identity", ["goes"], ["on"])
        body = graph([product, goes], [("k", TensorProto.INT64, []), ("goes", TensorProto.BOOL, []), inner], ["after"])
        on = helper.make_tensor_value_info("on", TensorProto.BOOL, [])
        body.output.insert(0, on)
        node = helper.make_node("Loop", ["times", "", "x"], ["y"], body=body)
        return [node], {"x": x, "w": w, "times": np.array(3)}, ["y"]
    rows = ("row", TensorProto.FLOAT, None)
    add = helper.make_node("Add", ["after", "row"], ["sum"])
    copy = helper.make_node("Identity", ["sum"], ["seen"])
    body = graph([product, add, copy], [inner, rows], ["sum", "seen"])
    node = helper.make_node("Scan", ["start", "x"], ["y", "ys"], body=body, num_scan_inputs=1)
    return [node], {"x": x, "w": w, "start": x[0]}, ["y", "ys"]


@pytest.mark.parametrize("fixed", [False, True], ids=["w fed", "w constant"])
@pytest.mark.parametrize("kind", ["If", "Loop", "Scan"])
def test_graphs_within_have_our_products(kind, fixed, monkeypatch):
    nodes, inputs, outputs = flow(kind)
    constants = {"w": inputs["w"]} if fixed else {}
    feed = {name: value for name, value in inputs.items() if name not in constants}
    model = model_of(nodes, feed, {name: ("float32", None) for name in outputs}, constants)
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    expected = runtime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, feed)
    called = []
    product = products.product
    monkeypatch.setattr(products, "product", lambda a, b: called.append(a.shape) or product(a, b))
    close(InferenceSession(model).run(None, feed), expected, 1e-6)
    assert called
