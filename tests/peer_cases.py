"""What the tests beside other libraries share: configurations drawn at random, each by its number."""

import numpy as np

import fastlstm as fl
from fastlstm._kernels import cpu


class Draw:
    """Random choices of the configuration of this number."""

    def __init__(self, number):
        self.rng = np.random.default_rng(number)

    def of(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def size(self, most):
        return int(self.rng.integers(1, most + 1))

    def normal(self, *shape):
        return self.rng.normal(size=shape)

    def lengths(self, n, t):
        """From 1 to t in any order, and t at least once."""
        lengths = self.rng.integers(1, t + 1, n)
        lengths[self.rng.integers(n)] = t
        return lengths


def parts_of(state):
    return state if isinstance(state, tuple) else (state,)


def on_both_paths(act):
    """What act() returns on packed weights, and what it returns on the plain path."""
    best = cpu.isa()
    found = [act()]
    try:
        cpu.choose("plain")
        found.append(act())
    finally:
        cpu.choose(best)
    return found


def ours(layer, x, state, lengths, dy, dstate):
    """Outputs, final state and gradients of a layer by name; `state` as parts, None for zeros."""
    tape = fl.Workspace(0)
    lengths = None if lengths is None else np.asarray(lengths, np.intp)
    for parameter in layer.parameters():
        parameter.zero_grad()
    y, final = layer.forward_with_state(x, state, tape, training=True, lengths=lengths)
    y, final = y.copy(), [part.copy() for part in final]
    called, _ = layer(x, None if state is None else tuple(state) if len(state) > 1 else state[0], lengths)
    np.testing.assert_allclose(called, y, atol=1e-13)  # inference gives what training gives
    dx, initial = layer.backward_with_state(dy, dstate, tape)
    found = {"y": y, "dx": dx.copy()}
    found.update({f"{name}_n": part for name, part in zip(layer.parts, final, strict=True)})
    found.update({f"d{name}_0": part.copy() for name, part in zip(layer.parts, initial, strict=True)})
    found.update({name: layer.parameter(name).grad.copy() for name in layer.parameter_shapes()})
    return found


def assert_close(found, expected, tolerance=1e-10):
    assert found.keys() >= expected.keys()
    for name, value in expected.items():
        scale = max(1.0, float(np.abs(value).max(initial=0)))
        np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance * scale, err_msg=name)
