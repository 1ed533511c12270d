"""What a parameter must fulfil after each step."""

import pickle

import numpy as np
import pytest
from rank_cases import on_ranks
from training_cases import WAYS, data, values

import fastlstm as fl
from fastlstm import optim
from fastlstm.constraints import Constraint, MaxNorm, MinMaxNorm, NonNegative, UnitNorm

W = np.random.default_rng(0).normal(size=(5, 3))
W[2] = 0


def applied(constraint, array=W, dtype="float64"):
    made = array.astype(dtype)
    constraint.apply(made)
    assert made.dtype == dtype
    return made


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1, -1, -2])
@pytest.mark.parametrize("make", [lambda axis: MaxNorm(1.5, axis), UnitNorm, lambda axis: MinMaxNorm(1.0, 1.5, axis)])
def test_norms(make, axis, dtype):
    constraint = make(axis)
    low, high = {"MaxNorm": (0, 1.5), "UnitNorm": (1, 1), "MinMaxNorm": (1, 1.5)}[type(constraint).__name__]
    found, before = applied(constraint, dtype=dtype), np.linalg.norm(W, axis=axis, keepdims=True)
    expected = np.where(before > 0, W * np.clip(before, low, high) / np.where(before > 0, before, 1), 0)
    np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == "float32" else 1e-14)
    within = (before >= low) & (before <= high)
    same = np.broadcast_to(within, W.shape)
    np.testing.assert_array_equal(found[same], W.astype(dtype)[same])


def test_the_last_axis_takes_the_weights_that_come_into_a_unit():
    np.testing.assert_allclose(np.linalg.norm(applied(UnitNorm())[[0, 1, 3, 4]], axis=1), 1)
    np.testing.assert_allclose(applied(MaxNorm(2.5), np.array([3.0, 4.0])), [1.5, 2.0])  # a bias as a whole


def test_negative_numbers_become_zeros():
    np.testing.assert_array_equal(applied(NonNegative()), np.where(W > 0, W, 0))


def test_large_numbers_do_not_overflow():
    np.testing.assert_allclose(applied(MaxNorm(1.0), np.full((1, 4), 1e30), "float32"), 0.5, rtol=1e-6)


@pytest.mark.parametrize("optimizer", [fl.SGD(0.5, momentum=0.5), fl.Adam(0.1), fl.RMSprop(0.1)])
def test_it_is_true_after_each_step_of_an_optimizer(optimizer):
    layer = fl.Dense(3, 4, constraints={"weight": MaxNorm(0.5), "bias": NonNegative()}, seed=0, dtype="float64")
    twin, peer = fl.Dense(3, 4, seed=0, dtype="float64"), pickle.loads(pickle.dumps(optimizer))
    rng = np.random.default_rng(0)
    for _ in range(4):
        version = layer.parameter("weight").version
        for ours, theirs in zip(layer.parameters(), twin.parameters(), strict=True):
            theirs.value = ours.value
            ours.grad = theirs.grad = rng.normal(size=ours.shape)
        optimizer.step(layer.parameters())
        peer.step(twin.parameters())
        for ours, theirs in zip(layer.parameters(), twin.parameters(), strict=True):
            np.testing.assert_allclose(ours.value, applied(ours.constraint, theirs.value), rtol=1e-14)
        assert layer.parameter("weight").version > version
    assert np.linalg.norm(layer.parameter("weight").value, axis=1).max() == pytest.approx(0.5)


def test_a_frozen_parameter_keeps_its_values_whatever_is_asked_of_it():
    layer = fl.Dense(3, 4, constraints={"weight": "unit_norm"}, trainable={"weight": False}, seed=0)
    before = layer.parameter("weight").value.copy()
    optimizer, parameters = fl.SGD(0.1), tuple(layer.parameters())
    optimizer.step(parameters)
    np.testing.assert_array_equal(layer.parameter("weight").value, before)
    layer.trainable = True
    optimizer.step(parameters)
    np.testing.assert_allclose(np.linalg.norm(layer.parameter("weight").value, axis=1), 1, rtol=1e-6)


def test_an_optimizer_of_ones_own_fulfils_it_too():
    class Still(optim.Optimizer):
        def update(self, value, grad, slots):
            value -= 1

    try:
        layer = fl.Dense(2, 2, constraints="non_negative", seed=0)
        Still(1.0).step(layer.parameters())
        assert not any(parameter.value.any() for parameter in layer.parameters())
    finally:
        del optim.Optimizer.registry["Still"]


def trained(communicator=None, **options):
    model = fl.Model([fl.LSTM(3, 4, constraints={"weight_hh": MaxNorm(0.8)}), fl.Dense(4, 2)], dtype="float64", seed=0)
    trainer = fl.Trainer(model, "mse", fl.Adam(0.05), communicator=communicator, **options)
    trainer.fit(*data(), epochs=3, batch_size=8, progress=False)
    assert np.linalg.norm(model.parameters()[1].value, axis=1).max() < 0.8 + 1e-12
    return model


def test_a_training_fulfils_it_and_ranks_agree():
    expected = values(trained())
    assert np.linalg.norm(expected["0.weight_hh_l0"], axis=1).max() == pytest.approx(0.8)
    for way in ("plain", "reproducible"):
        for found in on_ranks(2, lambda ranks, way=way: values(trained(ranks, **WAYS[way]))):
            for name, value in found.items():
                np.testing.assert_allclose(value, expected[name], rtol=1e-7, atol=1e-9)


def test_the_mean_of_ranks_fulfils_it_though_it_is_a_mean():
    def act(ranks):
        model = fl.Model([fl.Dense(3, 2, constraints={"weight": "unit_norm"})], dtype="float64", seed=0)
        trainer = fl.Trainer(model, "mse", fl.SGD(0.3), communicator=ranks, average_every=3)
        trainer.fit(*data(), epochs=1, batch_size=8, progress=False)
        return model.parameters()[0].value

    first, second = on_ranks(2, act)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1)


def test_predictions_follow_the_constrained_weights():
    model = fl.Model([fl.LSTM(3, 4, constraints="non_negative"), fl.Dense(4, 2)], seed=0)
    x = data()[0]
    model.predict(x)  # packs the weights
    optimizer = fl.SGD(0.1)
    optimizer.step(model.parameters())
    twin = fl.Model([fl.LSTM(3, 4), fl.Dense(4, 2)], seed=0)
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        theirs.value = ours.value
    np.testing.assert_array_equal(model.predict(x), twin.predict(x))


def test_a_file_keeps_them(tmp_path):
    model = fl.Model([fl.GRU(3, 4, constraints={"weight_hh": MinMaxNorm(0.5, 2), "bias_l0": MaxNorm(1, axis=0)})])
    fl.save(model, tmp_path / "m")
    loaded = fl.load(tmp_path / "m")
    found = [parameter.constraint for parameter in loaded.parameters()]
    assert found == [None, MinMaxNorm(0.5, 2), MaxNorm(1, axis=0)]
    assert repr(loaded) == repr(model)
    model.parameters()[1].constraint = model.parameters()[2].constraint = None
    assert "constraints" not in model.layers[0].config()


def test_what_is_refused():
    with pytest.raises(ValueError, match="limit: expected at least 0 and at most 1e\\+30, got -1"):
        MaxNorm(-1)
    with pytest.raises(ValueError, match="axis: expected -2 to 1, got 2"):
        MaxNorm(axis=2)
    with pytest.raises(TypeError, match="axis: expected a whole number, got 0.5"):
        UnitNorm(0.5)
    with pytest.raises(ValueError, match="high: expected at least low, 2, got 1"):
        MinMaxNorm(2, 1)
    with pytest.raises(ValueError, match=r"axis: expected one of bias, whose shape is \(2,\), got 1"):
        fl.Dense(2, 2, constraints={"bias": MaxNorm(axis=1)})
    parameter = fl.Dense(2, 2).parameter("weight")
    with pytest.raises(ValueError, match="constraint: expected one of NonNegative, MaxNorm, UnitNorm, MinMaxNorm, got"):
        parameter.constraint = "small"
    with pytest.raises(TypeError, match="constraint: expected a name or an object of fastlstm.constraints, got 3"):
        parameter.constraint = 3
    with pytest.raises(ValueError, match="constraints: expected names of parameters of the layer, .* got 'w'"):
        fl.GRU(2, 2, constraints={"w": NonNegative()})
    for method in (Constraint().apply,):
        with pytest.raises(NotImplementedError, match="Constraint must write apply"):
            method(W)


def test_norms_of_tiny_and_huge_numbers():
    tiny = np.array([[1e-45, 0], [1e-39, 1e-39]], "f4")
    fl.constraints.UnitNorm().apply(tiny)
    np.testing.assert_allclose(np.linalg.norm(tiny, axis=1), 1, rtol=1e-6)
    huge = np.array([[1e200, 1e200], [1.0, 1.0]])
    fl.constraints.MaxNorm(2).apply(huge)
    np.testing.assert_allclose(np.linalg.norm(huge, axis=1), [2, np.sqrt(2)])
