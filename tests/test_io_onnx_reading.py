"""from_onnx on graphs that others have written, beside ONNX Runtime, and what it refuses."""

import io
import warnings

import numpy as np
import pytest

import fastlstm as fl

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
helper, numpy_helper = onnx.helper, onnx.numpy_helper


def model_of(nodes, arrays, shape, *, opset=17, inputs=(), outputs=("y",), kind=1):
    """A graph of nodes with these arrays, whose input x has this shape."""
    every = [helper.make_tensor_value_info("x", kind, shape)]
    every += [helper.make_tensor_value_info(name, 1, None) for name in inputs]
    results = [helper.make_tensor_value_info(name, 1, None) for name in outputs]
    constants = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "graph", every, results, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def read(model, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return fl.io.from_onnx(path)


def check(model, tmp_path, x):
    """Read it, and compare with ONNX Runtime. Time may be first there. Returns what was read."""
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {session.get_inputs()[0].name: x})[0]
    found = read(model, tmp_path)
    y = found.predict(x)
    assert y.shape == expected.shape
    assert np.abs(y - expected).max() <= 1e-5 * max(1, np.abs(expected).max())
    return found


def normal(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32) * 0.5


def modules():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    nn = torch.nn

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.dense = nn.Embedding(10, 6), nn.Linear(10, 3)
            self.lstm = nn.LSTM(6, 5, num_layers=2, bidirectional=True, batch_first=True, dropout=0.2)

        def forward(self, x):
            return self.dense(self.lstm(self.embedding(x))[0])

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru, self.norm = nn.GRU(6, 5, num_layers=2, batch_first=True), nn.LayerNorm(5)
            self.dense = nn.Linear(5, 3)

        def forward(self, x):
            return torch.softmax(self.dense(self.norm(self.gru(x)[0][:, -1])), -1)

    class Final(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.dense = nn.LSTM(6, 5, bidirectional=True, batch_first=True), nn.Linear(10, 3)

        def forward(self, x):
            h = self.lstm(x)[1][0]
            return self.dense(torch.cat([h[-2], h[-1]], 1))

    class Convolved(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.batch, self.dense = nn.Conv1d(6, 6, 3, padding=1), nn.BatchNorm1d(6), nn.Linear(6, 6)
            self.rnn = nn.GRU(6, 6, batch_first=True)

        def forward(self, x):
            z = torch.relu(self.batch(self.conv(x.transpose(1, 2)))).transpose(1, 2)
            return torch.nn.functional.gelu(self.dense(self.rnn(z)[0])) + z

    torch.manual_seed(0)
    return torch, {own.__name__: own().eval() for own in (Tagger, Last, Final, Convolved)}


@pytest.mark.slow
@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("name", ["Tagger", "Last", "Final", "Convolved"])
def test_what_pytorch_exports(name, dynamo, tmp_path):
    torch, every = modules()
    if dynamo:
        pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    x = torch.randint(10, (2, 7)) if name == "Tagger" else torch.randn(2, 7, 6)
    how = {"dynamo": False, "dynamic_axes": {"x": {0: "N", 1: "T"}}, "input_names": ["x"], "output_names": ["y"]}
    if dynamo:
        size = torch.export.Dim.DYNAMIC if name != "Convolved" else torch.export.Dim.STATIC
        how = {"dynamo": True, "external_data": False, "verbose": False, "dynamic_shapes": ({0: size, 1: size},)}
    file = tmp_path / "exported.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(every[name], (x,), str(file), **how)
    check(onnx.load(file), tmp_path, x.numpy())


@pytest.mark.slow
@pytest.mark.parametrize("opset", [9, 11, 13, 15])
def test_what_pytorch_exports_in_older_opsets(opset, tmp_path):
    torch, every = modules()
    x, file = torch.randn(2, 7, 6), io.BytesIO()
    names = {"input_names": ["x"], "dynamic_axes": {"x": {0: "N", 1: "T"}}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(every["Final"], (x,), file, dynamo=False, opset_version=opset, **names)
    check(onnx.load_from_string(file.getvalue()), tmp_path, x.numpy())


def test_a_simple_network_of_pytorch(tmp_path):
    nodes = [
        helper.make_node("Shape", ["x"], ["sizes"]),
        helper.make_node("Gather", ["sizes", "zero"], ["n"], axis=0),
        helper.make_node("Unsqueeze", ["n", "zeros"], ["rows"]),
        helper.make_node("Concat", ["ones", "rows", "fours"], ["shape"], axis=0),
        helper.make_node("ConstantOfShape", ["shape"], ["h"]),
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node("RNN", ["t", "W", "R", "", "", "h"], ["Y", "Y_h"], hidden_size=4, activations=["Relu"]),
        helper.make_node("Gather", ["Y_h", "zero"], ["y"], axis=0),
    ]
    arrays = {"W": normal(1, 4, 3), "R": normal(1, 4, 4), "zero": np.array(0), "zeros": np.array([0])}
    arrays |= {"ones": np.array([1]), "fours": np.array([4])}
    rnn, end = check(model_of(nodes, arrays, ["N", "T", 3]), tmp_path, normal(2, 6, 3)).layers
    assert rnn.activation == "relu" and not end.bidirectional


WEIGHTS = {"W": normal(1, 16, 3), "R": normal(1, 16, 4), "B": normal(1, 32)}


@pytest.mark.parametrize("opset", [7, 11, 13, 17, 21])
def test_an_lstm_in_every_opset(opset, tmp_path):
    squeeze = helper.make_node("Squeeze", ["Y"], ["s"], axes=[1])
    if opset >= 13:
        squeeze = helper.make_node("Squeeze", ["Y", "one"], ["s"])
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["t", "W", "R", "B"], ["Y", "Y_h", "Y_c"], hidden_size=4),
        squeeze,
        helper.make_node("Transpose", ["s"], ["y"], perm=[1, 0, 2]),
    ]
    model = model_of(nodes, {**WEIGHTS, "one": np.array([1])}, ["N", "T", 3], opset=opset)
    found = check(model, tmp_path, normal(2, 6, 3))
    (lstm,) = found.layers
    assert lstm.two_biases
    o = slice(4, 8)  # ONNX has the rows of o second, and we have them last
    assert np.array_equal(lstm.parameter("weight_ih_l0").value[12:], WEIGHTS["W"][0, o])


def test_states_that_come_and_go_are_left_to_streams(tmp_path):
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["t", "W", "R", "B", "", "h", "c"], ["Y", "hn", "cn"], hidden_size=4),
        helper.make_node("Squeeze", ["Y", "one"], ["s"]),
        helper.make_node("Transpose", ["s"], ["y"], perm=[1, 0, 2]),
    ]
    arrays = {**WEIGHTS, "one": np.array([1])}
    found = read(model_of(nodes, arrays, ["N", "T", 3], inputs=("h", "c"), outputs=("y", "hn", "cn")), tmp_path)
    assert repr(found.layers[0]) == repr(fl.LSTM(3, 4, two_biases=True))


def test_both_directions_taken_apart_and_added(tmp_path):
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node("GRU", ["t", "W", "R"], ["Y"], hidden_size=4, direction="bidirectional"),
        helper.make_node("Gather", ["Y", "zero"], ["a"], axis=1),
        helper.make_node("Gather", ["Y", "one"], ["b"], axis=1),
        helper.make_node("Add", ["a", "b"], ["s"]),
        helper.make_node("Transpose", ["s"], ["y"], perm=[1, 0, 2]),
    ]
    arrays = {"W": normal(2, 12, 3), "R": normal(2, 12, 4), "zero": np.array(0), "one": np.array(1)}
    (gru,) = check(model_of(nodes, arrays, ["N", "T", 3]), tmp_path, normal(2, 6, 3)).layers
    assert gru.merge == "sum" and gru.reset_gate == "before"


def test_the_last_step_cut_out_by_a_slice(tmp_path):
    nodes = [
        helper.make_node("Slice", ["x", "last", "end", "one"], ["s"]),
        helper.make_node("Squeeze", ["s", "one"], ["q"]),
        helper.make_node("Gemm", ["q", "W"], ["y"]),
    ]
    arrays = {"last": np.array([-1]), "end": np.array([2**62]), "one": np.array([1]), "W": normal(3, 2)}
    layers = check(model_of(nodes, arrays, ["N", "T", 3]), tmp_path, normal(2, 6, 3)).layers
    assert [type(layer).__name__ for layer in layers] == ["Last", "Dense"]


def test_a_pad_before_a_convolution_and_numbers_for_each_feature(tmp_path):
    nodes = [
        helper.make_node("Mul", ["x", "scale"], ["a"]),
        helper.make_node("Transpose", ["a"], ["t"], perm=[0, 2, 1]),
        helper.make_node("Pad", ["t", "pads"], ["p"]),
        helper.make_node("Conv", ["p", "W"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["g"]),
        helper.make_node("Squeeze", ["g", "two"], ["y"]),
    ]
    arrays = {"scale": normal(3), "pads": np.array([0, 0, 2, 0, 0, 0]), "W": normal(4, 3, 3), "two": np.array([2])}
    layers = check(model_of(nodes, arrays, ["N", "T", 3]), tmp_path, normal(2, 6, 3)).layers
    assert [type(layer).__name__ for layer in layers] == ["BatchNorm", "Conv1d", "MeanPool"]
    assert layers[1].padding == "causal"


def node(op, *inputs, **attributes):
    return helper.make_node(op, inputs or ["x"], ["y"], name="this", **attributes)


REFUSED = {
    "unknown": ([node("CumSum", "x", "W")], {"W": np.array(1)}, r"node 'this' \(CumSum\): .*InferenceSession runs any"),
    "axis": ([node("Softmax", axis=1)], {}, "expected a Softmax over the last axis"),
    "groups": ([node("Conv", "x", "W", group=3)], {"W": normal(3, 1, 2)}, "expected one group of features, got 3"),
    "shape": ([node("MatMul", "x", "W")], {"W": normal(4, 2)}, "expected 4 features, as the matrix has, got 3"),
    "rows": (
        [node("LSTM", "x", "W", "R")],
        {"W": normal(1, 15, 3), "R": normal(1, 16, 4)},
        r"expected W \(D, 4H, I\) and R \(D, 4H, H\), got \(1, 15, 3\)",
    ),
    "function": (
        [node("RNN", "x", "W", "R", activations=["Gelu"])],
        {"W": normal(1, 4, 3), "R": normal(1, 4, 4)},
        "expected 1 activations that are known",
    ),
    "one direction": (
        [
            helper.make_node("GRU", ["x", "W", "R"], ["Y"], direction="bidirectional"),
            node("Gather", "Y", "zero", axis=1),
        ],
        {"W": normal(2, 12, 3), "R": normal(2, 12, 4), "zero": np.array(0)},
        "expected both directions of a recurrent node together",
    ),
    "domain": ([node("Relu", domain="com.microsoft")], {}, "expected an operator of ONNX, got one of 'com.microsoft'"),
    "before": ([node("Relu", "later")], {}, "expected inputs that come before it, got 'later'"),
    "twice": ([node("Relu"), node("Tanh")], {}, "expected outputs whose names differ, got 'y' twice"),
    "float16": ([node("MatMul", "x", "W")], {"W": normal(3, 2).astype("float16")}, "float32 or float64, got float16"),
}


@pytest.mark.parametrize(("nodes", "arrays", "message"), REFUSED.values(), ids=REFUSED)
def test_what_no_layer_stands_for_is_named(nodes, arrays, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read(model_of(nodes, arrays, ["N", "T", 3]), tmp_path)


def external(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def short(model):
    model.graph.initializer[0].dims[0] = 1 << 40


def doubled(model):
    model.graph.initializer.append(model.graph.initializer[0])


def oldest(model):
    model.opset_import[0].version = 6


HARMED = {
    "external": (external, "W: expected weights in the file itself, got external data"),
    "short": (short, "W: expected .* numbers for the sizes"),
    "doubled": (doubled, "initializers: expected names that differ"),
    "oldest": (oldest, "expected one opset from 7 on"),
}


@pytest.mark.parametrize(("harm", "message"), HARMED.values(), ids=HARMED)
def test_a_file_that_asks_for_more_than_it_holds_is_refused(harm, message, tmp_path):
    model = model_of([node("MatMul", "x", "W")], {"W": normal(3, 2)}, ["N", "T", 3])
    harm(model)
    with pytest.raises(ValueError, match=message):
        read(model, tmp_path)


def test_a_function_that_doubles_at_each_node_is_no_work(tmp_path):
    names = ["x", *(f"a{k}" for k in range(60)), "y"]
    nodes = [
        helper.make_node("Mul", [before, before], [after]) for before, after in zip(names, names[1:], strict=False)
    ]
    with pytest.raises(ValueError, match="functions of at most 40 operators"):
        read(model_of(nodes, {}, ["N", "T", 3]), tmp_path)


def test_weights_that_hundreds_of_nodes_read_take_no_more_memory_than_the_file(tmp_path):
    names = ["x", *(f"a{k}" for k in range(500)), "y"]
    nodes = [
        helper.make_node("MatMul", [before, "W"], [after]) for before, after in zip(names, names[1:], strict=False)
    ]
    with pytest.raises(ValueError, match="expected weights that one layer reads"):
        read(model_of(nodes, {"W": normal(200, 200)}, ["N", "T", 200]), tmp_path)


def test_other_bytes_are_no_onnx_file(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"\xff" * 40)
    with pytest.raises(ValueError, match="expected an ONNX file"):
        fl.io.from_onnx(tmp_path / "model.onnx")
