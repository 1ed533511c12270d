"""A row is a row: its bits depend on nothing but the row, the weights and the instruction set."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from recurrent_cases import CELLS, Case, Problem, forced, random_case, run

import fastlstm as fl

SIZES = [(3, 17), (2, 4), (5, 33), (9, 16), (70, 32), (33, 130)]
"""Inputs and units: fewer than a vector holds, one, two and several vectors, and an odd rest."""


def part_of(problem: Problem, rows: slice, length: int | None = None) -> Problem:
    """The same problem for some of its rows, which then all have as many steps."""
    x, dy = problem.x[rows, :length], problem.dy[rows, :length]
    state, dstate = (tuple(part[:, rows] for part in parts) for parts in (problem.state, problem.dstate))
    case = replace(problem.case, n=len(x), t=x.shape[1], ragged=False)
    return Problem(case, problem.parameters, x, state, dy, dstate)


@pytest.fixture
def invariant():
    fl.set_batch_invariant(True)
    yield
    fl.set_batch_invariant(False)


def of_rows(found: dict[str, Any]) -> dict[str, Any]:
    """What each row has of its own, the row first: outputs, states, and the gradients of inputs and initial states."""
    own = {name: found[name] for name in ("y", "dx") if name in found}
    return own | {name: found[name].swapaxes(0, 1) for name in ("h", "c", "dh0", "dc0") if name in found}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_a_row_has_the_same_bits_in_batches_of_any_size(packed_isa, cell, sizes, dtype):
    whole = random_case(Case(5, 40, *sizes, cell=cell))
    expected = of_rows(run(whole, dtype))
    for n in (*range(1, 18), 23, 32, 39):
        for name, value in of_rows(run(part_of(whole, slice(40 - n, 40)), dtype)).items():
            np.testing.assert_array_equal(value, expected[name][40 - n :], err_msg=f"{name} of {n} rows")


@pytest.mark.parametrize("by_units", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", CELLS)
def test_layers_directions_and_threads_change_no_bit_of_a_row(
    packed_isa, cell, dtype, by_units, monkeypatch, default_threads
):
    whole = random_case(Case(5, 40, 9, 33, 2, bidirectional=True, cell=cell))
    forced(monkeypatch, 1, False)
    expected = of_rows(run(whole, dtype))
    for n, threads in ((1, 2), (2, 3), (7, 2), (40, 3)):
        forced(monkeypatch, threads, by_units)
        for name, value in of_rows(run(part_of(whole, slice(40 - n, 40)), dtype)).items():
            np.testing.assert_array_equal(value, expected[name][40 - n :], err_msg=f"{name} of {n} rows")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_a_single_step_has_the_bits_of_a_larger_batch_if_asked_for(packed_isa, invariant, cell, sizes, dtype):
    """Training on one step of up to 4 rows otherwise reads the weights where they lie."""
    whole = random_case(Case(1, 7, *sizes, cell=cell))
    expected = of_rows(run(whole, dtype))
    for n in (1, 2, 3, 4):
        for name, value in of_rows(run(part_of(whole, slice(7 - n, 7)), dtype)).items():
            np.testing.assert_array_equal(value, expected[name][7 - n :], err_msg=f"{name} of {n} rows")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_ragged_row_has_the_same_bits_alone(packed_isa, invariant, cell, dtype):
    whole = random_case(Case(9, 11, 5, 33, ragged=True, cell=cell))
    expected = of_rows(run(whole, dtype))
    for n, length in enumerate(whole.lengths.tolist()):
        for name, value in of_rows(run(part_of(whole, slice(n, n + 1), length), dtype)).items():
            mine = expected[name][n : n + 1]
            np.testing.assert_array_equal(value, mine[:, :length] if name in ("y", "dx") else mine, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_inference_streams_and_training_have_the_same_bits(packed_isa, invariant, cell, sizes, dtype):
    """A model with dense heads: predict in batches of any size, a stream, and the forward pass of training."""
    inputs, hidden = sizes
    layers = [Case(0, 0, inputs, hidden, 2, cell=cell).layer(), fl.Dense(hidden, 5)]
    model = fl.Model(layers, dtype=dtype, seed=0)
    x = np.random.default_rng(0).normal(size=(23, 6, inputs)).astype(dtype)
    expected = model.predict(x)
    for batch in (1, 2, 3, 5, 8, 23):
        np.testing.assert_array_equal(model.predict(x, batch_size=batch), expected, err_msg=f"batches of {batch}")
    for n in (1, 2, 7):
        trained = model.forward(x[:n], model.tape(), training=True)
        np.testing.assert_array_equal(trained, expected[:n], err_msg=f"training on {n} rows")
        stream = model.stream(n)
        for t in range(6):
            np.testing.assert_array_equal(stream.step(x[:n, t]), expected[:n, t], err_msg=f"step {t} of {n} streams")
        trained = model.forward(x[:n, :1], model.tape(), training=True)
        np.testing.assert_array_equal(trained, expected[:n, :1], err_msg=f"training on one step of {n} rows")


def test_the_option_is_kept_and_checked():
    assert fl.get_batch_invariant() is False
    with pytest.raises(TypeError, match="on: expected True or False, got 1"):
        fl.set_batch_invariant(1)
    assert fl.get_batch_invariant() is False


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_without_the_option_only_single_steps_differ(packed_isa, dtype):
    """By rounding alone, and not at all where there are several steps."""
    model = fl.Model([fl.LSTM(33, 40), fl.Dense(40, 5)], dtype=dtype, seed=0)
    x = np.random.default_rng(0).normal(size=(3, 2, 33)).astype(dtype)
    expected = model.predict(x)
    for n in (1, 3):
        np.testing.assert_array_equal(model.forward(x[:n], model.tape(), training=True), expected[:n])
        single = model.forward(x[:n, :1], model.tape(), training=True)
        tolerance = 100 * np.finfo(dtype).eps
        np.testing.assert_allclose(single, expected[:n, :1], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("inputs", [1, 2, 33])
def test_a_dense_layer_of_one_row_has_its_bias(packed_isa, invariant, inputs, dtype):
    model = fl.Model([fl.Dense(inputs, 5)], dtype=dtype, seed=0)
    rng = np.random.default_rng(0)
    for parameter in model.parameters():
        parameter.value = rng.normal(size=parameter.shape).astype(dtype)
    x = rng.normal(size=(3, 1, inputs)).astype(dtype)
    expected = model.predict(x)
    for n in (1, 3):
        np.testing.assert_array_equal(model.forward(x[:n], model.tape(), training=True), expected[:n])
