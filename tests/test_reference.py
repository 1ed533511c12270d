"""The oracle against central differences, before anything is held against the oracle."""

import numpy as np
import pytest
from gradcheck import relative_error
from lstm_cases import Case, random_case


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_reference_gradients(layers, bidirectional):
    case = random_case(Case(5, 3, 2, 4, layers, bidirectional, ragged=True))
    model = case.reference()
    arrays = {"x": case.x, "h0": case.h0, "c0": case.c0, **model.parameters}

    def value():
        y, (h, c) = model.forward(case.x, (case.h0, case.c0), case.lengths)
        return (y * case.dy).sum() + (h * case.dh).sum() + (c * case.dc).sum()

    value()
    dx, dh0, dc0, grads = model.backward(case.dy, case.dh, case.dc)
    gradients = {"x": dx, "h0": dh0, "c0": dc0, **grads}
    assert gradients.keys() == arrays.keys()
    for name, array in arrays.items():
        assert np.abs(gradients[name]).max() > 0
        assert relative_error(value, array, gradients[name]) < 1e-9, name
