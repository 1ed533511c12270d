"""A small training, and the ways in which ranks share one, for tests of what is told of parameters."""

import numpy as np

WAYS = {
    "plain": {},
    "added up": {"accumulate": 2},
    "reproducible": {"reproducible": True},
    "16 bits": {"wire": "bfloat16"},
    "averaged": {"average_every": 2},
}


def data(n=24):
    x = np.random.default_rng(0).normal(size=(n, 5, 3))
    return x, x.cumsum(1)[..., :2]


def values(model):
    return {name: parameter.value.copy() for name, parameter in model.named_parameters().items()}
