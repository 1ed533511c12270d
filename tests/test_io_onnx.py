"""to_onnx beside ONNX Runtime, and back to the bit."""

import numpy as np
import pytest

import fastlstm as fl

onnx = pytest.importorskip("onnx", reason="onnx is not installed")

FUNCTIONS = ["sigmoid", "tanh", "relu", ("hard_sigmoid", 0.3, 0.4), "softsign", "softplus", ("leaky_relu", 0.2)]
FUNCTIONS += [("thresholded_relu", 0.3), ("elu", 0.7), ("affine", 2.0, 0.5), ("scaled_tanh", 1.7, 0.6), "gelu"]
FUNCTIONS += ["gelu_tanh", "silu", "exp"]


def tied():
    embedding = fl.Embedding(9, 5)
    return [embedding, fl.LSTM(5, 5), fl.TiedDense(embedding)]


CHAINS = {
    "lstm": lambda: [fl.LSTM(5, 4)],
    "stack": lambda: [fl.LSTM(5, 4, num_layers=2, bidirectional=True), fl.Dropout(0.2), fl.Dense(8, 3)],
    "skip": lambda: [fl.LSTM(5, 4, num_layers=3, skip="both", residual=True)],
    "peephole": lambda: [
        fl.LSTM(
            *(5, 4),
            peephole=True,
            clip=0.5,
            activation=("elu", 0.5),
            recurrent_activation="hard_sigmoid",
            two_biases=True,
        )
    ],
    "coupled": lambda: [fl.LSTM(5, 4, coupled=True, peephole=True, go_backwards=True)],
    "learned": lambda: [fl.LSTM(5, 4, learn_initial_state=True, num_layers=2, bidirectional=True, bias=False)],
    "gru": lambda: [fl.GRU(5, 4, bidirectional=True, merge="sum"), fl.GRU(4, 3, reset="before")],
    "merges": lambda: [
        fl.GRU(5, 3, bidirectional=True, merge="mul", two_biases=True),
        fl.GRU(3, 3, bidirectional=True, merge="ave"),
    ],
    "rnn": lambda: [
        fl.SimpleRNN(5, 4),
        fl.SimpleRNN(4, 4, activation="relu"),
        fl.SimpleRNN(4, 3, activation=("elu", 0.2), clip=0.4),
    ],
    "tied": tied,
    "functions": lambda: [fl.Dense(5, 5), *(fl.Activation(function) for function in FUNCTIONS)],
    "windows": lambda: [
        fl.Conv1d(5, 4, 3, padding="same"),
        fl.Conv1d(4, 4, 3, padding="causal", dilation=2),
        fl.Conv1d(4, 4, 2, stride=2, bias=False),
        fl.MaxPool1d(2, 1, padding="same"),
        fl.Softmax(),
    ],
    "norms": lambda: [fl.BatchNorm(5), fl.LayerNorm(5, 1e-3), fl.Last(), fl.BatchNorm(5), fl.Dense(5, 2)],
    "pools": lambda: [
        fl.Concat([fl.Last()], [fl.MeanPool()], [fl.MaxPool()], [fl.AttentionPool(5, 3)]),
        fl.LayerNorm(20),
    ],
    "final": lambda: [fl.GRU(5, 4, bidirectional=True), fl.FinalState(merge="ave"), fl.Softmax()],
    "first": lambda: [fl.GRU(5, 4, go_backwards=True), fl.FinalState(bidirectional=False, go_backwards=True)],
    "branches": lambda: [
        fl.Residual([fl.LayerNorm(5), fl.LSTM(5, 5), fl.Residual([fl.Dense(5, 5)])]),
        fl.Concat([], [fl.Dense(5, 3), fl.Activation("tanh")]),
        fl.Add([fl.Dense(8, 2)], [fl.GRU(8, 2)]),
    ],
}


def random_model(name, dtype="float32"):
    """A model whose parameters are random, the biases too."""
    model, rng = fl.Model(CHAINS[name](), seed=0, dtype=dtype), np.random.default_rng(1)
    for parameter in model.parameters():
        parameter.value = rng.normal(size=parameter.shape) * 0.4
    for buffer in model.buffers():
        buffer.value = rng.uniform(0.5, 2, size=buffer.shape)
    return model


def inputs_of(model, n, t):
    rng = np.random.default_rng(n)
    return rng.integers(0, 9, (n, t)) if model.layers[0].takes_tokens else rng.normal(size=(n, t, 5)).astype("float32")


def session_of(path):
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    return runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def assert_near(found, expected, bound=1e-5):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max(initial=0) <= bound * max(1, np.abs(expected).max(initial=0))


def assert_same_model(found, model):
    assert repr(found) == repr(model)
    theirs, ours = ({**own.named_parameters(), **own.named_buffers()} for own in (found, model))
    assert theirs.keys() == ours.keys()
    for name, parameter in ours.items():
        assert theirs[name].value.dtype == parameter.value.dtype
        assert np.array_equal(theirs[name].value, parameter.value), name


@pytest.mark.parametrize("name", CHAINS)
def test_onnx_runtime_computes_the_same_for_any_batch_and_length(name, tmp_path):
    model, path = random_model(name), tmp_path / "model.onnx"
    fl.io.to_onnx(model, path)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = session_of(path)
    for n, t in ((1, 9), (3, 14)):
        x = inputs_of(model, n, t)
        (y,) = session.run(None, {session.get_inputs()[0].name: x})
        assert_near(y, model.predict(x))


@pytest.mark.parametrize("name", CHAINS)
def test_onnx_runtime_takes_lengths(name, tmp_path):
    model, path = random_model(name), tmp_path / "model.onnx"
    fl.io.to_onnx(model, path, lengths=True)
    x, lengths = inputs_of(model, 4, 13), np.array([13, 6, 9, 7], np.int32)
    session = session_of(path)
    (y,), expected = (
        session.run(None, {session.get_inputs()[0].name: x, "lengths": lengths}),
        model.predict(x, lengths=lengths),
    )
    if y.ndim == 2:
        assert_near(y, expected)
        return
    for row, length in enumerate(model.output_lengths(lengths)):
        assert_near(y[row, :length], expected[row, :length])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("name", CHAINS)
def test_back_to_the_same_bits(name, lengths, dtype, tmp_path):
    model = random_model(name, dtype)
    fl.io.to_onnx(model, tmp_path / "model.onnx", lengths=lengths)
    assert_same_model(fl.io.from_onnx(tmp_path / "model.onnx"), model)


STREAMS = {
    "layers": lambda: [
        fl.LSTM(5, 4, num_layers=2),
        fl.GRU(4, 3, learn_initial_state=True),
        fl.Residual([fl.SimpleRNN(3, 3)]),
    ],
    "causal": lambda: [
        fl.Conv1d(5, 4, 3, padding="causal", dilation=2),
        fl.LSTM(4, 3, peephole=True),
        fl.Last(),
        fl.Dense(3, 1),
    ],
}


@pytest.mark.parametrize("name", STREAMS)
def test_steps_of_a_stream_are_those_of_the_whole(name, tmp_path):
    model, path = fl.Model(STREAMS[name](), seed=0), tmp_path / "model.onnx"
    fl.io.to_onnx(model, path, stateful=True)
    assert_same_model(fl.io.from_onnx(path), model)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session, x = session_of(path), inputs_of(model, 2, 8)
    names = [own.name for own in session.get_outputs()]
    state = {}
    for own in session.get_inputs()[1:]:
        state[own.name] = np.zeros([2 if size == "N" else size for size in own.shape], np.float32)
    found, stream = [], model.stream(batch=2)
    for start, stop in ((0, 1), (1, 2), (2, 5), (5, 8)):
        given = dict(zip(names, session.run(None, {"x": x[:, start:stop], **state}), strict=True))
        found.append(given.pop("y"))
        state = {name.replace("n_", "0_", 1): value for name, value in given.items()}
        expected = stream.run(x[:, start:stop])
        assert_near(found[-1], expected[:, -1] if found[-1].ndim == 2 else expected)


def test_a_file_in_float64_runs_in_the_reference_evaluator(tmp_path):
    reference = pytest.importorskip("onnx.reference")
    model, path = random_model("norms", "float64"), tmp_path / "model.onnx"
    fl.io.to_onnx(model, path)
    x = inputs_of(model, 2, 7).astype("float64")
    (y,) = reference.ReferenceEvaluator(str(path)).run(None, {"x": x})
    assert_near(y, model.predict(x), 1e-7)


REFUSED = {
    "proj_size": (lambda: [fl.LSTM(5, 4, proj_size=2)], {}, "without proj_size"),
    "layer_norm": (lambda: [fl.LSTM(5, 4, layer_norm=True)], {}, "without layer_norm"),
    "cell_clip": (lambda: [fl.LSTM(5, 4, cell_clip=2.0)], {}, "without cell_clip"),
    "zoneout": (lambda: [fl.GRU(5, 4, zoneout=0.1)], {}, "without zoneout"),
    "SLSTM": (
        lambda: [fl.SLSTM(5, 4)],
        {},
        r"layer 0 \(SLSTM\): expected a layer that ONNX has operators for .* got SLSTM",
    ),
    "inner": (lambda: [fl.Residual([fl.MinLSTM(5, 5)])], {}, r"layer 0.0 \(MinLSTM\)"),
    "pool": (lambda: [fl.LSTM(5, 4), fl.MeanPool()], {"stateful": True}, r"layer 1 \(MeanPool\): expected no pool"),
    "window": (lambda: [fl.Conv1d(5, 4, 3)], {"stateful": True}, "that streams with stateful=True"),
    "final": (lambda: [fl.LSTM(5, 4, bidirectional=True), fl.FinalState()], {"stateful": True}, "reads backwards"),
    "same": (lambda: [fl.Conv1d(5, 4, 3, padding="same", stride=2)], {"lengths": True}, "another padding than 'same'"),
    "dilated": (lambda: [fl.Conv1d(5, 4, 3, padding="same", stride=2, dilation=2)], {}, "another padding than 'same'"),
    "both": (
        lambda: [fl.LSTM(5, 4)],
        {"stateful": True, "lengths": True},
        "lengths: expected False with stateful=True",
    ),
}


@pytest.mark.parametrize(("chain", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_onnx_has_no_words_for_is_refused_by_name(chain, options, message, tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(ValueError, match=message):
        fl.io.to_onnx(fl.Model(chain(), seed=0), path, **options)
    assert not path.exists()


def test_arguments_of_another_kind_are_refused(tmp_path):
    with pytest.raises(TypeError, match="model: expected a Model, got LSTM"):
        fl.io.to_onnx(fl.LSTM(3, 2), tmp_path / "model.onnx")
    with pytest.raises(TypeError, match="stateful: expected True or False, got 1"):
        fl.io.to_onnx(random_model("lstm"), tmp_path / "model.onnx", stateful=1)
    with pytest.raises(FileNotFoundError, match="no such file"):
        fl.io.from_onnx(tmp_path / "nothing.onnx")


def test_without_onnx_the_error_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'fastlstm\[onnx\]'"):
        fl.io.to_onnx(fl.Model([fl.LSTM(3, 2)]), tmp_path / "model.onnx")


def test_a_graph_that_somebody_has_changed_is_read_as_it_is(tmp_path):
    model, path = random_model("lstm"), tmp_path / "model.onnx"
    fl.io.to_onnx(model, path)
    proto = onnx.load(path)
    proto.graph.node[-1].op_type = "Tanh"  # instead of Identity
    onnx.save(proto, path)
    found, x = fl.io.from_onnx(path), inputs_of(model, 2, 6)
    assert_near(found.predict(x), np.tanh(model.predict(x)), 1e-6)


def test_reading_back_takes_at_most_4_times_the_file(tmp_path):
    import tracemalloc

    fl.io.to_onnx(fl.Model([fl.LSTM(300, 500), fl.Dense(500, 3)], seed=0), tmp_path / "model.onnx")
    tracemalloc.start()
    fl.io.from_onnx(tmp_path / "model.onnx")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * (tmp_path / "model.onnx").stat().st_size
