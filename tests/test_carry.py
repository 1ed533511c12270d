"""A tape that carries: each pass goes on from the state that the last one left."""

import copy
import pickle

import numpy as np
import pytest
from reference import Reference

import fastlstm as fl

CELLS = {"lstm": fl.LSTM, "gru": fl.GRU, "tanh": fl.SimpleRNN}
kinds = pytest.mark.parametrize("kind", CELLS.values())


def model(kind=fl.LSTM, dtype="float64"):
    layers = [fl.Dense(3, 3), kind(3, 5, num_layers=2), kind(5, 4), fl.Dense(4, 2)]
    return fl.Model(layers, dtype=dtype, seed=0)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@kinds
def test_blocks_are_what_the_whole_is(kind, training, dtype):
    m, x = model(kind, dtype), numbers(3, 11, 3)
    tape = m.tape(carry=True)
    blocks = [m.forward(x[:, a:b], tape, training=training).copy() for a, b in ((0, 4), (4, 5), (5, 11))]
    rounding = {"float32": 1e-5, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(np.concatenate(blocks, axis=1), m.predict(x), atol=rounding)


@pytest.mark.parametrize("training", [False, True])
@kinds
def test_the_state_is_that_after_each_sequences_own_last_step(kind, training):
    m, x, lengths = model(kind), numbers(3, 6, 3), [6, 1, 4]
    tape = m.tape(carry=True)
    m.forward(x, tape, training=training, lengths=lengths)
    more = numbers(3, 2, 3, seed=1)
    found = m.forward(more, tape, training=training)
    for k, length in enumerate(lengths):
        whole = m.predict(np.concatenate([x[k, :length], more[k]])[None])
        np.testing.assert_allclose(found[k], whole[0, length:], atol=1e-12)


@kinds
def test_rows_go_on_as_they_are_told(kind):
    m, x, more = model(kind), numbers(3, 4, 3), numbers(5, 2, 3, seed=1)
    tape = m.tape(carry=True)
    m.forward(x, tape)
    m.carry([2, -1, 0, 2, -1], tape)
    found = m.forward(more, tape)
    for k, row in enumerate([2, -1, 0, 2, -1]):
        before = x[row, :4] if row >= 0 else np.empty((0, 3))
        whole = m.predict(np.concatenate([before, more[k]])[None])
        np.testing.assert_allclose(found[k], whole[0, len(before) :], atol=1e-12)
    m.carry([-1], tape)
    np.testing.assert_allclose(m.forward(more[:1], tape), m.predict(more[:1]), atol=1e-12)


def test_rows_may_be_told_before_the_first_pass():
    m, x = model(), numbers(2, 4, 3)
    tape = m.tape(carry=True)
    m.carry([-1, -1], tape)
    np.testing.assert_allclose(m.forward(x, tape), m.predict(x), atol=1e-12)


@pytest.mark.parametrize(("cell", "kind"), CELLS.items())
def test_gradients_are_those_of_the_block_alone(cell, kind):
    """Against the plain reference, from the state that two other steps have left."""
    layer = kind(3, 4, num_layers=2, dtype="float64", seed=0)
    m, x, dy = fl.Model([layer], dtype="float64"), numbers(2, 6, 3), numbers(2, 4, 4, seed=1)
    names = list(layer.parameter_shapes())
    reference = Reference(cell, {name: layer.parameter(name).value for name in names}, 2, False)
    _, state = reference.forward(x[:, :2])
    expected_y, _ = reference.forward(x[:, 2:], state)
    expected_dx, _, expected = reference.backward(dy, reference.zeros(2))
    tape = m.tape(carry=True)
    m.forward(x[:, :2], tape, training=True)
    y = m.forward(x[:, 2:], tape, training=True).copy()
    m.zero_grad()
    dx = m.backward(dy, tape)
    np.testing.assert_allclose(y, expected_y, atol=1e-12)
    np.testing.assert_allclose(dx, expected_dx, atol=1e-12)
    for name in names:
        np.testing.assert_allclose(layer.parameter(name).grad, expected[name], atol=1e-12)


def test_the_running_state_stays_in_its_place():
    m, x = model(dtype="float32"), numbers(3, 4, 3).astype("f4")
    tape = m.tape(carry=True)
    m.forward(x, tape, training=True)
    before = [part.ctypes.data for part in tape.workspaces[1].lasting["running"]]
    m.forward(x, tape, training=True)
    assert [part.ctypes.data for part in tape.workspaces[1].lasting["running"]] == before


def test_what_cannot_be_carried_says_so():
    m, x = model(), numbers(2, 4, 3)
    both = fl.Model([fl.Dense(3, 3), fl.LSTM(3, 4, bidirectional=True)])
    with pytest.raises(ValueError, match=r"layer 1 \(LSTM\): a bidirectional LSTM cannot carry its state"):
        both.tape(carry=True)
    with pytest.raises(TypeError, match="carry: expected True or False, got 3"):
        m.tape(carry=3)
    with pytest.raises(ValueError, match=r"tape: expected one from tape\(carry=True\)"):
        m.carry([-1], m.tape())
    tape = m.tape(carry=True)
    with pytest.raises(ValueError, match=r"index: expected -1 to -1, got 0 at \[1\]"):
        m.carry([-1, 0], tape)
    m.forward(x, tape)
    with pytest.raises(ValueError, match=r"index: expected -1 to 1, got 2 at \[0\]"):
        m.carry([2], tape)
    with pytest.raises(ValueError, match="x: expected 2 sequences, as many as the tape carries, got 3"):
        m.forward(numbers(3, 4, 3), tape)


def used_tape(made, carry=True):
    tape = made.tape(carry=carry)
    made.forward(numbers(2, 3, 4), tape, training=True)
    return tape


def test_a_tape_restores_the_state_of_one_of_such_a_model_alone():
    layers = {
        "LSTM": lambda: [fl.LSTM(4, 4), fl.Dropout(0.3)],
        "GRU": lambda: [fl.GRU(4, 4), fl.Dropout(0.3)],
        "smaller": lambda: [fl.LSTM(4, 3), fl.Dense(3, 2)],
        "held": lambda: [fl.Residual([fl.LSTM(4, 4)]), fl.Dropout(0.3)],
        "alone": lambda: [fl.LSTM(4, 4)],
    }
    models = {name: fl.Model(make(), seed=0) for name, make in layers.items()}
    x = numbers(2, 3, 4)
    for name, made in models.items():
        for other, own in models.items():
            state, tape = used_tape(own).state(), used_tape(made)
            if name == other:
                tape.restore(state)
                continue
            with pytest.raises(ValueError, match="state: expected that of a tape of such a model, got another"):
                tape.restore(state)
            again = used_tape(made)
            np.testing.assert_array_equal(made.forward(x, tape), made.forward(x, again))  # it is what it was
    told = models["LSTM"].tape(carry=True)
    models["LSTM"].carry([-1, -1], told)  # before the first pass
    tape = models["LSTM"].tape(carry=True)
    tape.restore(told.state())
    assert tape.rows == 2
    tape = models["LSTM"].tape()
    for wrong in (None, {}, [], {"rows": 0, "workspaces": [{}, {}]}, {"rows": 0, "workspaces": [1, 2]}):
        with pytest.raises(ValueError, match="state: expected that of a tape of such a model, got another"):
            tape.restore(wrong)
    with pytest.raises(
        ValueError, match="state: expected that of a tape which carries none, as this one does, got that"
    ):
        tape.restore(used_tape(models["LSTM"]).state())


def test_a_tape_that_has_been_used_is_not_copied():
    made = model()
    fresh = copy.deepcopy(made.tape(carry=True))
    assert fresh.rows == 0
    for carry in (False, True):
        for way in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(
                TypeError, match=r"a tape that has been used cannot be copied or pickled: let a new one"
            ):
                way(used_tape(fl.Model([fl.LSTM(4, 4)], seed=0), carry))


def test_the_number_of_sequences_is_read_only():
    made = model()
    for thing, name in ((made.tape(carry=True), "rows"), (made.stream(2), "batch")):
        with pytest.raises(AttributeError, match=name):
            setattr(thing, name, 5)
