"""Sessions over whole ONNX models: what they say of themselves, what they refuse, what is computed once."""

import importlib.util
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from onnx_cases import model_of

onnx = pytest.importorskip("onnx", reason="onnx is not installed")

from onnx import helper, numpy_helper  # noqa: E402

from fastlstm.onnx import InferenceSession, NodeArg  # noqa: E402

X = np.arange(6, dtype="float32").reshape(3, 2)
SUM = helper.make_node("Add", ["x", "y"], ["z"], name="sum")
TWO = {"x": ("float32", ["N", 2]), "y": ("float32", [None, 2])}
FEED = {"x": X, "y": X}


def added():
    return InferenceSession(model_of([SUM], TWO, {"z": ("float32", ["N", 2])}))


def test_inputs_and_outputs():
    session = added()
    assert session.get_inputs() == [NodeArg("x", ["N", 2], "tensor(float)"), NodeArg("y", [None, 2], "tensor(float)")]
    assert session.get_outputs() == [NodeArg("z", ["N", 2], "tensor(float)")]
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert session.get_modelmeta().graph_name == "graph"
    assert (session.run(["z", "z"], FEED)[1] == 2 * X).all()


def test_what_a_session_says_is_what_onnx_runtime_says():
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    kinds = ("float32", "float64", "float16", "int8", "uint8", "int32", "int64", "bool")
    nodes = [helper.make_node("Identity", [f"x{k}"], [f"y{k}"]) for k in range(len(kinds))]
    inputs = {f"x{k}": (kind, [2, "N", None][: k % 4]) for k, kind in enumerate(kinds)}
    model = model_of(nodes, inputs, {f"y{k}": (kind, None) for k, kind in enumerate(kinds)})
    theirs = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    for own, other in zip(InferenceSession(model).get_inputs(), theirs.get_inputs(), strict=True):
        assert (own.name, own.shape, own.type) == (other.name, other.shape, other.type)


@pytest.mark.parametrize(
    "names, feed, error, message",
    [
        (["q"], FEED, ValueError, "output_names: expected names of z, got 'q'"),
        ("z", FEED, TypeError, "output_names: expected a list of names, got 'z'"),
        (None, {"x": X}, ValueError, "input_feed: expected a value for each input, got none for y"),
        (None, FEED | {"k": X}, ValueError, "input_feed: expected names of x, y, got 'k'"),
        (
            None,
            FEED | {"y": X.astype("f8")},
            ValueError,
            r"input_feed 'y': expected tensor\(float\), got tensor\(double\)",
        ),
        (None, FEED | {"x": X[0]}, ValueError, r"input_feed 'x': expected shape \(N, 2\), got \(2,\)"),
        (None, FEED | {"y": X.T}, ValueError, r"input_feed 'y': expected shape \(\?, 2\), got \(2, 3\)"),
        (None, FEED | {"x": X[:2]}, ValueError, r"node sum \(Add\): operands could not be broadcast"),
        (None, [X, X], TypeError, "input_feed: expected a dict of arrays by name, got list"),
    ],
)
def test_what_a_run_refuses(names, feed, error, message):
    with pytest.raises(error, match=message):
        added().run(names, feed)


def one_node(kind, told=None, domain="", names=("x",)):
    node = helper.make_node(kind, names, ["z"], domain=domain, **told or {})
    return model_of([node], {"x": X}, {"z": ("float32", None)}, domains=[domain] if domain else [])


@pytest.mark.parametrize(
    "source, error, message",
    [
        (b"abc", ValueError, "the model: damaged: expected an ONNX model"),
        (b"", ValueError, "expected an ONNX model, got one that says no opset"),
        (3, TypeError, "path_or_bytes: expected a path or bytes, got int"),
        ("nowhere.onnx", OSError, "nowhere.onnx: no such file"),
        (one_node("Foo"), ValueError, r"node z \(Foo\): onnx has no such operator"),
        (one_node("Foo", domain="mine"), ValueError, r"node z \(Foo\): onnx has no such operator"),
    ],
)
def test_what_a_session_refuses(source, error, message):
    with pytest.raises(error, match=message):
        InferenceSession(source)


@pytest.mark.parametrize(
    "model, message",
    [
        (
            one_node("LSTM", {"hidden_size": 3}, names="xxx"),
            r"\(LSTM\): hidden_size: expected 2, the last axis of R, got 3",
        ),
        (one_node("RNN", names="xxx"), r"\(RNN\): W, R: expected three axes, got shapes \(3, 2\) and \(3, 2\)"),
        (one_node("MatMul", names="xx"), r"\(MatMul\): expected matrices whose inner sizes agree"),
        (one_node("Conv", names="xx"), r"\(Conv\): expected x \(N, C, ...\) and w \(O, C/group, ...\)"),
        (
            one_node("Relu", names=["nothing"]),
            r"\(Relu\): expected inputs that a node before it computes, got .* 'nothing'",
        ),
    ],
)
def test_what_a_node_refuses(model, message):
    with pytest.raises(ValueError, match=message):
        InferenceSession(model).run(None, {"x": X})


def test_weights_in_other_files_are_refused(tmp_path):
    model = onnx.load_model_from_string(model_of([SUM], {"x": X}, {"z": ("float32", None)}, {"y": X}))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/hostname"
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match="tensor 'y': expected its numbers in the model, got those of another file"):
        InferenceSession(tmp_path / "model.onnx")


def test_what_it_needs(monkeypatch):
    monkeypatch.delitem(sys.modules, "fastlstm.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"fastlstm.onnx needs the package onnx: pip install 'fastlstm\[onnx\]'"):
        importlib.import_module("fastlstm.onnx")


def folding_model(shape):
    """Zeros of a shape plus one, and a random number, added to x."""
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("Cos", ["zeros"], ["ones"]),
        helper.make_node("ReduceSum", ["ones"], ["sum"], keepdims=0),
        helper.make_node("RandomUniform", [], ["noise"], shape=[1]),
        helper.make_node("Sum", ["x", "sum", "noise"], ["z"]),
    ]
    return model_of(nodes, {"x": X}, {"z": ("float32", None)}, {"shape": np.array(shape)})


@pytest.mark.parametrize("shape, left", [([3, 4], 2), ([1 << 14, 1 << 14], 5)], ids=["small", "large"])
def test_constants_are_computed_once(shape, left):
    """What would take much memory stays as it is, and so does what is random."""
    session = InferenceSession(folding_model(shape))
    assert [node.op_type for node in session._evaluator.rt_nodes_][-2:] == ["RandomUniform", "Sum"]
    assert len(session._evaluator.rt_nodes_) == left
    if left == 2:
        first, second = (session.run(None, {"x": X})[0] for _ in range(2))
        assert (first != second).any()
        assert (abs(first - X - 12.5) <= 0.5).all()


def test_an_initializer_that_is_an_input_may_be_replaced():
    doubled = helper.make_node("Add", ["y", "y"], ["twice"])
    model = onnx.load_model_from_string(
        model_of([doubled, helper.make_node("Add", ["x", "twice"], ["z"])], FEED, {"z": ("float32", None)}, {"y": X})
    )
    session = InferenceSession(model.SerializeToString())
    assert [value.name for value in session.get_inputs()] == ["x"]
    assert [value.name for value in session.get_overridable_initializers()] == ["y"]
    assert (session.run(None, {"x": X})[0] == 3 * X).all()
    assert (session.run(None, {"x": X, "y": 2 * X})[0] == 5 * X).all()


def test_results_are_the_callers():
    """Somebody who changes a result changes no constant, no input and no other result."""
    nodes = [helper.make_node("Identity", [name], [f"z{k}"]) for k, name in enumerate(["x", "y", "x"])]
    model = model_of(nodes, {"x": X}, {f"z{k}": ("float32", None) for k in range(3)}, {"y": X})
    session, x = InferenceSession(model), X.copy()
    for array in session.run(None, {"x": x}):
        array += 1
    assert (x == X).all()
    assert all((array == X).all() for array in session.run(None, {"x": x}))


def test_functions_of_a_model_have_our_nodes():
    opsets = [helper.make_opsetid("", 21)]
    node = helper.make_node("Gemm", ["a", "b"], ["c"])
    alpha = node.attribute.add()
    alpha.name, alpha.ref_attr_name, alpha.type = "alpha", "scale", onnx.AttributeProto.FLOAT
    function = helper.make_function("mine", "scaled", ["a", "b"], ["c"], [node], opsets, ["scale"])
    call = helper.make_node("scaled", ["x", "y"], ["z"], domain="mine", scale=0.5)
    feed = {"x": X, "y": X.T.copy()}
    session = InferenceSession(model_of([call], feed, {"z": ("float32", None)}, functions=[function], domains=["mine"]))
    np.testing.assert_allclose(session.run(None, feed)[0], 0.5 * X @ X.T, rtol=1e-6)


def test_threads_share_a_session():
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(size=(1, 68, 5)), "r": rng.normal(size=(1, 68, 17))}
    weights = {name: value.astype("float32") for name, value in weights.items()}
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=17)
    x = rng.normal(size=(8, 9, 3, 5)).astype("float32")
    session = InferenceSession(model_of([node], {"x": x[0]}, {"y": ("float32", None)}, weights))
    expected, found = [session.run(None, {"x": each})[0] for each in x], [[] for _ in x]

    def work(k):
        for _ in range(20):
            found[k].append(session.run(None, {"x": x[k]})[0])

    workers = [threading.Thread(target=work, args=(k,)) for k in range(len(x))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all((one == right).all() for own, right in zip(found, expected, strict=True) for one in own)
    assert [len(own) for own in found] == [20] * len(x)


def voices():
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or spec.origin is None:
        return []
    return sorted((Path(spec.origin).parent / "data").glob("*.onnx"))


@pytest.mark.skipif(not voices(), reason="silero_vad is not installed")
@pytest.mark.parametrize("rate", [16000, 8000])
@pytest.mark.parametrize("path", voices(), ids=lambda path: path.stem)
def test_silero_vad_equals_onnx_runtime(path, rate):
    """Chunks of noise that comes and goes, with the state that is carried on."""
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    if rate == 8000 and path.stem not in ("silero_vad", "silero_vad_op18_ifless"):
        pytest.skip("a model of 16 kHz alone")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    ours = InferenceSession(path)
    theirs = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = {value.name: value.shape for value in ours.get_inputs()}
    states = [name for name in names if name in ("state", "h", "c")]
    feeds = [{n: np.zeros([2 if n == "state" else 1, 1, 128], "f4") for n in states} for _ in range(2)]
    rng = np.random.default_rng(0)
    for k in range(12):
        feed = {"input": rng.normal(size=(1, 576 * rate // 16000), scale=0.2 * (k % 3)).astype("float32")}
        if "sr" in names:
            feed["sr"] = np.array(rate, np.int64)
        found, expected = (session.run(None, feed | kept) for session, kept in zip((ours, theirs), feeds, strict=True))
        np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=1e-6)
        for one, other in zip(
            found[1:], expected[1:], strict=True
        ):  # sums in another order, through square roots near 0
            np.testing.assert_allclose(one, other, rtol=0, atol=5e-5)
        for kept, results in zip(feeds, (found, expected), strict=True):
            kept.update(zip(states, results[1:], strict=True))


RANDOM = "test_bernoulli"
KNOWN = {
    "test_scan_sum": "a Scan of opset 8",
    "test_if_opt": "a value that is a list of one list",
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_nodes_of_onnx():
    """All cases of one node that onnx has for backends."""
    cases = pytest.importorskip("onnx.backend.test.case.node")
    failed, count = [], 0
    for case in cases.collect_testcases(None):
        if case.name.startswith(RANDOM) or case.name in KNOWN:
            continue
        session = InferenceSession(case.model.SerializeToString())
        for inputs, outputs in case.data_sets:
            feed = {value.name: plain(given) for value, given in zip(case.model.graph.input, inputs, strict=False)}
            found, expected = session.run(None, feed), [plain(value) for value in outputs]
            count += 1
            if not alike(found, expected, max(case.rtol, 1e-3), max(case.atol, 1e-5)):
                failed.append(case.name)
    assert not failed
    assert count > 1000


def plain(value):
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def alike(found, expected, rtol, atol):
    if isinstance(expected, list):
        return len(found) == len(expected) and all(
            alike(one, other, rtol, atol) for one, other in zip(found, expected, strict=True)
        )
    if expected is None or found is None:
        return found is expected
    found, expected = np.asarray(found), np.asarray(expected)
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    if expected.dtype.kind in "OUSb":
        return bool((found == expected).all())
    wide = complex if expected.dtype.kind == "c" else float
    return np.allclose(found.astype(wide), expected.astype(wide), rtol, atol, equal_nan=True)
