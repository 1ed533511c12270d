"""The models and sequences of the tests of `fastlstm.Predictor`."""

import numpy as np

import fastlstm as fl

RNG = np.random.default_rng(0)
X = RNG.normal(size=(9, 6, 2)).astype("f4")
TOKENS = RNG.integers(0, 20, (9, 6))
LENGTHS = np.array([6, 1, 2, 3, 4, 5, 6, 1, 2])


def three():
    return fl.Model([fl.LSTM(2, 8), fl.Last(), fl.Dense(8, 3)], seed=0)


def one(features=2):
    return fl.Model([fl.LSTM(features, 8), fl.Last(), fl.Dense(8, 1)], seed=0)


def each_step(outputs=3):
    return fl.Model([fl.LSTM(2, 8), fl.Dense(8, outputs)], seed=0)


def reader():
    return fl.Model([fl.Embedding(20, 4), fl.LSTM(4, 8), fl.Last(), fl.Dense(8, 3)], seed=0)


def same(found, expected):
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
