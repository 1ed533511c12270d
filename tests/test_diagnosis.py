"""Numbers that are no longer finite: the step, the layer and a hint are told, and what was good is kept."""

import numpy as np
import pytest

import fastlstm as fl
from fastlstm.callbacks import Callback


def sums(n=32, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, 6, 1))
    return x, x.sum(1)


class Exponential(fl.Layer):
    """Overflows for large inputs."""

    input_shape = ("N", "T", "F")

    def output_shape(self, shape):
        return shape

    def forward(self, x, tape, *, training, lengths):
        with np.errstate(over="ignore"):
            tape.notes["y"] = np.exp(x)
        return tape.notes["y"]

    def backward(self, dy, tape, *, input_gradient=True):
        with np.errstate(over="ignore", invalid="ignore"):
            return dy * tape.notes["y"]

    def config(self):
        return {}


@pytest.fixture(autouse=True)
def forget_the_layer():
    yield
    fl.Layer.registry.pop("Exponential", None)


class Keep(Callback):
    """The parameters after the last step."""

    def on_fit_begin(self, progress):
        self.on_batch_end(progress)

    def on_batch_end(self, progress):
        self.values = [parameter.value.copy() for parameter in progress.parameters]


def fails(trainer, x, y, **options):
    keep = Keep()
    trainer.callbacks.append(keep)
    with pytest.raises(FloatingPointError) as error:
        trainer.fit(x, y, **{"epochs": 3, "batch_size": 8, "shuffle": False, **options})
    assert all(np.isfinite(parameter.value).all() for parameter in trainer.model.parameters())
    return str(error.value), keep.values


def test_the_layer_where_a_loss_overflows_is_named():
    x, y = sums()
    x[20, 3] = 5000  # of the third batch
    model = fl.Model([fl.Dense(1, 4), Exponential(), fl.MeanPool(), fl.Dense(4, 1)], seed=0)
    message, values = fails(fl.Trainer(model, "mse", fl.SGD(0.0)), x, y)
    assert "in epoch 1, batch 3 (step 3)" in message
    assert "the first output that is not finite is that of layer 1 (Exponential)" in message
    assert "try a smaller learning rate (it was 0), clip_norm, or inputs and targets of about 1" in message
    assert message.endswith("the parameters are those before this step")
    for parameter, value in zip(model.parameters(), values, strict=True):
        np.testing.assert_array_equal(parameter.value, value)


def test_a_loss_that_overflows_by_itself_is_told_from_its_layers():
    x, y = sums()
    model = fl.Model([fl.LSTM(1, 3), fl.Last(), fl.Dense(3, 1)], seed=0)
    message, _ = fails(fl.Trainer(model, "mse", fl.SGD(0.0)), x, 1e30 * y)
    assert "the loss is inf in epoch 1, batch 1 (step 1): all outputs are finite" in message
    assert "it is the loss that overflows" in message


def test_the_layer_where_a_gradient_overflows_is_named():
    x, y = sums()
    model = fl.Model([fl.Dense(1, 1), Exponential(), fl.MeanPool(), fl.Dense(1, 1)], seed=0)

    def loss(pred, target, weight):
        return 1.0, np.full_like(pred, 3e38)

    message, _ = fails(fl.Trainer(model, loss, fl.SGD(0.0)), x, y)
    assert "the norm of the gradient is inf in epoch 1, batch 1 (step 1)" in message
    assert "nearest to the loss it is 3.weight, of layer 3 (Dense)" in message


def test_parameters_that_overflow_go_back_to_the_beginning_of_the_epoch():
    x, y = sums()
    model = fl.Model([fl.LSTM(1, 3), fl.Last(), fl.Dense(3, 1)], seed=0)
    message, _ = fails(fl.Trainer(model, "mse", fl.SGD(1e30)), x, 1e10 * y, batch_size=16)
    assert "holds numbers that are not finite" in message or "is no longer finite" in message
    assert "the parameters are those at the beginning of epoch 1" in message
    fresh = fl.Model([fl.LSTM(1, 3), fl.Last(), fl.Dense(3, 1)], seed=0)
    for parameter, value in zip(model.parameters(), fresh.parameters(), strict=True):
        np.testing.assert_array_equal(parameter.value, value.value)


def test_what_failed_goes_on_from_the_last_state_that_was_good(tmp_path):
    x, y = sums()
    y[20] = 1e30
    model = fl.Model([fl.LSTM(1, 3), fl.Last(), fl.Dense(3, 1)], seed=0)
    checkpoint = fl.Checkpoint(tmp_path, every_steps=1)
    fails(fl.Trainer(model, "mse", callbacks=[checkpoint]), x, y, resume=tmp_path)
    y[20] = 1
    again = fl.Model([fl.LSTM(1, 3), fl.Last(), fl.Dense(3, 1)], seed=0)
    history = fl.Trainer(again, "mse").fit(x, y, epochs=3, batch_size=8, shuffle=False, resume=tmp_path)
    whole = fl.Model([fl.LSTM(1, 3), fl.Last(), fl.Dense(3, 1)], seed=0)
    assert dict(fl.Trainer(whole, "mse").fit(x, y, epochs=3, batch_size=8, shuffle=False)) == dict(history)
