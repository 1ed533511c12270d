"""The oracle against central differences, before anything is held against the oracle."""

import numpy as np
import pytest
from gradcheck import relative_error
from recurrent_cases import CELLS, Case, loss_of, random_case

SEEDS = {"relu": 2}
"""Of problems none of whose sums comes so close to 0 that relu has a corner within the differences."""


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_reference_gradients(cell, layers, bidirectional):
    problem = random_case(Case(5, 3, 2, 4, layers, bidirectional, ragged=True, cell=cell), SEEDS.get(cell, 0))
    model = problem.reference()
    arrays = {"x": problem.x, **dict(zip(problem.parts, problem.state, strict=True)), **model.parameters}

    def value():
        return loss_of(problem, *model.forward(problem.x, problem.state, problem.lengths))

    value()
    dx, dstate, grads = model.backward(problem.dy, problem.dstate)
    gradients = {"x": dx, **dict(zip(problem.parts, dstate, strict=True)), **grads}
    assert gradients.keys() == arrays.keys()
    for name, array in arrays.items():
        assert np.abs(gradients[name]).max() > 0
        assert relative_error(value, array, gradients[name]) < 1e-9, name
