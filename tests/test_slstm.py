"""What is particular to the sLSTM: its heads, its exponentials, and its state. Its equations are in test_cells.py."""

from dataclasses import replace

import numpy as np
import pytest
from gradcheck import relative_error
from recurrent_cases import Case, called, random_case, run, run_reference

import fastlstm as fl

EMPTY = -1e30

HEADS = [
    Case(5, 3, 2, 6, cell="slstm", options=(("heads", 2),)),
    Case(4, 7, 3, 51, 2, True, True, cell="slstm", options=(("heads", 3),)),
    Case(6, 2, 5, 4, 2, ragged=True, cell="slstm", options=(("heads", 4), ("forget_gate", "exp"))),
    Case(30, 1, 3, 64, cell="slstm", options=(("heads", 4),)),
]


def problem_of(case, seed=0):
    """A random problem of a case with heads, whose states have the public form."""
    problem = random_case(replace(case, options=()), seed)
    rng, layer = np.random.default_rng(seed), case.layer()
    problem.case = case
    problem.parameters = {name: rng.normal(0, 0.5, shape) for name, shape in layer.parameter_shapes().items()}
    return problem


def separate(problem, layer, k):
    """What a layer with heads gives in one layer and direction, by a layer for each head."""
    heads, own = dict(problem.case.options)["heads"], dict(problem.case.options)
    own.pop("heads")
    size = problem.case.hidden // heads
    found = []
    for head in range(heads):
        case = replace(problem.case, hidden=size, layers=1, bidirectional=False, options=tuple(own.items()))
        one = case.layer("float64")
        suffix = f"_l{k}_head{head}"
        parameters = {
            name.removesuffix(suffix) + "_l0": value
            for name, value in problem.parameters.items()
            if name.endswith(suffix) and "reverse" not in name
        }
        one.load_parameters(parameters, "float64")
        found.append(one)
    return found


@pytest.mark.parametrize("case", HEADS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_heads_are_layers_side_by_side(isa, case, dtype):
    """Forwards, of layers of one direction: each head sees no other."""
    case = replace(case, bidirectional=False, layers=1)
    problem = problem_of(case)
    found = called(problem, dtype)
    size = case.hidden // dict(case.options)["heads"]
    for head, one in enumerate(separate(problem, problem.layer(), 0)):
        part = slice(head * size, (head + 1) * size)
        state = tuple(np.ascontiguousarray(value[..., part]) for value in problem.state)
        y, after = one(problem.x, state, problem.lengths)
        tolerance = 1e-5 if dtype == "float32" else 1e-13
        np.testing.assert_allclose(found["y"][..., part], y, rtol=0, atol=tolerance)
        for name, value in zip("hcn", after, strict=True):
            np.testing.assert_allclose(found[name][..., part], value, rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("case", HEADS, ids=str)
def test_gradients_of_heads(isa, case):
    problem = problem_of(case)
    layer, tape = problem.layer(), fl.Workspace(0)
    lengths = None if problem.lengths is None else np.asarray(problem.lengths, np.intp)
    start = layer._heads_apart(problem.state)

    def forward():
        for parameter in layer.parameters():
            parameter.touch()
        return layer.forward_with_state(problem.x, start, tape, training=True, lengths=lengths)

    dend = layer._heads_apart(problem.dstate)

    def value():
        y, final = forward()
        return (y * problem.dy).sum() + sum((a * b).sum() for a, b in zip(final, dend, strict=True))

    forward()
    dx, initial = layer.backward_with_state(problem.dy, dend, tape)
    found = {"dx": (problem.x, dx.copy())}
    found |= {part: (array, own.copy()) for part, array, own in zip("hcn", start, initial, strict=True)}
    found |= {p.name: (p.writable(), p.grad.copy()) for p in layer.parameters()}
    for name, (array, gradient) in found.items():
        assert relative_error(value, array, gradient, 8) < 1e-6, name


def test_a_stream_gives_what_a_call_gives(isa):
    model = fl.Model([fl.SLSTM(3, 8, heads=2, num_layers=2), fl.Dense(8, 2)], dtype="float64", seed=0)
    x = np.random.default_rng(0).normal(size=(2, 9, 3))
    expected = model.predict(x)
    stream = model.stream(batch=2)
    found = np.stack([stream.step(x[:, t]) for t in range(5)], axis=1)
    np.testing.assert_allclose(found, expected[:, :5], rtol=0, atol=1e-13)
    saved = stream.state_dict()
    assert {part.shape for name, part in saved.items() if name.startswith("0.")} == {(2, 2, 8)}
    rest = np.stack([stream.step(x[:, t]) for t in range(5, 9)], axis=1)
    np.testing.assert_allclose(rest, expected[:, 5:], rtol=0, atol=1e-13)
    h, c, n = stream.states()[0]
    assert h.shape == c.shape == n.shape == (2, 2, 8)
    stream.load_state_dict(saved)
    np.testing.assert_array_equal(stream.step(x[:, 5]), rest[:, 0])
    stream.reset(rows=[1])
    again = stream.step(x[:, 0])
    np.testing.assert_allclose(again[1], expected[1, 0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("heads", [1, 3])
def test_a_look_ahead_carries_every_head_on(isa, heads):
    """The forward direction of each; the reverse one begins with nothing at the last step that has come."""
    both = fl.SLSTM(3, 6, heads=heads, bidirectional=True, dtype="float64")
    x = np.random.default_rng(0).normal(size=(2, 9, 3))
    stream = fl.Model([both], dtype="float64", seed=0).stream(2, look_ahead=2)
    found = np.concatenate([stream.run(x[:, :4]), stream.run(x[:, 4:7]), stream.run(x[:, 7:]), stream.finish()], axis=1)
    ahead = fl.SLSTM(3, 6, heads=heads, dtype="float64")
    behind = fl.SLSTM(3, 6, heads=heads, go_backwards=True, dtype="float64")
    values = {name: both.parameter(name).value for name in both.parameter_shapes()}
    ahead.load_parameters({name: value for name, value in values.items() if "_reverse" not in name}, "float64")
    reverse = {name.replace("_reverse", ""): value for name, value in values.items() if "_reverse" in name}
    behind.load_parameters(reverse, "float64")
    np.testing.assert_allclose(found[..., :6], ahead(x)[0], rtol=0, atol=1e-13)
    for first, last, come in ((0, 2, 4), (2, 5, 7), (5, 7, 9), (7, 9, 9)):
        y, _ = behind(x[:, first:come])
        np.testing.assert_allclose(found[:, first:last, 6:], y[:, : last - first], rtol=0, atol=1e-13)


def test_a_new_stream_has_written_nothing():
    stream = fl.Model([fl.SLSTM(3, 4)], dtype="float64", seed=0).stream(batch=2)
    h, c, n = stream.states()[0]
    assert not h.any()
    assert not c.any()
    assert (n == EMPTY).all()


def test_the_first_step_writes_all(isa):
    """Whatever its gates are, there is nothing else in the mean: c is z."""
    layer = fl.SLSTM(2, 5, dtype="float64", seed=1)
    x = np.random.default_rng(0).normal(0, 100, size=(3, 1, 2))
    _, (_, c, n) = layer(x)
    w, b = layer.parameter("weight_ih_l0").value, layer.parameter("bias_l0").value
    sums = x[:, 0] @ w.T + b
    np.testing.assert_allclose(c[0], np.tanh(sums[:, 10:15]), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(n[0], sums[:, :5], rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("forget_gate", ["sigmoid", "exp"])
def test_exponents_beyond_all_numbers(isa, dtype, forget_gate):
    """Sums of thousands: the exponentials are infinite in any type, the state and the gradients are not."""
    case = Case(12, 2, 3, 4, cell="slstm", options=(("forget_gate", forget_gate),))
    problem = random_case(case)
    problem.x *= 3000
    with np.errstate(over="ignore"):
        expected = run_reference(problem)
    for found in (called(problem, dtype), run(problem, dtype)):
        for name, value in found.items():
            assert np.isfinite(value).all(), name
            scale = max(1, np.abs(expected[name]).max())
            tolerance = 1e-3 if dtype == "float32" else 1e-10  # sums of 5,000 have so many digits behind the point
            np.testing.assert_allclose(value, expected[name], rtol=0, atol=tolerance * scale, err_msg=name)


def test_a_thousand_steps_stay_exact(isa):
    """N grows by every step, to a sum of a thousand exponentials."""
    case = Case(1000, 1, 2, 3, cell="slstm", options=(("forget_gate", "exp"),))
    problem = random_case(case)
    for name in problem.parameters:
        problem.parameters[name] *= 0.2
    expected = run_reference(problem)
    found = called(problem, "float32")
    for name in ("y", "c"):
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=2e-4, err_msg=name)


def test_a_state_of_the_paper_and_back():
    """Any C, N and m with the same C exp(m) and N exp(m) are the same state."""
    layer, rng = fl.SLSTM(3, 4, dtype="float64", seed=0), np.random.default_rng(0)
    h, c, m = rng.normal(size=(3, 1, 2, 4))
    n = rng.uniform(0.5, 3, size=(1, 2, 4))
    x = rng.normal(size=(2, 6, 3))
    y, _ = layer(x, (h, c / n, m + np.log(n)))
    scaled, _ = layer(x, (h, (c * np.e) / (n * np.e), (m - 1) + np.log(n * np.e)))
    np.testing.assert_allclose(y, scaled, rtol=1e-12)


def test_empty_rows_keep_what_they_begin_with(isa):
    layer = fl.SLSTM(3, 4, dtype="float64", seed=0)
    x = np.random.default_rng(0).normal(size=(3, 5, 3))
    y, (h, c, n) = layer(x, lengths=[5, 0, 2])
    assert not y[1].any()
    assert not h[0, 1].any()
    assert not c[0, 1].any()
    assert (n[0, 1] == EMPTY).all()
    np.testing.assert_allclose(h[0, 2], layer(x[2:, :2])[1][0][0, 0], rtol=0, atol=1e-14)


def test_chrono_spreads_the_biases():
    layer = fl.SLSTM(3, 100, chrono=50, seed=0)
    layer.build()
    bias = layer.parameter("bias_l0").value.reshape(4, 100)
    assert bias[1].min() >= 0
    assert bias[1].max() <= np.log(49)
    np.testing.assert_array_equal(bias[0], -bias[1])


def test_the_config_makes_the_same_layer():
    layer = fl.SLSTM(3, 6, heads=3, forget_gate="exp", num_layers=2, bidirectional=True)
    again = type(layer).from_config(layer.config())
    assert again.config() == layer.config()
    assert again.parameter_shapes() == layer.parameter_shapes()
    assert fl.SLSTM(3, 6).config().keys() == {
        *("input_size", "hidden_size", "num_layers", "bidirectional", "dropout", "bias", "forget_bias")
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heads": 4}, "heads: expected a number that divides hidden_size, 6, got 4"),
        ({"heads": 0}, "heads: expected"),
        ({"forget_gate": "relu"}, "forget_gate: expected 'sigmoid' or 'exp', got 'relu'"),
        ({"learn_initial_state": True}, "learn_initial_state: expected False of an SLSTM"),
        ({"peephole": True}, "peephole"),
        ({"chrono": 1}, "chrono: expected"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        fl.SLSTM(3, 6, **arguments)


def test_a_state_of_other_parts_is_refused():
    layer = fl.SLSTM(3, 6, heads=2, seed=0)
    with pytest.raises(TypeError, match=r"state: expected a tuple \(h, c, n\), got tuple of 2"):
        layer(np.ones((2, 4, 3)), (np.zeros((1, 2, 6)), np.zeros((1, 2, 6))))
    with pytest.raises(ValueError, match=r"state n: expected shape \(1, 2, 6\)"):
        layer(np.ones((2, 4, 3)), (np.zeros((1, 2, 6)), np.zeros((1, 2, 6)), np.zeros((2, 2, 3))))


def test_training_learns(isa):
    """The last number of a sequence whose first one says whether to remember it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 8, 2))
    target = x[:, 0, :1]
    model = fl.Model([fl.SLSTM(2, 16, heads=2), fl.Last(), fl.Dense(16, 1)], seed=0)
    history = fl.Trainer(model, "mse", fl.Adam(0.02)).fit(x, target, epochs=60, seed=0, progress=False)
    assert history["loss"][-1] < 0.1 * history["loss"][0]


@pytest.mark.parametrize("forget_gate", ["sigmoid", "exp"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_near_the_largest_number_saturate(isa, forget_gate, dtype):
    """Sums overflow to both sides of zero, and a step after that, too: no state becomes infinite, none no number."""
    largest = np.finfo(dtype).max
    for seed, (inputs, hidden) in enumerate([(1, 1), (3, 8), (17, 33)]):
        layer = fl.SLSTM(inputs, hidden, num_layers=2, forget_gate=forget_gate, dtype=dtype, seed=seed)
        x = (largest * np.random.default_rng(seed).choice([-1.0, 1.0], (3, 5, inputs))).astype(dtype)
        x[1] = 1
        y, state = layer(x)
        assert (np.abs(y) <= 1).all()
        assert all(np.isfinite(part).all() for part in state)
        np.testing.assert_allclose(y[1:2], layer(x[1:2])[0], rtol=0, atol=1e-6)
        tape = fl.Workspace(0)
        y, _ = layer.forward_with_state(x, None, tape, training=True, lengths=None)
        dx, _ = layer.backward_with_state(np.ones_like(y), None, tape)
        assert (np.abs(y) <= 1).all()
        assert np.isfinite(dx).all()
        for parameter in layer.parameters():
            assert np.isfinite(parameter.grad).all(), parameter.name


def test_settings_of_all_heads_at_once():
    layer = fl.SLSTM(3, 6, heads=2, init={"weight_hh": "identity"}, trainable={"weight_hh_l0_head1": False})
    layer.build()
    for head in range(2):
        u = layer.parameter(f"weight_hh_l0_head{head}").value.reshape(4, 3, 3)
        np.testing.assert_array_equal(u, np.broadcast_to(np.eye(3), (4, 3, 3)))
    assert [p.name for p in layer.parameters() if not p.trainable] == ["weight_hh_l0_head1"]
