"""Beside Keras 3 on PyTorch, live: outputs, final states and all gradients of random configurations."""

import os

import numpy as np
import pytest
from peer_cases import Draw, assert_close, on_both_paths, ours, parts_of

import fastlstm as fl

torch = pytest.importorskip("torch", reason="Keras runs on PyTorch here, which is not installed")
os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", reason="Keras is not installed")
if keras.backend.backend() != "torch":
    pytest.skip(
        f"gradients are read from PyTorch, and Keras runs on {keras.backend.backend()}", allow_module_level=True
    )

ROUNDING = 1e-5
"""On PyTorch, Keras takes products of float64 in float32."""

KINDS = {"LSTM": fl.LSTM, "GRU": fl.GRU, "SimpleRNN": fl.SimpleRNN}
GATES = {"LSTM": [0, 1, 2, 3], "GRU": [1, 0, 2], "SimpleRNN": [0]}
"""Where each block of ours stands in Keras: i, f, c, o as here, and z, r, h where a GRU has r, z, n."""

FUNCTIONS = {
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "relu": "relu",
    "softsign": "softsign",
    "softplus": "softplus",
    "elu": "elu",
    "hard_sigmoid": ("hard_sigmoid", 1 / 6),
    "leaky_relu": ("leaky_relu", 0.2),
    "linear": "affine",
}
"""Keras' names of functions, and ours with Keras' numbers."""


pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")


def functions(kind, draw):
    """Arguments of Keras' layer and of ours."""
    if draw.of(True, False):
        return {}, {}
    theirs = {"activation": draw.of(*FUNCTIONS)}
    if kind != "SimpleRNN":
        theirs["recurrent_activation"] = draw.of("sigmoid", "hard_sigmoid", "tanh", "softsign")
    return theirs, {name: FUNCTIONS[value] for name, value in theirs.items()}


def blocks(kind, array):
    """Columns (…, G·H) of Keras as rows (G·H, …) in our order."""
    parts = np.split(array, len(GATES[kind]), axis=-1)
    return np.concatenate([parts[k].T for k in GATES[kind]])


def as_ours(kind, arrays, suffix, *, two):
    """Keras' arrays of one direction, kernel, recurrent_kernel and bias, by our names."""
    found = {"weight_ih_l0": blocks(kind, arrays[0]), "weight_hh_l0": blocks(kind, arrays[1])}
    if len(arrays) == 3 and two:
        found |= {"bias_ih_l0": blocks(kind, arrays[2][0]), "bias_hh_l0": blocks(kind, arrays[2][1])}
    elif len(arrays) == 3:
        found["bias_l0"] = blocks(kind, arrays[2])
    return {name + suffix: value for name, value in found.items()}


class Pair:
    """A layer of Keras with random weights, and ours with the same."""

    def __init__(self, kind, draw, *, wrapped=False, merges=("concat", "sum", "mul", "ave", None), **theirs):
        self.kind, self.wrapped, self.inputs, self.hidden = kind, wrapped, draw.size(6), draw.size(11)
        of_keras, of_ours = functions(kind, draw)
        bias = draw.of(True, True, False)
        common = {"return_sequences": True, "return_state": True, "dtype": "float64"}
        make = getattr(keras.layers, kind)
        self.keras = make(self.hidden, use_bias=bias, **of_keras, **common, **theirs)
        options = {"bias": bias, "go_backwards": theirs.get("go_backwards", False), **of_ours}
        if wrapped:
            merge = draw.of(*merges)
            self.keras = keras.layers.Bidirectional(self.keras, merge_mode=merge, dtype="float64")
            options |= {"bidirectional": True, "merge": merge or "none"}
        after = theirs.get("reset_after", True)
        if not after:
            options["reset"] = "before"
        self.two = kind == "GRU" and bias and after  # biases beside W and beside U
        self.ours = KINDS[kind](self.inputs, self.hidden, dtype="float64", two_biases=self.two, **options)
        self.keras.build((3 if theirs.get("stateful") else None, None, self.inputs))
        self.keras.set_weights([draw.normal(*w.shape) * 0.5 for w in self.keras.weights])
        self.ours.load_parameters(self.by_name([np.asarray(w) for w in self.keras.get_weights()]), "float64")

    def by_name(self, arrays):
        """Arrays as Keras lists its weights, by our names."""
        ways = ("", "_reverse")[: self.ours.directions]
        each = len(arrays) // len(ways)
        found = {}
        for k, way in enumerate(ways):
            found |= as_ours(self.kind, arrays[k * each :][:each], way, two=self.two)
        return found

    def compare(self, draw, *, masked):
        n, t = draw.size(5), draw.size(7)
        x, places = draw.normal(n, t, self.inputs), self.ours.directions
        lengths = draw.lengths(n, t) if masked else None
        start = draw.of(None, [draw.normal(places, n, self.hidden) for _ in self.ours.parts])
        dstate = [draw.normal(places, n, self.hidden) for _ in self.ours.parts]
        real = np.arange(t) < (np.full(n, t) if lengths is None else lengths)[:, None]
        dy = draw.normal(n, t, self.ours.output_size) * real[..., None]  # Keras repeats outputs beyond an end
        expected = self.theirs(x, start, lengths, dy, dstate)
        expected["y"] = expected["y"] * real[..., None]
        for found in on_both_paths(lambda: self.ours_of(x, start, lengths, dy.copy(), dstate)):
            assert_close(found, expected, ROUNDING)

    def ours_of(self, x, start, lengths, dy, dstate):
        """The same as `ours`; what two directions give by themselves comes side by side from the tape."""
        if self.ours.merge != "none":
            return ours(self.ours, x, start, lengths, dy, dstate)
        whole = KINDS[self.kind].from_config({**self.ours.config(), "merge": "concat"})
        names = self.ours.parameter_shapes()
        whole.load_parameters({name: self.ours.parameter(name).value for name in names}, "float64")
        found = ours(whole, x, start, lengths, dy, dstate)
        own = self.ours(x, None if start is None else self.ours._given(tuple(start)), lengths)[0]
        np.testing.assert_allclose(np.concatenate(own, -1), found["y"], atol=1e-13)
        return found

    def theirs(self, x, start, lengths, dy, dstate):
        x = torch.tensor(x, requires_grad=True)
        given = None
        if start is not None:  # one after the other, direction by direction
            given = [torch.tensor(part[d], requires_grad=True) for d in range(self.ours.directions) for part in start]
        mask = None if lengths is None else torch.tensor(np.arange(x.shape[1]) < lengths[:, None])
        out = self.keras(x, initial_state=given, mask=mask)
        many = self.ours.merge == "none"
        y, states = (torch.cat(out[:2], -1), out[2:]) if many else (out[0], out[1:])
        if self.ours.go_backwards:
            y = y.flip(1)  # Keras gives outputs in the order of the work
        loss = (y * torch.tensor(dy)).sum()
        parts, ways = len(self.ours.parts), self.ours.directions
        for d in range(ways):
            for k in range(parts):
                loss = loss + (states[d * parts + k] * torch.tensor(dstate[k][d])).sum()
        for weight in self.keras.trainable_weights:
            weight.value.grad = None
        loss.backward()
        found = {"y": y.detach().numpy(), "dx": x.grad.numpy()}
        for k, name in enumerate(self.ours.parts):
            found[f"{name}_n"] = np.stack([states[d * parts + k].detach().numpy() for d in range(ways)])
            if given is not None:
                found[f"d{name}_0"] = np.stack([given[d * parts + k].grad.numpy() for d in range(ways)])
        return {**found, **self.by_name([w.value.grad.numpy() for w in self.keras.trainable_weights])}


@pytest.mark.parametrize("number", range(40))
@pytest.mark.parametrize("kind", KINDS)
def test_one_direction(kind, number):
    """Forwards or backwards, with a mask of sequences that end early or without one, any functions."""
    draw = Draw([[*KINDS].index(kind), number])
    Pair(kind, draw, go_backwards=draw.of(False, True)).compare(draw, masked=draw.of(False, True))


@pytest.mark.parametrize("number", range(30))
@pytest.mark.parametrize("kind", KINDS)
def test_two_directions_and_how_they_merge(kind, number):
    draw = Draw([10 + [*KINDS].index(kind), number])
    Pair(kind, draw, wrapped=True).compare(draw, masked=draw.of(False, True))


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("kind", KINDS)
def test_stateful_is_a_tape_that_carries_or_a_stream(kind, number):
    draw = Draw([20 + [*KINDS].index(kind), number])
    pair = Pair(kind, draw, stateful=True)
    model = fl.Model([pair.ours], dtype="float64")
    tape, stream = model.tape(carry=True), model.stream(batch=3)
    for t in (4, 1, 3):
        x = draw.normal(3, t, pair.inputs)
        expected = pair.keras(torch.tensor(x))[0].detach().numpy()
        np.testing.assert_allclose(model.forward(x, tape), expected, atol=ROUNDING)
        np.testing.assert_allclose(stream.run(x), expected, atol=ROUNDING)
    pair.keras.reset_states()
    stream.reset()
    np.testing.assert_allclose(stream.run(x), pair.keras(torch.tensor(x))[0].detach().numpy(), atol=ROUNDING)


def with_dropout(kind, rates):
    """Outputs of Keras and ours for 20,000 equal sequences, each with masks of its own that hold for all its steps."""
    n, t, hidden = 20_000, 4, 3
    draw = Draw(3)
    theirs = getattr(keras.layers, kind)(hidden, return_sequences=True, dtype="float64", seed=1, **rates)
    theirs.build((None, t, 2))
    theirs.set_weights([draw.normal(*w.shape) * 0.8 for w in theirs.weights])
    options = {"recurrent_dropout": rates["recurrent_dropout"]} if "recurrent_dropout" in rates else {}
    if "dropout" in rates:
        options = {"input_dropout": rates["dropout"], "variational": True}
    layer = KINDS[kind](2, hidden, dtype="float64", two_biases=kind == "GRU", **options)
    arrays = [np.asarray(w) for w in theirs.get_weights()]
    layer.load_parameters(as_ours(kind, arrays, "", two=kind == "GRU"), "float64")
    x = np.broadcast_to(draw.normal(1, t, 2), (n, t, 2))
    expected = theirs(torch.tensor(x.copy()), training=True).detach().numpy()
    found = layer.forward(x.copy(), fl.Workspace(2), training=True, lengths=None)
    return expected, found


def distance(expected, found):
    """The difference of the means in standard errors, at most, over all steps and units."""
    error = np.sqrt(2 / len(expected)) * expected.std(0) + ROUNDING
    return (np.abs(found.mean(0) - expected.mean(0)) / error).max()


SAME = [*((kind, {"dropout": 0.3}) for kind in KINDS), ("SimpleRNN", {"recurrent_dropout": 0.4})]


@pytest.mark.parametrize(("kind", "rates"), SAME, ids=str)
def test_dropout_has_the_same_mean_and_spread(kind, rates):
    expected, found = with_dropout(kind, rates)
    assert distance(expected, found) < 5
    np.testing.assert_allclose(found.std(0), expected.std(0), rtol=0.08, atol=ROUNDING)


def test_in_keras_each_gate_has_a_recurrent_mask_of_its_own():
    """Here all gates see the same state, as Gal and Ghahramani have it."""
    assert distance(*with_dropout("GRU", {"recurrent_dropout": 0.4})) > 10


@pytest.mark.parametrize("unit_forget_bias", [True, False])
def test_unit_forget_bias_is_our_forget_bias(unit_forget_bias):
    theirs = keras.layers.LSTM(5, unit_forget_bias=unit_forget_bias)
    theirs.build((None, None, 3))
    bias = fl.LSTM(3, 5, forget_bias=float(unit_forget_bias)).parameter("bias_l0").value
    np.testing.assert_array_equal(bias, theirs.get_weights()[2])


def test_outputs_of_go_backwards_stand_in_the_order_of_the_work_in_keras():
    pair = Pair("LSTM", Draw(0), go_backwards=True)
    x = Draw(1).normal(2, 4, pair.inputs)
    theirs = pair.keras(torch.tensor(x))[0].detach().numpy()
    np.testing.assert_allclose(pair.ours(x)[0][:, ::-1], theirs, atol=ROUNDING)


def test_beyond_the_end_keras_repeats_the_last_output():
    pair = Pair("GRU", Draw(0))
    x = Draw(1).normal(2, 4, pair.inputs)
    theirs = pair.keras(torch.tensor(x), mask=torch.tensor(np.arange(4) < [[2], [4]]))[0].detach().numpy()
    y, _ = pair.ours(x, lengths=[2, 4])
    np.testing.assert_allclose(y[0, :2], theirs[0, :2], atol=ROUNDING)
    np.testing.assert_array_equal(theirs[0, 2:], theirs[0, [1, 1]])
    assert not y[0, 2:].any()


@pytest.mark.parametrize("number", range(12))
def test_a_gru_may_reset_before_the_product(number):
    draw = Draw([30, number])
    Pair("GRU", draw, wrapped=number % 3 == 0, reset_after=False).compare(draw, masked=draw.of(False, True))


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("kind", KINDS)
def test_masks_with_holes(kind, number):
    """Outputs at real steps, final states, and the gradients of x and of the weights."""
    draw = Draw([40 + [*KINDS].index(kind), number])
    pair = Pair(kind, draw, wrapped=number % 2 == 1, merges=("concat", "sum", "mul", "ave"))
    model = fl.Model([pair.ours], dtype="float64")
    x, mask = draw.normal(4, 6, pair.inputs), draw.rng.random((4, 6)) > 0.4
    mask[:, 0] = True
    dy = draw.normal(4, 6, pair.ours.output_size) * mask[..., None]
    given = torch.tensor(x, requires_grad=True)
    y, *states = pair.keras(given, mask=torch.tensor(mask))
    for weight in pair.keras.trainable_weights:
        weight.value.grad = None
    (y * torch.tensor(dy)).sum().backward()
    expected = {"y": y.detach().numpy() * mask[..., None], "dx": given.grad.numpy()}
    expected |= {f"state {k}": state.detach().numpy() for k, state in enumerate(states)}
    expected |= pair.by_name([weight.value.grad.numpy() for weight in pair.keras.trainable_weights])
    for found in on_both_paths(lambda: with_mask(model, x, mask, dy)):
        assert_close(found, expected, ROUNDING)


def with_mask(model, x, mask, dy):
    """The same of our layer, which is that of the model; states one after the other, direction by direction."""
    (layer,), tape = model.layers, model.tape()
    y, state = layer(x, mask=mask)
    found = {"y": y}
    ways = range(layer.directions)
    found |= {f"state {k}": part for k, part in enumerate(part[d] for d in ways for part in parts_of(state))}
    np.testing.assert_allclose(model.forward(x, tape, training=True, mask=mask), y, atol=1e-13)
    model.zero_grad()
    found["dx"] = model.backward(dy.copy(), tape)
    return found | {name: layer.parameter(name).grad.copy() for name in layer.parameter_shapes()}
