"""``fastlstm convert``, from its arguments to its files."""

import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

import fastlstm as fl
from fastlstm import cli

X = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")


@pytest.fixture
def model(tmp_path):
    """A small model, and a file of it."""
    made = fl.Model([fl.LSTM(3, 5), fl.Last(), fl.Dense(5, 2)], seed=0)
    fl.save(made, tmp_path / "model.safetensors")
    return made


def converted(capsys, *arguments):
    """What a command prints that succeeds."""
    assert cli.main(["convert", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def error_of(capsys, *arguments, status):
    """The one line on stderr of a command that fails."""
    assert cli.main(["convert", *map(str, arguments)]) == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_a_file_of_ours_keeps_its_bits(model, tmp_path, capsys):
    printed = converted(capsys, tmp_path / "model.safetensors", tmp_path / "copy.safetensors")
    assert printed.splitlines()[0] == f"{tmp_path / 'model.safetensors'} has become"
    assert str(model) in printed
    assert printed.splitlines()[-1] == f"written to {tmp_path / 'copy.safetensors'}"
    assert (fl.load(tmp_path / "copy.safetensors").predict(X) == model.predict(X)).all()


@pytest.mark.parametrize(
    "source, output, status, message",
    [
        ("model.txt", "copy.safetensors", 2, "IN: expected a name that ends in .safetensors, .pt, .pth"),
        ("model.safetensors", "copy.txt", 2, "OUT: expected a name that ends in .safetensors, .pt, .pth"),
        ("model.safetensors", "copy.h5", 2, "OUT: expected a name that ends in .safetensors, .pt, .pth"),
        ("model.safetensors", "model.safetensors", 2, "OUT: expected another file than IN, got"),
        ("model.safetensors", "link.safetensors", 2, "OUT: expected another file than IN, got"),
        ("model.safetensors", "there.safetensors", 2, "there.safetensors is there already; --force replaces it"),
        ("model.safetensors", "no/copy.safetensors", 1, "no: no such folder"),
        ("nowhere.safetensors", "copy.safetensors", 1, "nowhere.safetensors: no such file"),
        ("there.safetensors", "copy.safetensors", 1, "there.safetensors: "),
    ],
)
def test_what_is_refused(model, tmp_path, capsys, source, output, status, message):
    (tmp_path / "there.safetensors").write_bytes(b"nothing of the kind")
    (tmp_path / "link.safetensors").symlink_to("model.safetensors")
    before = (tmp_path / "model.safetensors").read_bytes()
    assert message in error_of(capsys, tmp_path / source, tmp_path / output, status=status)
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert (tmp_path / "there.safetensors").read_bytes() == b"nothing of the kind"
    assert not (tmp_path / "copy.safetensors").exists()


def test_an_activation_is_for_a_state_dict(model, tmp_path, capsys):
    arguments = (tmp_path / "model.safetensors", tmp_path / "copy.safetensors", "--activation", "relu")
    message = error_of(capsys, *arguments, status=2)
    assert "activation: expected none but for a state_dict of PyTorch, got relu" in message


def test_force_replaces(model, tmp_path, capsys):
    (tmp_path / "copy.safetensors").write_bytes(b"nothing of the kind")
    converted(capsys, tmp_path / "model.safetensors", tmp_path / "copy.safetensors", "--force")
    assert (fl.load(tmp_path / "copy.safetensors").predict(X) == model.predict(X)).all()


def needs(*names):
    """Skip a test of a reader or writer that is not there."""
    for name in names:
        if not hasattr(fl.io, name):
            pytest.skip(f"fastlstm.io has no {name}")


def difference(printed, framework):
    """The number behind "largest difference from"."""
    (line,) = [line for line in printed.splitlines() if line.startswith(f"largest difference from {framework} on")]
    return float(line.split(": ")[1])


def test_onnx_there_and_back(model, tmp_path, capsys):
    pytest.importorskip("onnx", reason="onnx is not installed")
    needs("to_onnx", "from_onnx")
    there = converted(capsys, tmp_path / "model.safetensors", tmp_path / "model.onnx")
    back = converted(capsys, tmp_path / "model.onnx", tmp_path / "again.safetensors")
    rows = [line.split() for line in back.splitlines()]
    at = next(k for k, row in enumerate(rows) if row[1:4] == ["(MatMul)", "2", "Dense"])
    assert rows[at][0].startswith("2/MatMul_") and rows[at + 1][1:] == ["(Add)"]
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        assert "not compared with ONNX Runtime, which is not installed" in there
    else:
        assert difference(there, "ONNX Runtime") < 1e-5 and difference(back, "ONNX Runtime") < 1e-5
    assert (fl.load(tmp_path / "again.safetensors").predict(X) == model.predict(X)).all()


def test_keras_there_and_back(model, tmp_path, capsys):
    needs("to_keras", "from_keras")
    pytest.importorskip("keras", reason="Keras is not installed")
    there = converted(capsys, tmp_path / "model.safetensors", tmp_path / "model.keras")
    back = converted(capsys, tmp_path / "model.keras", tmp_path / "again.safetensors")
    assert difference(there, "Keras") < 1e-5 and difference(back, "Keras") < 1e-5
    assert (fl.load(tmp_path / "again.safetensors").predict(X) == model.predict(X)).all()


def test_a_model_of_keras_without_keras(model, tmp_path, capsys, monkeypatch):
    needs("to_keras", "from_keras")
    pytest.importorskip("keras", reason="Keras is not installed")
    converted(capsys, tmp_path / "model.safetensors", tmp_path / "model.keras")
    monkeypatch.setitem(sys.modules, "keras", None)
    printed = converted(capsys, tmp_path / "model.keras", tmp_path / "again.safetensors")
    assert "not compared with Keras, which is not installed" in printed
    assert "pip install keras" in error_of(capsys, tmp_path / "again.safetensors", tmp_path / "b.keras", status=1)


@pytest.mark.filterwarnings("ignore:.*pass mask=:UserWarning")
def test_a_table_shows_what_layers_of_keras_have_become(tmp_path, capsys):
    pytest.importorskip("h5py", reason="h5py writes the file that is read")
    import keras_cases

    (tmp_path / "tagger.keras").write_bytes(keras_cases.tagger())
    printed = converted(capsys, tmp_path / "tagger.keras", tmp_path / "tagger.safetensors")
    head, _, table = printed.partition("\n\n")
    assert head == f"{tmp_path / 'tagger.keras'} has become"
    assert table.partition("\n\n")[0].splitlines() == [
        "from                 layer        output shape   parameters",
        "-----------------------------------------------------------",
        "words (Embedding)    0 Embedding  (N, T, 8)           8,000",
        "both (Bidirectional) 1 LSTM       (N, T, 32)          3,200",
        "tags (Dense)         2 Dense      (N, T, 4)             132",
        "tags (Dense)         3 Softmax    (N, T, 4)               0",
        "-----------------------------------------------------------",
        "                     total                           11,332",
        "left out (the shape of the input): input_layer (InputLayer)",
    ]


def state(prefix=""):
    rng = np.random.default_rng(0)
    shapes = {"weight_ih_l0": (20, 3), "weight_hh_l0": (20, 5), "bias_ih_l0": 20, "bias_hh_l0": 20}
    return {prefix + name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}


def test_a_state_dict_of_pytorch(tmp_path, capsys):
    save_file(state(), tmp_path / "lstm.safetensors")
    printed = converted(capsys, tmp_path / "lstm.safetensors", tmp_path / "model.safetensors")
    assert "weight_ih_l0 and so on (4 tensors) 0 LSTM       (N, T, 5)             200\n" in printed
    assert "PyTorch" in printed
    y, _ = fl.io.from_torch(state())(X)
    assert (fl.load(tmp_path / "model.safetensors").predict(X) == y).all()


def test_pytorch_there_and_back(tmp_path, capsys):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    module = torch.nn.RNN(3, 5, nonlinearity="relu")
    torch.save(module.state_dict(), tmp_path / "rnn.pt")
    there = converted(capsys, tmp_path / "rnn.pt", tmp_path / "rnn.safetensors", "--activation", "relu")
    back = converted(capsys, tmp_path / "rnn.safetensors", tmp_path / "again.pt")
    assert difference(there, "PyTorch") < 1e-6 and difference(back, "PyTorch") < 1e-6
    again = torch.load(tmp_path / "again.pt", weights_only=True)
    assert all(torch.equal(again[name], value) for name, value in module.state_dict().items())


def test_a_layer_that_the_target_has_not(tmp_path, capsys):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    fl.save(fl.Model([fl.SLSTM(3, 4)], seed=0), tmp_path / "model.safetensors")
    assert "SLSTM" in error_of(capsys, tmp_path / "model.safetensors", tmp_path / "model.pt", status=1)
    assert not (tmp_path / "model.pt").exists()


def test_files_that_hold_no_state_dict(tmp_path, capsys):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    (tmp_path / "damaged.pt").write_bytes(b"nothing of the kind")
    torch.save([torch.ones(2)], tmp_path / "list.pt")
    torch.save({"a": torch.ones(2)}, tmp_path / "other.pt")
    for name, message in (
        ("damaged.pt", "damaged.pt: expected an archive of PyTorch from 1.6 on, got something else"),
        ("list.pt", "list.pt: expected a state_dict, got list"),
        ("nowhere.pt", "nowhere.pt: no such file"),
    ):
        assert message in error_of(capsys, tmp_path / name, tmp_path / "copy.safetensors", status=1)
    assert cli.main(["convert", str(tmp_path / "other.pt"), str(tmp_path / "copy.safetensors")]) == 1
    assert "Pass a model with its layers in the order in which they run" in capsys.readouterr().err
    assert not (tmp_path / "copy.safetensors").exists()
