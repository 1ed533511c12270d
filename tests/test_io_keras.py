"""Models of Keras from files: what they give is what Keras' equations give, written here in NumPy."""

import sys
import types
import zipfile

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="h5py writes the files that are read")
from keras_cases import (  # noqa: E402
    entry,
    functional,
    inner,
    keras_file,
    native_weights,
    numbers,
    old_file,
    recurrent_weights,
    sequential,
)

import fastlstm as fl  # noqa: E402

X = numbers(4, 6, 3, seed=9, dtype="float64")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def hard3(x):
    return np.clip(x / 6 + 0.5, 0, 1)


def hard2(x):
    return np.clip(0.2 * x + 0.5, 0, 1)


def lstm(x, kernel, recurrent, bias=0, gate=sigmoid):
    h = c = np.zeros((len(x), len(recurrent)))
    outputs = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ kernel + h @ recurrent + bias, 4, axis=1)
        c = gate(f) * c + gate(i) * np.tanh(g)
        h = gate(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, axis=1)


def gru(x, kernel, recurrent, bias, after=True):
    bias = np.zeros((2, 1)) if bias is None else bias if after else np.stack([bias, 0 * bias])
    h, outputs = np.zeros((len(x), len(recurrent))), []
    for t in range(x.shape[1]):
        xz, xr, xn = np.split(x[:, t] @ kernel + bias[0], 3, axis=1)
        uz, ur, un = np.split(h @ recurrent + bias[1], 3, axis=1)
        z, r = sigmoid(xz + uz), sigmoid(xr + ur)
        if not after:
            un = (r * h) @ np.split(recurrent, 3, axis=1)[2]
        h = z * h + (1 - z) * np.tanh(xn + (r * un if after else un))
        outputs.append(h)
    return np.stack(outputs, axis=1)


def simple(x, kernel, recurrent, bias=0):
    h, outputs = np.zeros((len(x), len(recurrent))), []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ kernel + h @ recurrent + bias)
        outputs.append(h)
    return np.stack(outputs, axis=1)


def both(cell, weights):
    forward, backward = weights[: len(weights) // 2], weights[len(weights) // 2 :]
    return cell(X, *forward), cell(X[:, ::-1], *backward)[:, ::-1]


def read(tmp_path, content, **options):
    path = tmp_path / "model"
    path.write_bytes(content)
    return fl.io.from_keras(path, **options)


def read_one(tmp_path, kind, path, weights, **config):
    return read(tmp_path, keras_file(sequential(entry(kind, "one", **config)), {path: weights}))


def close(model, expected, x=X):
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-4, atol=1e-5)


LSTM, GRU = recurrent_weights(4, 3, 5), recurrent_weights(3, 3, 5, 2)
BEFORE, SIMPLE = recurrent_weights(3, 3, 5), recurrent_weights(1, 3, 5)
CELLS = {
    "LSTM": (LSTM, {}, lambda: lstm(X, *LSTM)),
    "LSTM without bias": (LSTM[:2], {"use_bias": False}, lambda: lstm(X, *LSTM[:2])),
    "GRU": (GRU, {"reset_after": True}, lambda: gru(X, *GRU)),
    "GRU before": (BEFORE, {"reset_after": False}, lambda: gru(X, *BEFORE, after=False)),
    "GRU without bias": (GRU[:2], {"use_bias": False}, lambda: gru(X, *GRU[:2], None)),
    "SimpleRNN": (SIMPLE, {}, lambda: simple(X, *SIMPLE)),
    "LSTM hard": (LSTM, {"recurrent_activation": "hard_sigmoid"}, lambda: lstm(X, *LSTM, gate=hard3)),
}


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("whole", [True, False])
def test_cells(path, tmp_path, name, whole):
    weights, config, expected = CELLS[name]
    kind = name.partition(" ")[0]
    model = read_one(tmp_path, kind, f"{kind.lower().replace('rnn', '_rnn')}/cell", weights, units=5, **config,
                     return_sequences=whole)  # fmt: skip
    close(model, expected() if whole else expected()[:, -1])
    assert type(model.layers[0]).__name__ == kind


MERGES = {"concat": lambda a, b: np.concatenate([a, b], -1), "sum": np.add, "mul": np.multiply,
          "ave": lambda a, b: (a + b) / 2}  # fmt: skip


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("whole", [True, False])
def test_both_directions(tmp_path, merge, whole):
    weights = [*recurrent_weights(3, 3, 4, 2, seed=1), *recurrent_weights(3, 3, 4, 2, seed=5)]
    layer = inner("GRU", units=4, reset_after=True, return_sequences=whole)
    config = sequential(entry("Bidirectional", "two", layer=layer, merge_mode=merge))
    parts = {"bidirectional/forward_layer/cell": weights[:3], "bidirectional/backward_layer/cell": weights[3:]}
    a, b = both(gru, weights)
    close(read(tmp_path, keras_file(config, parts)), MERGES[merge](*((a, b) if whole else (a[:, -1], b[:, 0]))))


def test_a_layer_that_reads_backwards(tmp_path):
    model = read_one(tmp_path, "LSTM", "lstm/cell", LSTM, units=5, go_backwards=True)
    close(model, lstm(X[:, ::-1], *LSTM)[:, -1])


def cudnn(kernel, gates):
    """A kernel as a cuDNN layer keeps it, by Keras' own words: transposed, in the other order of memory."""
    return np.hstack([gate.T.reshape(gate.shape, order="C") for gate in np.hsplit(kernel, gates)])


def test_layers_of_cudnn_in_old_files(tmp_path):
    kernel, recurrent, _ = LSTM
    bias = numbers(40, seed=3)
    old = {"class_name": "Sequential", "config": [
        {"class_name": "CuDNNLSTM", "config": {"name": "a", "units": 5, "return_sequences": True}},
        {"class_name": "CuDNNGRU", "config": {"name": "b", "units": 5, "return_sequences": True}},
    ]}  # fmt: skip
    weights = recurrent_weights(3, 5, 5, 2, seed=4)
    stored = {
        "a": [cudnn(kernel, 4), cudnn(recurrent, 4), bias],
        "b": [cudnn(weights[0], 3), cudnn(weights[1], 3), weights[2].reshape(-1)],
    }
    content = old_file(stored, old)
    close(read(tmp_path, content), gru(lstm(X, kernel, recurrent, bias[:20] + bias[20:]), *weights))


@pytest.mark.parametrize(("version", "gate"), [("2.2.4", hard2), ("3.1.0", hard3)])
def test_hard_sigmoid_is_that_of_who_has_written_the_file(tmp_path, version, gate):
    layer = {"name": "a", "units": 5, "return_sequences": True, "recurrent_activation": "hard_sigmoid"}
    config = {"class_name": "Sequential", "config": {"layers": [{"class_name": "LSTM", "config": layer}]}}
    close(read(tmp_path, old_file({"a": LSTM}, config, version=version)), lstm(X, *LSTM, gate=gate))


def test_a_chain_of_other_layers(tmp_path):
    conv, dense = [numbers(2, 3, 4), numbers(4, seed=1)], [numbers(4, 5, seed=2), numbers(5, seed=3)]
    norm, batch = [numbers(5, seed=k) for k in (4, 5)], [np.abs(numbers(5, seed=k)) for k in (6, 7, 8, 9)]
    config = sequential(
        entry("Conv1D", "c", kernel_size=[2], strides=[1], padding="causal", activation="relu"),
        entry("TimeDistributed", "d", layer=inner("Dense", activation="silu")),
        entry("LayerNormalization", "n", axis=-1, epsilon=0.01),
        entry("BatchNormalization", "b", axis=-1, epsilon=0.02, momentum=0.9),
        entry("Dropout", "o", rate=0.5),
        entry("LeakyReLU", "l", negative_slope=0.25),
        entry("MaxPooling1D", "m", pool_size=[2], strides=[2], padding="valid"),
        entry("GlobalAveragePooling1D", "g"),
        entry("Dense", "e", activation="softmax"),
    )
    last = [numbers(5, 2, seed=10), numbers(2, seed=11)]
    weights = {
        "conv1d": conv,
        "time_distributed/layer": dense,
        "layer_normalization": norm,
        "batch_normalization": batch,
        "dense": last,
    }
    y = np.concatenate([np.zeros((4, 1, 3)), X], axis=1)
    y = np.maximum(y[:, :-1] @ conv[0][0] + y[:, 1:] @ conv[0][1] + conv[1], 0) @ dense[0] + dense[1]
    y = y * sigmoid(y)
    y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 0.01) * norm[0] + norm[1]
    y = (y - batch[2]) / np.sqrt(batch[3] + 0.02) * batch[0] + batch[1]
    y = np.where(y > 0, y, 0.25 * y).reshape(4, 3, 2, 5).max(2).mean(1) @ last[0] + last[1]
    model = read(tmp_path, keras_file(config, weights))
    close(model, np.exp(y) / np.exp(y).sum(-1, keepdims=True))
    assert [layer.momentum for layer in model.layers if isinstance(layer, fl.BatchNorm)] == [pytest.approx(0.1)]
    assert [layer.rate for layer in model.layers if isinstance(layer, fl.Dropout)] == [0.5]


def test_functional_models_with_skips_and_models_within(tmp_path):
    dense = {name: [numbers(3, 3, seed=k), numbers(3, seed=k + 9)] for k, name in enumerate(("a", "b", "c"))}
    part = {**sequential(entry("Dense", "c", activation="tanh"), name="part"), "name": "part"}
    part["inbound_nodes"] = entry("", "part", inputs=["s"])["inbound_nodes"]
    config = functional(
        entry("Dense", "a", inputs=["x"]),
        entry("Dense", "b", inputs=["a"]),
        entry("Add", "s", inputs=["b", "x"]),
        part,
        {**entry("Add", "t", inputs=["s", "part"]), "module": "keras.src.ops.numpy"},
        entry("NotEqual", "ignored", inputs=["x"]),
        entry("Concatenate", "y", inputs=["a", "t"], axis=2),
        output="y",
    )
    weights = {"dense": dense["a"], "dense_1": dense["b"], "sequential/layers/dense": dense["c"]}
    with pytest.raises(ValueError, match="a: expected branches that lie within each other"):
        read(tmp_path, keras_file(config, weights))
    config["config"]["output_layers"] = [["t", 0, 0]]
    a = X @ dense["a"][0] + dense["a"][1]
    s = a @ dense["b"][0] + dense["b"][1] + X
    model = read(tmp_path, keras_file(config, weights))
    close(model, s + np.tanh(s @ dense["c"][0] + dense["c"][1]))
    assert [type(layer).__name__ for layer in model.layers] == ["Residual", "Residual"]


def test_functional_models_of_old_files(tmp_path):
    dense = [numbers(3, 3), numbers(3, seed=1)]
    layers = [
        {"class_name": "InputLayer", "name": "x", "config": {"batch_input_shape": [None, 7, 3]}, "inbound_nodes": []},
        {"class_name": "Dense", "name": "a", "config": {}, "inbound_nodes": [[["x", 0, 0, {}]]]},
        {"class_name": "Concatenate", "name": "y", "config": {"axis": 2},
         "inbound_nodes": [[["a", 0, 0, {}], ["x", 0, 0, {}]]]},
    ]  # fmt: skip
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [["y", 0, 0]]}
    content = old_file({"x": [], "a": dense, "y": []}, {"class_name": "Model", "config": {"layers": layers, **ends}})
    close(read(tmp_path, content), np.concatenate([X @ dense[0] + dense[1], X], axis=-1))


def test_masks_are_told(tmp_path):
    table = numbers(7, 3)
    config = sequential(entry("Embedding", "e", mask_zero=True), entry("LSTM", "l", units=5))
    with pytest.warns(UserWarning, match=r"layer 'e' \(Embedding\): mask_zero: pass mask=tokens != 0 at each call"):
        model = read(tmp_path, keras_file(config, {"embedding": [table], "lstm/cell": LSTM}))
    tokens = np.array([[1, 0, 5, 6, 0, 0]])
    expected = lstm(table[tokens[:, [0, 2, 3]]], *LSTM)[:, -1]
    np.testing.assert_allclose(model.predict(tokens, mask=tokens != 0), expected, rtol=1e-4, atol=1e-6)
    config = sequential(entry("Masking", "m", mask_value=-1.0), entry("LSTM", "l", units=5))
    with pytest.warns(UserWarning, match=r"layer 'm' \(Masking\): pass mask=\(x != -1.0\).any\(-1\) at each call"):
        read(tmp_path, keras_file(config, {"lstm/cell": LSTM}))


def test_states_that_keras_carries_are_told(tmp_path):
    config = sequential(entry("LSTM", "l", units=5, stateful=True))
    with pytest.warns(UserWarning, match=r"layer 'l' \(LSTM\): stateful: call model.stream\(batch\)"):
        read(tmp_path, keras_file(config, {"lstm/cell": LSTM}))


def test_dtype_dropout_and_frozen_layers_are_kept(tmp_path):
    weights = recurrent_weights(4, 3, 5, dtype="float64")
    model = read_one(tmp_path, "LSTM", "lstm/cell", weights, units=5, dropout=0.25, recurrent_dropout=0.5,
                     trainable=False, return_sequences=True)  # fmt: skip
    (layer,) = model.layers
    assert model.dtype == np.float64 and not layer.trainable
    assert (layer.input_dropout, layer.variational, layer.config()["recurrent_dropout"]) == (0.25, True, 0.5)
    np.testing.assert_array_equal(layer.parameter("weight_ih_l0").value, weights[0].T)


def test_weights_go_into_a_model_that_is_there(tmp_path):
    weights = {"lstm/cell": LSTM, "lstm_1/cell": recurrent_weights(4, 5, 2), "dense": [numbers(2, 1), numbers(1)]}
    content = native_weights(weights)

    def model():
        return fl.Model([fl.LSTM(3, 5), fl.LSTM(5, 2), fl.Last(), fl.Dense(2, 1)])

    expected = lstm(lstm(X, *LSTM), *weights["lstm_1/cell"])[:, -1] @ weights["dense"][0] + weights["dense"][1]
    close(read(tmp_path, content, model=model()), expected)
    names = {"own_dense": 3, "lstm": "0", "lstm_1": 1}
    close(read(tmp_path, content, model=model(), names=names), expected)
    old = old_file({"a": LSTM, "drop": [], "b": weights["lstm_1/cell"], "c": weights["dense"]})
    close(read(tmp_path, old, model=model()), expected)
    close(read(tmp_path, old, model=model(), names={"c": 3, "b": 1, "a": 0}), expected)
    there = model()
    assert not np.allclose(there.predict(X), expected)
    close(read(tmp_path, keras_file(sequential(), weights), model=there), expected)  # what a call has kept is renewed
    values = [parameter.value.copy() for parameter in there.parameters()]
    with pytest.raises(ValueError, match=r"'Dense' into layer 3 \(Dense\): expected weights of shape"):
        read(
            tmp_path,
            native_weights({**weights, "lstm/cell": recurrent_weights(4, 3, 5, seed=7), "dense": [LSTM[0]] * 2}),
            model=there,
        )
    for value, parameter in zip(values, there.parameters(), strict=True):  # all of them, or none
        np.testing.assert_array_equal(parameter.value, value)
    with pytest.raises(
        ValueError, match=r"'d' into layer 0 \(LSTM\): expected a layer of this name with weights, got none"
    ):
        read(tmp_path, old, model=model(), names={"d": 0})


def one(kind, **config):
    return lambda: keras_file(sequential(entry(kind, "one", **config)), {"lstm/cell": LSTM, "dense": [numbers(3, 2)]})


HALF = numbers(3, 2, dtype="float16")

BAD = {
    "kind": (one("Lambda"), r"layer 'one' \(Lambda\): expected one of Activation, .*, got 'Lambda'; make a model"),
    "activation": (one("Activation", activation="hard_tanh"), r"layer 'one' \(Activation\): activation: expected one"),
    "state": (one("LSTM", units=5, return_state=True), "return_state: expected False, got True"),
    "backwards": (one("LSTM", units=5, go_backwards=True, return_sequences=True), "go_backwards: expected False with"),
    "units": (one("LSTM", units=4), "layer 'one' .*: units: expected 5, got 4"),
    "gru": (one("GRU", units=5), "layer 'one' .*: expected weight 0 with 2 axes, got weights of shapes"),
    "bias": (one("Dense"), r"layer 'one' \(Dense\): expected 2 arrays of weights, got 1"),
    "softmax": (one("Softmax", axis=1), "axis: expected -1, the last one, got 1"),
    "relu": (one("ReLU", max_value=6), "expected a ReLU without max_value and threshold"),
    "groups": (one("Conv1D", groups=2), "groups: expected 1, got 2"),
    "channels": (one("GlobalMaxPooling1D", data_format="channels_first"), "data_format: expected 'channels_last'"),
    "wrapped": (one("TimeDistributed", layer=inner("LSTM")), "expected a Dense, Dropout or Activation in it"),
    "merge": (one("Bidirectional", layer=inner("LSTM"), merge_mode=None), "merge_mode: expected 'concat', .*got None"),
    "no layers": (lambda: keras_file(sequential(), {}), "expected a model with layers, got none but inputs"),
    "class": (
        lambda: keras_file({"class_name": "Mine", "config": {}}, {}),
        "expected a Sequential or a functional model, got 'Mine'",
    ),
    "shared": (
        lambda: keras_file(
            functional({**entry("Dense", "a", inputs=["x"]), "inbound_nodes": [{}, {}]}, output="a"), {}
        ),
        r"layer 'a' \(Dense\): expected a layer that is called once, got 2 calls",
    ),
    "multiply": (
        lambda: keras_file(functional(entry("Multiply", "a", inputs=["x", "x"]), output="a"), {}),
        r"layer 'a' \(Multiply\): expected Add or Concatenate of several inputs, got 'Multiply' of x, x",
    ),
    "axis": (
        lambda: keras_file(functional(entry("Concatenate", "a", inputs=["x", "x"], axis=1), output="a"), {}),
        r"layer 'a' \(Concatenate\): axis: expected -1, the last one, got 1",
    ),
    "weights alone": (lambda: native_weights({"dense": [numbers(3, 2)]}), "got weights alone; build the model here"),
    "float16": (
        lambda: keras_file(sequential(entry("Dense", "a", use_bias=False)), {"dense": [HALF]}),
        r"layer 'a' \(Dense\): expected weights in float32 or all in float64, got float16",
    ),
    "nan": (
        lambda: keras_file(sequential(entry("Dense", "a", use_bias=False)), {"dense": [numbers(3, 2) * np.nan]}),
        r"layer 'a' \(Dense\): expected finite numbers, got nan",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_errors_name_the_part(tmp_path, name):
    make, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        read(tmp_path, make())


def test_errors_of_weights_for_a_model(tmp_path):
    content, model = native_weights({"dense": [numbers(3, 2), numbers(2)]}), fl.Model([fl.Dense(3, 2), fl.Softmax()])
    with pytest.raises(
        ValueError, match="names: expected the place of a layer with weights, one of 0, got 1 for 'dense'"
    ):
        read(tmp_path, content, model=model, names={"dense": 1})
    with pytest.raises(ValueError, match="names: expected one of dense, got 'other'"):
        read(tmp_path, content, model=model, names={"other": 0})
    with pytest.raises(
        ValueError, match=r"'Dense' into layer 0 \(Dense\): expected weights of shape \(4, 2\), got \(3, 2\)"
    ):
        read(tmp_path, content, model=fl.Model([fl.Dense(4, 2)]))
    with pytest.raises(ValueError, match="model: expected dtype='float32', that of the weights, got float64"):
        read(tmp_path, content, model=fl.Model([fl.Dense(3, 2)], dtype="float64"))
    with pytest.raises(ValueError, match="model: expected 1 layers with weights, for a, got 2; pass names="):
        read(tmp_path, old_file({"a": LSTM}), model=fl.Model([fl.LSTM(3, 5), fl.Dense(5, 2)]))
    with pytest.raises(ValueError, match="names: expected none without model="):
        read(tmp_path, content, names={"dense": 0})
    with pytest.raises(TypeError, match="model: expected a Model, got Dense"):
        read(tmp_path, content, model=fl.Dense(3, 2))
    with pytest.raises(TypeError, match="source: expected a path or a model of Keras, got int"):
        fl.io.from_keras(3)


def test_archives_within_bounds(tmp_path):
    config = sequential(entry("Dense", "a"))
    weights = {"dense": [numbers(3, 2), numbers(2)]}
    packed = keras_file(config, weights, method=zipfile.ZIP_DEFLATED)
    close(read(tmp_path, packed), X @ weights["dense"][0] + weights["dense"][1])
    with pytest.raises(ValueError, match="config.json: expected it stored or deflated, got method 12"):
        read(tmp_path, keras_file(config, weights, method=zipfile.ZIP_BZIP2))
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = keras_file(config, weights, more=[("config.json", "{}")])
    with pytest.raises(ValueError, match="expected a .keras file with one config.json, got 2"):
        read(tmp_path, twice)
    bomb = keras_file({"a": "0" * 17_000_000}, weights, method=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="config.json: expected at most 16000000 bytes when unpacked, got more"):
        read(tmp_path, bomb)


@pytest.mark.parametrize(("axis", "pooled"), [(2, False), (1, True)])
def test_norms_of_old_files_count_axes_from_the_first(tmp_path, axis, pooled):
    batch = [np.abs(numbers(3, seed=k)) for k in range(4)]
    layers = [
        {"class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": [None, 6, 3]}},
        *[{"class_name": "GlobalMaxPooling1D", "config": {"name": "p"}}] * pooled,
        {"class_name": "BatchNormalization", "config": {"name": "b", "axis": [axis], "epsilon": 0.1}},
    ]
    content = old_file({"b": batch}, {"class_name": "Sequential", "config": {"layers": layers}})
    y = X.max(1) if pooled else X
    close(read(tmp_path, content), (y - batch[2]) / np.sqrt(batch[3] + 0.1) * batch[0] + batch[1])
    layers[-1]["config"]["axis"] = [3 - axis]
    with pytest.raises(ValueError, match=rf"\(BatchNormalization\): axis: expected -1, the last one, got {3 - axis}"):
        read(tmp_path, old_file({"b": batch}, {"class_name": "Sequential", "config": {"layers": layers}}))


@pytest.mark.parametrize(("scale", "center"), [(True, False), (False, True), (False, False)])
def test_norms_without_scale_or_center(tmp_path, scale, center):
    arrays = [np.abs(numbers(3, seed=k)) for k in range(4)]
    weights = [*arrays[:1] * scale, *arrays[1:2] * center, *arrays[2:]]
    config = sequential(entry("BatchNormalization", "b", epsilon=0.1, scale=scale, center=center))
    model = read(tmp_path, keras_file(config, {"batch_normalization": weights}))
    gamma, beta = arrays[0] if scale else 1, arrays[1] if center else 0
    close(model, (X - arrays[2]) / np.sqrt(arrays[3] + 0.1) * gamma + beta)
    assert [parameter.trainable for parameter in model.parameters()] == [scale, center]


def test_writing_needs_keras_3(monkeypatch):
    model = fl.Model([fl.Dense(3, 2)])
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(ImportError, match="to_keras needs Keras: pip install keras"):
        fl.io.to_keras(model)
    monkeypatch.setitem(sys.modules, "keras", types.SimpleNamespace(__version__="2.15.0"))
    with pytest.raises(ImportError, match="to_keras needs Keras 3: pip install 'keras>=3', got 2.15.0"):
        fl.io.to_keras(model)
