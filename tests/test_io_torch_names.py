"""Weights of PyTorch by their names into a model, from state_dicts and files; what is wrong with these is named."""

import re
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

import fastlstm as fl
from fastlstm.io.torch.named import MOST_SHOWN


def state_of(dtype="float32"):
    """The state_dict of an embedding, two recurrent layers, a cell, a norm and a head."""
    rng = np.random.default_rng(0)

    def recurrent(i, h, gates, suffixes, prefix):
        shapes = {"weight_ih": (gates * h, i), "weight_hh": (gates * h, h), "bias_ih": gates * h, "bias_hh": gates * h}
        return {f"{prefix}.{name}{end}": shape for end in suffixes for name, shape in shapes.items()}

    shapes = {
        "net.embedding.weight": (7, 3),
        **recurrent(3, 4, 4, ["_l0", "_l0_reverse"], "net.lstm"),
        **recurrent(8, 3, 3, [""], "cell"),
        **{f"norm.{name}": 3 for name in ("weight", "bias", "running_mean", "running_var")},
        **{"conv.weight": (2, 3, 3), "head.0.weight": (5, 2), "head.0.bias": 5},
    }
    state = {name: rng.uniform(0.1, 1, shape).astype(dtype) for name, shape in shapes.items()}
    return state | {"norm.num_batches_tracked": np.array(3)}


NAMES = {"net.embedding": 0, "net.lstm": "1", "cell": 2, "norm": "3.0.0", "conv": "3.1.0", "head.0": 4}


def model_of(dtype="float32", **options):
    both = {"two_biases": True, **options}
    norm = fl.Concat([fl.BatchNorm(3)], [fl.Conv1d(3, 2, 3, padding="same", bias=False)])
    layers = [fl.Embedding(7, 3), fl.LSTM(3, 4, bidirectional=True, **both), fl.GRU(8, 3, **both), norm]
    return fl.Model([*layers, fl.Dense(5, 5)], dtype, seed=0)


def fitting(dtype="float32"):
    state = state_of(dtype)
    state["head.0.weight"] = np.ones((5, 5), dtype)
    return state


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_by_name_come_over_to_the_bit(dtype):
    state, model = fitting(dtype), model_of(dtype)
    assert fl.io.from_torch(state, model=model, names=NAMES) is model
    expected = {
        "0.weight": "net.embedding.weight",
        "1.bias_hh_l0_reverse": "net.lstm.bias_hh_l0_reverse",
        "2.weight_hh_l0": "cell.weight_hh",
        "3.0.0.bias": "norm.bias",
        "3.1.0.weight": "conv.weight",
        "4.weight": "head.0.weight",
    }
    for name, theirs in expected.items():
        assert np.array_equal(model.named_parameters()[name].value, state[theirs]), name
    assert np.array_equal(model.named_buffers()["3.0.0.running_var"].value, state["norm.running_var"])


def test_two_biases_are_added_where_the_model_has_one():
    one, two = model_of(two_biases=False), model_of()
    tokens = np.arange(12).reshape(2, 6) % 7
    for model in (one, two):
        fl.io.from_torch(fitting(), model=model, names=NAMES)
    np.testing.assert_allclose(one.predict(tokens), two.predict(tokens), rtol=1e-5)


def test_a_prefix_may_be_empty_and_weights_may_be_left_out():
    state = {"weight": np.ones((2, 3), "f4"), "bias": np.ones(2, "f4"), "extra.scale": np.ones(4, "f2")}
    model = fl.Model([fl.Dense(3, 2), fl.LayerNorm(2)], seed=0)
    fl.io.from_torch(state, model=model, names={"": 0}, ignore=["extra", "1"])
    assert model.predict(np.zeros((1, 1, 3)))[0, 0].tolist() == [0, 0]
    del state["bias"]
    fl.io.from_torch(state, model=model, names={"": 0}, ignore=["extra.scale", "0.bias", "1.weight", "1.bias"])


def test_a_tensor_may_be_given_its_parameter():
    state = {
        f"score.{name}": np.ones(shape, "f4") for name, shape in (("w.weight", (2, 3)), ("w.bias", 2), ("v", (1, 2)))
    }
    model = fl.Model([fl.AttentionPool(3, 2)], seed=0)
    names = {"score.w.weight": "0.weight", "score.w.bias": "0.bias", "score.v": "0.context"}
    fl.io.from_torch(state, model=model, names=names)
    assert all((parameter.value == 1).all() for parameter in model.parameters())
    with pytest.raises(ValueError, match=r"names: 'score\.v' at 0\.bias: expected shape \(2,\), got \(1, 2\)"):
        fl.io.from_torch(state, model=model, names={**names, "score.v": "0.bias"})
    with pytest.raises(ValueError, match=r"names: 'score\.w\.bias' at 0\.bias: the place is given twice"):
        state["again"] = state["score.w.bias"]
        fl.io.from_torch(state, model=model, names={"again": "0.bias", **names})


def test_tied_weights_must_be_those_of_the_embedding():
    state = {"emb.weight": np.ones((4, 3), "f4"), "out.weight": np.ones((4, 3), "f4"), "out.bias": np.ones(4, "f4")}
    embedding = fl.Embedding(4, 3)
    model = fl.Model([embedding, fl.TiedDense(embedding)], seed=0)
    fl.io.from_torch(state, model=model, names={"emb": 0, "out": 1})
    assert model.predict([[1]]).tolist() == [[[4, 4, 4, 4]]]
    state["out.weight"][1, 1] = 2
    with pytest.raises(ValueError, match=r"'out' at 1 \(TiedDense\): expected the weight of the embedding at 0"):
        fl.io.from_torch(state, model=model, names={"emb": 0, "out": 1})


def test_nothing_changes_where_something_is_wrong():
    model = model_of()
    before = {name: parameter.value.copy() for name, parameter in model.named_parameters().items()}
    with pytest.raises(ValueError, match="expected weight of shape"):
        fl.io.from_torch(state_of(), model=model, names=NAMES)
    assert all(np.array_equal(model.named_parameters()[name].value, value) for name, value in before.items())


def without(key):
    return {name: place for name, place in NAMES.items() if name != key}


WRONG = [
    (dict(model=3), TypeError, "model: expected a Model, got int"),
    (dict(model=None), TypeError, "model: expected both model= and names=, got None"),
    (dict(names=None), TypeError, "names: expected both model= and names=, got None"),
    (dict(names=[1]), TypeError, r"names: expected a dict of parts of the source and places in the model, got \[1\]"),
    (
        dict(names={"cell": 1.5}),
        TypeError,
        r"names: expected a name and a place such as 0 or '1\.0\.0', got 'cell': 1\.5",
    ),
    (dict(names={"rnn": 1}), ValueError, r"names: expected one of 'net\.embedding', 'net\.lstm', .*, got 'rnn'"),
    (dict(names={"cell": 9}), ValueError, r"names: 'cell': expected one of the places '0', '1', .*'3\.1\.0'.*, got 9"),
    (
        dict(names={**NAMES, "cell": 1}),
        ValueError,
        r"names: 'cell' at 1 \(LSTM\): expected weight_ih_l0 of shape \(16, 3\)",
    ),
    (
        dict(names={**NAMES, "head.0": 0}),
        ValueError,
        r"'head\.0' at 0 \(Embedding\): expected weight of shape \(7, 3\), got",
    ),
    (dict(names={"head.0": 4, "norm": 4}), ValueError, r"'norm' at 4 \(Dense\): expected weight of shape"),
    (
        dict(names={**NAMES, "conv": "3.0.0"}),
        ValueError,
        r"'conv' at 3\.0\.0 \(BatchNorm\): expected weight of shape \(3,\)",
    ),
    (
        dict(names=without("cell")),
        ValueError,
        r"expected a place .* got none for 'cell\.weight_ih', .*ignore=\['cell\.weight_ih'",
    ),
    (
        dict(names=without("norm"), ignore=["norm"]),
        ValueError,
        r"got none for '3\.0\.0\.weight'.*ignore=\['3\.0\.0\.weight'",
    ),
    (dict(ignore=["nothing"]), ValueError, "ignore: expected names of the source or of the model, got 'nothing'"),
    (dict(ignore="norm"), TypeError, "ignore: expected a list of names, got 'norm'"),
    (dict(model=model_of("float64")), TypeError, r"model: expected float32, .* got float64; pass dtype='float32'"),
]


@pytest.mark.parametrize(("arguments", "kind", "message"), WRONG)
def test_names_that_do_not_fit_are_said(arguments, kind, message):
    with pytest.raises(kind, match=message):
        fl.io.from_torch(fitting(), **{"model": model_of(), "names": NAMES, **arguments})


def test_a_place_is_given_once_and_what_is_too_much_is_named():
    state = {f"{part}.weight": np.ones((2, 2), "f4") for part in "ab"}
    model = fl.Model([fl.Dense(2, 2, bias=False)])
    with pytest.raises(ValueError, match=r"names: 'b' at 0 \(Dense\): the place is given twice"):
        fl.io.from_torch(state, model=model, names={"a": 0, "b": 0})
    with pytest.raises(ValueError, match=r"'a' at 0 \(Dense\): does not know what to do with 'scale'"):
        fl.io.from_torch({"a.weight": state["a.weight"], "a.scale": np.ones(2, "f4")}, model=model, names={"a": 0})
    with pytest.raises(ValueError, match=r"source a.weight: expected finite numbers, got nan at \[0, 1\]"):
        fl.io.from_torch({"a.weight": np.array([[0, np.nan], [0, 0]], "f4")}, model=model, names={"a": 0})


def test_without_names_the_message_shows_a_call_that_runs():
    state = fitting()
    with pytest.raises(ValueError, match="the order of its layers is not known") as caught:
        fl.io.from_torch(state)
    message = str(caught.value)
    assert "    net.lstm: weight_ih_l0 (16, 3), " in message
    for layer in ("LSTM(3, 4, bidirectional=True, two_biases=True)", "GRU(8, 3, two_biases=True)", "BatchNorm(3)"):
        assert f"as of fl.{layer}" in message
    call = re.search(r"fl\.io\.from_torch\(.*\)$", message)[0]
    assert "fl.Conv1d(3, 2, 3, bias=False), fl.Dense(5, 5)])" in call
    call = call.replace("fl.Conv1d(3, 2, 3, bias", "fl.Conv1d(3, 5, 1, bias")  # so that the next layer fits to it
    state["conv.weight"] = np.ones((5, 3, 1), "f4")
    model = eval(call, {"fl": fl, "source": state})
    assert model.predict([[1, 2, 3]]).shape == (1, 3, 5)


def test_a_message_shows_some_of_many_parts():
    state = {f"part{k}.what": np.ones(3) for k in range(MOST_SHOWN + 5)}
    with pytest.raises(ValueError, match="and 5 more\nPass a model"):
        fl.io.from_torch(state)


def test_a_module_with_a_forward_of_its_own_says_so():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    class Tagger(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(9, 3)
            self.lstm = torch.nn.LSTM(3, 4, num_layers=2, dropout=0.25)
            self.head = torch.nn.Sequential(torch.nn.Linear(4, 2))

    tagger = Tagger()
    with pytest.raises(ValueError, match="source: Tagger has a forward of its own") as caught:
        fl.io.from_torch(tagger)
    call = str(caught.value).splitlines()[-1].strip()
    lstm = "fl.LSTM(3, 4, num_layers=2, dropout=0.25, two_biases=True)"
    assert call == (
        f"fl.io.from_torch(source, model=fl.Model([fl.Embedding(9, 3), {lstm}, fl.Dense(4, 2)]), "
        "names={'embedding': 0, 'lstm': 1, 'head.0': 2})"
    )
    model = eval(call, {"fl": fl, "source": tagger})
    tokens = np.arange(8).reshape(2, 4)
    with torch.no_grad():
        tagger.eval()
        expected = tagger.head(tagger.lstm(tagger.embedding(torch.tensor(tokens.T)))[0]).transpose(0, 1)
    np.testing.assert_allclose(model.predict(tokens), expected.numpy(), atol=1e-6)


def test_files_of_safetensors(tmp_path):
    state, path = fitting(), tmp_path / "weights.safetensors"
    save_file(state, path)
    model = fl.io.from_torch(path, model=model_of(), names=NAMES)
    assert np.array_equal(model.named_parameters()["4.weight"].value, state["head.0.weight"])
    save_file({name[9:]: one for name, one in state.items() if "net.lstm" in name}, path)
    assert fl.io.from_torch(str(path)).bidirectional
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: truncated or damaged"):
        fl.io.from_torch(path)
    save_file({"weight_ih_l0": np.ones((4, 1), "f2"), "weight_hh_l0": np.ones((4, 1), "f4")}, path)
    with pytest.raises(
        ValueError, match=r"weights\.safetensors: expected weight_ih_l0 in float32 or float64, got float16"
    ):
        fl.io.from_torch(path)
    fl.save(model, path)
    with pytest.raises(ValueError, match="got a file of fastlstm: read it by fastlstm.load"):
        fl.io.from_torch(path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        fl.io.from_torch(tmp_path / "nothing.pt")
    (tmp_path / "old.pt").write_bytes(b"\x80\x02}.")
    with pytest.raises(ValueError, match=r"old\.pt: expected an archive of PyTorch from 1\.6 on, got something else"):
        fl.io.from_torch(tmp_path / "old.pt")


@pytest.fixture
def saved(tmp_path):
    """A function that writes what torch.save does, and returns the path."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    def save(thing):
        torch.save(thing, tmp_path / "weights.pt")
        return tmp_path / "weights.pt"

    return save


def tensors(state):
    import torch

    return {name: torch.tensor(array) for name, array in state.items()}


def test_files_of_pytorch(saved):
    state = fitting()
    model = fl.io.from_torch(saved(tensors(state)), model=model_of(), names=NAMES)
    assert np.array_equal(model.named_parameters()["2.bias_ih_l0"].value, state["cell.bias_ih"])


def test_a_file_in_half_precision_is_said_to_be(saved, tmp_path):
    from safetensors.torch import save_file

    half = {"weight": tensors({"a": np.ones((2, 2), "f4")})["a"].bfloat16()}
    save_file(half, tmp_path / "half.safetensors")
    model = fl.Model([fl.Dense(2, 2, bias=False)])
    for path, found in ((tmp_path / "half.safetensors", "'BF16'"), (saved(half), "bfloat16")):
        with pytest.raises(ValueError, match=f"{path.name}: expected .* in float32 or float64, got {found}"):
            fl.io.from_torch(path, model=model, names={"": 0})


def test_a_file_of_pytorch_needs_torch(saved, monkeypatch):
    path = saved(tensors(fitting()))
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(
        ImportError, match="a .pt file needs PyTorch: pip install torch; a file of safetensors does not"
    ):
        fl.io.from_torch(path, model=model_of(), names=NAMES)


class Shell:
    """A pickle of this would run a function when it is read."""

    def __reduce__(self):
        return print, ("run",)


def test_files_of_pytorch_that_hold_something_else_are_refused(saved, capsys):
    import torch

    named = [
        (torch.nn.Linear(2, 2), "got torch.nn.modules.linear.Linear; of a whole module, save module.state_dict()"),
        (Shell(), "got __builtin__.print"),
        ({"a": bytearray(8)}, "expected the tensors of a state_dict and nothing else"),
        ([1, 2], "expected a state_dict, got list"),
        ({"model": tensors(fitting()), "epoch": 3}, "got dict at 'model'; if that is the state_dict, load the file by"),
        ({3: torch.ones(2)}, "got Tensor at 3"),
        ({"a": torch.ones(1).expand(10**6)}, r"expected tensors of at most 4 times the file, \d+ bytes, got 4000000"),
    ]
    for thing, message in named:
        with pytest.raises(ValueError, match=f"weights.pt: .*{message}"):
            fl.io.from_torch(saved(thing))
    assert capsys.readouterr().out == ""


def rewritten(path, change, **options):
    """The archive with records that `change` has made of its own."""
    with zipfile.ZipFile(path) as archive:
        records = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in change(records):
            archive.writestr(name, content)


def pickled(records, change):
    return [(name, change(content) if name.endswith(".pkl") else content) for name, content in records]


def test_archives_that_are_not_as_pytorch_writes_them_are_refused(saved):
    changes = [
        (lambda records: records, {"compression": zipfile.ZIP_DEFLATED}, "got compressed ones"),
        (lambda records: [*records, ("archive/code/a.py", b"")], {}, "expected a state_dict, got TorchScript"),
        (
            lambda records: pickled(records, lambda part: part[:-1] + b"\x93."),
            {},
            "got STACK_GLOBAL",
        ),
        (lambda records: [(n, c[:-8] if "data/0" in n else c) for n, c in records], {}, "damaged: "),
        (
            lambda records: pickled(records, lambda part: b"(" * 4_000_001),
            {},
            "at most 4000000",
        ),
        (lambda records: records[1:], {}, "damaged: "),
    ]
    for change, options, message in changes:
        path = saved(tensors({"weight": np.ones((3, 4), "f4")}))
        rewritten(path, change, **options)
        with pytest.raises(ValueError, match=f"weights.pt: .*{message}"):
            fl.io.from_torch(path)


def test_two_records_of_one_name_are_refused(saved):
    path = saved(tensors({"weight": np.ones((3, 4), "f4")}))
    with pytest.warns(UserWarning, match="Duplicate name"):
        rewritten(path, lambda records: [*records, records[0]])
    with pytest.raises(ValueError, match="two records have the same name"):
        fl.io.from_torch(path)
