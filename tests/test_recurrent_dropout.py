"""What a recurrent layer leaves out at random while it trains: dropout of all kinds, DropConnect and zoneout."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from gradcheck import relative_error
from recurrent_cases import Case, called, forced, loss_of, random_case, run, run_reference

import fastlstm as fl
from fastlstm._kernels import cpu

LSTM_OPTIONS = {
    "state": {"recurrent_dropout": 0.4},
    "candidate": {"recurrent_dropout": 0.4, "recurrent_dropout_on": "candidate"},
    "zoneout": {"zoneout": 0.3},
    "zoneout of h": {"zoneout": (0.5, 0.0)},
    "zoneout of c": {"zoneout": (0.0, 0.4)},
    "inputs": {"input_dropout": 0.3},
    "inputs, variational": {"input_dropout": 0.3, "dropout": 0.2, "variational": True},
    "weights": {"weight_dropout": 0.4},
    "all": {
        **{"recurrent_dropout": 0.3, "zoneout": (0.3, 0.2), "input_dropout": 0.2, "weight_dropout": 0.2},
        **{"dropout": 0.3, "variational": True, "peephole": True, "coupled": True, "cell_clip": 2.0},
    },
    "projection, state": {"proj_size": 2, "recurrent_dropout": 0.4, "zoneout": 0.3},
    "projection, all": {
        **{"proj_size": 2, "recurrent_dropout": 0.3, "recurrent_dropout_on": "candidate", "zoneout": (0.3, 0.2)},
        **{"weight_dropout": 0.2, "dropout": 0.3, "variational": True, "peephole": True, "coupled": True},
    },
    "norm, state": {"layer_norm": True, "recurrent_dropout": 0.4, "zoneout": 0.3},
    "norm, projection, all": {
        **{"layer_norm": 0.01, "proj_size": 2, "recurrent_dropout": 0.3, "recurrent_dropout_on": "candidate"},
        **{"zoneout": (0.3, 0.2), "weight_dropout": 0.2, "dropout": 0.3, "peephole": True, "coupled": True},
    },
    "all, candidate": {
        **{"recurrent_dropout": 0.3, "recurrent_dropout_on": "candidate", "zoneout": 0.2, "weight_dropout": 0.3},
        **{"dropout": 0.3, "activation": "softsign", "peephole": True},
    },
}
OTHERS = {
    "gru, state": ("gru", {"recurrent_dropout": 0.4}),
    "gru, candidate": ("gru", {"recurrent_dropout": 0.4, "recurrent_dropout_on": "candidate"}),
    "gru, zoneout": ("gru", {"zoneout": 0.3}),
    "gru, inputs": ("gru", {"input_dropout": 0.3, "dropout": 0.2}),
    "gru, all": (
        "gru",
        {
            **{"recurrent_dropout": 0.3, "zoneout": 0.3, "input_dropout": 0.2, "weight_dropout": 0.2, "dropout": 0.3},
            **{"variational": True, "activation": "softsign", "clip": 2.5},
        },
    ),
    "gru, before, state": ("gru", {"reset": "before", "recurrent_dropout": 0.4}),
    "gru, before, all": (
        "gru",
        {
            **{"reset": "before", "recurrent_dropout": 0.3, "recurrent_dropout_on": "candidate", "zoneout": 0.3},
            **{"input_dropout": 0.2, "weight_dropout": 0.2, "dropout": 0.3, "variational": True, "clip": 2.5},
        },
    ),
    "simple, state": ("simple", {"recurrent_dropout": 0.4}),
    "simple, weights": ("simple", {"weight_dropout": 0.4}),
    "simple, all": (
        "simple",
        {
            **{"recurrent_dropout": 0.3, "zoneout": 0.3, "input_dropout": 0.2, "weight_dropout": 0.2, "dropout": 0.3},
            "activation": ("scaled_tanh", 1.2, 0.7),
        },
    ),
}
KINDS = {name: ("lstm", options) for name, options in LSTM_OPTIONS.items()} | OTHERS
"""Cells and options of theirs."""
LAYERS = {"lstm": fl.LSTM, "gru": fl.GRU, "simple": fl.SimpleRNN}
SHAPES = [Case(5, 3, 3, 17, 2, True, True), Case(4, 7, 5, 33, 2), Case(6, 1, 2, 3, 2, bias=False)]


def with_options(case, kind):
    cell, options = kind
    return replace(case, cell=cell, options=tuple(options.items()))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_gradients_against_central_differences(monkeypatch, path, kind):
    """Each pass goes on from the same state of the tape, so that the masks are the same."""
    monkeypatch.setattr("gradcheck.STEP", 1e-5)  # hardly anything comes to where it is clipped
    for case in SHAPES if path == "plain" else SHAPES[:1]:
        problem, tape = random_case(with_options(case, kind)), fl.Workspace(6)
        run(problem, tape=tape)
        layer, begin = problem.layer(), tape.state()
        found = run(problem, tape=tape)
        lengths = None if problem.lengths is None else np.asarray(problem.lengths, np.intp)
        arrays = {"dx": problem.x, **dict(zip(("dh0", "dc0"), problem.state, strict=False))}

        def value(layer=layer, problem=problem, lengths=lengths, tape=tape, begin=begin):
            for parameter in layer.parameters():
                parameter.touch()
            tape.restore(begin)
            y, final = layer.forward_with_state(problem.x, problem.state, tape, training=True, lengths=lengths)
            return loss_of(problem, y, final)

        for name, array in arrays.items():
            assert relative_error(value, array, found[name]) < 1e-6, name
        for name in layer.parameter_shapes():
            assert relative_error(value, layer.parameter(name).writable(), found[name]) < 1e-6, name


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_plain_path_leaves_out_the_same(packed_isa, kind):
    for case in SHAPES:
        problem = random_case(with_options(case, kind))
        fast = run(problem, tape=fl.Workspace(3))
        cpu.choose("plain")
        try:
            plain = run(problem, tape=fl.Workspace(3))
        finally:
            cpu.choose(packed_isa)
        for name, value in plain.items():
            np.testing.assert_allclose(fast[name], value, rtol=1e-9, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_inference_leaves_nothing_out(isa, kind):
    """Zoneout takes the mean there."""
    cell, options = kind
    zones = options.get("zoneout", 0.0)
    if cell == "lstm" and not isinstance(zones, tuple):
        zones = (zones, zones)
    problem = random_case(with_options(SHAPES[0], (cell, {**options, "zoneout": zones})))
    expected = run_reference(problem)
    for name, value in called(problem).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-10, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_seed_decides_and_threads_do_not(monkeypatch, kind):
    problem = random_case(with_options(Case(9, 7, 5, 70, 2, True, True), kind))
    fl.set_num_threads(1)
    once, other = run(problem, "float32", fl.Workspace(1)), run(problem, "float32", fl.Workspace(2))
    assert np.abs(once["y"] - other["y"]).max() > 1e-3
    for by_units in (False, True):
        forced(monkeypatch, 2, by_units)
        for name, value in run(problem, "float32", fl.Workspace(1)).items():
            np.testing.assert_array_equal(value, once[name], err_msg=name)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_checkpoints_change_no_bit(isa, kind):
    if cpu.isa() == "plain":
        pytest.skip("the plain path keeps all gates")
    problem = random_case(with_options(Case(11, 3, 3, 17, 2, True, True), kind))
    expected = run(problem, tape=fl.Workspace(4))
    layer = problem.layer
    for every in (1, 3):

        def with_checkpoints(dtype, every=every):
            made = layer(dtype)
            made.checkpoint_every = every
            return made

        problem.layer = with_checkpoints
        for name, value in run(problem, tape=fl.Workspace(4)).items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_bfloat16_trains_with_them(kind):
    if not cpu.trains("bfloat16"):
        pytest.skip("training in bfloat16 needs the kernels")
    problem = random_case(with_options(Case(5, 6, 70, 150, 2), kind))
    for value in problem.parameters.values():
        value *= 0.2
    exact = run(problem, "float32", fl.Workspace(6))
    rounded = run(problem, "float32", fl.Workspace(6, precision="bfloat16"))
    for name, value in exact.items():
        assert np.abs(rounded[name] - value).max() < 0.1 * np.abs(value).max(), name


def trained(layer, x, seed=0):
    return layer.forward(x, fl.Workspace(seed), training=True, lengths=None)


def test_zoneout_keeps_so_many_numbers_as_they_were(isa):
    layer = fl.LSTM(3, 200, zoneout=(0.3, 0.0), dtype="float64", seed=0)
    y = trained(layer, np.random.default_rng(0).normal(size=(20, 30, 3)))
    kept = y[:, 1:] == y[:, :-1]
    assert abs(kept.mean() - 0.3) < 0.01
    assert abs((kept[:, 1:] & kept[:, :-1]).mean() - 0.09) < 0.01, "each step has masks of its own"
    assert (y[:, 0] == 0).mean() == pytest.approx(0.3, abs=0.03)


def linear(**options):
    """h = c = g = U h + x, while gates are open: what comes in is shown as it is."""
    functions = {"activation": "affine", "recurrent_activation": ("affine", 0.0, 1.0), "coupled": True}
    return fl.LSTM(50, 50, **functions, **options, bias=False, dtype="float64", seed=0)


def set_weights(layer, w, u):
    """The weights of the candidate; those of the gates, which are always open, do not matter."""
    for name, own in (("weight_ih_l0", w), ("weight_hh_l0", u)):
        value = np.zeros(layer.parameter_shapes()[name])
        value[50:100] = own
        layer.parameter(name).assign(value, np.float64)
    return layer


def test_recurrent_dropout_has_one_mask_for_a_sequence_and_scales_it(isa):
    layer = set_weights(linear(recurrent_dropout=0.4), np.eye(50), np.eye(50))
    x = np.zeros((200, 4, 50))
    x[:, 0] = 1
    factors = trained(layer, x)[:, 1]
    assert {*np.unique(factors.round(12))} == {0.0, round(1 / 0.6, 12)}
    assert factors.mean() == pytest.approx(1, abs=0.03)
    np.testing.assert_allclose(trained(layer, x)[:, 3], factors**3)
    assert not np.array_equal(factors[0], factors[1])


def test_dropout_of_the_candidate_has_new_masks_at_each_step(isa):
    layer = set_weights(linear(recurrent_dropout=0.4, recurrent_dropout_on="candidate"), np.eye(50), np.zeros((50, 50)))
    y = trained(layer, np.ones((50, 20, 50)))
    assert {*np.unique(y.round(12))} == {0.0, round(1 / 0.6, 12)}
    assert y.mean() == pytest.approx(1, abs=0.02)
    assert (y[:, 1:] == y[:, :-1]).mean() == pytest.approx(0.52, abs=0.02)


@pytest.mark.parametrize("variational", [False, True])
def test_dropout_of_inputs(isa, variational):
    layer = set_weights(linear(input_dropout=0.25, variational=variational), np.eye(50), np.zeros((50, 50)))
    y = trained(layer, np.ones((60, 20, 50)))
    assert {*np.unique(y.round(12))} == {0.0, round(1 / 0.75, 12)}
    assert y.mean() == pytest.approx(1, abs=0.03)
    same = (y[:, 1:] == y[:, :-1]).mean()
    assert same == 1 if variational else same == pytest.approx(0.625, abs=0.02)


def test_dropout_of_weights_has_one_mask_for_a_batch(isa):
    layer = set_weights(linear(weight_dropout=0.4), np.eye(50), np.full((50, 50), 0.01))
    x = np.zeros((3, 3, 50))
    x[:, 0, :] = 1
    y = trained(layer, x)
    sums = y[:, 1] / 0.01 * 0.6  # how many weights of each unit were kept
    np.testing.assert_allclose(sums, sums.round(), atol=1e-9)
    assert sums.mean() == pytest.approx(30, abs=1)
    np.testing.assert_array_equal(y[0], y[1])


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_they_train_and_survive_a_file(tmp_path, kind):
    cell, options = kind
    layer = LAYERS[cell](3, 9, num_layers=2, **options)
    model = fl.Model([layer, fl.Last(), fl.Dense(layer.output_size, 1)], seed=0)
    x = np.random.default_rng(0).normal(size=(64, 6, 3)).astype(np.float32)
    y = x.sum((1, 2), keepdims=True)[:, 0] / 5
    history = fl.Trainer(model, "mse", fl.Adam(0.01)).fit(x, y, epochs=40, batch_size=16, seed=0, progress=False)
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    fl.save(model, tmp_path / "m")
    loaded = fl.load(tmp_path / "m")
    assert loaded.layers[0].config() == model.layers[0].config()
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))


@pytest.mark.parametrize("layer_of", LAYERS.values())
def test_a_stream_is_the_mean_of_zoneout(layer_of):
    layer = layer_of(3, 5, zoneout=0.2, dtype="float64", seed=0)
    x = np.random.default_rng(0).normal(size=(2, 6, 3))
    stream = fl.Model([layer], dtype="float64").stream(batch=2)
    steps = np.stack([stream.step(x[:, t]).copy() for t in range(6)], 1)
    np.testing.assert_allclose(steps, layer(x)[0], atol=1e-13)


@pytest.mark.parametrize("options", LSTM_OPTIONS.values(), ids=LSTM_OPTIONS)
def test_gates_are_those_of_inference(options):
    problem = random_case(with_options(Case(5, 3, 3, 17), ("lstm", {**options, "dropout": 0.0, "variational": False})))
    layer = problem.layer()
    found, (y, _) = layer.gates(problem.x, problem.given()), layer(problem.x, problem.given())
    np.testing.assert_allclose(found.hidden, y, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_layers_with_options_are_copied_and_pickled(kind):
    cell, options = kind
    layer = LAYERS[cell](3, 5, num_layers=2, seed=0, **options)
    x = np.random.default_rng(0).normal(size=(2, 4, 3))
    expected = layer(x)[0]
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert copied.config() == layer.config()
        np.testing.assert_array_equal(copied(x)[0], expected)


WRONG = [
    ({"zoneout": 1.0}, ValueError, "zoneout: expected at least 0 and below 1, got 1.0"),
    ({"zoneout": (0.1, 0.2, 0.3)}, ValueError, r"zoneout: expected a rate, or one of h and one of c, got \(0.1"),
    ({"zoneout": "0.1"}, TypeError, "zoneout: expected a number, got '0.1'"),
    ({"recurrent_dropout": -0.1}, ValueError, "recurrent_dropout: expected at least 0 and below 1, got -0.1"),
    ({"recurrent_dropout_on": "h"}, ValueError, "recurrent_dropout_on: expected 'state' or 'candidate', got 'h'"),
    ({"input_dropout": 1}, ValueError, "input_dropout: expected at least 0 and below 1, got 1"),
    ({"weight_dropout": None}, TypeError, "weight_dropout: expected a number, got None"),
    ({"variational": True}, ValueError, "variational: expected input_dropout, or dropout between layers"),
    ({"variational": 1}, TypeError, "variational: expected True or False, got 1"),
]


@pytest.mark.parametrize(("options", "error", "message"), WRONG, ids=[str(options) for options, *_ in WRONG])
def test_what_is_wrong_is_named(options, error, message):
    with pytest.raises(error, match=message):
        fl.LSTM(3, 4, **options)
