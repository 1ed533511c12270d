"""Beside Keras 2, as the package tf_keras: its files, old and new, and its live models."""

import numpy as np
import pytest

keras = pytest.importorskip("tf_keras", reason="tf_keras, which is Keras 2, is not installed")
K = keras.layers

import fastlstm as fl  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*pass mask=:UserWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 7, 3)).astype("float32")


def randomised(model):
    model.set_weights([0.1 + 0.5 * np.abs(RNG.normal(size=array.shape)) for array in model.get_weights()])
    return model


def compare(model, tmp_path, x=X, **options):
    expected = model.predict(x, verbose=0)
    for ending in ("h5", "keras"):
        model.save(tmp_path / f"model.{ending}")
    for source in (model, tmp_path / "model.h5", tmp_path / "model.keras"):
        found = fl.io.from_keras(source).predict(x, **options)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


RECURRENT = (
    lambda: K.LSTM(4, return_sequences=True, recurrent_activation="hard_sigmoid"),
    lambda: K.GRU(3, return_sequences=True),
    lambda: K.GRU(3, reset_after=False, return_sequences=True),
    lambda: K.SimpleRNN(2),
    lambda: K.Dense(2, activation="softmax"),
)
MODELS = {
    "recurrent": lambda: [make() for make in RECURRENT],
    "directions": lambda: [
        K.Bidirectional(K.LSTM(4, return_sequences=True), merge_mode="ave"),
        *(K.Bidirectional(K.GRU(4), merge_mode="mul"), K.Dropout(0.3), K.LeakyReLU(0.2)),
    ],
    "others": lambda: [
        *(K.Conv1D(5, 3, padding="causal", activation="relu"), K.BatchNormalization(), K.LayerNormalization()),
        *(K.TimeDistributed(K.Dense(3)), K.MaxPooling1D(2), K.GlobalMaxPooling1D(), K.BatchNormalization()),
    ],
}


@pytest.mark.parametrize("name", MODELS)
def test_sequential_models(tmp_path, name):
    compare(randomised(keras.Sequential([keras.Input((7, 3)), *MODELS[name]()])), tmp_path)


def test_functional_models_with_masks(tmp_path):
    tokens = keras.Input((9,))
    h = K.Embedding(11, 4, mask_zero=True)(tokens)
    h = K.Concatenate()([h, K.LSTM(4, return_sequences=True)(h)])
    h = K.Add()([h, K.Dense(8)(h)])
    h = keras.Sequential([keras.Input((None, 8)), K.Dense(4, activation="tanh"), K.BatchNormalization()])(h)
    x = RNG.integers(1, 11, (6, 9))
    x[0, 5:], x[1, :3] = 0, 0
    compare(randomised(keras.Model(tokens, K.LSTM(3)(h))), tmp_path, x, mask=x != 0)


@pytest.mark.parametrize("name", ["w.h5", "w.weights.h5"])
def test_weights_alone(tmp_path, name):
    model = randomised(keras.Sequential([keras.Input((7, 3)), *[make() for make in RECURRENT]]))
    model.save_weights(tmp_path / name)
    layers = [fl.LSTM(3, 4, recurrent_activation="hard_sigmoid"), fl.GRU(4, 3), fl.GRU(3, 3, reset="before")]
    ours = fl.Model([*layers, fl.SimpleRNN(3, 2), fl.Last(), fl.Dense(2, 2), fl.Softmax()])
    found = fl.io.from_keras(tmp_path / name, model=ours).predict(X)
    np.testing.assert_allclose(found, model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
