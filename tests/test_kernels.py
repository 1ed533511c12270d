"""Kernels called directly: they check sizes themselves, so that no caller can make them leave their arrays."""

import threading
import time

import numpy as np
import pytest

from fastlstm._kernels import activations, blas, dropout, losses, optim, plain, rows
from fastlstm.layers.recurrent import cells

S, N, I, H = 6, 2, 3, 4  # noqa: E741
CELLS = [cells.LSTM, cells.GRU, cells.TANH, cells.RELU]
WITH_OPTIONS = [cells.LSTM_OPTIONS, cells.LSTM_COUPLED, cells.GRU_OPTIONS, cells.SIMPLE_OPTIONS]
WITH_OPTIONS += [cells.LSTM_NORM, cells.LSTM_NORM_COUPLED]
WRONG = "do not agree|alive"


def arrays(cell, **changes):
    """What the plain kernels take, by name; changes are other shapes, those of a state's parts as h, c, dh, dc."""
    rows, width = cell.gates * H, cell.sums * H
    shapes = {
        **{"dw_ih": (rows, I), "dw_hh": (rows, H), "dbias": (width,), "dx": (S, I), "sums": (S, width)},
        **{"dy": (S, H), "x": (S, I), "w_ih": (rows, I), "w_hh": (rows, H), "bias": (width,)},
        **{part: (N + S, H) for part in cell.parts},
        **{f"d{part}": (N, H) for part in cell.parts},
    }
    shapes.update(changes)
    made = {name: np.zeros(shape) for name, shape in shapes.items() if name != "alive"}
    made["alive"] = np.asarray(changes.get("alive", [2, 2, 1, 1]), np.intp)
    made["state"] = tuple(made[part] for part in cell.parts)
    made["dstate"] = tuple(made[f"d{part}"] for part in cell.parts)
    return made


FORWARD = ("state", "sums", "x", "w_ih", "w_hh", "bias", "alive")
BACKWARD = ("dw_ih", "dw_hh", "dbias", "dx", "dstate", "sums", "dy", "x", "state", "w_ih", "w_hh", "alive")


def forward(cell, **changes):
    made = arrays(cell, **changes)
    plain.forward(cell.name, *(made[name] for name in FORWARD))


def backward(cell, **changes):
    made = arrays(cell, **changes)
    plain.backward(cell.name, *(made[name] for name in BACKWARD))


def array_names(cell, names):
    """Those of single arrays, among the names of arguments."""
    for name in names:
        if name.endswith("state"):
            yield from (name.removesuffix("state") + part for part in cell.parts)
        elif name != "alive":
            yield name


@pytest.mark.parametrize("cell", [*CELLS, *WITH_OPTIONS], ids=lambda cell: cell.name)
def test_cells_are_what_their_kernels_take_them_for(cell):
    assert plain.describe(cell.name) == (cell.gates, cell.sums, cell.state_feeds, len(cell.parts), cell.own)


def test_an_unknown_cell_is_named():
    with pytest.raises(ValueError, match="cell: expected the name of one, got 'elman'"):
        plain.describe("elman")


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_right_sizes_pass(cell):
    forward(cell)
    backward(cell)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
@pytest.mark.parametrize(("call", "names"), [(forward, FORWARD), (backward, BACKWARD)])
def test_a_wrong_size_is_refused(cell, call, names):
    for name in array_names(cell, names):
        shape = arrays(cell)[name].shape
        for axis in range(len(shape)):
            wrong = tuple(size - (k == axis) for k, size in enumerate(shape))
            if call is forward and name == "sums" and axis == 0 and len(cell.parts) == 1:
                wrong = (N - 1, shape[1])  # fewer rows than S are scratch
            with pytest.raises(ValueError, match=WRONG):
                call(cell, **{name: wrong})


def test_a_state_of_other_parts_is_refused():
    made = arrays(cells.LSTM)
    for parts in ((), ("h",), ("h", "c", "c")):
        made["state"] = tuple(made[part] for part in parts)
        with pytest.raises(ValueError, match=WRONG):
            plain.forward("lstm", *(made[name] for name in FORWARD))
        with pytest.raises(ValueError, match=WRONG):
            plain.backward("lstm", *(made[name] for name in BACKWARD))


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
@pytest.mark.parametrize("alive", [[2, 2, 1], [1, 2, 2, 1], [2, 2, 2, 0], [3, 1, 1, 1], [2, 2, 3, -1], [2, 1, 2, 1]])
def test_alive_must_fit(cell, alive):
    for call in (forward, backward):
        with pytest.raises(ValueError, match="alive"):
            call(cell, alive=alive)


def test_index_out_of_range():
    x, out = np.zeros((3, 2)), np.zeros((1, 2))
    for wrong in (3, -2):
        with pytest.raises(ValueError, match=f"index {wrong} at 0 is outside -1 to 2"):
            rows.gather(x, np.array([wrong]), out)
    for wrong in (1, -1):
        with pytest.raises(ValueError, match=f"index {wrong} at 0 is outside 0 to 0"):
            rows.scatter_add(np.zeros((1, 2)), np.array([wrong]), out)


def test_gather_takes_columns_of_wider_arrays():
    x = np.arange(12.0).reshape(3, 4)
    out = np.zeros((2, 5))
    rows.gather(x[:, 1:3], np.array([2, -1]), out[:, 2:4])
    np.testing.assert_array_equal(out, [[0, 0, 9, 10, 0], [0, 0, 0, 0, 0]])
    with pytest.raises(ValueError, match="rows must be contiguous"):
        rows.gather(x[:, ::2], np.array([0]), np.zeros((1, 2)))


def test_sizes_of_the_small_kernels():
    a, b = np.zeros((2, 3)), np.zeros((2, 4))
    w = np.ones(2)
    wrong = [
        lambda: losses.mse(a, b, w, a, 0.0),
        lambda: losses.mse(a, a, np.ones(3), a, 0.0),
        lambda: losses.softmax_cross_entropy(a, np.zeros(3, np.intp), w, a, 0.0),
        lambda: losses.softmax_cross_entropy(a, np.array([0, 3]), w, a, 0.0),
        lambda: activations.softmax(a, b),
        lambda: activations.activate("tanh", w, np.ones(3)),
        lambda: optim.Blocks([w, np.ones(3)], 2),
        lambda: optim.Blocks([w, w, w], 3).update(optim.ADAM, (), 1.0),
        lambda: dropout.drop(w, np.ones(3), 0.5, 0, 0),
        lambda: blas.affine(a, b, np.zeros(0), a),
        lambda: blas.affine_backward(a, a, b, b, np.zeros(0), a),
        lambda: rows.gather(a, np.zeros(2, np.intp), b),
    ]
    for call in wrong:
        with pytest.raises(ValueError, match="agree|outside"):
            call()


def test_dtypes_may_not_be_mixed():
    with pytest.raises((TypeError, ValueError)):
        activations.activate("exp", np.zeros(3), np.zeros(3, "f4"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m", [1, 2, 17])
def test_affine_against_numpy(dtype, m):
    rng = np.random.default_rng(0)
    x, w, b, dy = (rng.normal(size=shape).astype(dtype) for shape in ((m, 3), (5, 3), (5,), (m, 5)))
    y = np.full((m, 5), np.nan, dtype)
    blas.affine(x, w, b, y)
    np.testing.assert_allclose(y, x @ w.T + b, rtol=1e-5, atol=1e-6)
    dw, db, dx = np.ones((5, 3), dtype), np.ones(5, dtype), np.full((m, 3), np.nan, dtype)
    blas.affine_backward(dy, x, w, dw, db, dx)
    np.testing.assert_allclose(dw, 1 + dy.T @ x, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(db, 1 + dy.sum(0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(dx, dy @ w, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bias", [np.array([1.0, 2.0, 3.0]), np.zeros(0)], ids=["bias", "none"])
def test_affine_of_no_inputs_is_the_bias(isa, bias):
    y = np.full((2, 3), np.nan)
    blas.affine(np.zeros((2, 0)), np.zeros((3, 0)), bias, y)
    assert np.array_equal(y, np.broadcast_to(bias if bias.size else 0, (2, 3)))


def test_the_gil_is_released_for_the_whole_sequence():
    """While one thread is in the kernel, this one runs on."""
    t, n, h = 400, 16, 256
    rng = np.random.default_rng(0)
    x, w_ih, w_hh = rng.normal(size=(t * n, h)), rng.normal(size=(4 * h, h)), rng.normal(size=(4 * h, h))
    state = np.zeros((n + t * n, h))
    job = threading.Thread(
        target=plain.forward,
        args=("lstm", (state, np.zeros((n, h))), np.zeros((n, 4 * h)), x, w_ih, w_hh, np.zeros(4 * h), np.full(t, n)),
    )
    job.start()
    turns = 0
    while job.is_alive():
        turns += 1
        time.sleep(0.001)
    assert turns > 3


def test_bias_gradients_of_millions_of_rows_lose_nothing():
    rng = np.random.default_rng(0)
    dy = rng.uniform(0.5, 1.5, (1 << 20, 3)).astype("f4")
    x, weight, dbias = dy[:, :1].copy(), np.ones((3, 1), "f4"), np.zeros(3, "f4")
    blas.affine_backward(dy, x, weight, np.zeros((3, 1), "f4"), dbias, np.zeros((0, 1), "f4"))
    np.testing.assert_allclose(dbias, dy.sum(0, dtype="f8"), rtol=1e-6)
