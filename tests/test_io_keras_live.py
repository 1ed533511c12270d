"""Beside Keras itself: its models and files are read, ours are written, and outputs are the same."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np  # noqa: E402
import pytest  # noqa: E402

keras = pytest.importorskip("keras", reason="Keras is not installed")
pytest.importorskip("h5py", reason="h5py is not installed")
K = keras.layers

import fastlstm as fl  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*mask.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*it does nothing in inference:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 7, 3)).astype("float32")


def randomised(model):
    """A model of Keras with random weights, biases too."""
    for weight in model.weights:
        value = 0.5 * RNG.normal(size=weight.shape)
        weight.assign((np.abs(value) + 0.5 if "variance" in weight.path else value).astype(weight.dtype))
    return model


def sources(model, tmp_path):
    yield model
    for ending in (".keras", ".h5"):
        model.save(tmp_path / f"model{ending}")
        yield tmp_path / f"model{ending}"


RECURRENT = (K.LSTM, K.GRU, K.SimpleRNN)
MODELS = {
    **{
        f"{kind.__name__} {'sequences' if whole else 'last'}": lambda kind=kind, whole=whole: [
            kind(4, return_sequences=whole, activation="relu" if whole else "tanh", dropout=0.1),
            K.Dense(2),
        ]
        for kind in RECURRENT
        for whole in (True, False)
    },
    **{
        f"{kind.__name__} {merge} {'sequences' if whole else 'last'}": lambda kind=kind, whole=whole, merge=merge: [
            K.Bidirectional(kind(4, return_sequences=whole), merge_mode=merge)
        ]
        for kind in RECURRENT
        for merge in ("concat", "sum", "mul", "ave")
        for whole in (True, False)
    },
    **{f"{kind.__name__} backwards": lambda kind=kind: [kind(4, go_backwards=True)] for kind in RECURRENT},
    "GRU before": lambda: [K.GRU(4, reset_after=False, return_sequences=True), K.GRU(3, use_bias=False)],
    "functions": lambda: [
        K.LSTM(4, recurrent_activation="hard_sigmoid", use_bias=False, return_sequences=True, activation="softsign"),
        *map(K.Activation, ("gelu", "silu", "softplus", "exponential", "elu", "leaky_relu", "hard_sigmoid")),
        *(K.ReLU(negative_slope=0.1), K.LeakyReLU(), K.ELU(0.5)),
    ],
    "norms": lambda: [
        *(K.BatchNormalization(), K.LayerNormalization(), K.TimeDistributed(K.Dense(4, activation="elu"))),
        *(K.Dropout(0.3), K.GlobalMaxPooling1D(), K.Dense(3, activation="softmax")),
    ],
    "averages": lambda: [K.AveragePooling1D(3, 1, padding="same"), K.AveragePooling1D(3, 2), K.LSTM(2)],
    "pieces of functions": lambda: [
        *(K.Dense(4, activation="selu"), K.Conv1D(4, 3, activation="relu6"), K.ReLU(max_value=0.7), K.Identity()),
        *(K.Activation("selu"), K.TimeDistributed(K.LeakyReLU(0.3)), K.TimeDistributed(K.LayerNormalization())),
        *(K.Rescaling(0.5, 0.1), K.LSTM(3), K.Flatten(), K.Dense(2, activation=K.ReLU(max_value=6))),
    ],
    "noise": lambda: [
        *(K.SpatialDropout1D(0.2), K.GaussianNoise(0.1), K.GRU(4, return_sequences=True), K.AlphaDropout(0.1)),
        *(K.GaussianDropout(0.1), K.ActivityRegularization(0.1), K.GlobalMaxPooling1D(), K.Flatten(), K.Dense(2)),
    ],
    "padding before": lambda: [K.ZeroPadding1D((2, 0)), K.Conv1D(4, 3), K.ZeroPadding1D(1), K.Conv1D(2, 2), K.LSTM(3)],
    **{
        f"windows {padding}": lambda padding=padding: [
            K.Conv1D(5, 3, padding=padding, activation="relu", dilation_rate=2),
            K.Conv1D(3, 2, strides=2, padding=padding),
            *(K.MaxPooling1D(2, padding="same"), K.GlobalAveragePooling1D()),
        ]
        for padding in ("valid", "same", "causal")
    },
}


ONE_WAY = ("pieces of functions", "noise", "padding before")
"""Models with layers that become others here."""


@pytest.mark.parametrize("name", MODELS)
def test_sequential_models_and_their_files(tmp_path, name):
    model = randomised(keras.Sequential([keras.Input((7, 3)), *MODELS[name]()]))
    expected = model.predict(X, verbose=0)
    for source in sources(model, tmp_path):
        np.testing.assert_allclose(fl.io.from_keras(source).predict(X), expected, rtol=2e-5, atol=2e-6)
    if name in ONE_WAY:
        return
    back = fl.io.to_keras(fl.io.from_keras(model))
    assert [weight.shape for weight in back.weights] == [weight.shape for weight in model.weights]
    for one, two in zip(back.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(back.predict(X, verbose=0), expected, rtol=2e-5, atol=2e-6)


def test_functional_models_with_skips(tmp_path):
    x = keras.Input((None, 3))
    both = K.Add()([K.Conv1D(6, 1)(x), K.LSTM(6, return_sequences=True)(x)])
    wide = K.Concatenate()([both, K.GRU(2, return_sequences=True)(both), x])
    part = keras.Sequential([keras.Input((None, 11)), K.Dense(4, activation="tanh"), K.LSTM(4, return_sequences=True)])
    y = part(wide)
    y = y + K.Dense(4)(y)
    y = K.Dense(2)(K.Concatenate()([K.GlobalMaxPooling1D()(y), K.GlobalAveragePooling1D()(y)]))
    model = randomised(keras.Model(x, y))
    expected = model.predict(X, verbose=0)
    for source in sources(model, tmp_path):
        np.testing.assert_allclose(fl.io.from_keras(source).predict(X), expected, rtol=1e-5, atol=1e-6)
    back = fl.io.to_keras(fl.io.from_keras(model))
    np.testing.assert_allclose(back.predict(X, verbose=0), expected, rtol=1e-5, atol=1e-6)


def test_masks(tmp_path):
    tokens = keras.Input((9,))
    h = K.Bidirectional(K.LSTM(3, return_sequences=True))(K.Embedding(11, 4, mask_zero=True)(tokens))
    h = K.GRU(5, return_sequences=True)(h)
    last, steps = randomised(keras.Model(tokens, K.LSTM(3)(h))), keras.Model(tokens, h)
    x = RNG.integers(1, 11, (6, 9))
    x[0, 5:], x[1, :3], x[2, 4] = 0, 0, 0
    for source in sources(last, tmp_path):
        found = fl.io.from_keras(source).predict(x, mask=x != 0)
        np.testing.assert_allclose(found, last.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    both = keras.Model(tokens, K.Dense(2)(steps.layers[-2].output))
    for model, fill in ((steps, "last"), (both, "zero")):
        found = fl.io.from_keras(model).predict(x, mask=x != 0, fill=fill)
        np.testing.assert_allclose(found, model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


def test_weights_alone(tmp_path):
    layers = [K.LSTM(4, return_sequences=True), K.Bidirectional(K.GRU(3)), K.Dense(2)]
    model = randomised(keras.Sequential([keras.Input((7, 3)), *layers]))
    model.save_weights(tmp_path / "a.weights.h5")
    ours = fl.Model([fl.LSTM(3, 4), fl.GRU(4, 3, bidirectional=True), fl.FinalState(), fl.Dense(6, 2)])
    for names in (
        None,
        {"dense": 3, "bidirectional": 1, "lstm": 0},
        {layer.name: k for layer, k in zip(layers, (0, 1, 3), strict=True)},
    ):
        found = fl.io.from_keras(tmp_path / "a.weights.h5", model=ours, names=names)
        np.testing.assert_allclose(found.predict(X), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)


OURS = {
    "final": lambda: [fl.LSTM(3, 4, bidirectional=True), fl.FinalState(merge="mul"), fl.Dense(4, 2), fl.Softmax()],
    "joins": lambda: [
        fl.Residual([fl.LSTM(3, 3), fl.Activation(("leaky_relu", 0.3))]),
        fl.Concat([], [fl.Conv1d(3, 4, 3, padding="causal"), fl.Residual([fl.Dense(4, 4)])]),
        fl.Add([fl.GRU(7, 2, two_biases=True)], [fl.Dense(7, 2)]),
        fl.Concat([fl.MaxPool()], [fl.LSTM(2, 3, go_backwards=True), fl.FinalState(False, go_backwards=True)]),
    ],
    "norms": lambda: [
        *(fl.BatchNorm(3), fl.LayerNorm(3), fl.Activation("gelu"), fl.Activation(("affine", 2.0, 0.5))),
        *(fl.MaxPool1d(2), fl.MeanPool()),
    ],
    "dropouts": lambda: [
        fl.LSTM(3, 4, input_dropout=0.2, variational=True, recurrent_dropout=0.3),
        *(fl.Dropout(0.2), fl.Activation("affine"), fl.SimpleRNN(4, 2, activation="relu"), fl.Last()),
    ],
}


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_our_models_go_there_and_back(tmp_path, name, dtype):
    model = fl.Model(OURS[name](), seed=0, dtype=dtype)
    for array in [*model.parameters(), *model.buffers()]:
        array.value = (0.1 + np.abs(RNG.normal(size=array.shape))).astype(dtype)
    there = fl.io.to_keras(model)
    np.testing.assert_allclose(there.predict(X, verbose=0), model.predict(X), rtol=2e-5, atol=2e-6)
    for source in sources(there, tmp_path):
        back = fl.io.from_keras(source)
        assert repr([layer for layer in back.layers if layer.config() != {"function": "affine"}]) == repr(
            [layer for layer in model.layers if layer.config() != {"function": "affine"}]
        )
        for one, two in zip(
            [*back.parameters(), *back.buffers()], [*model.parameters(), *model.buffers()], strict=True
        ):
            assert one.value.dtype == dtype
            np.testing.assert_array_equal(one.value, two.value)


def test_stacks_become_layers():
    model = fl.Model([fl.GRU(3, 4, num_layers=2, bidirectional=True, dropout=0.2), fl.Dense(8, 1)], seed=0)
    there = fl.io.to_keras(model)
    assert [type(layer).__name__ for layer in there.layers] == ["Bidirectional", "Dropout", "Bidirectional", "Dense"]
    np.testing.assert_allclose(there.predict(X, verbose=0), model.predict(X), rtol=1e-5, atol=1e-6)


def test_frozen_layers_stay_frozen():
    model = fl.Model([fl.LSTM(3, 4, trainable=False), fl.Dense(4, 1)], seed=0)
    there = fl.io.to_keras(model)
    assert [layer.trainable for layer in there.layers] == [False, True]
    assert [layer.trainable for layer in fl.io.from_keras(there).layers] == [False, True]


REFUSED = {
    "layer": ([fl.SLSTM(3, 4)], r"layer 0 \(SLSTM\): expected an LSTM, GRU or SimpleRNN without options"),
    "peephole": ([fl.LSTM(3, 4, peephole=True)], r"without options that Keras does not have, got 'peephole'"),
    "attention": ([fl.LSTM(3, 4), fl.AttentionPool(4)], r"layer 1 \(AttentionPool\): expected a layer that Keras has"),
    "last": ([fl.Dense(3, 4), fl.Last()], r"layer 1 \(Last\): expected a layer that Keras has, got 'Last'"),
    "within": ([fl.Dense(3, 3), fl.Residual([fl.SLSTM(3, 3)])], r"layer 1.0 \(SLSTM\): expected an LSTM"),
    "behind": ([fl.Residual([fl.Dense(3, 3)]), fl.SLSTM(3, 3)], r"layer 1 \(SLSTM\): expected an LSTM"),
    "backwards": ([fl.LSTM(3, 4, go_backwards=True)], "expected go_backwards=False, as Keras gives such outputs in"),
    "padding": ([fl.Conv1d(3, 4, 3, padding=(1, 0))], "expected padding 'valid', 'same' or 'causal', got"),
    "pool": ([fl.Dense(3, 4), fl.MaxPool1d(2, padding="causal")], "expected padding 'valid' or 'same', got 'causal'"),
    "average": (
        [fl.Dense(3, 4), fl.AveragePool1d(2, padding="same", count_padding=True)],
        r"layer 1 \(AveragePool1d\): expected count_padding=False with padding 'same', got True",
    ),
    "function": ([fl.Dense(3, 4), fl.Activation("scaled_tanh")], "expected a function that Keras has, got"),
    "hard": ([fl.LSTM(3, 4, recurrent_activation="hard_sigmoid")], "expected hard_sigmoid as Keras 3 has it"),
    "features": ([fl.Activation("relu")], "model: expected a model whose first layer says how many features it takes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_keras_does_not_have_is_refused(name):
    layers, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        fl.io.to_keras(fl.Model(layers))


def test_no_model_is_refused():
    with pytest.raises(TypeError, match="model: expected a Model, got Dense"):
        fl.io.to_keras(fl.Dense(3, 2))
    with pytest.raises(ValueError, match="model: expected none with a live model"):
        fl.io.from_keras(keras.Sequential([keras.Input((7, 3)), K.Dense(2)]), model=fl.Model([fl.Dense(3, 2)]))
