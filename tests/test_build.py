"""A layer gets its starting values once, whoever calls it first."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastlstm as fl

THREADS = 8


def from_all_threads(call):
    """What each of several threads gets from a call that they make at the same moment."""
    barrier = threading.Barrier(THREADS)

    def one(_):
        barrier.wait()
        return call()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(THREADS)))


def test_threads_that_call_a_new_layer_find_the_values_of_its_seed():
    x = np.ones((2, 3, 5))
    expected = fl.LSTM(5, 40, num_layers=3, seed=7)(x)[0]
    for _ in range(10):
        layer = fl.LSTM(5, 40, num_layers=3, seed=7)
        for y, _ in from_all_threads(lambda layer=layer: layer(x)):
            np.testing.assert_array_equal(y, expected)


def test_every_way_to_look_at_a_new_layer_waits_for_its_values():
    for _ in range(10):
        layer = fl.Dense(200, 300, seed=3)
        ways = [layer.parameters, lambda layer=layer: [layer.parameter("weight"), layer.parameter("bias")]]
        for found in from_all_threads(lambda ways=ways: [way() for way in ways]):
            for parameters in found:
                for parameter in parameters:
                    assert np.isfinite(parameter.value).all()


def test_one_generator_gives_a_layer_all_its_values_or_none():
    """Threads that bring generators of their own do not mix them."""
    expected = []
    for seed in range(THREADS):
        layer = fl.LSTM(3, 30, num_layers=2)
        layer.build("float32", np.random.default_rng(seed))
        expected.append([p.value.tobytes() for p in layer.parameters()])
    seeds = iter(range(THREADS))
    layer = fl.LSTM(3, 30, num_layers=2)
    from_all_threads(lambda: layer.build("float32", np.random.default_rng(next(seeds))))
    assert [p.value.tobytes() for p in layer.parameters()] in expected


def test_a_build_that_fails_is_made_up_for():
    def fails(shape, rng):
        raise MemoryError

    layer = fl.Dense(3, 4, seed=0)
    works = layer._parameters["weight"].initializer
    layer._parameters["weight"].initializer = fails
    with pytest.raises(MemoryError):
        layer.parameters()
    layer._parameters["weight"].initializer = works
    np.testing.assert_array_equal(layer.parameter("weight").value, fl.Dense(3, 4, seed=0).parameter("weight").value)


def test_a_layer_can_be_copied():
    layer = fl.LSTM(3, 4, seed=0)
    twin = copy.deepcopy(layer)
    np.testing.assert_array_equal(layer(np.ones((1, 2, 3)))[0], twin(np.ones((1, 2, 3)))[0])
