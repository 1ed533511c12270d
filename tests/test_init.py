"""Starting values: by name and as objects, of each gate for itself, and what a saved model keeps of them."""

import json
import pickle

import numpy as np
import pytest

import fastlstm as fl
from fastlstm import init

RNG = np.random.default_rng


def draw(initializer, shape=(4 * 60, 80), blocks=4, **given):
    return init.Initializer.of(initializer, "init")(RNG(0), shape, blocks, **given)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("glorot_uniform", (6 / 140) ** 0.5),
        ("he_uniform", (6 / 80) ** 0.5),
        ("lecun_uniform", (3 / 80) ** 0.5),
        ("uniform", 0.05),
        ("torch_uniform", 80**-0.5),
    ],
)
def test_a_uniform_start_fills_its_range(name, limit):
    values = draw(name)
    assert np.abs(values).max() <= limit
    assert values.max() > 0.999 * limit and values.min() < -0.999 * limit
    assert abs(values.var() / (limit**2 / 3) - 1) < 0.02


@pytest.mark.parametrize(
    ("name", "variance"),
    [("glorot_normal", 2 / 140), ("he_normal", 2 / 80), ("lecun_normal", 1 / 80), ("normal", 0.05**2)],
)
def test_a_normal_start_has_its_variance(name, variance):
    values = draw(name)
    assert abs(values.var() / variance - 1) < 0.03 and abs(values.mean()) < 0.02 * variance**0.5
    assert abs((values**4).mean() / values.var() ** 2 - 3) < 0.1


@pytest.mark.parametrize("shape", [(10, 5), (10, 3), (6, 7)])
def test_an_orthogonal_start_is_orthogonal_in_each_gate(shape):
    for block in draw(init.Orthogonal(gain=3), shape, 2).reshape(2, shape[0] // 2, shape[1]):
        small = block @ block.T if len(block) <= shape[1] else block.T @ block
        np.testing.assert_allclose(small, 9 * np.eye(len(small)), atol=1e-12)


def test_starts_without_chance():
    np.testing.assert_array_equal(draw(init.Identity(2.0), (4, 3), 2), [[2, 0, 0], [0, 2, 0]] * 2)
    np.testing.assert_array_equal(draw(init.Constant(-1.5), (3,), 1), [-1.5] * 3)
    assert (draw("zeros") == 0).all() and (draw("ones") == 1).all()


def test_one_for_all_is_that_of_matrices_if_it_is_made_for_them():
    layer = fl.LSTM(3, 4, init="identity", seed=0)
    np.testing.assert_array_equal(layer.parameter("weight_ih_l0").value, np.tile(np.eye(4, 3), (4, 1)))
    np.testing.assert_array_equal(layer.parameter("bias_l0").value, np.repeat([0, 1, 0, 0], 4))
    assert not any(parameter.value.any() for parameter in fl.LSTM(3, 4, init="zeros").parameters())


def test_the_start_of_pytorch_is_within_that_of_h_for_all():
    layer = fl.GRU(100, 25, num_layers=2, init="torch_uniform", seed=0)
    for parameter in layer.parameters():
        assert 0.19 < np.abs(parameter.value).max() <= np.float32(0.2), parameter.name
    bias = fl.Dense(16, 300, init="TorchUniform", seed=0).parameter("bias").value
    assert 0.24 < np.abs(bias).max() <= 0.25


def test_names_without_layer_serve_all_and_a_full_name_comes_first():
    given = {"weight_hh": "zeros", "weight_hh_l1_reverse": init.Constant(3), "bias_l0": "ones"}
    layer = fl.SimpleRNN(3, 4, num_layers=2, bidirectional=True, init=given, seed=0)
    found = {parameter.name: parameter.value for parameter in layer.parameters()}
    assert not any(found[f"weight_hh_{which}"].any() for which in ("l0", "l0_reverse", "l1"))
    assert (found["weight_hh_l1_reverse"] == 3).all() and (found["bias_l0"] == 1).all()
    assert not found["bias_l1"].any() and found["weight_ih_l1"].any()


def test_parts_of_a_decoder_have_their_own_gates():
    given = {"lstm_weight_hh": "identity", "output_bias": init.Constant(2.0)}
    decoder = fl.Decoder(3, 4, 5, max_steps=3, end_token=0, init=given, seed=0)
    np.testing.assert_array_equal(decoder.parameter("lstm_weight_hh_l0").value, np.tile(np.eye(4), (4, 1)))
    assert (decoder.parameter("output_bias").value == 2).all()


@pytest.mark.parametrize("coupled", [False, True])
def test_chrono_spreads_the_times_of_an_lstm(coupled):
    """The forget gate keeps for 1/(1 - f) steps, which is uniform from 2 to T_max (Tallec and Ollivier 2018)."""
    bias = fl.LSTM(1, 4000, chrono=50, coupled=coupled, init={"weight_hh": "zeros"}, seed=1, dtype="float64")
    blocks = bias.parameter("bias_l0").value.reshape(-1, 4000)
    of_forget = -blocks[0]
    if not coupled:
        np.testing.assert_array_equal(blocks[1], of_forget)
    times = 1 + np.exp(of_forget)
    assert 2 <= times.min() < 2.2 and 49.8 < times.max() <= 50 and abs(times.mean() - 26) < 0.7
    assert not blocks[1 if coupled else 2 :].any()


def test_chrono_spreads_the_times_of_a_gru():
    layer = fl.GRU(1, 4000, chrono=50, init={"weight_hh": "zeros"}, seed=1, dtype="float64")
    blocks = layer.parameter("bias_l0").value.reshape(4, 4000)
    times = 1 + np.exp(blocks[1])
    assert 2 <= times.min() < 2.2 and 49.8 < times.max() <= 50 and abs(times.mean() - 26) < 0.7
    assert not blocks[[0, 2, 3]].any()
    h = np.ones((1, 1, 4000))
    _, h = layer(np.zeros((1, 1, 1)), h)
    np.testing.assert_allclose(h[0, 0], 1 - 1 / times)  # z h of a candidate of 0


def test_a_bias_that_is_given_comes_before_chrono():
    assert not fl.LSTM(1, 4, chrono=9, init={"bias": "zeros"}).parameter("bias_l0").value.any()


def same(a, b):
    return all(np.array_equal(x.value, y.value) for x, y in zip(a.parameters(), b.parameters(), strict=True))


MAKERS = {
    "LSTM": lambda: fl.LSTM(3, 4, chrono=9, init={"weight_hh": init.Orthogonal(0.5), "bias_l0": "ones"}, seed=2),
    "GRU": lambda: fl.GRU(3, 4, chrono=9.5, init="lecun_normal", seed=2),
    "Dense": lambda: fl.Dense(3, 4, init=init.Normal(np.float32(0.5)), seed=2),
    "Embedding": lambda: fl.Embedding(5, 4, init="normal", seed=2),
    "LayerNorm": lambda: fl.LayerNorm(4, init={"weight": init.Constant(0.1)}, seed=2),
    "BatchNorm": lambda: fl.BatchNorm(4, init={"bias": "ones"}, seed=2),
    "AttentionPool": lambda: fl.AttentionPool(3, init="torch_uniform", seed=2),
    "Decoder": lambda: fl.Decoder(3, 2, 3, max_steps=2, end_token=0, init="he_normal", seed=2),
}


@pytest.mark.parametrize("name", MAKERS)
def test_the_config_makes_the_same_start(name):
    layer = MAKERS[name]()
    config = json.loads(json.dumps(layer.config()))
    again = type(layer).from_config({**config, "seed": 2})
    assert again.config() == layer.config() and repr(again) == repr(layer)
    for other in (again, pickle.loads(pickle.dumps(layer)), MAKERS[name]()):
        assert same(layer, other)
    plain = type(layer)(
        **{k: v for k, v in config.items() if k not in ("init", "chrono", "dropout")},
        seed=2,
    )
    assert not same(layer, plain)


def test_a_saved_model_keeps_its_initializers(tmp_path):
    model = fl.Model([fl.Embedding(5, 3, init="normal"), MAKERS["LSTM"]()], seed=0)
    fl.save(model, tmp_path / "m")
    loaded = fl.load(tmp_path / "m")
    assert repr(loaded) == repr(model) and same(loaded, model)
    assert "init={'weight_hh_l0': ['Orthogonal', {'gain': 0.5}]" in repr(loaded)


def test_cells_pass_it_on():
    assert not any(parameter.value.any() for parameter in fl.LSTMCell(3, 4, init="zeros").parameters())
    assert not fl.GRUCell(3, 4, init={"weight_ih": "zeros"}).parameters()[0].value.any()


def test_an_initializer_of_ones_own():
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class RampOfTest(init.Initializer):
        step: float = 1.0

        def draw(self, rng, shape, fan):
            return self.step * np.arange(np.prod(shape)).reshape(shape)

    try:
        layer = fl.Dense(2, 2, init={"weight": RampOfTest(0.5)})
        np.testing.assert_array_equal(layer.parameter("weight").value, [[0, 0.5], [1, 1.5]])
        assert fl.Dense(**layer.config()).config()["init"] == {"weight": ["RampOfTest", {"step": 0.5}]}
    finally:
        del init.Initializer._members["rampoftest"]


REFUSED = {
    "init: expected names of parameters of the layer, which has weight, bias; got 'weight_up'": {"weight_up": "zeros"},
    "init: expected one of Zeros, .*Orthogonal, Identity.*, got 'magic'": "magic",
    "init: expected a name or an object of fastlstm.init, got 3": 3,
    "init: expected a name or an object of fastlstm.init, got <function": {"weight": lambda rng, shape: None},
    "init: HeNormal is made for matrices, got bias of shape \\(2,\\)": {"bias": "he_normal"},
    "init: Uniform: limit: expected at least 0 and at most 1e\\+30, got -1": ["Uniform", {"limit": -1}],
    "init: Uniform: .*unexpected keyword argument 'far'": ["Uniform", {"far": 1}],
    "init: Normal: std: expected a number, got 'x'": {"weight": ["Normal", {"std": "x"}]},
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_refused(message):
    with pytest.raises((TypeError, ValueError), match=message):
        fl.Dense(3, 2, init=REFUSED[message])


@pytest.mark.parametrize(
    ("make", "value"),
    [(init.Constant, np.nan), (init.Uniform, -1), (init.Normal, np.inf), (init.Orthogonal, -1), (init.Identity, -2)],
)
def test_numbers_out_of_range_are_refused(make, value):
    with pytest.raises(ValueError, match=r"^\w+: expected at least .* and at most 1e\+30, got"):
        make(value)


@pytest.mark.parametrize("layer", [fl.LSTM, fl.GRU])
def test_chrono_is_checked(layer):
    with pytest.raises(ValueError, match="chrono: expected at least 2 .*, got 1.5"):
        layer(3, 4, chrono=1.5)
    with pytest.raises(TypeError, match="chrono: expected a number, got 'long'"):
        layer(3, 4, chrono="long")
    with pytest.raises(ValueError, match="chrono: expected None without a bias, .* got 9"):
        layer(3, 4, chrono=9, bias=False)


def test_an_unknown_keyword_is_named_with_the_layer():
    with pytest.raises(TypeError, match=r"LSTM.__init__\(\) got an unexpected keyword argument 'widths'"):
        fl.LSTM(3, 4, widths=3)


def test_two_initializers_of_one_name_are_refused():
    with pytest.raises(TypeError, match="initializer Zeros is known already, from fastlstm.init"):

        class Zeros(init.Initializer):
            pass
