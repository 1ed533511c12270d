"""Learning from one long sequence: truncated back-propagation through time with a state that is carried."""

import sys

import numpy as np
import pytest
from reference import ReferenceLSTM

import fastlstm as fl
from fastlstm.callbacks import Callback
from fastlstm.training.sequence import Windows


def series(length=60, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(length, 3)), rng.normal(size=(length, 2))


def model(dtype="float64", dropout=0.0):
    return fl.Model([fl.LSTM(3, 5, num_layers=2, dropout=dropout), fl.Dense(5, 2)], dtype=dtype, seed=0)


def words():
    return fl.Model([fl.Embedding(7, 4), fl.LSTM(4, 6), fl.Dense(6, 7)], dtype="float64", seed=0)


def assert_same(a, b, atol=0.0):
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        np.testing.assert_allclose(p.value, q.value, rtol=0, atol=atol)


def test_one_window_is_fit_on_one_sequence_to_the_bit():
    x, y = series()
    models = [model("float32", 0.3), model("float32", 0.3)]
    a = fl.Trainer(models[0], fl.mse, clip_norm=0.5).fit_sequence(x, y, window=60, epochs=3, seed=4)
    b = fl.Trainer(models[1], fl.mse, clip_norm=0.5).fit(x[None], y[None], epochs=3, batch_size=1, seed=4)
    assert a["loss"] == b["loss"]
    assert_same(*models)


@pytest.mark.parametrize("time", ["mean", "sum"])
@pytest.mark.parametrize("starts", [None, [0, 7, 8, 31], [40]])
@pytest.mark.parametrize("window", [1, 4, 10, 17, 59, 60, 100])
def test_the_window_does_not_matter_to_what_is_measured(window, starts, time):
    x, y = series()
    loss = fl.mse.with_options(time=time)
    trainer = fl.Trainer(model(), loss, fl.SGD(0.0), metrics=["mae"])
    edges = [0, *(starts or []), 60]
    parts = [trainer.model.predict(x[None, a:b])[0] for a, b in zip(edges, edges[1:], strict=False) if a < b]
    pred = np.concatenate(parts)[None]
    expected = {"loss": loss(pred, y[None])[0], "mae": np.abs(pred - y).mean()}
    found = trainer.evaluate_sequence(x, y, window=window, starts=starts)
    assert found == pytest.approx(expected, rel=1e-12)
    trained = trainer.fit_sequence(x, y, window=window, starts=starts, epochs=2)
    assert trained["loss"] == pytest.approx([expected["loss"]] * 2, rel=1e-12)
    assert trained["mae"] == pytest.approx([expected["mae"]] * 2, rel=1e-12)


@pytest.mark.parametrize("window", [3, 8, 20])
def test_streams_side_by_side_are_sequences_of_their_own(window):
    x, y = series(62)
    starts = [5, 6, 19, 20, 33, 40, 61]
    trainer = fl.Trainer(model(), fl.mse)
    found = trainer.evaluate_sequence(x, y, window=window, batch_size=3, starts=starts)["loss"]
    alone = [
        trainer.evaluate_sequence(x[a : a + 20], y[a : a + 20], starts=[s - a for s in starts if a <= s < a + 20])
        for a in (0, 20, 40)
    ]
    assert found == pytest.approx(np.mean([one["loss"] for one in alone]), rel=1e-12)  # two steps are left out


def test_a_step_from_a_carried_state_is_that_of_the_plain_reference():
    """The second window: its gradient stops at its first step, and its state is that which the first has left."""
    x, y = series(10)
    lstm = fl.LSTM(3, 2, seed=0)
    m = fl.Model([lstm], dtype="float64", seed=0)
    names = list(lstm.parameter_shapes())
    values = {name: lstm.parameter(name).value.copy() for name in names}
    state = None
    for part in (slice(0, 6), slice(6, 10)):
        reference = ReferenceLSTM(values, 1, False)
        pred, state = reference.forward(x[None, part], state)
        _, dpred = fl.mse(pred, y[None, part])
        grads = reference.backward(dpred, np.zeros_like(state[0]), np.zeros_like(state[0]))[3]
        values = {name: value - 0.3 * grads[name] for name, value in values.items()}
    fl.Trainer(m, fl.mse, fl.SGD(0.3)).fit_sequence(x, y, window=6)
    for name in names:
        np.testing.assert_allclose(lstm.parameter(name).value, values[name], atol=1e-13)


@pytest.mark.parametrize("tokens", [False, True])
def test_documents_in_a_window_are_sequences_side_by_side(tokens):
    """One step over documents of 4, 1 and 5 steps is a step over a ragged batch of them."""
    rng = np.random.default_rng(0)
    if tokens:
        models, loss, (x, y) = [words(), words()], "softmax_cross_entropy", rng.integers(0, 7, (2, 10))
    else:
        models, loss, (x, y) = [model(), model()], "mse", series(10)
    fl.Trainer(models[0], loss, fl.SGD(0.5)).fit_sequence(x, y, window=10, starts=[4, 5])
    edges = [(0, 4), (4, 5), (5, 10)]
    ragged = [np.zeros((3, 5, *part.shape[1:]), part.dtype) for part in (x, y)]
    for k, (a, b) in enumerate(edges):
        ragged[0][k, : b - a], ragged[1][k, : b - a] = x[a:b], y[a:b]
    lengths = [b - a for a, b in edges]
    fl.Trainer(models[1], loss, fl.SGD(0.5)).fit(*ragged, epochs=1, lengths=lengths, shuffle=False)
    assert_same(*models, atol=1e-13)


def test_steps_are_where_they_belong():
    x = np.arange(23)
    windows = Windows(x, x * 10, np.ones(23), np.array([3, 9, 11, 16]), 4, 2)
    assert (windows.count, windows.size) == (3, 22)
    found = [[], []]
    for window in windows.at(1):
        flat = window.x.reshape(-1)
        again = window.x if window.steps is None else flat[window.steps]
        np.testing.assert_array_equal(again * 10, window.y)
        assert window.size == again.size
        for k in (0, 1):
            found[k] += again[k].tolist()
    assert found == [list(range(11)), list(range(11, 22))]
    first, second, third = [
        (w.before, w.after, w.lengths) for w in Windows(x, x, x, np.array([3, 9, 11, 16]), 4, 2).at(1)
    ]
    assert [part.tolist() for part in first] == [[-1, -1, -1], [1, 2], [3, 1, 4]]
    assert [part.tolist() for part in second] == [[0, 1, -1], [0, 2], [4, 1, 3]]
    assert [part.tolist() for part in third] == [[0, -1, 1], [1, 2], [1, 2, 3]]


def test_same_seed_same_bits():
    x, y = series()
    found = []
    for seed in (1, 1, 2):
        m = model("float32", dropout=0.4)
        history = fl.Trainer(m, fl.mse).fit_sequence(
            x, y, window=7, batch_size=2, starts=[9, 40], epochs=3, seed=seed, validation=(x, y)
        )
        found.append((dict(history), m))
    assert found[0][0] == found[1][0] != found[2][0]
    assert_same(found[0][1], found[1][1])


def test_it_learns_what_only_a_carried_state_can_know():
    """Say the token of three steps ago in windows of four steps."""
    x = np.random.default_rng(0).integers(0, 3, 4000)
    y = np.roll(x, 3)
    m = fl.Model([fl.Embedding(3, 8), fl.LSTM(8, 32), fl.Dense(32, 3)], seed=0)
    trainer = fl.Trainer(m, "softmax_cross_entropy", fl.Adam(0.01), metrics=["accuracy"], clip_norm=1.0)
    trainer.fit_sequence(x, y, window=4, batch_size=10, epochs=10)
    assert trainer.evaluate_sequence(x, y)["accuracy"] > 0.95
    assert trainer.evaluate(x.reshape(-1, 2), y.reshape(-1, 2))["accuracy"] < 0.5


class Recorder(Callback):
    def __init__(self):
        self.calls = []

    def on_fit_begin(self, progress):
        self.calls.append((progress.batches, progress.epoch_sequences, progress.unit))

    def on_batch_end(self, progress):
        self.calls.append((progress.epoch, progress.batch, progress.sequences))


def test_callbacks_metrics_and_validation_are_those_of_fit():
    x, y = series(21)
    xv, yv = series(30, seed=1)
    recorder = Recorder()
    trainer = fl.Trainer(model(), fl.mse, metrics=["mae"], callbacks=[recorder])
    history = trainer.fit_sequence(x, y, window=4, batch_size=2, epochs=2, validation=(xv, yv, [7]))
    assert list(history) == ["loss", "mae", "val_loss", "val_mae"]
    assert recorder.calls == [(3, 20, "steps")] + [(e, b, s) for e in (1, 2) for b, s in ((1, 8), (2, 8), (3, 4))]
    assert history is trainer.history
    last = trainer.evaluate_sequence(xv, yv, window=4, batch_size=2, starts=[7])
    assert history["val_loss"][-1] == pytest.approx(last["loss"], rel=1e-12)


def test_the_bar_counts_steps(monkeypatch, capsys):
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    x, y = series(20)
    fl.Trainer(model(), fl.mse).fit_sequence(x, y, window=5)
    assert "steps/s" in capsys.readouterr().err


def test_early_stopping_ends_it():
    x, y = series(40)
    trainer = fl.Trainer(model(), fl.mse, fl.Adam(0.1), callbacks=[fl.EarlyStopping(patience=2)])
    xv, yv = series(40, seed=1)
    history = trainer.fit_sequence(x, y, window=10, epochs=200, validation=(xv, yv))
    assert history.epochs < 200
    assert trainer.evaluate_sequence(xv, yv)["loss"] == pytest.approx(min(history["val_loss"]), rel=1e-12)


def test_steps_of_weight_zero_do_not_count_but_move_the_state():
    x, y = series(30)
    weight = np.repeat([0.0, 1, 0.5], 10)
    strange = np.where(weight[:, None] > 0, y, np.nan)
    trainer = fl.Trainer(model(), fl.mse, fl.SGD(0.0))
    expected = fl.mse(trainer.model.predict(x[None]), y[None], weight[None])[0]
    for window in (4, 5, 30):
        for starts in (None, [25]):
            if starts:
                pred = np.concatenate([trainer.model.predict(part[None])[0] for part in (x[:25], x[25:])])
                expected = fl.mse(pred[None], y[None], weight[None])[0]
            options = {"window": window, "starts": starts, "sample_weight": weight}
            found = trainer.evaluate_sequence(x, strange, **options)["loss"]
            assert found == pytest.approx(expected, rel=1e-12)
            assert trainer.fit_sequence(x, strange, **options)["loss"] == pytest.approx([expected], rel=1e-12)
        expected = fl.mse(trainer.model.predict(x[None]), y[None], weight[None])[0]


def test_a_loss_of_ones_own_sees_streams_and_not_their_pieces():
    x, y = series(20)
    shapes = []

    def loss(pred, target, weight):
        shapes.append((pred.shape, target.shape, weight.shape))
        return fl.mse(pred, target, weight)

    fl.Trainer(model(), loss).fit_sequence(x, y, window=7, batch_size=2, starts=[3])
    assert shapes == [((2, 7, 2), (2, 7, 2), (2, 7)), ((2, 3, 2), (2, 3, 2), (2, 3))]


def test_windows_lie_in_the_same_buffers():
    x, y = series(200)
    windows = Windows(x, y, np.ones(200), np.array([3, 70, 71]), 10, 2)
    list(windows.at(1))
    places = {(name, getattr(window, name).ctypes.data) for window in windows.at(1) for name in ("x", "y", "weights")}
    assert len(places) == 3


def test_what_fits_no_sequence_is_told():
    x, y = series(10)

    regressor = model()

    def fit(x=x, y=y, model=regressor, loss="mse", **options):
        fl.Trainer(model, loss).fit_sequence(x, y, **{"window": 5, **options})

    last = fl.Model([fl.LSTM(3, 4), fl.Last(), fl.Dense(4, 2)])
    both = fl.Model([fl.LSTM(3, 4, bidirectional=True), fl.Dense(8, 2)])
    for message, options in {
        "window: expected at least 1, got 0": {"window": 0},
        "batch_size: expected at least 1, got 0": {"batch_size": 0},
        "batch_size: expected at most 10, the steps of x, got 11": {"batch_size": 11},
        "epochs: expected at least 1, got 0": {"epochs": 0},
        r"starts: expected 0 to 9, got 10 at \[1\]": {"starts": [3, 10]},
        r"starts: expected 0 to 9, got -1 at \[0\]": {"starts": [-1]},
        r"starts: expected rising positions, got 2 after 5 at \[2\]": {"starts": [1, 5, 2]},
        r"starts: expected rising positions, got 5 after 5 at \[1\]": {"starts": [5, 5]},
        r"starts: expected shape \(S,\), got \(1, 2\)": {"starts": [[1, 2]]},
        r"x: expected shape \(L, 3\), got \(1, 10, 3\)": {"x": x[None]},
        r"x: expected finite numbers, got nan at \[0, 0\]": {"x": x * np.nan},
        r"y: expected shape \(10, 2\), got \(9, 2\)": {"y": y[1:]},
        r"y: expected 10 targets, one for each step of x, got shape \(9, 2\)": {"y": y[1:], "loss": lambda p, t, w: 0},
        r"sample_weight: expected shape \(10,\), got \(9,\)": {"sample_weight": np.ones(9)},
        "sample_weight: expected at least one step with a weight above 0": {"sample_weight": np.zeros(10)},
        r"model: expected one with an output at every step, \(N, T, G\), got \(N, 2\)": {"model": last},
        r"layer 0 \(LSTM\): a bidirectional LSTM cannot carry its state": {"model": both},
        "batch_size: expected at most 2, the steps of x, got 3": {"batch_size": 3, "validation": (x[:2], y[:2])},
    }.items():
        with pytest.raises(ValueError, match=message):
            fit(**options)
    for message, options in {
        "window: expected a whole number, got 2.5": {"window": 2.5},
        "starts: expected whole numbers, got dtype float64": {"starts": [1.5]},
        r"validation: expected \(x, y\) or \(x, y, starts\), got float": {"validation": 0.2},
    }.items():
        with pytest.raises(TypeError, match=message):
            fit(**options)
    fit(starts=[])
    with pytest.raises(ValueError, match=r"x: expected shape \(L,\), got \(1, 3\)"):
        fit(x=[[1, 2, 3]], y=[1, 2, 3], model=words(), loss="softmax_cross_entropy")
