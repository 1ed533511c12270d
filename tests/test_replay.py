"""Training passes over batches that lie where the last one lay."""

import warnings

import numpy as np
import pytest
from call_cases import Twice, numbers

import fastlstm as fl
from fastlstm.layers.replay import Replay

pytestmark = pytest.mark.usefixtures("default_threads")


class ByColumns(Twice):
    """Its gradients lie by columns."""

    def backward(self, dy, tape, *, input_gradient=True):
        return np.asfortranarray(dy * 2)


MODELS = {
    "LSTM": lambda: [fl.LSTM(3, 17)],
    "LSTM, Last, Dense": lambda: [fl.LSTM(3, 17), fl.Last(), fl.Dense(17, 2)],
    "without biases": lambda: [fl.LSTM(3, 8, bias=False), fl.Dense(8, 2, bias=False)],
    "two directions": lambda: [fl.LSTM(3, 9, num_layers=2, bidirectional=True), fl.LayerNorm(18), fl.Dense(18, 4)],
    "dropout": lambda: [fl.Dropout(0.3), fl.LSTM(3, 8, num_layers=2, dropout=0.5), fl.Dropout(0.5), fl.MeanPool()],
    "checkpoints": lambda: [fl.LSTM(3, 8, checkpoint_every=2), fl.Dense(8, 1)],
    "normalisation": lambda: [fl.BatchNorm(3), fl.LSTM(3, 8), fl.MaxPool()],
    "gated units": lambda: [fl.GRU(3, 8, num_layers=2, dropout=0.5), fl.Dropout(0.3), fl.Dense(8, 1)],
    "simple network": lambda: [fl.SimpleRNN(3, 8), fl.LSTM(8, 5), fl.AttentionPool(5, 4)],
    "gradients by columns": lambda: [fl.LSTM(3, 8), ByColumns(), fl.Dense(8, 4), ByColumns()],
    "user's layer": lambda: [Twice(), fl.LSTM(3, 8), Twice(), fl.Last(), Twice()],
}


class Pinned:
    """A model's passes over one tape: with x in one array, so that they are replayed, or in a new one each time."""

    def __init__(self, make, dtype, *, replayed):
        self.model, self.replayed = fl.Model(make(), dtype=dtype, seed=0), replayed
        self.tape, self.optimizer, self.arrays = self.model.tape(seed=3), fl.SGD(0.1), {}

    def step(self, x, dy, *, wanted):
        if self.replayed:
            held = self.arrays.setdefault(x.shape, x.copy())
            held[...] = x
            x = held
        self.model.zero_grad()
        y = self.model.forward(x, self.tape, training=True)
        dx = self.model.backward(dy, self.tape, input_gradient=wanted)
        found = [y.copy(), *([] if dx is None else [dx.copy()]), *(p.grad.copy() for p in self.model.parameters())]
        self.optimizer.step(self.model.parameters())
        return found


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_replayed_pass_gives_the_bits_of_any_other(isa, make, dtype):
    """Batches of two sizes in turn, dy in one array or in many, with and without the gradient of x, other threads."""
    both = Pinned(make, dtype, replayed=True), Pinned(make, dtype, replayed=False)
    rng = np.random.default_rng(0)
    shape = both[0].model.predict(np.zeros((1, 6, 3))).shape[1:]
    dys = {n: np.empty((n, *shape), dtype) for n in (4, 3)}
    for step in range(24):
        n = 3 if step % 4 == 3 else 4
        fl.set_num_threads(2 if step > 16 else 1)
        x = rng.standard_normal((n, 6, 3)).astype(dtype)
        dys[n][...] = rng.standard_normal(dys[n].shape)
        dy = dys[n] if step % 5 else dys[n].copy()
        first, second = (each.step(x, dy, wanted=step % 3 == 0) for each in both)
        assert len(first) == len(second)
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a, b)
    assert len(both[0].tape._replays) > 1
    assert not both[1].tape._replays


def test_gradients_of_several_passes_add_up():
    both = [Pinned(MODELS["LSTM, Last, Dense"], "float64", replayed=replayed) for replayed in (True, False)]
    for each in both:
        x, dy = numbers(4, 6, 3, dtype="f8"), numbers(4, 2, dtype="f8")
        batches = [x if each.replayed else x.copy() for _ in range(6)]  # held, so that none lies where another lay
        for k, batch in enumerate(batches):
            each.model.forward(batch, each.tape, training=True)
            if k % 2:
                each.model.backward(dy, each.tape)
        assert len(each.tape._replays) == each.replayed
    for a, b in zip(both[0].model.parameters(), both[1].model.parameters(), strict=True):
        np.testing.assert_array_equal(a.grad, b.grad)


@pytest.mark.parametrize("name", ["dropout", "checkpoints", "gated units", "LSTM, Last, Dense"])
def test_a_batch_comes_again_after_a_larger_one(name):
    """Its recorded pass writes where the layers' arrays were before they had to grow."""
    model = fl.Model(MODELS[name](), seed=0)
    tape, other = model.tape(seed=3), model.tape(seed=3)
    small, large = numbers(1, 3, 3), numbers(8, 6, 3)
    for x in (small, small, large, small, large, large, small):
        y = model.forward(x, tape, training=True)
        np.testing.assert_array_equal(y, model.forward(x.copy(), other, training=True))
        dx = model.backward(np.ones_like(y), tape)
        np.testing.assert_array_equal(dx, model.backward(np.ones_like(y), other))


def test_arrays_that_were_reshaped_in_place_are_noticed():
    model = fl.Model([fl.LSTM(3, 8), fl.Dense(8, 2)], seed=0)
    tape, x, dy = model.tape(), numbers(4, 6, 3), numbers(4, 6, 2)
    for _ in range(3):
        model.forward(x, tape, training=True)
        model.backward(dy, tape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        dy.shape = (6, 4, 2)
        model.forward(x, tape, training=True)
        with pytest.raises(ValueError, match=r"dy: expected shape"):
            model.backward(dy, tape)
        x.shape = (6, 4, 3)
    np.testing.assert_allclose(model.forward(x, tape, training=True), model.predict(x), rtol=1e-5, atol=1e-6)


def test_parameters_that_lie_elsewhere_are_noticed():
    pinned = Pinned(MODELS["LSTM, Last, Dense"], "float32", replayed=True)
    x, dy = numbers(4, 6, 3), numbers(4, 2)
    for _ in range(3):
        pinned.step(x, dy, wanted=False)
    for layer in pinned.model.layers:
        layer.load_parameters({n: layer.parameter(n).value * 0.5 for n in layer.parameter_shapes()}, "float32")
    other = Pinned(MODELS["LSTM, Last, Dense"], "float32", replayed=False)
    for a, b in zip(pinned.model.parameters(), other.model.parameters(), strict=True):
        b.value = a.value
    pinned.optimizer, other.optimizer = fl.SGD(0.1), fl.SGD(0.1)
    for _ in range(3):
        for a, b in zip(pinned.step(x, dy, wanted=True), other.step(x, dy, wanted=True), strict=True):
            np.testing.assert_array_equal(a, b)


def test_backward_comes_once_and_for_these_parameters():
    model = fl.Model([fl.LSTM(3, 8)], seed=0)
    tape, x = model.tape(), numbers(4, 6, 3)
    for _ in range(4):
        y = model.forward(x, tape, training=True)
        dy = np.ones_like(y)
        model.backward(dy, tape)
        with pytest.raises(RuntimeError, match="backward needs a forward pass"):
            model.backward(dy, tape)
        model.forward(x, tape, training=True)
        model.parameters()[0].value = model.parameters()[0].value
        with pytest.raises(RuntimeError, match="a parameter has changed since the forward pass"):
            model.backward(dy, tape)
        model.forward(x, tape, training=True)
        with pytest.raises(ValueError, match="dy: expected finite numbers, got nan"):
            model.backward(dy * np.nan, tape)
    assert len(tape._replays) == 1


def test_a_layer_that_is_told_more_than_x_is_not_replayed():
    """Here the number of steps of a decoder, which differs from batch to batch."""
    model = fl.Model([fl.LSTM(3, 8), fl.Decoder(8, 8, num_tokens=3, max_steps=4, end_token=2)], seed=0)
    tape, x = model.tape(), numbers(2, 5, 3)
    for steps in (4, 4, 2, 3, 2):
        model.layers[1]._teach(np.zeros((2, steps), np.intp), tape.workspaces[1])
        assert model.forward(x, tape, training=True).shape == (2, steps, 3)
    assert not tape._replays


def test_few_replays_are_kept():
    model = fl.Model([fl.LSTM(3, 8)], seed=0)
    tape = model.tape()
    for n in range(1, 12):
        x = numbers(n, 6, 3)
        for _ in range(3):
            model.forward(x, tape, training=True)
    assert len(tape._replays) == 4
    assert all(isinstance(replay, Replay) for replay in tape._replays)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_training_is_the_same_from_arrays_and_from_batches(threads):
    """`fit_batches` gives arrays of its own each time; `fit` uses the same ones again."""
    fl.set_num_threads(threads)
    x, y = numbers(40, 6, 3), numbers(40, 2)
    found = []
    for replayed in (True, False):
        model = fl.Model(MODELS["LSTM, Last, Dense"](), seed=0)
        trainer = fl.Trainer(model, "mse", fl.Adam(0.01), clip_norm=0.5)
        if replayed:
            history = trainer.fit(x, y, epochs=3, batch_size=40, seed=0, progress=False)
        else:
            history = trainer.fit_batches(lambda _: iter([(x.copy(), y.copy())]), epochs=3, progress=False)
        found.append([history["loss"], *(p.value.copy() for p in model.parameters())])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
