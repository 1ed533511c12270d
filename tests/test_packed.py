"""Passes on packed weights: every instruction set that this processor has, any number of threads."""

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from recurrent_cases import CELLS, Case, called, each_cell, forced, random_case, run, run_reference

import fastlstm as fl
from fastlstm._kernels import backward, cpu, forward
from fastlstm._kernels.layout import Layout

ISAS = ["avx512", "avx2", "baseline", "plain"]


@pytest.mark.parametrize(
    "case",
    [
        *(Case(6, n, 3, 17) for n in (1, 2, 3, 5, 6, 7, 13)),
        *(Case(4, 2, inputs, 5) for inputs in (1, 2, 33)),
        *(Case(3, 4, 3, hidden, 2, True, True) for hidden in (1, 2, 4, 8, 15, 16, 33)),
        Case(40, 1, 5, 16),
        Case(9, 5, 3, 8, 3, False, True, bias=False),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_instruction_set_gives_what_the_reference_gives(isa, case, dtype):
    problem = random_case(case)
    expected = run_reference(problem)
    x, state, _, _ = problem.arrays(dtype)
    y, (h, c) = problem.layer(dtype)(x, state, problem.lengths)
    tolerance = 2e-6 if dtype == "float32" else 1e-13
    for name, value in {"y": y, "h": h, "c": c}.items():
        np.testing.assert_allclose(value, expected[name], rtol=tolerance, atol=tolerance * 5, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_instruction_set_saturates_and_passes_nan(isa, dtype):
    """Pre-activations of any size, as c = i·g and h = o·tanh(c) of one unit show them."""
    layer = fl.LSTM(1, 1, dtype=dtype, bias=False)
    layer.load_parameters({"weight_ih_l0": [[1.0], [0], [1], [1]], "weight_hh_l0": [[0.0]] * 4}, dtype)
    x = np.concatenate([np.linspace(-30, 30, 501), [1e4, -1e4, 3e38, -3e38, 0, 1e-30]]).astype(dtype)[:, None, None]
    y, (_, c) = layer(x)
    with np.errstate(over="ignore", under="ignore"):
        sigmoid, g = 1 / (1 + np.exp(-x.astype("f8"))), np.tanh(x.astype("f8"))
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(c[0], (sigmoid * g)[:, 0], rtol=tolerance, atol=1e-38)
    np.testing.assert_allclose(y, sigmoid * np.tanh(sigmoid * g), rtol=tolerance, atol=1e-38)
    x[3] = np.nan
    tape = fl.Workspace(0)
    found = layer.forward(x, tape, training=False, lengths=None)
    assert np.isnan(found[3]).all()
    assert np.isfinite(np.delete(found, 3, 0)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_the_activations_of_every_instruction_set_are_within_4_ulp(packed_isa, name, dtype):
    """A dense sample of all finite numbers, against float64 and (for float64) against extended precision."""
    if dtype == "float32":
        x = np.arange(0, 1 << 32, 4099, dtype=np.uint32).view(np.float32)
        wide = np.float64
    else:
        spread = np.random.default_rng(0).uniform(-745, 745, 200_000)
        tiny = np.ldexp(
            np.random.default_rng(1).uniform(-1, 1, 50_000), np.random.default_rng(2).integers(-1000, 3, 50_000)
        )
        x, wide = np.concatenate([spread, tiny, [0.0, -0.0, 1e308, -1e308]]), np.longdouble
        if np.finfo(np.longdouble).nmant < 63:
            pytest.skip("no extended precision on this system")
    x = x[np.isfinite(x)]
    y = np.empty_like(x)
    cpu.activate(name, x, y)
    w = x.astype(wide)
    with np.errstate(over="ignore", under="ignore"):
        e = np.exp(-np.abs(w))
        exact = np.tanh(w) if name == "tanh" else np.where(w < 0, e, 1) / (1 + e)
    least = np.finfo(x.dtype).tiny
    normal = np.abs(exact) >= 2 * least  # what is below is zero, or nearly: subnormal numbers are flushed
    ulp = np.spacing(np.abs(exact[normal]).astype(x.dtype)).astype(wide)
    assert (np.abs(y[normal].astype(wide) - exact[normal]) / ulp).max() <= 4
    assert (np.abs(y[~normal]) <= 2 * least).all()
    special = np.array([np.inf, -np.inf, np.nan, 40, -800], x.dtype)
    y = np.empty_like(special)
    cpu.activate(name, special, y)
    np.testing.assert_array_equal(y[:4], [1, -1 if name == "tanh" else 0, np.nan, 1])
    assert y[4] == (-1 if name == "tanh" else 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "case",
    each_cell(
        [
            *(Case(7, 13, 3, 50), Case(7, 1, 3, 100), Case(9, 2, 5, 70), Case(8, 9, 3, 40, 2, True, True)),
            *(Case(20, 33, 17, 33, ragged=True), Case(9, 5, 1, 131)),
        ]
    ),
    ids=str,
)
@pytest.mark.parametrize("by_units", [False, True])
@pytest.mark.slow
def test_any_number_of_threads_gives_the_same_bits(isa, case, by_units, dtype, monkeypatch, default_threads):
    problem = random_case(case)
    forced(monkeypatch, 1, False)
    expected, _ = problem.layer(dtype)(problem.x, lengths=problem.lengths)
    trained = run(problem, dtype)
    for threads in (2, 3, 5):
        forced(monkeypatch, threads, by_units)
        for _ in range(2):
            found, _ = problem.layer(dtype)(problem.x, lengths=problem.lengths)
            np.testing.assert_array_equal(found, expected)
            for name, value in run(problem, dtype).items():
                np.testing.assert_array_equal(value, trained[name], err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_no_choice_of_plan_changes_a_bit(packed_isa, n, dtype, monkeypatch):
    """Inputs that are projected ahead or step by step; segments of any length for the gradients of the weights."""
    problem = random_case(Case(23, n, 9, 37))
    expected = run(problem, dtype)
    outputs, (h, c) = problem.layer(dtype)(problem.x)
    stream = fl.Model([problem.layer(dtype)], dtype=dtype).stream(n)
    for t in range(23):
        np.testing.assert_array_equal(stream.step(problem.x[:, t]), outputs[:, t], err_msg=f"step {t} of a stream")
    for segment in (1, 5, 40):
        monkeypatch.setattr("fastlstm.layers.recurrent.trained_phase.SEGMENT", segment)
        for name, value in run(problem, dtype).items():
            np.testing.assert_array_equal(value, expected[name], err_msg=f"{name}, segments of {segment}")
    monkeypatch.setattr("fastlstm.layers.recurrent.trained_phase.projection", lambda rows, *_: (np.empty(0, dtype), 1))
    monkeypatch.setattr("fastlstm.layers.recurrent.inference.projection", lambda rows, *_: (np.empty(0, dtype), 1))
    for name, value in run(problem, dtype).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=f"{name}, step by step")
    step_by_step, _ = problem.layer(dtype)(problem.x)
    np.testing.assert_array_equal(step_by_step, outputs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.slow
def test_weights_that_are_used_in_parts(packed_isa, cell, dtype, monkeypatch, default_threads):
    """Blocks of weights larger than a cache, with enough rows to use each part of them for; a row alone reads them
    whole."""
    lanes = cpu.lanes(dtype)
    inputs = cpu.NEAR_BYTES // (3 * lanes * np.dtype(dtype).itemsize) + 5  # more than a part, also of three gates
    problem = random_case(Case(3, 27, inputs, 4 * lanes, cell=cell))
    for parameter in problem.parameters.values():
        parameter /= 10
    expected, tolerance = run_reference(problem), 1e-4 if dtype == "float32" else 1e-11
    found = run(problem, dtype)
    for name, value in expected.items():
        scale = max(1, np.abs(value).max())
        np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance * scale, err_msg=name)
    x = problem.x.astype(dtype)
    whole = problem.layer(dtype)(x)[0]
    for n in (0, 13, 26):
        np.testing.assert_array_equal(problem.layer(dtype)(x[n : n + 1])[0], whole[n : n + 1])
    forced(monkeypatch, 3, False)
    for name, value in run(problem, dtype).items():
        np.testing.assert_array_equal(value, found[name], err_msg=name)


@pytest.mark.parametrize("by_units", [False, True])
def test_a_busy_pool_does_not_change_a_bit(by_units, monkeypatch, default_threads):
    problems = [random_case(Case(30, n, 5, 64), seed=n) for n in range(3, 11)]
    layers = [problem.layer("float32") for problem in problems]
    forced(monkeypatch, 1, False)
    expected = [layer(problem.x)[0] for layer, problem in zip(layers, problems, strict=True)]
    forced(monkeypatch, 3, by_units)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(30):
            found = list(pool.map(lambda layer, problem: layer(problem.x)[0], layers, problems))
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layers, bidirectional", [(1, True), (2, False), (5, False)])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_directions_and_layers_side_by_side_give_the_same_bits(
    packed_isa, cell, layers, bidirectional, n, dtype, default_threads
):
    problem = random_case(Case(70, n, 5, 33, layers, bidirectional, ragged=n > 1, cell=cell))
    fl.set_num_threads(1)
    expected = called(problem, dtype)
    for threads in (2, 3, 4):
        fl.set_num_threads(threads)
        for _ in range(3):
            for name, value in called(problem, dtype).items():
                np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_many_python_threads_share_the_pool(default_threads):
    fl.set_num_threads(2)
    model = fl.Model([fl.LSTM(5, 40, num_layers=2), fl.Dense(40, 3)], seed=0)
    xs = [np.random.default_rng(k).standard_normal((2, 64, 5)).astype("f4") for k in range(6)]
    expected = [model.predict(x) for x in xs]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(20):
            for a, b in zip(pool.map(model.predict, xs), expected, strict=True):
                np.testing.assert_array_equal(a, b)


def in_child(layer, x, connection):
    connection.send(layer(x)[0])


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_works(monkeypatch, default_threads):
    forced(monkeypatch, 3, False)
    problem = random_case(Case(20, 12, 5, 33))
    layer = problem.layer("float32")
    expected, _ = layer(problem.x)  # the parent has its workers now
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=in_child, args=(layer, problem.x, send))
    child.start()
    assert receive.poll(60)
    np.testing.assert_array_equal(receive.recv(), expected)
    child.join(60)
    assert child.exitcode == 0
    np.testing.assert_array_equal(layer(problem.x)[0], expected)


def test_subnormal_numbers_are_as_before_after_a_call(monkeypatch, default_threads):
    forced(monkeypatch, 2, False)
    tiny = np.full(4, 1e-40, np.float32)
    fl.LSTM(3, 33, seed=0)(np.ones((12, 5, 3)))
    assert (tiny * np.float32(1) == tiny).all()
    assert (tiny / np.float32(2) > 0).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_state_that_decays_never_becomes_subnormal(packed_isa, threads, monkeypatch, default_threads):
    """Subnormal numbers would slow every step down; they count as zero, in every thread."""
    forced(monkeypatch, threads, False)
    layer = fl.LSTM(1, 33, bias=False, dtype="float32", seed=0)
    layer.parameter("weight_hh_l0").value = np.zeros((132, 33))
    start = np.full((1, 12, 33), 1e-30, np.float32)  # halved at every step: the forget gate is sigmoid(0)
    y, (_, c) = layer(np.zeros((12, 120, 1)), (start, start))
    least = np.finfo(np.float32).tiny
    assert ((y == 0) | (np.abs(y) >= least)).all()
    assert (c == 0).all()
    assert (y[:, 0] > 0).all()


def test_a_changed_weight_is_noticed(isa):
    layer = fl.LSTM(3, 5, dtype="float64", seed=0)
    x, tape = np.ones((1, 2, 3)), fl.Workspace(0)
    before = layer.forward(x, tape, training=False, lengths=None).copy()
    layer.parameter("bias_l0").value = layer.parameter("bias_l0").value + 1
    after = layer.forward(x, tape, training=False, lengths=None)
    assert (after != before).all()
    np.testing.assert_array_equal(layer(x)[0], after)


def test_the_environment_chooses_and_a_wrong_name_is_answered(tmp_path):
    code = "from fastlstm._kernels import cpu; print(cpu.isa())"

    def answer(name):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "FASTLSTM_ISA": name},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip() or done.stderr

    assert answer("plain") == "plain"
    assert answer("") in ["avx512_bf16", "avx512_vnni", "armv8_6", *ISAS]
    assert "FASTLSTM_ISA: expected one of [" in answer("mmx")
    assert "'plain'] on this processor, got 'mmx'" in answer("mmx")


SIZES = {"n": 2, "t": 3, "i": 4, "h": 5}


def rows(**changes):
    n, t, i, h = SIZES.values()
    options = {
        **{"N": n, "I": i, "H": h},
        "alive": np.full(t, n),
        "segments": np.array([[0, t, 0]]),
        **{"x_size": n * t * i, "x_row": np.arange(n) * t * i, "x_step": i},
        **{"y_size": n * t * h, "y_row": np.arange(n) * t * h, "y_step": h},
        "threads": 1,
    }
    return Layout(**{**options, **changes})


def prepared(**changes):
    lanes = cpu.lanes("float64")
    n, _, i, h = SIZES.values()
    blocks = -(-h // lanes)
    options = {
        **{"cell": "lstm", "rows": rows()},
        "panels": np.zeros((blocks, i + h, 4, lanes)),
        "bias": np.zeros((blocks, 4, lanes)),
        "c": np.zeros((n, blocks * lanes)),
        "h": np.zeros((2, n, blocks * lanes)),
        "phase": np.zeros(1, np.intc),
        **{"projected": np.zeros(0), "chunk": 1},
    }
    return forward.prepare(**{**options, **changes})


def prepared_backward(**changes):
    lanes = cpu.lanes("float64")
    n, t, _, h = SIZES.values()
    width = -(-h // lanes) * lanes
    rooms = dict(zip(backward.SCRATCH, backward.rooms("lstm", rows(), False), strict=True))
    options = {
        **{"cell": "lstm", "rows": rows(), "strip": 4},
        **{"kept": np.zeros(n * t * 4 * width), "kept_c": np.zeros(n * t * width)},
        **{"dh": np.zeros((n, width)), "dc": np.zeros((n, width)), "past": np.zeros((n, width))},
        **{name: np.zeros(size) for name, size in rooms.items()},
    }
    return backward.prepare(**{**options, **changes})


BAD_LAYOUTS = {
    **{"N": 3, "I": 5, "H": 6},
    "alive": [np.array([2, 1, 2]), np.array([3, 1, 1]), np.array([2, 2, 0]), np.zeros(0, np.intp)],
    "segments": [
        np.array([[0, 2, 0]]),
        np.array([[0, 2, 0], [1, 3, 0]]),
        np.zeros((0, 3), np.intp),
        np.zeros((1, 2), int),
    ],
    "x_size": 23,
    "x_row": [np.array([0, 13]), np.array([-1, 12]), np.array([0])],
    "x_step": [5, -4],
    "y_size": 29,
    "y_row": [np.array([0, 16]), np.array([-5, 0])],
    "y_step": [6, -5],
    "threads": 0,
}
BAD_PASSES = {
    "cell": ["gru", "tanh", "lstmp", ""],
    "rows": [rows(N=1, alive=np.ones(3, np.intp), x_row=np.zeros(1, np.intp), y_row=np.zeros(1, np.intp)), rows(H=4)],
    "panels": np.zeros((1, 9, 4, 1)),
    "bias": np.zeros((1, 4, 1)),
    "c": np.zeros((2, 3)),
    "h": np.zeros((1, 2, 16)),
    "phase": [np.zeros(2, np.intc), np.full(1, 2, np.intc)],
    "projected": np.zeros(3),
}
BAD_BACKWARDS = {
    "cell": ["tanh", "gru", ""],
    "rows": [
        rows(N=1, alive=np.ones(3, np.intp), x_row=np.zeros(1, np.intp), y_row=np.zeros(1, np.intp)),
        rows(alive=np.array([2, 2, 1])),
    ],
    "strip": [0, 5],
    **dict.fromkeys(["kept", "kept_c", "transposed", "columns", "panels"], np.zeros(7)),
    **dict.fromkeys(["dh", "dc", "past"], np.zeros((1, 8))),
}


@pytest.mark.skipif(cpu.isa() == "plain", reason="no packed kernels here")
@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        pytest.param(make, name, value, id=f"{make.__name__}-{name}-{k}")
        for make, bad in ((rows, BAD_LAYOUTS), (prepared, BAD_PASSES), (prepared_backward, BAD_BACKWARDS))
        for name, values in bad.items()
        for k, value in enumerate(values if isinstance(values, list) else [values])
    ],
)
def test_no_size_leads_out_of_an_array(make, name, value):
    make()
    with pytest.raises(ValueError, match=r"Layout|forward\.prepare|backward\.prepare|name of a cell"):
        make(**{name: value})


@pytest.mark.skipif(cpu.isa() == "plain", reason="no packed kernels here")
def test_a_pass_runs_only_on_what_it_was_prepared_for():
    ready = prepared()
    x, y = np.zeros((2, 3, 4)), np.ones((2, 3, 5))
    ready.bind(x, y)
    ready.go()
    assert not y.any()
    for wrong_x, wrong_y in ((x[:1], y), (x, y[:1]), (x.astype("f4"), y), (x, y.astype("f4"))):
        with pytest.raises(ValueError, match="sizes or dtypes do not agree"):
            ready.bind(wrong_x, wrong_y)
    with pytest.raises((ValueError, BufferError)):
        ready.bind(x[:, :, ::-1], y)
    fixed = y.copy()
    fixed.flags.writeable = False
    with pytest.raises((ValueError, BufferError)):
        ready.bind(x, fixed)
