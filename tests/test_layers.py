"""What every registered layer promises. A new layer joins by an entry in EXAMPLES; the last test asks for it."""

import numpy as np
import pytest
from gradcheck import relative_error

import fastlstm as fl


def tied(**options):
    """With the embedding that must stand before it."""
    embedding = fl.Embedding(7, 4)
    return [embedding, fl.TiedDense(embedding, **options)]


EXAMPLES = {
    "LSTM": [lambda: fl.LSTM(3, 4), lambda: fl.LSTM(3, 2, num_layers=2, bidirectional=True, dropout=0.3)],
    "GRU": [lambda: fl.GRU(3, 4), lambda: fl.GRU(3, 2, num_layers=2, bidirectional=True, dropout=0.3)],
    "SLSTM": [lambda: fl.SLSTM(3, 4), lambda: fl.SLSTM(3, 6, heads=2, num_layers=2, bidirectional=True)],
    "MinLSTM": [lambda: fl.MinLSTM(3, 4), lambda: fl.MinLSTM(3, 2, num_layers=2, bidirectional=True)],
    "SimpleRNN": [
        lambda: fl.SimpleRNN(3, 4),
        lambda: fl.SimpleRNN(3, 2, num_layers=2, bidirectional=True, dropout=0.3),
    ],
    "Dense": [lambda: fl.Dense(3, 5), lambda: fl.Dense(3, 1, bias=False)],
    "Embedding": [lambda: fl.Embedding(7, 4)],
    "Dropout": [lambda: fl.Dropout(0.4), lambda: fl.Dropout(0.0)],
    "Conv1d": [
        lambda: fl.Conv1d(3, 4, 3, padding="causal", dilation=2),
        lambda: fl.Conv1d(3, 2, 2, stride=2, padding="same", bias=False),
        lambda: fl.Conv1d(3, 1, 2, padding=(1, 0)),
        lambda: fl.Conv1d(3, 3, 2),
    ],
    "MaxPool1d": [lambda: fl.MaxPool1d(2), lambda: fl.MaxPool1d(3, 2, padding="same")],
    "AveragePool1d": [
        lambda: fl.AveragePool1d(2),
        lambda: fl.AveragePool1d(3, 2, padding="same", count_padding=True),
    ],
    "Activation": [lambda: fl.Activation("gelu"), lambda: fl.Activation(("scaled_tanh", 0.5, 2.0))],
    "Softmax": [lambda: fl.Softmax()],
    "ActivityRegularization": [lambda: fl.ActivityRegularization(fl.regularizers.L2(0.0))],  # the identity
    "Last": [lambda: fl.Last()],
    "FinalState": [
        lambda: fl.FinalState(bidirectional=False),
        lambda: fl.FinalState(bidirectional=False, go_backwards=True),
    ],
    "MeanPool": [lambda: fl.MeanPool()],
    "MaxPool": [lambda: fl.MaxPool()],
    "AttentionPool": [
        lambda: fl.AttentionPool(3),
        lambda: fl.AttentionPool(3, 5),
        lambda: fl.AttentionPool(3, score="linear"),
    ],
    "LayerNorm": [lambda: fl.LayerNorm(3), lambda: fl.LayerNorm(3, eps=0.5)],
    "BatchNorm": [lambda: fl.BatchNorm(3), lambda: fl.BatchNorm(3, momentum=1.0, eps=0.5)],
    "Decoder": [
        lambda: fl.Decoder(3, 2, 3, max_steps=3, end_token=2, embedding_size=1),
        lambda: fl.Decoder(3, 1, 2, max_steps=2, end_token=0, num_layers=2, attention=False),
    ],
    "Residual": [
        lambda: fl.Residual([fl.LayerNorm(3), fl.LSTM(3, 2), fl.Dropout(0.3), fl.Dense(2, 3)]),
        lambda: fl.Residual([fl.Residual([fl.GRU(3, 3)]), fl.Conv1d(3, 3, 2, padding="same")]),
    ],
    "Concat": [
        lambda: fl.Concat([], [fl.Dense(3, 2), fl.Activation("tanh")], [fl.BatchNorm(3)]),
        lambda: fl.Concat([fl.GRU(3, 2), fl.Last()], [fl.Conv1d(3, 2, 2), fl.MaxPool()]),
        lambda: fl.Concat([fl.Conv1d(3, 2, 2)], [fl.MaxPool1d(2, 1)]),
    ],
    "EachStep": [
        lambda: fl.EachStep([fl.Conv1d(1, 2, 2, padding=1, padding_mode="reflect"), fl.Activation("tanh")], 3),
        lambda: fl.EachStep([fl.LSTM(1, 2), fl.Dropout(0.3), fl.Last()], 3),
        lambda: fl.EachStep([fl.Dense(3, 4), fl.Magnitude()], 1, channels=3),
    ],
    "Patch": [lambda: [fl.Dense(3, 1), fl.Patch(2)], lambda: [fl.Patch(5), fl.Dense(15, 4)]],
    "Unpatch": [lambda: [fl.Dense(3, 6), fl.Unpatch(3)], lambda: [fl.Patch(2), fl.LSTM(6, 4), fl.Unpatch(2)]],
    "Magnitude": [lambda: [fl.Dense(3, 4), fl.Magnitude()]],
    "Add": [
        lambda: fl.Add([fl.Dense(3, 2)], [fl.GRU(3, 4), fl.Dense(4, 2)], [fl.SimpleRNN(3, 2)]),
        lambda: fl.Add([], [fl.LayerNorm(3)], []),
        lambda: fl.Add([fl.Last()], [fl.MeanPool()]),
    ],
    "TiedDense": [tied, lambda: tied(bias=False)],
}
MAKERS = [pytest.param(make, id=f"{name}{i}") for name, makers in EXAMPLES.items() for i, make in enumerate(makers)]
DTYPES = ["float32", "float64"]


def as_layers(made):
    return made if isinstance(made, list) else [made]


def input_for(layer, n=4, t=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 7, (n, t)) if layer.takes_tokens else rng.normal(size=(n, t, 3))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("ragged", [False, True])
def test_gradients(make, ragged):
    model = fl.Model(as_layers(make()), dtype="float64", seed=1)
    x = input_for(model.layers[0])
    lengths = [5, 1, 3, 4] if ragged else None

    tape = model.tape(seed=3)
    dy = np.random.default_rng(2).normal(size=model.forward(x, tape, training=True, lengths=lengths).shape)
    dx = model.backward(dy, tape)

    def value():
        return (model.forward(x, model.tape(seed=3), training=True, lengths=lengths) * dy).sum()

    if model.layers[0].takes_tokens:
        assert dx is None
    else:
        assert dx.shape == x.shape
        assert relative_error(value, x, dx) < 1e-7
    for parameter in model.parameters():
        assert relative_error(value, parameter.writable(), parameter.grad) < 1e-7, parameter.name


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_shape_dtype_and_purity(make, dtype):
    model = fl.Model(as_layers(make()), dtype=dtype, seed=1)
    x = input_for(model.layers[0])
    before = x.copy()
    values = [parameter.value.copy() for parameter in model.parameters()]
    y = model.predict(x)
    named = dict(zip("NT", x.shape, strict=False)) | {"F": 3, "T'": y.shape[1]}
    assert y.shape == tuple(named.get(size, size) for size in model.output_shape)
    assert y.shape == tuple(named.get(size, size) for size in model.shape_for(x.shape))
    assert y.dtype == dtype
    np.testing.assert_array_equal(x, before)
    for parameter, value in zip(model.parameters(), values, strict=True):
        np.testing.assert_array_equal(parameter.value, value)


@pytest.mark.parametrize("make", MAKERS)
def test_float32_is_close_to_float64(make):
    single, double = (fl.Model(as_layers(make()), dtype=dtype, seed=1) for dtype in DTYPES)
    x = input_for(single.layers[0])
    np.testing.assert_allclose(single.predict(x), double.predict(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", MAKERS)
def test_same_seed_same_bits_other_seed_other_values(make):
    first, second, other = (fl.Model(as_layers(make()), seed=seed) for seed in (5, 5, 6))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        np.testing.assert_array_equal(a.value, b.value)
    for a, b in zip(first.parameters(), other.parameters(), strict=True):
        if a.value.std() > 0 and "bias" not in a.name:  # what starts at zeros or ones does so
            assert (a.value != b.value).any(), a.name


@pytest.mark.parametrize("make", MAKERS)
def test_input_gradient_can_be_spared(make):
    grads = []
    for wanted in (True, False):
        model = fl.Model(as_layers(make()), dtype="float64", seed=1)
        tape = model.tape(seed=3)
        y = model.forward(input_for(model.layers[0]), tape, training=True)
        model.backward(np.ones_like(y), tape, input_gradient=wanted)
        grads.append([parameter.grad for parameter in model.parameters()])
    for a, b in zip(*grads, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make", MAKERS)
def test_config_makes_the_layer_again(make):
    layer = as_layers(make())[-1]
    again = type(layer).from_config(layer.config())
    assert again.config() == layer.config()
    assert again.parameter_shapes() == layer.parameter_shapes()
    assert again.buffer_shapes() == layer.buffer_shapes()
    assert repr(again) == repr(layer)


@pytest.mark.parametrize("make", MAKERS)
def test_a_saved_model_predicts_the_same_bits(make, tmp_path):
    for dtype in DTYPES:
        model = fl.Model(as_layers(make()), dtype=dtype, seed=1)
        fl.save(model, tmp_path / "m.safetensors")
        x = input_for(model.layers[0])
        np.testing.assert_array_equal(fl.load(tmp_path / "m.safetensors").predict(x), model.predict(x))


def test_dropout_keeps_the_mean_and_the_rate():
    model = fl.Model([fl.Dropout(0.25)], seed=0)
    x = np.ones((100, 100, 10))
    y = model.forward(x, model.tape(seed=1), training=True)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.005
    np.testing.assert_array_equal(model.predict(x), 1)


def test_the_function_of_an_activation_stays():
    layer = fl.Activation("relu")
    with pytest.raises(AttributeError, match="function"):
        layer.function = "tanh"
    assert layer.function[0] == "relu"


def test_last_takes_the_last_real_step():
    model = fl.Model([fl.Last()])
    x = np.arange(24.0).reshape(2, 4, 3)
    np.testing.assert_array_equal(model.predict(x, lengths=[2, 4]), [x[0, 1], x[1, 3]])


def test_dense_is_a_product_and_a_sum():
    layer = fl.Dense(3, 2, dtype="float64", seed=0)
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    layer.parameter("bias").value = [1, 2]
    np.testing.assert_allclose(layer(x), x @ layer.parameter("weight").value.T + [1, 2], rtol=1e-14)


def test_embedding_takes_rows_and_adds_up_the_gradients_of_repeated_tokens():
    model = fl.Model([fl.Embedding(5, 2)], dtype="float64", seed=0)
    tape = model.tape()
    y = model.forward([[3, 1, 3]], tape, training=True)
    weight = model.parameters()[0]
    np.testing.assert_array_equal(y[0], weight.value[[3, 1, 3]])
    model.backward([[[1.0, 2], [10, 20], [100, 200]]], tape)
    np.testing.assert_array_equal(weight.grad, [[0, 0], [10, 20], [0, 0], [101, 202], [0, 0]])


def test_dense_is_the_same_map_at_every_step():
    """No other layer is needed to apply it to each step of a sequence."""
    layer = fl.Dense(3, 2, dtype="float64", seed=0)
    x = np.random.default_rng(0).normal(size=(4, 5, 3))
    y = layer(x)
    for t in range(5):
        np.testing.assert_allclose(y[:, t], layer(x[:, t]), rtol=1e-14)


def test_every_registered_layer_has_an_example():
    ours = {name for name, layer in fl.Layer.registry.items() if layer.__module__.startswith("fastlstm")}
    assert ours == EXAMPLES.keys()
