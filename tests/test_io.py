"""Files: whole or not at all, and each kind of damage named; PyTorch's weights."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from damaging import edit_json, overwrite, rewrite
from recurrent_cases import TORCH_CELLS, Case, each_cell, parts_of, random_case, run

import fastlstm as fl
from fastlstm.io.native import FORMAT_VERSION, read_metadata

EXPECTED = "expected a torch.nn.LSTM, GRU or RNN, or its state_dict"


@pytest.fixture
def saved(tmp_path):
    model = fl.Model([fl.Embedding(7, 3), fl.LSTM(3, 4, bidirectional=True), fl.Last(), fl.Dense(8, 2)], seed=0)
    fl.save(model, tmp_path / "m.safetensors", metadata={"made by": "a test", "format": "mine"})
    return model, tmp_path / "m.safetensors"


def test_round_trip_to_the_bit(saved):
    model, path = saved
    again = fl.load(str(path))
    assert repr(again) == repr(model)
    for a, b in zip(model.parameters(), again.parameters(), strict=True):
        assert a.name == b.name
        np.testing.assert_array_equal(a.value, b.value)
    assert read_metadata(path) == {"made by": "a test", "format": "mine"}


def test_a_loaded_model_trains_on(saved):
    model, path = saved
    x, y = np.array([[1, 2, 3], [4, 5, 6]]), np.array([0, 1])
    for m in (model, fl.load(path)):
        fl.Trainer(m, "softmax_cross_entropy").fit(x, y, epochs=2)
    again = fl.load(path)
    fl.Trainer(again, "softmax_cross_entropy").fit(x, y, epochs=2)
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


def test_other_tools_can_read_it(saved):
    from safetensors.numpy import load_file

    model, path = saved
    arrays = load_file(path)
    assert arrays.keys() == {p.name for p in model.parameters()}
    np.testing.assert_array_equal(arrays["1.weight_ih_l0_reverse"], model.parameters()[4].value)


def test_the_same_model_is_the_same_bytes(saved, tmp_path):
    model, path = saved
    for _ in range(5):  # the words of safetensors' own header come in any order
        fl.save(model, tmp_path / "again", metadata={"format": "mine", "made by": "a test"})
        assert (tmp_path / "again").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("keep", [0, 3, 8, 9, 100, -1])
def test_truncated(saved, keep):
    _, path = saved
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"m\.safetensors: truncated or damaged: \d+ bytes are not a whole"):
        fl.load(path)


def test_foreign_files(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "other.safetensors"
    save_file({"a": np.ones(3)}, path)
    with pytest.raises(ValueError, match="a safetensors file, but not one that fastlstm.save wrote"):
        fl.load(path)
    path.write_bytes(b"PK\x03\x04 something else altogether, such as an archive")
    with pytest.raises(ValueError, match="not a safetensors file"):
        fl.load(path)
    path.write_bytes(b"\x80\x04\x95 a pickle is never loaded")
    with pytest.raises(ValueError, match="not a safetensors file"):
        fl.load(path)


def test_newer_version(saved):
    _, path = saved
    rewrite(path, lambda header: header["__metadata__"].update(format_version=str(FORMAT_VERSION + 1)))
    newer = rf"written by a newer fastlstm \(format {FORMAT_VERSION + 1}, this one reads up to {FORMAT_VERSION}\)"
    with pytest.raises(ValueError, match=newer):
        fl.load(path)


DAMAGE = [
    (lambda m: m["layers"][0].update(type="Perceptron"), "unknown layer 'Perceptron'"),
    (
        lambda m: m["layers"][1]["config"].update(hidden_size=5),
        r"expected shape \(20, 3\), got \(16, 3\)|expected shape",
    ),
    (lambda m: m["layers"][1]["config"].update(hidden_size=10**9), "expected shape"),
    (lambda m: m["layers"][1]["config"].update(hidden_size=10**12), "hidden_size: expected at most 2147483647"),
    (lambda m: m["layers"][1]["config"].update(hidden_size="4"), "hidden_size: expected a whole number, got '4'"),
    (lambda m: m["layers"][1]["config"].update(telescope=True), "unexpected keyword argument 'telescope'"),
    (lambda m: m["layers"][1].pop("config"), "config"),
    (lambda m: m["layers"].pop(), "expected no such array, got one"),
    (lambda m: m.update(dtype=None), "dtype: expected 'float32' or 'float64', got None"),
    (lambda m: m.update(dtype="float64"), "expected float64, got float32"),
    (lambda m: m.update(dtype="int8"), "dtype: expected 'float32' or 'float64', got 'int8'"),
    (lambda m: m.update(layers=3), "damaged"),
]


@pytest.mark.parametrize(("edit", "message"), DAMAGE)
def test_a_damaged_architecture_is_named(saved, edit, message):
    _, path = saved
    edit_json(path, "model", edit)
    with pytest.raises(ValueError, match=message):
        fl.load(path)


def test_metadata_that_is_no_json_or_has_no_version(saved):
    _, path = saved
    rewrite(path, lambda header: header["__metadata__"].update(model="{"))
    with pytest.raises(ValueError, match="damaged"):
        fl.load(path)
    rewrite(path, lambda header: header["__metadata__"].pop("format_version"))
    with pytest.raises(ValueError, match="damaged: '' is no version of the format"):
        fl.load(path)
    for version in ("0", "9" * 5000, "one"):
        rewrite(path, lambda header, version=version: header["__metadata__"].update(format_version=version))
        with pytest.raises(ValueError, match="damaged: .* is no version of the format"):
            fl.load(path)


def test_endless_nesting_is_damage(saved):
    _, path = saved
    rewrite(path, lambda header: header["__metadata__"].update(model="[" * 100_000))
    with pytest.raises(ValueError, match="damaged"):
        fl.load(path)


@pytest.mark.parametrize("kind", ["BF16", "F16"])
def test_parameters_of_another_dtype_are_damage(saved, kind):
    _, path = saved

    def change(header):
        for name, entry in header.items():
            if name != "__metadata__":
                entry["dtype"], entry["shape"] = kind, [*entry["shape"][:-1], 2 * entry["shape"][-1]]

    rewrite(path, change)
    with pytest.raises(ValueError, match="damaged"):
        fl.load(path)


def test_a_model_that_shares_a_layer_is_saved_whole(tmp_path):
    shared = fl.Dense(4, 4, seed=1)
    first = fl.Model([shared, fl.Dense(4, 4)], seed=0)
    second = fl.Model([fl.LSTM(4, 4), shared], seed=0)
    x = np.ones((2, 3, 4))
    for model in (first, second):
        fl.save(model, tmp_path / "m")
        np.testing.assert_array_equal(fl.load(tmp_path / "m").predict(x), model.predict(x))


def test_threads_may_save_to_one_path(tmp_path):
    model = fl.Model([fl.LSTM(3, 4)], seed=0)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: fl.save(model, tmp_path / "m"), range(100)))
    assert os.listdir(tmp_path) == ["m"]
    fl.load(tmp_path / "m")


@pytest.mark.skipif(os.name != "posix", reason="links and modes of POSIX")
def test_a_link_stays_a_link_and_a_mode_a_mode(tmp_path):
    model = fl.Model([fl.LSTM(3, 4)], seed=0)
    fl.save(model, tmp_path / "real")
    (tmp_path / "real").chmod(0o600)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    fl.save(model, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o600


def test_numbers_that_are_not_finite_are_named(tmp_path):
    model = fl.Model([fl.Dense(2, 2, bias=False)], seed=0)
    fl.save(model, tmp_path / "m")
    overwrite(tmp_path / "m", np.nan)
    with pytest.raises(ValueError, match=r"weight: expected finite numbers, got nan at \[1, 0\]"):
        fl.load(tmp_path / "m")
    model.parameters()[0].writable()[1, 0] = np.nan
    with pytest.raises(ValueError, match=r"0\.weight: expected finite numbers, got nan at \[1, 0\]"):
        fl.save(model, tmp_path / "m")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing: no such file"):
        fl.load(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError, match="expected a file, got a folder"):
        fl.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="no: no such folder"):
        fl.save(fl.Model([fl.LSTM(1, 1)]), tmp_path / "no" / "folder")


def test_a_failed_save_leaves_the_old_file_and_nothing_beside(saved, monkeypatch):
    model, path = saved
    before = path.read_bytes()

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        fl.save(fl.Model([fl.LSTM(1, 1)]), path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_save_names_what_it_cannot_take(tmp_path):
    with pytest.raises(TypeError, match="model: expected a Model, got LSTM"):
        fl.save(fl.LSTM(1, 1), tmp_path / "m")
    with pytest.raises(TypeError, match="metadata: expected words"):
        fl.save(fl.Model([fl.LSTM(1, 1)]), tmp_path / "m", metadata={"a": 1})


def torch_names(problem, rng):
    """Its parameters as PyTorch would hold them, the bias in two parts."""
    state, hidden = {}, problem.case.hidden
    for name, value in problem.parameters.items():
        if "bias" not in name:
            state[name] = value
            continue
        part = rng.normal(size=len(problem.parameters[name.replace("bias", "weight_hh")]))
        state[name.replace("bias", "bias_ih")] = part
        other = value[: len(part)] - part
        if problem.case.cell == "gru":  # the candidate's cannot be added
            part[2 * hidden :], other[2 * hidden :] = value[2 * hidden : 3 * hidden], value[3 * hidden :]
        state[name.replace("bias", "bias_hh")] = other
    return state


@pytest.mark.parametrize("cell", TORCH_CELLS)
def test_from_a_state_dict_of_arrays(cell):
    problem = random_case(Case(4, 2, 3, 5, 2, True, cell=cell))
    activation = cell if cell in ("tanh", "relu") else None
    layer = fl.io.from_torch(torch_names(problem, np.random.default_rng(1)), activation=activation)
    assert type(layer) is type(problem.layer())
    assert layer.config() == {**problem.layer().config(), "dropout": 0.0, "two_biases": True}
    np.testing.assert_allclose(layer(problem.x)[0], problem.layer()(problem.x)[0], rtol=1e-10, atol=1e-12)
    assert layer.dtype == np.float64


def module_of(torch, case, dtype):
    options = {"nonlinearity": case.cell} if case.cell in ("tanh", "relu") else {}
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}.get(case.cell, torch.nn.RNN)
    return kind(
        case.inputs,
        case.hidden,
        case.layers,
        bias=case.bias,
        batch_first=True,
        bidirectional=case.bidirectional,
        dropout=0.25 if case.layers > 1 else 0.0,
        dtype=getattr(torch, dtype),
        **options,
    )


THERE_AND_BACK = each_cell([Case(4, 2, 3, 5, 2, True), Case(4, 2, 1, 3), Case(3, 2, 2, 4, bias=False)], TORCH_CELLS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", THERE_AND_BACK, ids=str)
def test_there_and_back_with_pytorch(case, dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.manual_seed(0)
    module = module_of(torch, case, dtype)
    layer = fl.io.from_torch(module)
    assert type(layer) is type(case.layer())
    assert layer.dropout == module.dropout
    problem = random_case(case)
    x, given = problem.arrays(dtype)[0], problem.given(dtype)
    tensors = tuple(torch.tensor(part) for part in parts_of(given))
    state = tensors if len(tensors) > 1 else tensors[0]
    module.eval()
    back = fl.io.to_torch(layer).eval()
    assert type(back) is type(module)
    with torch.no_grad():
        (y, final), (again, _) = module(torch.tensor(x), state), back(torch.tensor(x), state)
    found, found_final = layer(x, given)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    pairs = [(found, y), (found, again), *zip(parts_of(found_final), parts_of(final), strict=True)]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=tolerance, atol=tolerance)
    activation = case.cell if case.cell in ("tanh", "relu") else None
    assert fl.io.from_torch(module.state_dict(), activation=activation).num_parameters == layer.num_parameters


BAD_STATES = [
    (lambda s: s.pop("weight_hh_l0"), ValueError, "expected 'weight_ih_l0' and 'weight_hh_l0'"),
    (lambda s: s.update(weight_hr_l0=np.ones((2, 5))), ValueError, r"weight_hh_l0 of shape \(20, 2\), got"),
    (lambda s: s.update(conv=np.ones(3)), ValueError, "expected names such as 'weight_ih_l0', got 'conv'"),
    (lambda s: s.pop("bias_hh_l1"), ValueError, r"expected bias_hh_l1 of shape \(20,\), got none"),
    (lambda s: s.update(weight_hh_l1=np.ones((20, 4))), ValueError, r"weight_hh_l1 of shape \(20, 5\), got \(20, 4\)"),
    (
        lambda s: s.update(weight_ih_l0=np.ones((20, 3), "f2")),
        TypeError,
        "weight_ih_l0 in float32 or float64, got float16",
    ),
    (lambda s: s.update(weight_ih_l1_reverse=np.ones((20, 5))), ValueError, "'weight_ih_l1_reverse'"),
    (lambda s: s.update(weight_ih_l0=np.ones(())), ValueError, "expected weight_ih_l0 with 2 axes, got"),
    (lambda s: s.update(weight_ih_l0=np.ones((20, 3), "f4")), TypeError, "in float32 as weight_ih_l0, got float64"),
    (lambda s: s.update({3: np.ones(3)}), TypeError, "expected names, got 3"),
    (
        lambda s: s.update(weight_ih_l200000=np.ones((20, 5))),
        ValueError,
        "expected the weights of 200001 layers, got 9",
    ),
    (lambda s: s["bias_hh_l0"].__setitem__(2, np.nan), ValueError, r"source bias_hh_l0: .* got nan at \[2\]"),
    (lambda s: [s.pop(f"bias_ih_l{k}") for k in "01"], ValueError, r"expected bias_ih_l0 of shape \(20,\), got none"),
]


@pytest.mark.parametrize(("damage", "kind", "message"), BAD_STATES)
def test_a_state_dict_that_is_no_plain_lstm_is_named(damage, kind, message):
    state = torch_names(random_case(Case(4, 2, 3, 5, 2)), np.random.default_rng(1))
    damage(state)
    with pytest.raises(kind, match=message):
        fl.io.from_torch(state)


@pytest.mark.parametrize(("gates", "name"), [(4, "an LSTM"), (3, "a GRU"), (1, "an RNN")])
def test_the_weights_of_a_single_cell_are_called_what_they_are(gates, name):
    state = {f"weight_{part}": np.ones((gates * 4, size), "f4") for part, size in (("ih", 3), ("hh", 4))}
    state |= {f"bias_{part}": np.ones(gates * 4, "f4") for part in ("ih", "hh")}
    message = f"{EXPECTED}, got {name}Cell; its state_dict is one of {name} with a layer if _l0 is added to the names"
    with pytest.raises(ValueError, match=message):
        fl.io.from_torch(state)
    activation = {1: "tanh"}.get(gates)
    state = {f"{part}_l0": array for part, array in state.items()}
    assert fl.io.from_torch(state, activation=activation).hidden_size == 4


@pytest.mark.parametrize("kind", ["LSTMCell", "GRUCell", "RNNCell"])
def test_the_state_dict_of_a_cell_is_refused(kind):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    module = getattr(torch.nn, kind)(3, 4)
    with pytest.raises(ValueError, match=f"{EXPECTED}, got an? {kind}; "):
        fl.io.from_torch(module.state_dict())
    if kind == "RNNCell":  # there is no cell of this kind here
        with pytest.raises(TypeError, match=f"{EXPECTED}, got an {kind}; "):
            fl.io.from_torch(module)


def test_weights_of_an_unknown_number_of_gates_are_named():
    state = {"weight_ih_l0": np.ones((10, 3)), "weight_hh_l0": np.ones((10, 5))}
    with pytest.raises(ValueError, match=r"weight_hh_l0 of 4, 3 or 1 times as many rows as columns .* got \(10, 5\)"):
        fl.io.from_torch(state)


def test_the_activation_of_an_rnn_is_asked_for_where_it_is_not_known():
    state = {"weight_ih_l0": np.ones((5, 3)), "weight_hh_l0": np.ones((5, 5))}
    with pytest.raises(ValueError, match="activation: expected 'tanh' or 'relu', as the state_dict of an RNN"):
        fl.io.from_torch(state)
    assert fl.io.from_torch(state, activation="relu").activation == "relu"
    with pytest.raises(ValueError, match="activation: expected 'tanh' or 'relu', got 'elu'"):
        fl.io.from_torch(state, activation="elu")
    gru = {"weight_ih_l0": np.ones((15, 3)), "weight_hh_l0": np.ones((15, 5))}
    with pytest.raises(ValueError, match="activation: expected none but for an RNN, got 'tanh' for a GRU"):
        fl.io.from_torch(gru, activation="tanh")


def test_a_module_knows_its_own_activation():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    module = torch.nn.RNN(3, 4, nonlinearity="relu")
    assert fl.io.from_torch(module).activation == "relu"
    assert fl.io.from_torch(module, activation="relu").activation == "relu"
    with pytest.raises(ValueError, match="activation: expected 'relu', that of the module, got 'tanh'"):
        fl.io.from_torch(module, activation="tanh")


def test_neither_module_nor_dict():
    with pytest.raises(TypeError, match="source: expected a module of PyTorch, its state_dict, or a file of one, got"):
        fl.io.from_torch(3)
    with pytest.raises(TypeError, match="layer: expected a model, a layer or a cell, got int"):
        fl.io.to_torch(3)


def test_to_torch_says_what_it_needs(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="to_torch needs PyTorch: pip install torch"):
        fl.io.to_torch(fl.LSTM(1, 1))


def test_onnxruntime_computes_the_same():
    """A node of ONNX's LSTM (rows i, o, f, c) with our weights: another implementation, another convention."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    ort = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    case = Case(6, 3, 3, 17, 1, True, True)
    problem = random_case(case)

    def rows(name):
        blocks = problem.parameters[name].astype("f4").reshape(4, case.hidden, -1)
        return blocks[[0, 3, 1, 2]].reshape(4 * case.hidden, -1)

    suffixes = ("_l0", "_l0_reverse")
    weights = {
        "W": np.stack([rows("weight_ih" + s) for s in suffixes]),
        "R": np.stack([rows("weight_hh" + s) for s in suffixes]),
        "B": np.stack([np.concatenate([rows("bias" + s)[:, 0], np.zeros(4 * case.hidden, "f4")]) for s in suffixes]),
        "lengths": problem.lengths.astype("i4"),
        "h0": problem.state[0].astype("f4"),
        "c0": problem.state[1].astype("f4"),
    }
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node(
        "LSTM",
        ["x", "W", "R", "B", "lengths", "h0", "c0"],
        ["y", "h", "c"],
        hidden_size=case.hidden,
        direction="bidirectional",
    )
    graph = helper.make_graph(
        [node],
        "lstm",
        [helper.make_tensor_value_info("x", kind, [case.t, case.n, case.inputs])],
        [helper.make_tensor_value_info(name, kind, None) for name in ("y", "h", "c")],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    y, h, c = session.run(None, {"x": problem.x.transpose(1, 0, 2).astype("f4").copy()})
    found = run(problem, "float32")
    theirs = y.transpose(2, 0, 1, 3).reshape(found["y"].shape)
    for ours, other in ((found["y"], theirs), (found["h"], h), (found["c"], c)):
        np.testing.assert_allclose(ours, other, rtol=1e-4, atol=1e-5)
