"""Penalties: their values, their gradients by differences, and their place in a training."""

import json
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from gradcheck import relative_error
from rank_cases import on_ranks
from training_cases import WAYS, data, values

import fastlstm as fl
from fastlstm.callbacks import Callback
from fastlstm.regularizers import L1, L1L2, L2, Regularizer, add_gradients, penalty

ALL = [L1(0.3), L2(0.7), L1L2(0.2, 0.5)]


@pytest.mark.parametrize("regularizer", ALL, ids=repr)
@pytest.mark.parametrize("shape", [(7,), (3, 5)])
def test_value_and_gradient(regularizer, shape):
    array = np.random.default_rng(0).normal(size=shape)
    l1, l2 = {L1: (0.3, 0), L2: (0, 0.7), L1L2: (0.2, 0.5)}[type(regularizer)]
    assert regularizer.value(array) == pytest.approx(l1 * np.abs(array).sum() + l2 * (array**2).sum(), rel=1e-14)
    assert relative_error(lambda: regularizer.value(array), array, regularizer.gradient(array)) < 1e-8
    assert regularizer.gradient(array.astype(np.float32)).dtype == np.float32


def penalised(seed=0, dtype="float64", cell=fl.LSTM):
    return fl.Model(
        [
            cell(3, 4, regularizers={"weight_hh": L2(0.05), "bias": L1(0.02)}),
            fl.ActivityRegularization(L1L2(0.03, 0.04)),
            fl.Dense(4, 2, regularizers=L1L2(0.01, 0.03)),
        ],
        dtype=dtype,
        seed=seed,
    )


@pytest.mark.parametrize("cell", [fl.LSTM, fl.GRU])
@pytest.mark.parametrize("lengths", [None, [5, 1, 3]])
def test_a_loop_of_ones_own_has_the_gradient_of_the_whole_loss(lengths, cell, path):
    model = penalised(cell=cell)
    model.layers[0].parameter("bias_l0").value = np.random.default_rng(3).normal(size=model.parameters()[2].shape)
    x, target = np.random.default_rng(0).normal(size=(3, 5, 3)), np.random.default_rng(1).normal(size=(3, 5, 2))
    weights = np.ones((3, 5)) if lengths is None else (np.arange(5) < np.array(lengths)[:, None]).astype(float)

    def value():
        tape = model.tape()
        y = model.forward(x, tape, training=True, lengths=lengths)
        return fl.mse(y, target, weights)[0] + penalty(model.parameters()) + tape.penalty()

    tape = model.tape()
    y = model.forward(x, tape, training=True, lengths=lengths)
    dx = model.backward(fl.mse(y, target, weights)[1], tape)
    add_gradients(model.parameters())
    assert relative_error(value, x, dx) < 1e-6
    for parameter in model.parameters():
        grad = parameter.grad.copy()
        assert relative_error(value, parameter.writable(), grad) < 1e-6, parameter.name


def test_outputs_without_steps_and_padding_count_as_they_should():
    model = fl.Model([fl.Last(), fl.ActivityRegularization(L2(0.5))], dtype="float64")
    tape = model.tape()
    y = model.forward(np.arange(12.0).reshape(2, 3, 2), tape, training=True, lengths=[2, 3])
    assert tape.penalty() == pytest.approx(0.5 * (y**2).sum() / 2)
    np.testing.assert_allclose(model.layers[1].backward(np.ones((2, 2)), tape.workspaces[1]), 1 + y / 2)
    assert fl.Model([fl.Dense(1, 1)]).tape().penalty() == 0


class Looks(Callback):
    """Notes the loss and the norm of each batch."""

    def __init__(self):
        self.seen = []

    def on_batch_end(self, progress):
        self.seen.append((progress.loss, progress.norm))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_of_a_trainer_is_that_of_loss_and_penalty(accumulate):
    """The gradient of the penalty counts once for a step, whatever the number of batches in it."""
    model, twin, looks = penalised(), penalised(), Looks()
    x, y = data(16)
    trainer = fl.Trainer(model, "mse", fl.SGD(0.5), callbacks=[looks], accumulate=accumulate)
    size = 16 // accumulate
    history = trainer.fit(x, y, epochs=1, batch_size=size, shuffle=False, progress=False)

    tape = twin.tape()
    pred = twin.forward(x, tape, training=True)
    loss, dpred = fl.mse(pred, y, np.ones((16, 5)))
    twin.backward(dpred, tape)
    add_gradients(twin.parameters())
    whole = loss + penalty(twin.parameters()) + tape.penalty()
    assert history["loss"][0] == pytest.approx(whole, rel=1e-12)
    assert looks.seen[-1][1] == pytest.approx(fl.optim.grad_norm(twin.parameters()), rel=1e-12)
    fl.SGD(0.5).step(twin.parameters())
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(ours.value, theirs.value, rtol=1e-11)


def test_the_validation_and_evaluate_measure_predictions_only():
    model = penalised()
    x, y = data(16)
    trainer = fl.Trainer(model, "mse", fl.SGD(0.0))
    history = trainer.fit(x, y, epochs=1, validation=(x, y), progress=False)
    plain = fl.mse(model.predict(x), y, np.ones((16, 5)))[0]
    assert trainer.evaluate(x, y)["loss"] == pytest.approx(plain) == history["val_loss"][0]
    assert history["loss"][0] > plain + 0.1


def test_a_frozen_parameter_costs_nothing():
    layer = fl.Dense(2, 2, regularizers="l2", init="ones", dtype="float64")
    assert penalty(layer.parameters()) == pytest.approx(0.06)
    layer.parameter("weight").trainable = False
    assert penalty(layer.parameters()) == pytest.approx(0.02)
    add_gradients(layer.parameters(), 10)
    np.testing.assert_allclose(layer.parameter("bias").grad, [0.2, 0.2])
    assert not layer.parameter("weight").grad.any()


def trained(communicator=None, **options):
    model = penalised()
    trainer = fl.Trainer(model, "mse", fl.Adam(0.01), communicator=communicator, **options)
    history = trainer.fit(*data(), epochs=3, batch_size=8, progress=False)
    return values(model), history["loss"]


@pytest.mark.parametrize("way", ["plain", "added up", "reproducible"])
def test_ranks_pay_the_penalty_once(way):
    expected, losses = trained(**WAYS[way])
    for found, own in on_ranks(2, lambda ranks: trained(ranks, **WAYS[way])):
        np.testing.assert_allclose(own, losses, rtol=1e-11)
        exact = way == "reproducible"
        for name, value in found.items():
            np.testing.assert_allclose(value, expected[name], rtol=0 if exact else 1e-7, atol=0 if exact else 1e-9)


def test_weights_learn_to_be_small():
    def norm(**options):
        model = fl.Model([fl.LSTM(3, 8, **options), fl.Dense(8, 2)], seed=0)
        fl.Trainer(model, "mse", fl.Adam(0.01)).fit(*data(), epochs=20, batch_size=8, progress=False)
        return np.abs(model.parameters()[1].value).mean()

    assert norm(regularizers={"weight_hh": L1(0.1)}) < 0.2 * norm()


def test_a_regularizer_set_between_trainings_counts_at_once():
    model = fl.Model([fl.Dense(3, 2)], seed=0)
    trainer = fl.Trainer(model, "mse", fl.SGD(0.0))
    first = trainer.fit(*data(), epochs=1, progress=False)["loss"][0]
    model.parameters()[0].regularizer = L2(2.0)
    second = trainer.fit(*data(), epochs=1, progress=False)["loss"][0]
    assert second == pytest.approx(first + 2 * (model.parameters()[0].value ** 2).sum(), rel=1e-5)
    model.parameters()[0].regularizer = None
    assert trainer.fit(*data(), epochs=1, progress=False)["loss"][0] == pytest.approx(first, rel=1e-5)


def test_a_resumed_training_must_pay_the_same(tmp_path):
    def fit(**options):
        model = fl.Model([fl.Dense(3, 2, **options)], seed=0)
        fl.Trainer(model, "mse").fit(*data(), epochs=1, progress=False, resume=tmp_path)

    fit(regularizers=L2(0.5))
    with pytest.raises(ValueError, match=r"regularizers: expected '0.weight: L2\(rate=0.5\), .* interrupted"):
        fit(regularizers=L2(0.25))
    with pytest.raises(ValueError, match=r"constraints: expected '', .*, got '0.bias: NonNegative\(\)'"):
        fit(regularizers=L2(0.5), constraints={"bias": "non_negative"})


def test_a_file_keeps_them(tmp_path):
    model = penalised(dtype="float32")
    model.layers[2].parameter("bias").regularizer = None
    fl.save(model, tmp_path / "m")
    loaded = fl.load(tmp_path / "m")
    assert loaded.layers[0].parameter("weight_hh_l0").regularizer == L2(0.05)
    assert loaded.layers[1].regularizer == L1L2(0.03, 0.04)
    assert [p.regularizer for p in loaded.layers[2].parameters()] == [L1L2(0.01, 0.03), None]
    assert repr(loaded) == repr(model)
    for layer in model.layers:
        json.dumps(layer.config())
    assert pickle.loads(pickle.dumps(model)).parameters()[1].regularizer == L2(0.05)


def test_one_of_ones_own():
    @dataclass(frozen=True)
    class FourthOfTest(Regularizer):
        def value(self, array):
            return float((array**4).sum())

        def gradient(self, array):
            return 4 * array**3

    try:
        layer = fl.Dense(2, 2, regularizers={"weight": "fourth_of_test"}, init={"weight": "ones"})
        assert penalty(layer.parameters()) == 4
        assert fl.Dense(**layer.config()).parameter("weight").regularizer == FourthOfTest()
    finally:
        del Regularizer._members["fourthoftest"]


def test_what_is_refused():
    with pytest.raises(ValueError, match="rate: expected at least 0 and at most 1e\\+30, got -1"):
        L2(-1)
    with pytest.raises(TypeError, match="l2: expected a number, got 'a'"):
        L1L2(1, "a")
    parameter = fl.Dense(2, 2).parameter("weight")
    with pytest.raises(ValueError, match="regularizer: expected one of L1, L2, L1L2, got 'l3'"):
        parameter.regularizer = "l3"
    with pytest.raises(TypeError, match="regularizer: expected a name or an object of fastlstm.regularizers, got 3"):
        parameter.regularizer = 3
    with pytest.raises(TypeError, match="regularizers: expected a name or an object of fastlstm.regularizers, got 0.1"):
        fl.Dense(2, 2, regularizers={"weight": 0.1})
    with pytest.raises(ValueError, match="regularizers: expected names of parameters of the layer, .* got 'w'"):
        fl.GRU(2, 2, regularizers={"w": L1()})
    with pytest.raises(ValueError, match="regularizers: L2: rate: expected at least 0 .*, got inf"):
        fl.Dense(2, 2, regularizers=["L2", {"rate": np.inf}])
    with pytest.raises(TypeError, match="regularizer: expected a name or an object of fastlstm.regularizers, got None"):
        fl.ActivityRegularization(None)
