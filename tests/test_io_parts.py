"""What each part of a source has become: the list that readers fill, and its table."""

import numpy as np
import pytest

import fastlstm as fl
from fastlstm.io.graph import Node, chain_of
from fastlstm.layers.chain import walk


def told(parts, model):
    """The part, the class and the places of the layers of each, and why it has become none."""
    places = {id(layer): place for place, layer in walk(model.layers)}
    return [(part.name, part.kind, " ".join(places[id(layer)] for layer in part.layers), part.why) for part in parts]


def state(prefix, **shapes):
    return {f"{prefix}.{name}": np.zeros(shape, "float32") for name, shape in shapes.items()}


def test_a_table_shows_layers_their_parts_and_what_was_left_out():
    model = fl.Model([fl.LSTM(3, 4), fl.Last(), fl.Dense(4, 2)], seed=0)
    parts = fl.io.Parts()
    parts.add("rnn", "LSTM", [model.layers[0]])
    parts.add("product", "MatMul", model.layers[2:])
    parts.add("sum", "Add", model.layers[2:])
    for k in range(8):
        parts.add(f"c{k}", "Constant", why="gives constants")
    parts.add("", "", why="ignore=")
    assert parts.table(model).splitlines() == [
        "from             layer        output shape   parameters",
        "-------------------------------------------------------",
        "rnn (LSTM)       0 LSTM       (N, T, 4)             128",
        "                 1 Last       (N, 4)                  0",
        "product (MatMul) 2 Dense      (N, 2)                 10",
        "sum (Add)",
        "-------------------------------------------------------",
        "                 total                              138",
        "left out (gives constants): " + ", ".join(f"c{k} (Constant)" for k in range(6)) + " and 2 more",
        "left out (ignore=): (no prefix)",
    ]


@pytest.mark.parametrize("read", [fl.io.from_torch, fl.io.from_keras, fl.io.from_onnx])
def test_only_such_a_list_is_filled(read):
    with pytest.raises(TypeError, match=r"parts: expected a fastlstm.io.Parts, got \[\]"):
        read("nowhere", parts=[])


def test_nodes_of_a_graph_say_what_they_have_become():
    nodes = [
        Node("x"),
        Node("a", ("x",), [fl.Dense(3, 3)]),
        Node("b", ("a",), [fl.Dense(3, 3)]),
        Node("c", ("a",), [fl.Dense(3, 3)]),
        Node("unused", ("a",), [fl.Dense(3, 3)]),
        Node("y", ("b", "x", "c"), join="add"),
    ]
    layers, became = chain_of(nodes, "y")
    assert became.keys() == {"x", "a", "b", "c", "y"}
    assert became["a"] == nodes[1].layers and became["x"] == []
    [outer] = layers
    assert became["y"] == [outer.chains[0].layers[1], outer]  # b and c begin with a, and have a join of their own


def test_names_of_a_state_dict():
    source = {
        **state("rnn", weight_ih_l0=(16, 3), weight_hh_l0=(16, 4), bias_ih_l0=16, bias_hh_l0=16),
        **state("score", v=(1, 4)),
        **state("loss", weight=2),
    }
    model = fl.Model([fl.LSTM(3, 4), fl.AttentionPool(4, score="linear")])
    parts, names = fl.io.Parts(), {"rnn": 0, "score.v": "1.context"}
    fl.io.from_torch(source, model=model, names=names, ignore=["loss"], parts=parts)
    assert told(parts, model) == [("rnn", "", "0", ""), ("score.v", "tensor", "1", ""), ("loss", "", "", "ignore=")]


def test_a_single_layer_of_pytorch():
    arrays = {name.removeprefix("."): one for name, one in state("", weight_ih_l0=(9, 2), weight_hh_l0=(9, 3)).items()}
    parts = fl.io.Parts()
    layer = fl.io.from_torch(arrays, parts=parts)
    assert parts == [("weight_ih_l0 and so on", "2 tensors", (layer,), "")]
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for module in (torch.nn.GRU(2, 3), torch.nn.GRUCell(2, 3), torch.nn.Linear(2, 3)):
        parts = fl.io.Parts()
        made = fl.io.from_torch(module, parts=parts)
        assert parts == [("the module", type(module).__name__, (getattr(made, "layer", made),), "")]


def test_modules_of_pytorch():
    nn = pytest.importorskip("torch", reason="PyTorch is not installed").nn
    inner = nn.Sequential(nn.Identity(), nn.Linear(8, 8), nn.GELU())
    parts = fl.io.Parts()
    model = fl.io.from_torch(nn.Sequential(nn.Embedding(9, 8), inner, nn.Dropout(0.1), nn.GRU(8, 5)), parts=parts)
    assert told(parts, model) == [
        ("0", "Embedding", "0", ""),
        ("1.1", "Linear", "1", ""),
        ("1.2", "GELU", "2", ""),
        ("2", "Dropout", "3", ""),
        ("3", "GRU", "4", ""),
        ("1.0", "Identity", "", "changes nothing"),
    ]


def test_modules_that_hold_others():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    layers = [fl.Residual([fl.LSTM(4, 4), fl.Dropout(0.1)]), fl.Concat([fl.GRU(4, 3)], [fl.Residual([fl.Dense(4, 4)])])]
    module, parts = fl.io.to_torch(fl.Model(layers, seed=0)), fl.io.Parts()
    model = fl.io.from_torch(module, parts=parts)
    assert [(name, place) for name, _, place, _ in told(parts, model)] == [
        *((place, place) for place in ("0", "0.0", "0.1", "1", "1.0.0", "1.1.0", "1.1.0.0"))
    ]


def test_a_module_of_one_s_own():
    nn = pytest.importorskip("torch", reason="PyTorch is not installed").nn
    module = nn.ModuleDict({"rnn": nn.LSTM(3, 4), "head": nn.Linear(4, 2), "loss": nn.Linear(1, 1)})
    parts = fl.io.Parts()
    model = fl.Model([fl.LSTM(3, 4, two_biases=True), fl.Dense(4, 2)])
    fl.io.from_torch(module, model=model, names={"rnn": 0, "head": 1}, ignore=["loss"], parts=parts)
    assert told(parts, model) == [
        ("rnn", "LSTM", "0", ""),
        ("head", "Linear", "1", ""),
        ("loss", "Linear", "", "ignore="),
    ]


def written(model, path, **options):
    """What the nodes that `to_onnx` writes have become, by the place of the layer."""
    pytest.importorskip("onnx", reason="onnx is not installed")
    fl.io.to_onnx(model, path, **options)
    parts = fl.io.Parts()
    return told(parts, fl.io.from_onnx(path, parts=parts))


def test_nodes_that_we_have_written_name_their_layers(tmp_path):
    layers = [fl.Residual([fl.LSTM(4, 4), fl.Dropout(0.1)]), fl.Last(), fl.Dense(4, 2)]
    *found, last = written(fl.Model(layers, seed=0), tmp_path / "model.onnx")
    assert last == ("y", "Identity", "", "names an output")
    assert {place for *_, place, _ in found} == {"0", "0.0", "0.1", "1", "2"}
    for name, kind, place, why in found:
        assert not why and (name.startswith(f"{place}/{kind}_") or place == "0.1")
    assert ("the file's metadata", "", "0.1", "") in found
    assert [kind for _, kind, place, _ in found if place == "2"] == ["MatMul", "Add"]


def graph(*nodes, tmp_path, **arrays):
    """The parts of a graph from x (N, T, 4) to y of nodes (operator, inputs, output, attributes)."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info("x", kind, ["n", "t", 4]), helper.make_tensor_value_info("y", kind, None)]
    made = [
        helper.make_node(op, takes.split(), gives.split(), name=f"the {gives}", **attributes)
        for op, takes, gives, attributes in nodes
    ]
    tensors = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    whole = helper.make_graph(made, "graph", ends[:1], ends[1:], tensors)
    path = tmp_path / "graph.onnx"
    path.write_bytes(helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
    parts = fl.io.Parts()
    model = fl.io.from_onnx(path, parts=parts)
    return [(name.removeprefix("the "), place, why) for name, _, place, why in told(parts, model)], model


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_nodes_of_other_graphs(tmp_path):
    found, model = graph(
        ("MatMul", "x w", "a", {}),
        ("Add", "a b", "c", {}),  # of one Dense with the product
        ("Sigmoid", "c", "d", {}),
        ("Mul", "c d", "e", {}),  # of one function with the sigmoid
        ("Dropout", "e", "f", {}),
        ("Transpose", "f", "g", {"perm": [1, 0, 2]}),
        ("LSTM", "g W R", "h last", {"hidden_size": 4}),
        ("Squeeze", "last zero", "i", {}),
        ("Tanh", "h", "unused", {}),
        ("Shape", "i", "size", {}),
        ("Identity", "i", "j", {}),
        ("Gemm", "j w b", "k", {}),
        ("Relu", "k", "y", {}),
        tmp_path=tmp_path,
        **{"w": normal(4, 4), "b": normal(4), "W": normal(1, 16, 4), "R": normal(1, 16, 4), "zero": np.array([0])},
    )
    assert [type(layer).__name__ for layer in model.layers] == [
        *("Dense", "Activation", "LSTM", "FinalState", "Dense", "Activation")
    ]
    assert found == [
        ("a", "0", ""),
        ("c", "0", ""),
        ("d", "1", ""),
        ("e", "1", ""),
        ("f", "", "changes nothing"),
        ("g", "", "turns axes"),
        ("h last", "2", ""),
        ("i", "3", ""),
        ("unused", "", "the output does not need it"),
        ("size", "", "gives constants or sizes"),
        ("j", "", "changes nothing"),
        ("k", "4", ""),
        ("y", "5", ""),
    ]


def test_nodes_that_join_and_nodes_that_pad(tmp_path):
    found, model = graph(
        ("Transpose", "x", "a", {"perm": [0, 2, 1]}),
        ("Pad", "a pads", "b", {}),
        ("Conv", "b k", "c", {}),
        ("Transpose", "c", "d", {"perm": [0, 2, 1]}),
        ("Add", "x d", "y", {}),
        tmp_path=tmp_path,
        k=normal(4, 4, 3),
        pads=np.array([0, 0, 2, 0, 0, 0]),
    )
    assert repr(model.layers[0]).startswith("Residual(") and "padding='causal'" in repr(model.layers[0])
    assert [place for _, place, _ in found] == ["", "0.0", "0.0", "", "0"]
    assert [why for *_, why in found] == ["turns axes", "", "", "turns axes", ""]


def keras(name):
    pytest.importorskip("h5py", reason="h5py writes the files that are read")
    import keras_cases

    return getattr(keras_cases, name)


def test_layers_of_keras(tmp_path):
    entry = keras("entry")
    model = keras("functional")(
        entry("Masking", "masking", inputs=["x"], mask_value=0.0),
        entry("LSTM", "lstm", inputs=["masking"], units=3, return_sequences=True),
        entry("Add", "sum", inputs=["masking", "lstm"]),
        entry("Dropout", "drop", inputs=["sum"], rate=0.5),
        entry("Dense", "dense", inputs=["drop"], units=2, activation="relu"),
        entry("Activation", "same", inputs=["dense"], activation="linear"),
        entry("Dense", "aside", inputs=["drop"], units=9),
        output="same",
    )
    weights = {
        "lstm/cell": keras("recurrent_weights")(4, 3, 3),
        "dense": [normal(3, 2), normal(2)],
        "dense_1": [normal(3, 9), normal(9)],
    }
    (tmp_path / "model.keras").write_bytes(keras("keras_file")(model, weights))
    parts = fl.io.Parts()
    with pytest.warns(UserWarning, match="pass mask="):
        made = fl.io.from_keras(tmp_path / "model.keras", parts=parts)
    assert sorted(told(parts, made)) == sorted([
        ("aside", "Dense", "", "the output does not need it"),
        ("x", "InputLayer", "", "the shape of the input"),
        ("masking", "Masking", "", "pass mask= at each call"),
        ("lstm", "LSTM", "0.0", ""),
        ("drop", "Dropout", "1", ""),
        ("dense", "Dense", "2 3", ""),
        ("same", "Activation", "", "changes nothing"),
        ("sum", "Add", "0", ""),
    ])  # fmt: skip
