"""Arrays that lie step by step, (T, N, ·), and tapes that share packed weights."""

from typing import Any

import numpy as np
import pytest
from peer_cases import on_both_paths
from recurrent_cases import Case

import fastlstm as fl
from fastlstm.layers.recurrent.ragged import RaggedBatch

CASES = [
    *(Case(7, 3, 5, 17, cell=cell) for cell in ("lstm", "gru", "tanh", "relu", "min_lstm", "slstm")),
    Case(4, 6, 3, 9, layers=3, bidirectional=True),
    Case(5, 9, 3, 7, layers=2, options=(("proj_size", 4),)),
    Case(5, 2, 3, 7, cell="gru", options=(("reset", "before"),)),
    Case(6, 2, 3, 7, layers=2, options=(("learn_initial_state", True), ("residual", True))),
    Case(20, 1, 70, 40),
]


def results(layer: Any, x: Any, state: Any, dy: Any, dstate: Any, *, time_first: bool) -> dict[str, Any]:
    """What a pass in training, and a call, return and add to gradients, all of it batch-first."""

    def turned(array: Any) -> Any:
        return np.ascontiguousarray(array.swapaxes(0, 1)) if time_first else array

    batch, tape = RaggedBatch(*x.shape[:2], time_first=time_first), fl.Workspace(0)
    for parameter in layer.parameters():
        parameter.zero_grad()
    y, final = layer._pass_over(turned(x), state, batch, tape, training=True)
    found = {"y": turned(y).copy(), **{f"final {k}": part.copy() for k, part in enumerate(final)}}
    dx, initial = layer.backward_with_state(turned(dy), dstate, tape)
    found |= {"dx": turned(dx), **{f"initial {k}": part.copy() for k, part in enumerate(initial)}}
    for name in ("made", "kept"):
        called, ends = layer._call_unchecked(turned(x), state, time_first=time_first)
        found |= {name: turned(called), **{f"{name} {k}": part for k, part in enumerate(ends)}}
    return {**found, **{parameter.name: parameter.grad.copy() for parameter in layer.parameters()}}


@pytest.mark.parametrize("given", [False, True], ids=["from the start", "from a state"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_time_first_is_batch_first_in_another_order(case: Case, given: bool) -> None:
    layer, rng = case.layer("float64"), np.random.default_rng(0)
    x = rng.normal(size=(case.n, case.t, case.inputs))
    states = [tuple(rng.normal(size=shape) for shape in layer._state_shapes(case.n)) for _ in range(2)]
    if case.cell == "slstm":
        states = [(h, c, abs(n) + 1) for h, c, n in states]
    dy = rng.normal(size=(case.n, case.t, layer.output_size))
    arguments = layer, x, states[0] if given else None, dy, states[1]
    for found, expected in zip(
        on_both_paths(lambda: results(*arguments, time_first=True)),
        on_both_paths(lambda: results(*arguments, time_first=False)),
        strict=True,
    ):
        assert found.keys() == expected.keys()
        for name, one in expected.items():
            np.testing.assert_allclose(found[name], one, rtol=1e-12, atol=1e-12, err_msg=name)


def test_a_program_is_not_run_on_numbers_that_lie_in_the_other_order() -> None:
    layer, rng = fl.LSTM(3, 4, dtype="float64", seed=0), np.random.default_rng(0)
    x = rng.normal(size=(5, 5, 3))
    for _ in range(2):
        y, _ = layer._call_unchecked(x, None)
        turned, _ = layer._call_unchecked(np.ascontiguousarray(x.swapaxes(0, 1)), None, time_first=True)
        np.testing.assert_allclose(turned.swapaxes(0, 1), y, rtol=1e-13)


def test_what_is_not_finite_runs_without_a_program() -> None:
    layer, x = fl.LSTM(3, 4, dtype="float64", seed=0), np.ones((2, 5, 3))
    x[0, 2] = np.nan
    for _ in range(2):
        y, _ = layer._call_unchecked(x, None)
        assert np.isnan(y[0, 2:]).all()
        np.testing.assert_array_equal(np.isnan(y).sum(), 3 * 4)


def test_tapes_that_share_packed_weights_follow_their_changes() -> None:
    layer, packs = fl.GRU(3, 4, num_layers=2, dtype="float64", seed=0), fl.Workspace(0)
    tapes, x = [fl.Workspace(0, packs=packs) for _ in range(2)], np.ones((3, 5, 3))
    for factor in (1, 2, 3):
        layer.parameter("weight_hh_l1").value = factor * layer.parameter("weight_hh_l1").value
        expected = layer.forward(x, fl.Workspace(0), training=True, lengths=None)
        for tape in tapes:
            found = layer.forward(x, tape, training=True, lengths=None)
            np.testing.assert_array_equal(found, expected)
    panels = [tape.child("l1_0").packs.notes["panels"][1] for tape in tapes]
    assert panels[0] is panels[1]
