"""All paths of tiny sequences, and what they spell."""

import itertools

import numpy as np


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def spelled(path, blank):
    return tuple(k for k, _ in itertools.groupby(path) if k != blank)


def probabilities(scores, blank=0):
    """Of every labelling that (T, C) scores can spell."""
    log_p, found = log_softmax(scores), {}
    for path in itertools.product(range(scores.shape[1]), repeat=len(scores)):
        labels = spelled(path, blank)
        found[labels] = found.get(labels, 0.0) + np.exp(log_p[np.arange(len(path)), path].sum())
    return found
