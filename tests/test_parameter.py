"""The gradient of a parameter: cleared at once, set to zero when somebody looks."""

import numpy as np
import pytest

import fastlstm as fl
from fastlstm.parameter import Parameter


def parameter(shape=(2, 3)):
    made = Parameter("p", shape, lambda rng, shape: rng.normal(size=shape))
    made._initialize(np.random.default_rng(0), np.dtype("float32"))
    return made


def test_the_gradient_is_zero_at_first_and_after_zero_grad():
    p = parameter()
    np.testing.assert_array_equal(p.grad, np.zeros((2, 3)))
    p.grad[...] = 5
    p.grad += 1
    np.testing.assert_array_equal(p.grad, np.full((2, 3), 6))
    p.zero_grad()
    np.testing.assert_array_equal(p.grad, np.zeros((2, 3)))
    p.zero_grad()
    p.grad = np.ones((2, 3))
    np.testing.assert_array_equal(p.grad, np.ones((2, 3)))


def test_a_kernel_that_writes_all_of_it_need_not_add_to_what_was_cleared():
    p = parameter()
    array, add = p.accumulator()
    assert not add
    array[...] = 3
    again, add = p.accumulator()
    assert add
    assert again is array is p.grad
    p.zero_grad()
    cleared, add = p.accumulator()
    assert not add
    assert cleared is array
    np.testing.assert_array_equal(cleared, np.full((2, 3), 3))  # nothing was written for nothing


def test_new_values_have_a_new_gradient():
    p = parameter()
    p.grad[...] = 1
    p._assign(np.ones((2, 3)), np.dtype("float64"))
    np.testing.assert_array_equal(p.grad, np.zeros((2, 3)))
    assert p.grad.dtype == np.float64


def test_a_value_keeps_the_dtype_of_its_layer():
    model = fl.Model([fl.Dense(3, 2)], seed=0)
    p, x = model.parameters()[1], np.zeros((1, 1, 3))
    p.assign([1.0, 2.0], np.dtype("float32"))
    wrong = r"dtype: expected that of the layer of 0\.bias, 'float32', got 'float64'"
    with pytest.raises(ValueError, match=wrong):
        p.assign([3.0, 4.0], np.dtype("float64"))
    with pytest.raises(TypeError, match="dtype: expected 'float32' or 'float64', got 'float16'"):
        p.assign([3.0, 4.0], np.dtype("float16"))
    np.testing.assert_array_equal(model.predict(x), [[[1, 2]]])


@pytest.mark.parametrize("layer", [lambda: fl.Dense(4, 3, seed=0), lambda: fl.Embedding(5, 3, seed=0)])
def test_backward_adds_to_the_gradient_unless_it_was_cleared(layer):
    model = fl.Model([layer()], dtype="float64")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, (2, 6)) if model.layers[0].takes_tokens else rng.normal(size=(2, 6, 4))
    tape = model.tape()

    def backward():
        model.backward(np.ones_like(model.forward(x, tape, training=True)), tape)

    backward()
    once = [p.grad.copy() for p in model.parameters()]
    backward()
    for p, grad in zip(model.parameters(), once, strict=True):
        np.testing.assert_allclose(p.grad, 2 * grad, rtol=1e-14)
        p.grad[...] = np.nan
    model.zero_grad()
    backward()
    for p, grad in zip(model.parameters(), once, strict=True):
        np.testing.assert_array_equal(p.grad, grad)


def test_a_value_in_somebody_elses_memory():
    layer, memory = fl.Dense(3, 2, seed=0), np.ones((2, 3), np.float32)
    x, parameter = np.ones((4, 3), np.float32), layer.parameter("weight")
    layer(x)
    layer._see_parameters({"weight": memory})
    assert parameter.read() is memory
    np.testing.assert_allclose(layer(x), 3)
    memory *= 2
    parameter.touch()
    np.testing.assert_allclose(layer(x), 6)


def test_the_array_of_a_gradient_that_is_taken_is_written_no_more():
    parameter = Parameter("w", (2,), lambda rng, shape: np.zeros(shape))
    parameter.assign([1, 2], np.dtype(np.float32))
    parameter.grad = [3, 4]
    taken = parameter._take_grad()
    parameter.grad[...] += 1
    np.testing.assert_array_equal(taken, [3, 4])
    np.testing.assert_array_equal(parameter.grad, [1, 1])
    assert parameter._take_grad() is not parameter._take_grad()
