"""Layer norm within an LSTM: its parameters, what it makes of scales, and what runs it.

Its equations and gradients are held against the reference in test_recurrent_options.py and test_recurrent_dropout.py.
"""

import copy

import numpy as np
import pytest
from recurrent_cases import Case, random_case, run

import fastlstm as fl

X = np.random.default_rng(0).normal(size=(5, 7, 3))


def of(hidden=17, dtype="float64", **options):
    """A layer whose parameters are random."""
    layer = fl.LSTM(3, hidden, layer_norm=options.pop("layer_norm", True), dtype=dtype, seed=0, **options)
    rng = np.random.default_rng(1)
    for name, shape in layer.parameter_shapes().items():
        layer.parameter(name).value = rng.normal(0.5, 0.5, shape)
    return layer


def test_scales_start_at_one_and_the_shift_at_zero():
    layer = fl.LSTM(3, 4, layer_norm=True, bidirectional=True, bias=False, peephole=True)
    shapes = {"weight_ih": (16, 3), "weight_hh": (16, 4), "peephole": (12,), "scale_ih": (16,), "scale_hh": (16,)}
    shapes |= {"scale_c": (4,), "shift_c": (4,)}
    found = layer.parameter_shapes()
    assert found == {name + end: shape for end in ("_l0", "_l0_reverse") for name, shape in shapes.items()}
    for name in found:
        if name.startswith(("scale", "shift")):
            np.testing.assert_array_equal(layer.parameter(name).value, float(name.startswith("scale")))
    assert fl.LSTM(3, 4, layer_norm=True, coupled=True).parameter_shapes()["scale_ih_l0"] == (12,)


def test_a_config_says_what_it_was_told():
    assert "layer_norm" not in fl.LSTM(3, 4).config()
    assert fl.LSTM(3, 4, layer_norm=1e-5).config()["layer_norm"] is True
    assert fl.LSTM(3, 4, layer_norm=1e-3).config()["layer_norm"] == 1e-3


def test_the_scale_of_the_weights_does_not_matter(isa):
    layer = of(layer_norm=1e-12)
    y, (_, c) = layer(X)
    for name in ("weight_ih_l0", "weight_hh_l0"):
        layer.parameter(name).value = 3 * layer.parameter(name).value
    again, (_, other) = layer(X)
    np.testing.assert_allclose(again, y, atol=1e-9)
    np.testing.assert_allclose(other, c, atol=1e-9)


def test_what_is_added_to_the_variance_counts(isa):
    layer, other = of(), of(layer_norm=0.3)
    assert np.abs(layer(X)[0] - other(X)[0]).max() > 1e-3


def test_gates_show_what_the_equations_say(path):
    layer = of(peephole=True)
    gates, own = layer.gates(X), {name: layer.parameter(name + "_l0").value for name in ("scale_c", "shift_c")}
    off = gates.cell - gates.cell.mean(-1, keepdims=True)
    normed = off / np.sqrt((off**2).mean(-1, keepdims=True) + 1e-5)
    shown = gates.output * np.tanh(own["scale_c"] * normed + own["shift_c"])
    np.testing.assert_allclose(gates.hidden, shown, atol=1e-12)
    np.testing.assert_allclose(gates.hidden, layer(X)[0], atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"proj_size": 5}], ids=str)
def test_a_row_has_the_same_bits_alone_and_in_any_pass(packed_isa, dtype, options):
    layer = of(33, dtype, num_layers=2, **options)
    model, x = fl.Model([layer], dtype=dtype), np.random.default_rng(2).normal(size=(13, 7, 3)).astype(dtype)
    whole, stream = model.predict(x), model.stream(batch=13)
    np.testing.assert_array_equal(np.stack([stream.step(x[:, t]) for t in range(7)], 1), whole)
    np.testing.assert_array_equal(model.forward(x, model.tape(), training=True), whole)
    for n in (0, 6, 12):
        np.testing.assert_array_equal(model.predict(x[n : n + 1])[0], whole[n])
    lengths = np.arange(13) % 7 + 1
    ragged = model.predict(x, lengths=lengths)
    for n, length in enumerate(lengths):
        np.testing.assert_array_equal(ragged[n, :length], whole[n, :length])


@pytest.mark.parametrize("options", [{"layer_norm": True}, {"layer_norm": True, "proj_size": 30}, {}], ids=str)
@pytest.mark.parametrize("kind", [fl.LSTM, fl.GRU])
def test_layers_side_by_side(packed_isa, default_threads, kind, options):
    """With few rows each layer runs some steps behind the one below."""
    options = options if kind is fl.LSTM else {"reset": "before"}
    model = fl.Model([kind(3, 64, num_layers=3, **options)], seed=0)
    x = np.random.default_rng(0).normal(size=(2, 120, 3)).astype("float32")
    fl.set_num_threads(1)
    expected = model.predict(x)
    fl.set_num_threads(3)
    for _ in range(5):
        np.testing.assert_array_equal(model.predict(x), expected)


@pytest.mark.parametrize("frozen", [["weight_hh"], ["scale_ih", "scale_c"], ["bias", "shift_c"]], ids=str)
def test_frozen_parameters_get_no_gradient_and_the_others_theirs(path, frozen):
    problem = random_case(Case(4, 3, 3, 5, options=(("layer_norm", True),)))
    expected = run(problem)
    make = problem.layer

    def with_frozen(dtype):
        layer = make(dtype)
        for name in frozen:
            layer.parameter(name + "_l0").trainable = False
        return layer

    problem.layer = with_frozen
    for name, value in run(problem).items():
        own = 0 * value if name.removesuffix("_l0") in frozen else expected[name]
        np.testing.assert_array_equal(value, own, err_msg=name)


def test_a_training_moves_all_parameters(path):
    """Passes that are run again read the parameters as they are."""
    model = fl.Model([of(num_layers=2, peephole=True), fl.Dense(17, 2)], dtype="float64", seed=0)
    before = {name: value.value.copy() for name, value in model.named_parameters().items()}
    y = np.random.default_rng(1).normal(size=(5, 7, 2))
    fl.Trainer(model, "mse", fl.Adam(0.01)).fit(X, y, epochs=5, batch_size=5, progress=False)
    for name, parameter in model.named_parameters().items():
        assert np.abs(parameter.value - before[name]).max() > 1e-3, name
    again = copy.deepcopy(model)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    tape = model.tape()
    for _ in range(2):
        np.testing.assert_allclose(model.forward(X, tape, training=True), model.predict(X), atol=1e-12)


@pytest.mark.parametrize("steps", [None, 3])
def test_a_batch_of_sequences_adds_up_the_gradients_of_each(isa, steps):
    """Whatever other rows there are, and whatever steps are kept."""
    layer, total = of(learn_initial_state=True, checkpoint_every=steps), {}
    dy = np.random.default_rng(3).normal(size=(5, 7, 17))

    def gradients(rows):
        for parameter in layer.parameters():
            parameter.zero_grad()
        tape = fl.Workspace(0)
        layer.forward(X[rows], tape, training=True, lengths=None)
        layer.backward(dy[rows], tape)
        return {parameter.name: parameter.grad.copy() for parameter in layer.parameters()}

    for n in range(5):
        for name, value in gradients(slice(n, n + 1)).items():
            total[name] = total.get(name, 0) + value
    for name, value in gradients(slice(None)).items():
        np.testing.assert_allclose(value, total[name], atol=1e-11, err_msg=name)


def test_settings_by_name():
    layer = fl.LSTM(3, 4, layer_norm=True, regularizers={"scale_ih": "L2"}, init={"scale_hh": "zeros"})
    assert layer.parameter("scale_ih_l0").regularizer is not None
    fl.Model([layer], seed=0)
    assert not layer.parameter("scale_hh_l0").value.any()


def test_pytorch_has_no_such_layer():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    with pytest.raises(ValueError, match="layer_norm"):
        fl.io.to_torch(of())


def test_huge_and_tiny_inputs_stay_finite(isa):
    layer = of(33, "float32")
    for size in (1e-30, 1e15, 1e30):
        tape = fl.Workspace(0)
        y = layer.forward((size * X).astype("float32"), tape, training=True, lengths=None)
        dx = layer.backward(np.ones_like(y), tape)
        assert np.isfinite(y).all()
        assert np.isfinite(dx).all()
        assert all(np.isfinite(parameter.grad).all() for parameter in layer.parameters())
