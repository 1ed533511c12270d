"""What the tests of calls and of training passes share."""

import numpy as np

import fastlstm as fl


def numbers(*shape, seed=0, dtype="f4"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


class Twice(fl.Layer):
    """A user's layer, which has no stages; it counts its passes."""

    input_shape = ("N", "T", "F")
    passes = 0

    def output_shape(self, shape):
        return shape

    def forward(self, x, tape, *, training, lengths):
        self.passes += 1
        return x * 2

    def backward(self, dy, tape, *, input_gradient=True):
        return dy * 2

    def config(self):
        return {}
