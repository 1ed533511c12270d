"""The options of the recurrent cells: against central differences, the reference, the plain path and ONNX Runtime."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from gradcheck import relative_error
from hypothesis import given, settings
from hypothesis import strategies as st
from recurrent_cases import Case, called, forced, loss_of, random_case, run, run_reference

import fastlstm as fl
from fastlstm.layers import packed

FUNCTIONS = [
    *("sigmoid", "tanh", "relu", "softsign", "softplus", ("hard_sigmoid", 0.2, 0.5), ("hard_sigmoid", 1 / 6, 0.5)),
    *(("leaky_relu", 0.1), ("thresholded_relu", 0.3), ("elu", 0.7), ("affine", 0.6, 0.1), ("scaled_tanh", 1.2, 0.7)),
]
ALONE = {
    "peephole": {"peephole": True},
    "coupled": {"coupled": True},
    "clip": {"clip": 0.7},
    "cell_clip": {"cell_clip": 0.4},
    **{f"activation-{function}": {"activation": function} for function in FUNCTIONS},
    **{f"recurrent-{function}": {"recurrent_activation": function} for function in FUNCTIONS},
    **{f"cell-{function}": {"cell_activation": function} for function in FUNCTIONS},
    "projection": {"proj_size": 2},
    "projection, all": {"proj_size": 2, "peephole": True, "clip": 1.5, "cell_clip": 0.8, "activation": "softsign"},
    "projection, coupled": {"proj_size": 1, "coupled": True},
    "norm": {"layer_norm": True},
    "norm, coupled": {"layer_norm": 1e-3, "coupled": True},
    "norm, projection": {"layer_norm": True, "proj_size": 2},
    "norm, all": {"layer_norm": 1e-3, "peephole": True, "clip": 1.5, "cell_clip": 0.8, "cell_activation": "softsign"},
    "norm, all, projection": {"layer_norm": 0.01, "peephole": True, "coupled": True, "cell_clip": 0.8, "proj_size": 2},
    "all": {"peephole": True, "clip": 1.5, "cell_clip": 0.8, "activation": "softsign", "cell_activation": ("elu", 0.5)},
    "all coupled": {"peephole": True, "coupled": True, "clip": 2.0, "recurrent_activation": ("hard_sigmoid", 0.2, 0.5)},
}
OTHERS = {
    "gru, clip": ("gru", {"clip": 0.7}),
    "gru, all": ("gru", {"clip": 1.5, "activation": "softsign", "recurrent_activation": ("hard_sigmoid", 0.2, 0.5)}),
    "gru, before": ("gru", {"reset": "before"}),
    "gru, before, all": (
        "gru",
        {"reset": "before", "clip": 1.5, "activation": "softsign", "recurrent_activation": ("hard_sigmoid", 0.2, 0.5)},
    ),
    "min, positive": ("min_lstm", {"positive": True}),
    "simple, clip": ("simple", {"clip": 0.7}),
    "simple, all": ("simple", {"clip": 1.5, "activation": ("elu", 0.7)}),
    **{
        f"gru, activation-{function}": ("gru", {"activation": function}) for function in FUNCTIONS if function != "tanh"
    },
    **{f"gru, recurrent-{function}": ("gru", {"recurrent_activation": function}) for function in FUNCTIONS[1:]},
    **{f"simple, {function}": ("simple", {"activation": function}) for function in FUNCTIONS if function != "tanh"},
}
BOTH_PHASES = ("projection, all", "projection, coupled", "gru, before", "gru, before, all")
BOTH_PHASES += ("norm", "norm, coupled", "norm, all, projection")
EVERY = {name: ("lstm", options) for name, options in ALONE.items()} | OTHERS
"""Cells and options of theirs."""
BY_FUNCTION = {name: case for name, case in EVERY.items() if any(word in name for word in ("-", "simple, "))}
OTHERWISE = {name: case for name, case in EVERY.items() if name not in BY_FUNCTION}
LAYERS = {"lstm": fl.LSTM, "gru": fl.GRU, "simple": fl.SimpleRNN, "min_lstm": fl.MinLSTM}
SHAPES = [
    *(Case(5, 3, 3, 17, 2, True, True), Case(4, 1, 1, 1), Case(7, 2, 17, 33), Case(3, 7, 33, 3, bias=False)),
    *(Case(6, 13, 5, 16), Case(1, 2, 3, 5), Case(2, 40, 3, 131)),
]


def with_options(case, options, cell="lstm"):
    case = replace(case, hidden=max(case.hidden, options.get("proj_size", 0) + 1))
    return replace(case, cell=cell, options=tuple(options.items()))


def tame_case(case, seed=0):
    """A random problem whose numbers do not grow where gates have no bounds: errors would grow with them."""
    problem = random_case(case, seed)
    for value in problem.parameters.values():
        value *= min(1, (2 if case.cell == "lstm" else 1) / np.sqrt(case.inputs + case.hidden))
    return problem


@cache
def solved(case, seed):
    """The same with what the reference finds, once for all instruction sets and both dtypes."""
    problem = tame_case(case, seed)
    return problem, run_reference(problem)


def random_options(draw):
    """Some of the options, each with a value of its own."""
    function = st.sampled_from(FUNCTIONS)
    each = {
        "peephole": st.booleans(),
        "coupled": st.booleans(),
        "activation": function,
        "recurrent_activation": function,
        "cell_activation": function,
        "clip": st.floats(0.3, 3),
        "cell_clip": st.floats(0.3, 3),
        "proj_size": st.sampled_from([1, 2, 16]),
        "layer_norm": st.sampled_from([True, 1e-3]),
    }
    return {name: draw(value) for name, value in each.items() if draw(st.booleans())} or {"peephole": True}


@st.composite
def random_cases(draw):
    case = Case(
        t=draw(st.integers(1, 7)),
        n=draw(st.integers(1, 8)),
        inputs=draw(st.sampled_from([1, 3, 17, 33])),
        hidden=draw(st.sampled_from([1, 3, 17, 33])),
        layers=draw(st.integers(1, 2)),
        bidirectional=draw(st.booleans()),
        ragged=draw(st.booleans()),
        bias=draw(st.booleans()),
    )
    return with_options(case, random_options(draw))


def check_against_reference(problem, dtype, tolerance, expected=None):
    expected = run_reference(problem) if expected is None else expected
    for found in (called(problem, dtype), run(problem, dtype)):
        for name, value in found.items():
            scale = max(1, np.abs(expected[name]).max())
            np.testing.assert_allclose(value, expected[name], rtol=0, atol=tolerance * scale, err_msg=name)


def check_against_differences(problem):
    layer, found = problem.layer(), run(problem)
    arrays = {"dx": problem.x, **dict(zip(("dh0", "dc0"), problem.state, strict=False))}
    lengths = None if problem.lengths is None else np.asarray(problem.lengths, np.intp)
    tape = fl.Workspace(0)

    def value():
        for parameter in layer.parameters():
            parameter.touch()
        y, final = layer.forward_with_state(problem.x, problem.state, tape, training=True, lengths=lengths)
        return loss_of(problem, y, final)

    for name, array in arrays.items():
        assert relative_error(value, array, found[name]) < 1e-6, name
    for name in layer.parameter_shapes():
        assert relative_error(value, layer.parameter(name).writable(), found[name]) < 1e-6, name


@pytest.mark.parametrize(("cell", "options"), BY_FUNCTION.values(), ids=BY_FUNCTION)
def test_gradients_of_functions_against_central_differences(monkeypatch, path, cell, options):
    """In one layer and one direction; with two of each they equal the reference's, see below."""
    monkeypatch.setattr("gradcheck.STEP", 1e-5)
    check_against_differences(random_case(with_options(Case(4, 3, 3, 5, ragged=True), options, cell)))


@pytest.mark.parametrize(("cell", "options"), OTHERWISE.values(), ids=OTHERWISE)
def test_gradients_against_central_differences(monkeypatch, path, cell, options):
    """On the other instruction sets they equal the reference's, see below."""
    monkeypatch.setattr("gradcheck.STEP", 1e-5)  # hardly anything comes to a kink of a function
    for case in (Case(4, 3, 3, 5, 2, True, True), Case(3, 2, 1, 17)):
        check_against_differences(random_case(with_options(case, options, cell)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("cell", "options"), EVERY.values(), ids=EVERY)
def test_everything_equals_the_reference(isa, cell, options, dtype):
    shapes = SHAPES[:1] if (cell, options) in BY_FUNCTION.values() else SHAPES
    for seed, shape in enumerate(shapes):
        problem, expected = solved(with_options(shape, options, cell), seed)
        check_against_reference(problem, dtype, 1e-4 if dtype == "float32" else 1e-12, expected)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(random_cases(), st.integers(0, 2**32 - 1))
def test_any_combination_equals_the_reference(case, seed):
    check_against_reference(tame_case(case, seed), "float64", 1e-11)


FULL_NAMES = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "hard_sigmoid": "HardSigmoid",
    "softsign": "Softsign",
    "softplus": "Softplus",
    "leaky_relu": "LeakyRelu",
    "thresholded_relu": "ThresholdedRelu",
    "elu": "Elu",
    "affine": "Affine",
    "scaled_tanh": "ScaledTanh",
}


def as_onnx(problem, rng):
    """The inputs and attributes of an ONNX node LSTM."""
    case, options = problem.case, dict(problem.case.options)
    hidden, directions = case.hidden, 2 if case.bidirectional else 1
    activation = options.get("activation", "tanh")
    functions = [options.get("recurrent_activation", "sigmoid"), activation, options.get("cell_activation", activation)]
    numbers = [numbers_of(function) for function in functions * directions]

    def ignored(like):
        return rng.normal(size=like.shape)

    def rows(array):  # from i, f, g, o, or i, g, o, to i, o, f, g
        i, *f, g, o = np.split(array, 3 if options.get("coupled") else 4)
        return np.concatenate([i, o, *(f or [ignored(i)]), g])

    def peepholes(p):
        i, *f, o = np.split(p, 2 if options.get("coupled") else 3)
        return np.concatenate([i, o, *(f or [ignored(i)])])

    def stacked(name, order):
        return np.stack([order(problem.parameters[name + end]) for end in ("_l0", "_l0_reverse")[:directions]])

    attributes = {"hidden_size": hidden, "direction": "bidirectional" if directions == 2 else "forward"}
    attributes["activations"] = [FULL_NAMES[name] for name, *_ in numbers]
    attributes["activation_alpha"] = [float(own[0]) for _, *own in numbers if own]
    attributes["activation_beta"] = [float(own[1]) for _, *own in numbers if len(own) > 1]
    attributes["input_forget"] = int(options.get("coupled", False))
    if "clip" in options:
        attributes["clip"] = options["clip"]
    arrays = [
        problem.x.transpose(1, 0, 2),
        *(stacked(name, rows) for name in ("weight_ih", "weight_hh")),
        stacked("bias", lambda b: np.concatenate([rows(b), np.zeros(4 * hidden)])) if case.bias else None,
        None if problem.lengths is None else np.asarray(problem.lengths, np.int32),
        *problem.state,
        stacked("peephole", peepholes) if options.get("peephole") else None,
    ]
    return arrays, attributes


def numbers_of(function):
    return (function,) if isinstance(function, str) else function


def session_of(kind, arrays, attributes, outputs):
    """ONNX Runtime's outputs of a model of one node. Arrays are its inputs in their order, or None."""
    from onnx import TensorProto, helper

    given = {f"input{k}": value for k, value in enumerate(arrays) if value is not None}
    given = {name: a if a.dtype == np.int32 else a.astype(np.float32) for name, a in given.items()}
    kinds = {name: TensorProto.INT32 if a.dtype == np.int32 else TensorProto.FLOAT for name, a in given.items()}
    names = [f"input{k}" if value is not None else "" for k, value in enumerate(arrays)]
    inputs = [helper.make_tensor_value_info(name, kinds[name], a.shape) for name, a in given.items()]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    node = helper.make_node(kind, names, outputs, **{name: value for name, value in attributes.items() if value != []})
    graph = helper.make_graph([node], "model", inputs, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, given)


@st.composite
def random_cases_of(draw, cell):
    case = draw(random_cases())
    names = ("activation", "recurrent_activation", "clip") if cell == "gru" else ("activation", "clip")
    options = {name: value for name, value in case.options if name in names} or {"clip": 1.0}
    if cell == "gru":
        options["reset"] = draw(st.sampled_from(["after", "before"]))
    return with_options(replace(case, layers=1), options, cell)


@pytest.mark.parametrize("cell", ["gru", "simple"])
def test_other_cells_equal_onnx_runtime(cell):
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")

    @settings(max_examples=80, deadline=None, derandomize=True)
    @given(random_cases_of(cell), st.integers(0, 2**32 - 1))
    def check(case, seed):
        problem, options = tame_case(case, seed), dict(case.options)
        directions = 2 if case.bidirectional else 1
        ends = ("_l0", "_l0_reverse")[:directions]
        functions = [numbers_of(options.get("activation", "tanh"))]
        if cell == "gru":
            functions.insert(0, numbers_of(options.get("recurrent_activation", "sigmoid")))
        functions *= directions
        attributes = {"hidden_size": case.hidden, "direction": "bidirectional" if directions == 2 else "forward"}
        attributes["activations"] = [FULL_NAMES[name] for name, *_ in functions]
        attributes["activation_alpha"] = [float(own[0]) for _, *own in functions if own]
        attributes["activation_beta"] = [float(own[1]) for _, *own in functions if len(own) > 1]
        if "clip" in options:
            attributes["clip"] = options["clip"]

        def rows(array):  # from r, z, n to z, r, n
            if cell == "simple":
                return array
            r, z, n = np.split(array, 3)
            return np.concatenate([z, r, n])

        def biases(array):
            if cell == "simple":
                return np.concatenate([array, np.zeros_like(array)])
            r, z, n, *m = np.split(array, 3 if options["reset"] == "before" else 4)
            m = m[0] if m else np.zeros_like(r)
            return np.concatenate([z, r, n, np.zeros_like(r), np.zeros_like(z), m])

        if cell == "gru":
            attributes["linear_before_reset"] = int(options["reset"] == "after")
        own = problem.parameters
        arrays = [
            problem.x.transpose(1, 0, 2),
            *(np.stack([rows(own[name + end]) for end in ends]) for name in ("weight_ih", "weight_hh")),
            np.stack([biases(own["bias" + end]) for end in ends]) if case.bias else None,
            None if problem.lengths is None else np.asarray(problem.lengths, np.int32),
            problem.state[0],
        ]
        y, h = session_of("GRU" if cell == "gru" else "RNN", arrays, attributes, ["Y", "Y_h"])
        found = called(problem, "float64")
        for name, expected in (("y", y.transpose(2, 0, 1, 3).reshape(case.n, case.t, -1)), ("h", h)):
            scale = max(1, np.abs(expected).max())
            np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-5 * scale, err_msg=name)

    check()


@settings(max_examples=80, deadline=None, derandomize=True)
@given(random_cases(), st.integers(0, 2**32 - 1))
def test_inference_equals_onnx_runtime(case, seed):
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    options = tuple(
        (name, value) for name, value in case.options if name not in ("cell_clip", "proj_size", "layer_norm")
    )
    problem = tame_case(replace(case, layers=1, options=options or (("peephole", True),)), seed)
    y, h, c = session_of("LSTM", *as_onnx(problem, np.random.default_rng(seed)), ["Y", "Y_h", "Y_c"])
    y = y.transpose(2, 0, 1, 3).reshape(case.n, case.t, -1)
    found = called(problem, "float64")
    for name, expected in (("y", y), ("h", h), ("c", c)):
        scale = max(1, np.abs(expected).max())
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-5 * scale, err_msg=name)


@pytest.mark.parametrize(("cell", "options"), EVERY.values(), ids=EVERY)
def test_options_survive_a_file_and_a_config(tmp_path, cell, options):
    layer = LAYERS[cell](3, 5, num_layers=2, **options)
    model = fl.Model([layer, fl.Dense(layer.output_size, 2)], seed=0)
    again = LAYERS[cell].from_config(model.layers[0].config())
    assert again.config() == model.layers[0].config()
    assert again.parameter_shapes() == model.layers[0].parameter_shapes()
    fl.save(model, tmp_path / "model.safetensors")
    x = np.random.default_rng(0).normal(size=(3, 4, 3)).astype(np.float32)
    np.testing.assert_array_equal(fl.load(tmp_path / "model.safetensors").predict(x), model.predict(x))


def test_a_config_says_only_what_is_not_usual():
    assert fl.LSTM(3, 5).config().keys() == fl.LSTM(3, 5, activation="tanh", clip=None).config().keys()
    layer = fl.LSTM(3, 5, activation=("elu", 1.0), recurrent_activation=("hard_sigmoid", 1 / 6), clip=3)
    named = {name: layer.config()[name] for name in ("activation", "recurrent_activation", "clip")}
    assert named == {"activation": "elu", "recurrent_activation": ["hard_sigmoid", 1 / 6, 0.5], "clip": 3.0}


def test_peepholes_of_zeros_and_far_clips_are_the_plain_lstm(isa):
    x = np.random.default_rng(0).normal(size=(5, 7, 3))
    plain = fl.LSTM(3, 17, num_layers=2, seed=0, dtype="float64")
    other = fl.LSTM(3, 17, num_layers=2, seed=0, dtype="float64", peephole=True, clip=1e9, cell_clip=1e9)
    for name in plain.parameter_shapes():
        np.testing.assert_array_equal(other.parameter(name).value, plain.parameter(name).value)
    np.testing.assert_allclose(other(x)[0], plain(x)[0], rtol=1e-12, atol=1e-14)


def test_a_coupled_lstm_starts_with_the_same_forget_gate():
    layer = fl.LSTM(3, 5, coupled=True, forget_bias=2.0, seed=0)
    assert layer.parameter("weight_ih_l0").shape == (15, 3)
    np.testing.assert_array_equal(layer.parameter("bias_l0").value, [-2.0] * 5 + [0.0] * 10)
    gates = layer.gates(np.zeros((1, 1, 3)))
    np.testing.assert_allclose(gates.forget, 1 / (1 + np.exp(-2)), rtol=1e-6)


@pytest.mark.parametrize("options", ALONE.values(), ids=ALONE)
def test_gates_are_those_of_the_pass(options):
    problem = random_case(with_options(Case(5, 3, 3, 17), options))
    layer = problem.layer()
    found = layer.gates(problem.x, problem.given())
    y, (_, c) = layer(problem.x, problem.given())
    before = np.concatenate([problem.state[1][0][:, None], found.cell[:, :-1]], 1)
    limit = options.get("cell_clip", np.inf)
    kept = np.clip(found.forget * before + found.input * found.candidate, -limit, limit)
    np.testing.assert_allclose(found.cell, kept, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.hidden, y, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.cell[:, -1], c[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", ["bfloat16", "int8x16", "int8"])
@pytest.mark.parametrize("name", [*BOTH_PHASES, "all", "all coupled", "gru, all", "simple, all"])
def test_inference_in_fewer_bits(name, kind, monkeypatch):
    monkeypatch.setattr(packed, "worth", lambda format, *sizes: format)  # even where that is not faster
    cell, options = EVERY[name]
    x = np.random.default_rng(0).normal(size=(3, 7, 64)).astype(np.float32)
    options = {**options, "init": {"weight_hh": "glorot_uniform"}}  # orthogonal ones take longer
    exact, narrow = (LAYERS[cell](64, 256, seed=0, weights=weights, **options)(x)[0] for weights in (None, kind))
    off = np.abs(narrow - exact).max()
    assert 0 < off < (0.15 if "layer_norm" in options else 0.05)  # sums of large numbers, which gates feel more


@pytest.mark.parametrize("name", ["all", "all coupled", *BOTH_PHASES])
def test_streams_carries_and_learns(isa, name):
    cell, options = EVERY[name]
    if "proj_size" in options:
        options = {**options, "proj_size": 6}
    first = LAYERS[cell](3, 17, num_layers=2, **options)
    second = LAYERS[cell](first.output_size, 7, **options)
    model = fl.Model([first, second, fl.Dense(second.output_size, 2)], dtype="float64", seed=0)
    x = np.random.default_rng(0).normal(size=(2, 7, 3))
    whole = model.predict(x)
    stream, tape = model.stream(batch=2), model.tape(carry=True)
    for t in range(7):
        np.testing.assert_allclose(stream.step(x[:, t]), whole[:, t], atol=1e-12)
    parts = [model.forward(x[:, a:b], tape, training=True).copy() for a, b in ((0, 3), (3, 7))]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-12)
    y = np.random.default_rng(1).normal(size=(2, 7, 2)) / 4
    history = fl.Trainer(model, "mse", fl.Adam(0.01)).fit(x, y, epochs=120, batch_size=2, progress=False)
    assert history["loss"][-1] < 0.3 * history["loss"][0]


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("by_units", [False, True])
@pytest.mark.parametrize("name", ["all", *BOTH_PHASES])
def test_any_number_of_threads_gives_the_same_bits(monkeypatch, isa, name, threads, by_units):
    cell, options = EVERY[name]
    problem = random_case(with_options(Case(9, 7, 5, 70, 2, True, True), options, cell))
    fl.set_num_threads(1)
    once = {**run(problem, "float32"), **{f"called {k}": v for k, v in called(problem, "float32").items()}}
    forced(monkeypatch, threads, by_units)
    again = {**run(problem, "float32"), **{f"called {k}": v for k, v in called(problem, "float32").items()}}
    for name, value in once.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)


@pytest.mark.parametrize("hidden", [5, 17, 33])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_units_beyond_the_last_one_grow(isa, dtype, hidden):
    """Where a function of zero is not zero, numbers that only fill a vector would grow, and spoil gradients."""
    functions = {"recurrent_activation": ("affine", 0.1, 1.5), "activation": ("affine", 1.0, 0.3)}
    layer = fl.LSTM(3, hidden, **functions, cell_activation="tanh", dtype=dtype, seed=0)
    bias = np.full(4 * hidden, -9.0)
    bias[2 * hidden : 3 * hidden] = 0
    layer.parameter("bias_l0").assign(bias, np.dtype(dtype))
    t = 400 if dtype == "float32" else 2500
    x = np.random.default_rng(0).normal(size=(2, t, 3)).astype(dtype)
    tape = fl.Workspace(0)
    y = layer.forward(x, tape, training=True, lengths=None)
    dx = layer.backward(np.ones_like(y), tape)
    assert np.isfinite(dx).all()
    assert all(np.isfinite(parameter.grad).all() for parameter in layer.parameters())


def test_a_number_at_the_limit_was_not_clipped(isa):
    """In float32 the limit 0.1 is rounded, and c stays exactly there."""
    layer = fl.LSTM(3, 8, recurrent_activation="hard_sigmoid", cell_clip=0.1, dtype="float32", seed=0)
    layer.parameter("bias_l0").assign(np.repeat([-20.0, 20.0, 0.0, 0.0], 8), np.dtype("float32"))
    x, h, c = np.zeros((1, 2, 3), "f4"), np.zeros((1, 1, 8), "f4"), np.full((1, 1, 8), 0.1, "f4")
    tape, dc = fl.Workspace(0), np.arange(1.0, 9, dtype="f4").reshape(1, 1, 8)
    layer.forward_with_state(x, (h, c), tape, training=True, lengths=None)
    _, (_, found) = layer.backward_with_state(np.zeros((1, 2, 8), "f4"), (np.zeros_like(dc), dc), tape)
    np.testing.assert_allclose(found, dc)


WRONG = [
    ({"activation": "swish"}, ValueError, r"activation: expected one of sigmoid, tanh, .*, got 'swish'"),
    ({"activation": 3}, TypeError, r"activation: expected a name, or a tuple of a name, alpha and beta, got 3"),
    ({"activation": ()}, TypeError, r"activation: expected a name"),
    ({"cell_activation": ("tanh", 2)}, ValueError, r"cell_activation: tanh takes no numbers, got \('tanh', 2\)"),
    ({"recurrent_activation": ("elu", 1, 2)}, ValueError, r"recurrent_activation: elu takes alpha, got"),
    ({"activation": ("elu", "1")}, TypeError, r"activation: elu: expected a number, got '1'"),
    ({"activation": ("elu", np.nan)}, ValueError, r"activation: expected numbers that float32 can hold"),
    ({"activation": ("elu", 1e300)}, ValueError, r"activation: expected numbers that float32 can hold"),
    ({"clip": 1e-50}, ValueError, r"clip: expected a finite number above 0, or None, got 1e-50"),
    ({"activation": ("elu", np.inf)}, ValueError, r"activation: expected numbers that float32 can hold"),
    ({"activation": ("elu", 10**400)}, ValueError, r"activation: elu: expected a number that a float can hold"),
    ({"clip": 0}, ValueError, r"clip: expected a finite number above 0, or None, got 0"),
    ({"clip": -1}, ValueError, r"clip: expected at least 0, got -1"),
    ({"cell_clip": np.inf}, ValueError, r"cell_clip: expected a finite number above 0, or None, got inf"),
    ({"cell_clip": "1"}, TypeError, r"cell_clip: expected a number, got '1'"),
    (
        {"layer_norm": 0},
        ValueError,
        r"layer_norm: expected True, False, or what is added to the variance, 1e-12 to 1; got 0",
    ),
    ({"layer_norm": "yes"}, ValueError, r"layer_norm: expected True, False, or .*; got 'yes'"),
    ({"layer_norm": np.nan}, ValueError, r"layer_norm: expected True, False, or .*; got nan"),
    ({"layer_norm": True, "two_biases": True}, ValueError, r"two_biases: expected False with layer_norm, .* got True"),
    ({"peephole": 1}, TypeError, r"peephole: expected True or False, got 1"),
    ({"coupled": "yes"}, TypeError, r"coupled: expected True or False, got 'yes'"),
]


@pytest.mark.parametrize(("options", "error", "message"), WRONG, ids=[str(options) for options, *_ in WRONG])
def test_what_is_wrong_is_named(options, error, message):
    with pytest.raises(error, match=message):
        fl.LSTM(3, 4, **options)
