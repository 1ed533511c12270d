"""Training: it learns, the same way each time, and counts what it should count."""

import sys

import numpy as np
import pytest

import fastlstm as fl
from fastlstm import metrics
from fastlstm._kernels import cpu
from fastlstm.callbacks import Callback, EarlyStopping, Progress, ProgressBar


def sums(n=64, t=6, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, t, 1))
    return x, x.sum(1)


def regressor(seed=0, dtype="float32", dropout=0.0):
    return fl.Model([fl.LSTM(1, 8), fl.Dropout(dropout), fl.Last(), fl.Dense(8, 1)], dtype=dtype, seed=seed)


def fit(model, x, y, loss=fl.mse, epochs=3, batch_size=16, trainer_options=None, **options):
    trainer = fl.Trainer(model, loss, fl.Adam(0.01), **(trainer_options or {}))
    return trainer.fit(x, y, epochs=epochs, batch_size=batch_size, **options)


def test_it_learns_to_add():
    x, y = sums(256)
    history = fit(regressor(), x, y, epochs=30, validation=sums(64, seed=1))
    assert history["loss"][-1] < 0.02 * history["loss"][0]
    assert history["val_loss"][-1] < 0.02 * history["val_loss"][0]
    assert history.epochs == 30
    assert dict(history).keys() == {"loss", "val_loss"}
    assert "val_loss" in history
    with pytest.raises(KeyError, match="no figure 'val'"):
        history["val"]


def test_it_learns_to_classify_ragged_sequences_of_tokens():
    """Whether the token 1 occurs: it must be carried from wherever it stands to the end."""
    rng = np.random.default_rng(0)
    x = rng.integers(2, 9, (400, 12))
    lengths = rng.integers(3, 13, 400)
    y = rng.integers(0, 2, 400)
    for s in np.flatnonzero(y):
        x[s, rng.integers(lengths[s])] = 1
    for s, length in enumerate(lengths):
        x[s, length:] = rng.integers(0, 9)  # padding means nothing, whatever it is
    model = fl.Model([fl.Embedding(9, 6), fl.LSTM(6, 16), fl.Last(), fl.Dense(16, 2)], seed=0)
    trainer = fl.Trainer(model, "softmax_cross_entropy", fl.Adam(0.02), clip_norm=1.0, metrics=["accuracy"])
    trainer.fit(x, y, epochs=25, batch_size=32, lengths=lengths)
    assert trainer.evaluate(x, y, lengths=lengths)["accuracy"] > 0.98


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_seed_same_bits(dtype):
    x, y = sums()
    found = []
    for seed in (1, 1, 2):
        model = regressor(dtype=dtype, dropout=0.3)
        history = fit(model, x, y, seed=seed, trainer_options={"clip_norm": 0.5})
        found.append((history["loss"], [p.value for p in model.parameters()]))
    assert found[0][0] == found[1][0] != found[2][0]
    for a, b in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_fit_is_what_its_parts_are():
    """One epoch without shuffling, by hand."""
    x, y = sums(10)
    model, twin = regressor(), regressor()
    history = fit(model, x, y, epochs=1, batch_size=4, shuffle=False, trainer_options={"clip_norm": 0.1})
    optimizer, tape, losses = fl.Adam(0.01), twin.tape(), []
    for start in (0, 4, 8):
        part = slice(start, start + 4)
        value, dpred = fl.mse(twin.forward(x[part], tape, training=True), y[part])
        twin.zero_grad()
        twin.backward(dpred, tape)
        fl.clip_grad_norm(twin.parameters(), 0.1)
        optimizer.step(twin.parameters())
        losses += [value] * len(x[part])
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(a.value, b.value)
    np.testing.assert_allclose(history["loss"], [np.mean(losses)], rtol=1e-12)


@pytest.mark.parametrize("time", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_evaluate_does_not_depend_on_the_batch_size(time, weighted):
    rng = np.random.default_rng(0)
    x, y, lengths = rng.normal(size=(13, 5, 1)), rng.normal(size=(13, 5, 2)), rng.integers(1, 6, 13)
    weight = rng.random((13, 5)) if weighted else None
    model = fl.Model([fl.LSTM(1, 4), fl.Dense(4, 2)], dtype="float64", seed=0)
    trainer = fl.Trainer(model, fl.mse.with_options(time=time), metrics=["mae", "mse"])
    whole = trainer.evaluate(x, y, lengths=lengths, sample_weight=weight)
    for size in (1, 4, 13):
        part = trainer.evaluate(x, y, batch_size=size, lengths=lengths, sample_weight=weight)
        assert part == pytest.approx(whole, rel=1e-12)
    mask = np.arange(5) < lengths[:, None]
    weights = mask if weight is None else mask * weight
    squares = ((model.predict(x, lengths=lengths) - y) ** 2).mean(-1) * weights
    assert whole["mse"] == pytest.approx(squares.sum() / weights.sum(), rel=1e-12)
    assert whole["loss"] == pytest.approx(squares.sum() / (weights.sum() if time == "mean" else 13), rel=1e-12)


def test_steps_beyond_the_length_do_not_count():
    rng = np.random.default_rng(0)
    x, y, lengths = rng.normal(size=(6, 5, 1)), rng.normal(size=(6, 5, 1)), np.array([5, 1, 2, 3, 4, 5])
    models = []
    for padding in (0.0, 1e6):
        x, y = x.copy(), y.copy()
        for s, length in enumerate(lengths):
            x[s, length:] = y[s, length:] = padding
        model = fl.Model([fl.LSTM(1, 4), fl.Dense(4, 1)], seed=0)
        fit(model, x, y, lengths=lengths, batch_size=4)
        models.append(model)
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        np.testing.assert_array_equal(a.value, b.value)


def test_sequences_of_weight_zero_change_nothing():
    x, y = sums(8)
    weight = np.array([1.0] * 6 + [0] * 2)
    strange = y.copy()
    strange[6:] = 1e6
    models = [regressor(), regressor()]
    for model, target in zip(models, (y, strange), strict=True):
        fit(model, x, target, batch_size=8, sample_weight=weight)
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        np.testing.assert_array_equal(a.value, b.value)


def test_a_loss_and_a_metric_of_ones_own():
    x, y = sums()

    def twice(pred, target, weight):
        value, dpred = fl.mse(pred, target, weight)
        return 2 * value, 2 * dpred

    def bias(pred, target, weights):
        return float((pred - target).mean())

    history = fit(regressor(), x, y, loss=twice, trainer_options={"metrics": [bias]})
    assert list(history) == ["loss", "bias"]
    assert history["loss"][-1] < history["loss"][0]


class Recorder(Callback):
    def __init__(self, stop_at=None):
        self.calls, self.stop_at = [], stop_at

    def on_fit_begin(self, progress):
        self.calls.append(("begin", progress.epochs, progress.batches))

    def on_batch_end(self, progress):
        self.calls.append(("batch", progress.epoch, progress.batch, progress.sequences))

    def on_epoch_end(self, progress):
        self.calls.append(("epoch", progress.epoch, sorted(progress.logs)))
        progress.stop = progress.epoch == self.stop_at

    def on_fit_end(self, progress):
        self.calls.append(("end",))


def test_callbacks_are_called_in_order_and_may_stop():
    x, y = sums(10)
    recorder = Recorder(stop_at=1)
    history = fit(regressor(), x, y, batch_size=8, trainer_options={"callbacks": [recorder]})
    assert recorder.calls == [
        ("begin", 3, 2),
        ("batch", 1, 1, 8),
        ("batch", 1, 2, 2),
        ("epoch", 1, ["loss"]),
        ("end",),
    ]
    assert history.epochs == 1


def test_early_stopping_goes_back_to_the_best():
    x, y = sums(16)
    xv, yv = sums(16, seed=1)
    model = regressor()
    trainer = fl.Trainer(model, fl.mse, fl.Adam(0.3), callbacks=[EarlyStopping(patience=3)])
    history = trainer.fit(x, y, epochs=200, batch_size=16, validation=(xv, yv))
    assert history.epochs < 200
    best = min(history["val_loss"])
    assert history["val_loss"].index(best) == history.epochs - 4
    assert trainer.evaluate(xv, yv)["loss"] == pytest.approx(best, rel=1e-6)


def test_early_stopping_names_a_figure_that_is_not_there():
    x, y = sums(4)
    with pytest.raises(ValueError, match=r"monitor: expected one of \['loss'\], got 'val_loss'"):
        fit(regressor(), x, y, trainer_options={"callbacks": [EarlyStopping()]})


def test_a_loss_that_is_no_longer_finite_stops_before_the_parameters_are_spoilt():
    x, y = sums(32)
    model = fl.Model([fl.LSTM(1, 4), fl.Last(), fl.Dense(4, 1)], seed=0)
    trainer = fl.Trainer(model, fl.mse, fl.SGD(1e30))
    with pytest.raises(FloatingPointError, match=r"the (loss|norm of the gradient) is (inf|nan) in epoch 1, batch \d"):
        trainer.fit(x, y, epochs=5, batch_size=4)
    assert all(np.isfinite(p.value).all() for p in model.parameters())


def test_the_bar_shows_loss_and_speed_on_a_terminal_and_nothing_without(monkeypatch, capsys):
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    x, y = sums(32)
    fit(regressor(), x, y)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    fit(regressor(), x, y, validation=(x, y))
    shown = capsys.readouterr().err
    assert "epoch 3/3" in shown
    assert "loss=" in shown
    assert "sequences/s" in shown
    assert "val_loss=" in shown
    fit(regressor(), x, y, progress=False)
    assert capsys.readouterr().err == ""


def test_the_bar_has_a_total_wherever_batches_are_counted_and_says_what_lies_between_them(capsys):
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    x, y = sums(24)
    bar = ProgressBar(always=True)

    def batches(epoch):
        bar.note("7 of 8 made")
        for start in range(0, 24, 8):
            yield x[start : start + 8], y[start : start + 8]

    trainer = fl.Trainer(regressor(), "mse", callbacks=[bar])
    trainer.fit_batches(batches, epochs=4, batches_per_epoch=3, validation=(x, y), progress=False)
    shown = capsys.readouterr().err
    assert "/12.0 " in shown and "100%" in shown and "batches/s" in shown
    assert "epoch 3/4, 7 of 8 made" in shown and "epoch 3/4, validation" in shown


def test_the_bar_is_silent_without_tqdm(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    bar = ProgressBar()
    x, y = sums(8)
    fit(regressor(), x, y, trainer_options={"callbacks": [bar]})
    assert capsys.readouterr() == ("", "")


def test_nothing_touches_numpys_global_randomness():
    before = np.random.get_state()[1].copy()
    x, y = sums()
    fit(regressor(dropout=0.5), x, y)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_training_equals_pytorch_over_twenty_steps():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x, y = sums(20)
    model = fl.Model([fl.LSTM(1, 8), fl.Last(), fl.Dense(8, 1)], dtype="float64", seed=0)
    lstm, head = fl.io.to_torch(model.layers[0]), torch.nn.Linear(8, 1).double()
    with torch.no_grad():
        for name, value in (
            ("weight", model.layers[2].parameter("weight")),
            ("bias", model.layers[2].parameter("bias")),
        ):
            getattr(head, name).copy_(torch.tensor(value.value.copy()))
    lstm.bias_hh_l0.requires_grad_(False)
    optimizer = torch.optim.Adam([*(p for p in lstm.parameters() if p.requires_grad), *head.parameters()], lr=0.01)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(head(lstm(torch.tensor(x))[0][:, -1]), torch.tensor(y))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    history = fit(model, x, y, epochs=20, batch_size=20, shuffle=False)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-9)


class Batches(Callback):
    """Losses of all batches."""

    def on_fit_begin(self, progress):
        self.losses = []

    def on_batch_end(self, progress):
        self.losses.append(progress.loss)


def batch_losses(trainer, x, y, **options):
    watch = Batches()
    trainer.callbacks = [watch]
    trainer.fit(x, y, epochs=1, batch_size=4, **options)
    return watch.losses


def still(dropout=0.0):
    """A trainer that never moves, so that only order and masks make a difference."""
    return fl.Trainer(regressor(dropout=dropout), fl.mse, fl.SGD(0.0))


def test_each_fit_shuffles_anew_and_a_seed_repeats_it():
    x, y = sums(16)
    trainer = still()
    first, second = batch_losses(trainer, x, y), batch_losses(trainer, x, y)
    assert first != second
    assert batch_losses(still(), x, y) == first
    assert batch_losses(trainer, x, y, seed=3) == batch_losses(trainer, x, y, seed=3) != first
    fixed = batch_losses(trainer, x, y, shuffle=False)
    assert fixed == batch_losses(trainer, x, y, shuffle=False) != first
    np.testing.assert_allclose(fixed[0], fl.mse(trainer.model.predict(x[:4]), y[:4])[0], rtol=1e-6)


def test_the_seed_of_fit_is_that_of_the_masks():
    x, y = sums(16)
    losses = [batch_losses(still(0.5), x, y, shuffle=False, seed=seed) for seed in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]


def test_masks_are_new_at_each_pass_and_in_each_layer():
    model = fl.Model([fl.Dropout(0.5), fl.Dropout(0.5)], seed=0)
    tape, x = model.tape(), np.ones((4, 50, 10))
    first = model.forward(x, tape, training=True).copy()
    assert (first != model.forward(x, tape, training=True)).any()
    assert abs((first > 0).mean() - 0.25) < 0.03  # two equal masks would keep half


def test_masks_have_nothing_to_do_with_the_starting_values():
    lstm = fl.LSTM(3, 16, num_layers=2, dropout=0.5)
    model = fl.Model([lstm], dtype="float64", seed=0)
    signs = lstm.parameter("weight_ih_l0").value.reshape(-1)[:160] > 0
    drawn = model.tape(seed=0).workspaces[0].rng.random(160) > 0.5
    assert 0.3 < (signs == drawn).mean() < 0.7


def test_validation_knows_lengths():
    rng = np.random.default_rng(0)
    x, y, lengths = rng.normal(size=(6, 5, 1)), rng.normal(size=(6, 5, 1)), np.array([5, 1, 2, 3, 4, 5])
    model = fl.Model([fl.LSTM(1, 4), fl.Dense(4, 1)], seed=0)
    trainer = fl.Trainer(model, fl.mse, fl.SGD(0.0))
    history = trainer.fit(x, y, epochs=1, validation=(x, y, lengths))
    assert history["val_loss"][0] == pytest.approx(trainer.evaluate(x, y, lengths=lengths)["loss"])
    assert history["val_loss"][0] != pytest.approx(trainer.evaluate(x, y)["loss"], rel=1e-3)


@pytest.mark.parametrize("time", ["mean", "sum"])
def test_batches_without_weight_are_passed_over(time):
    x, y = sums(10)
    weight = np.array([0.0] * 4 + [1] * 6)
    trainer = fl.Trainer(regressor(), fl.mse.with_options(time=time), fl.SGD(0.0), metrics=["mae"])
    whole = trainer.evaluate(x, y, sample_weight=weight)
    assert trainer.evaluate(x, y, batch_size=2, sample_weight=weight) == pytest.approx(whole, rel=1e-6)
    history = trainer.fit(x, y, epochs=1, batch_size=2, sample_weight=weight, shuffle=False)
    assert history["loss"][0] == pytest.approx(whole["loss"], rel=1e-6)


def test_accuracy_of_classes_of_labels_and_with_weights():
    scores = np.array([[2.0, 1], [1, 2], [3, 0]])
    assert metrics.accuracy(scores, np.array([0, 1, 1]), np.ones(3)) == pytest.approx(2 / 3)
    assert metrics.accuracy(scores, np.array([0, 1, 1]), np.array([1, 1, 2])) == pytest.approx(1 / 2)
    labels = np.array([[1.0], [0], [1], [0]])
    assert metrics.accuracy(np.array([[0.3], [-0.3], [1.2], [0.1]]), labels, np.ones(4)) == 0.75
    many = np.array([[1.0, 0, 1]])
    assert metrics.accuracy(np.array([[0.5, 0.5, 0.5]]), many, np.ones(1)) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match=r"target: expected shape \(3, 2\), got \(3,\)"):
        metrics.mae(scores, np.array([0, 1, 1]), np.ones(3))


def test_early_stopping_lets_accuracy_rise():
    stopping = EarlyStopping(patience=2, monitor="val_accuracy")
    progress = Progress(9, 1, 1, [])
    stopping.on_fit_begin(progress)
    for progress.epoch, value in enumerate([0.5, 0.7, 0.6, 0.6], start=1):
        progress.logs = {"val_accuracy": value}
        stopping.on_epoch_end(progress)
    assert (stopping.best, stopping.best_epoch, progress.stop) == (0.7, 2, True)


def test_a_callback_may_stop_within_an_epoch():
    class Stop(Callback):
        def on_batch_end(self, progress):
            progress.stop = progress.batch == 2

    x, y = sums(16)
    watch = Batches()
    fit(regressor(), x, y, batch_size=4, trainer_options={"callbacks": [watch, Stop()]})
    assert len(watch.losses) == 2


def test_parameters_that_are_no_longer_finite_end_the_training():
    x, y = sums(8)
    model = regressor()
    with pytest.raises(FloatingPointError, match=r"\d\.\w+ is no longer finite after epoch 1"):
        fl.Trainer(model, fl.mse, fl.SGD(1e30)).fit(x, 1e10 * y, epochs=1, batch_size=8)


def test_history_of_an_interrupted_training_is_kept():
    class Interrupt(Callback):
        def on_batch_end(self, progress):
            if progress.epoch == 3:
                raise KeyboardInterrupt

    x, y = sums(8)
    trainer = fl.Trainer(regressor(), fl.mse, callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(x, y, epochs=5)
    assert trainer.history.epochs == 2


@pytest.mark.skipif(cpu.isa() == "plain", reason="the plain path runs on BLAS's threads")
def test_any_number_of_threads_trains_to_the_same_bits():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 30, 20)).astype("f4"), rng.standard_normal((40, 1)).astype("f4")
    found = []
    for threads in (1, 2, 3):
        fl.set_num_threads(threads)
        model = fl.Model([fl.LSTM(20, 120, bidirectional=True), fl.Last(), fl.Dense(240, 1)], seed=0)
        fl.Trainer(model, "mse").fit(x, y, epochs=2, batch_size=40, seed=0)
        found.append([parameter.value.copy() for parameter in model.parameters()])
    fl.set_num_threads(None)
    for other in found[1:]:
        for a, b in zip(other, found[0], strict=True):
            np.testing.assert_array_equal(a, b)
