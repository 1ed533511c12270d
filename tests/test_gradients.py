"""Gradients from the backward passes to the step: what is added up, weighted, clipped, and when no step is taken."""

import math

import numpy as np
import pytest

import fastlstm as fl
from fastlstm.training.checked import as_data
from fastlstm.training.gradients import Gradients, Limits
from fastlstm.training.objective import Objective

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 5, 1))
Y = X.cumsum(1)
WEIGHT = RNG.random((8, 5))


class Training:
    """A model with its gradients, and what the loop does with them."""

    def __init__(self, loss=fl.mse, **limits):
        self.model = fl.Model([fl.LSTM(1, 4), fl.Dense(4, 1)], dtype="float64", seed=0)
        self.objective, self.optimizer = Objective(self.model, loss, []), fl.SGD(0.5)
        self.gradients = Gradients(self.objective, self.optimizer, Limits(**limits))
        self.tape = self.model.tape()

    def add(self, rows, weight=WEIGHT):
        """The gradients of these sequences."""
        batch = as_data(self.model, self.objective.loss, X[rows], Y[rows], None, np.ones((8, 5))[rows])
        batch.weights = weight[rows]
        pred = self.objective.forward(batch, self.tape, training=True)
        dpred = None if pred is None else self.objective.value(pred, batch, self.tape)[1]
        self.gradients.add(batch, dpred, self.tape)

    def values(self):
        return [parameter.value.copy() for parameter in self.model.parameters()]

    def grads(self):
        return [parameter.grad.copy() for parameter in self.model.parameters()]


def assert_equal(found, expected, rtol=0.0):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=0)


def masked(*rows):
    """The weights, but 0 for these sequences."""
    weight = WEIGHT.copy()
    weight[[*rows]] = 0
    return weight


def whole_step(weight, loss, **limits):
    """The parameters and the norm after a step on all sequences as one batch."""
    whole = Training(loss, **limits)
    whole.add(slice(8), weight)
    norm = whole.gradients.step()
    return whole.values(), norm


@pytest.mark.parametrize("time", ["mean", "sum"])
@pytest.mark.parametrize(
    "weight", [WEIGHT, masked(0, 1, 2), masked(6, 7)], ids=["all", "not the first", "not the last"]
)
def test_batches_that_are_added_up_are_one_batch_also_where_nothing_counts_in_some(time, weight):
    loss = fl.mse.with_options(time=time)
    values, norm = whole_step(weight, loss)
    many = Training(loss, accumulate=3)
    for rows in (slice(0, 3), slice(3, 4), slice(4, 6), slice(6, 8)):
        many.add(rows, weight)
    assert many.gradients.added == 3 + (weight is WEIGHT)
    assert math.isclose(many.gradients.step(), norm, rel_tol=1e-12)
    assert_equal(many.values(), values, rtol=1e-10)


@pytest.mark.parametrize("time", ["mean", "sum"])
def test_parts_that_were_counted_elsewhere_join_in_before_the_step(time):
    """As a sum over machines does it; one of them has nothing to count."""
    loss, weight = fl.mse.with_options(time=time), masked(3, 4)
    values, norm = whole_step(weight, loss, clip_value=0.05, clip_norm=0.1)
    parts = [Training(loss, clip_value=0.05, clip_norm=0.1, accumulate=2) for _ in range(3)]
    for _ in range(2):  # what lies in the arrays after the first step must not come in again
        for part, rows in zip(parts, (slice(0, 3), slice(3, 5), slice(5, 8)), strict=True):
            part.add(rows, weight)
        assert not any(grad.any() for grad in parts[1].grads())
        sums = [sum(grads) for grads in zip(*(part.grads() for part in parts), strict=True)]
        counted, added = (sum(getattr(part.gradients, name) for part in parts) for name in ("counted", "added"))
        for part in parts:
            for parameter, total in zip(part.model.parameters(), sums, strict=True):
                parameter.grad = total
            part.gradients.counted, part.gradients.added = counted, added
            found = part.gradients.step()
            assert math.isclose(found, norm, rel_tol=1e-12)
            assert_equal(part.values(), values, rtol=1e-9)
        for part in parts:  # back to the beginning
            for parameter, start in zip(part.model.parameters(), Training().values(), strict=True):
                parameter.value = start


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("time", ["mean", "sum"])
def test_where_nothing_counts_no_step_is_taken_and_the_gradients_are_zero(accumulate, time):
    training = Training(fl.mse.with_options(time=time), accumulate=accumulate)
    training.add(slice(8))
    assert training.gradients.step() is not None
    values = training.values()
    training.add(slice(4), masked(*range(8)))
    assert training.gradients.added == 0
    assert training.gradients.step() is None
    assert not any(grad.any() for grad in training.grads())
    assert_equal(training.values(), values)
    assert training.optimizer.steps == 1


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_where_the_norm_is_not_finite_no_step_is_taken(number):
    training = Training(clip_value=1.0, clip_norm=1.0)
    training.add(slice(8))
    training.model.parameters()[1].grad[0, 0] = number
    values, grads = training.values(), training.grads()
    assert not math.isfinite(training.gradients.step())
    assert_equal(training.values(), values)
    assert_equal(training.grads(), grads)
    assert training.optimizer.steps == 0


def test_numbers_are_clipped_before_the_norm_is():
    training = Training(clip_value=0.05, clip_norm=0.1)
    training.add(slice(8))
    values, grads = training.values(), training.grads()
    norm = math.sqrt(sum((grad**2).sum() for grad in grads))
    assert math.isclose(training.gradients.norm(), norm, rel_tol=1e-12)
    assert math.isclose(training.gradients.step(), norm, rel_tol=1e-12)
    cut = [np.clip(grad, -0.05, 0.05) for grad in grads]
    norm = math.sqrt(sum((grad**2).sum() for grad in cut))
    assert norm > 0.1
    expected = [value - 0.5 * 0.1 / norm * grad for value, grad in zip(values, cut, strict=True)]
    assert_equal(training.values(), expected, rtol=1e-12)


def test_limits_that_are_not_reached_change_no_bit():
    values = []
    for limits in ({}, {"clip_value": 1e6}, {"clip_norm": 1e6}):
        training = Training(**limits)
        training.add(slice(8))
        training.gradients.step()
        values.append(training.values())
    assert_equal(values[1], values[0])
    assert_equal(values[2], values[0])


def test_the_gradients_can_be_looked_at_after_the_step_and_begin_anew_with_the_next_batch():
    training = Training()
    training.add(slice(8))
    grads = training.grads()
    training.gradients.step()
    assert_equal(training.grads(), grads)
    twin = Training()
    for parameter, value in zip(twin.model.parameters(), training.values(), strict=True):
        parameter.value = value
    training.add(slice(4))
    twin.add(slice(4))
    assert_equal(training.grads(), twin.grads())


def test_a_fit_that_adds_up_batches_counts_the_sequences_of_one_in_which_nothing_counts():
    weight, found = masked(4, 5, 6, 7), []
    for batch_size, accumulate in ((8, 1), (4, 2)):
        training = Training(fl.mse.with_options(time="sum"))
        trainer = fl.Trainer(training.model, training.objective.loss, fl.SGD(0.1), accumulate=accumulate)
        trainer.fit(X, Y, epochs=2, batch_size=batch_size, shuffle=False, sample_weight=weight)
        found.append(training.values())
    assert_equal(found[1], found[0], rtol=1e-10)
