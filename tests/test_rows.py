"""A row is a row: its bits depend on nothing but the row, the weights and the instruction set."""

from typing import Any

import numpy as np
import pytest
from recurrent_cases import CELLS, Case, Problem, random_case, run

import fastlstm as fl

SIZES = [(3, 17), (2, 4), (5, 33), (9, 16), (70, 32), (33, 130)]
"""Inputs and units: fewer than a vector holds, one, two and several vectors, and an odd rest."""


def part_of(problem: Problem, rows: Any) -> Problem:
    """The same problem for some of its rows."""
    state, dstate = (tuple(part[:, rows] for part in parts) for parts in (problem.state, problem.dstate))
    lengths = None if problem.lengths is None else problem.lengths[rows]
    case = Case(problem.case.t, len(problem.x[rows]), *SIZES[0], cell=problem.case.cell)
    return Problem(case, problem.parameters, problem.x[rows], state, problem.dy[rows], dstate, lengths)


def of_rows(found: dict[str, Any]) -> dict[str, Any]:
    """What each row has of its own, the row first: outputs, states, and the gradients of inputs and initial states."""
    own = {name: found[name] for name in ("y", "dx") if name in found}
    return own | {name: found[name].swapaxes(0, 1) for name in ("h", "c", "dh0", "dc0") if name in found}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_a_row_has_the_same_bits_in_batches_of_any_size(packed_isa, cell, sizes, dtype):
    whole = random_case(Case(5, 40, *sizes, cell=cell))
    layer = whole.case.layer
    expected = of_rows(run(whole, dtype))
    for n in (*range(1, 14), 39):
        part = part_of(whole, slice(40 - n, 40))
        part.case = Case(5, n, *sizes, cell=cell)
        for name, value in of_rows(run(part, dtype)).items():
            np.testing.assert_array_equal(value, expected[name][40 - n :], err_msg=f"{name} of {n} rows of {layer}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_a_single_step_has_the_bits_of_a_larger_batch(packed_isa, cell, sizes, dtype):
    """Training on one step of up to 4 rows reads the weights where they lie."""
    whole = random_case(Case(1, 7, *sizes, cell=cell))
    expected = of_rows(run(whole, dtype))
    for n in (1, 2, 3, 4):
        part = part_of(whole, slice(7 - n, 7))
        part.case = Case(1, n, *sizes, cell=cell)
        for name, value in of_rows(run(part, dtype)).items():
            np.testing.assert_array_equal(value, expected[name][7 - n :], err_msg=f"{name} of {n} rows")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_ragged_row_has_the_same_bits_alone(packed_isa, cell, dtype):
    whole = random_case(Case(9, 11, 5, 33, ragged=True, cell=cell))
    expected = of_rows(run(whole, dtype))
    for n, length in enumerate(whole.lengths.tolist()):
        alone = part_of(whole, slice(n, n + 1))
        alone.x, alone.dy, alone.lengths = alone.x[:, :length], alone.dy[:, :length], None
        alone.case = Case(length, 1, 5, 33, cell=cell)
        for name, value in of_rows(run(alone, dtype)).items():
            mine = expected[name][n : n + 1]
            np.testing.assert_array_equal(value, mine[:, :length] if name in ("y", "dx") else mine, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_inference_streams_and_training_have_the_same_bits(packed_isa, cell, sizes, dtype):
    """A model with a dense head: predict in batches of any size, a stream, and the forward pass of training."""
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
