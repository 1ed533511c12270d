"""What runs beside a training: hooks, averages, limits of the gradient, logs, schedules."""

import csv
import math

import numpy as np
import pytest

import fastlstm as fl
from fastlstm import schedules
from fastlstm.callbacks import EMA, SWA, Callback, CSVLog, EarlyStopping, GradientNorms, TensorBoard


def sums(n=40, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, 6, 1))
    return x, x.sum(1)


def regressor(dtype="float64", seed=0):
    return fl.Model([fl.LSTM(1, 5), fl.Last(), fl.Dense(5, 1)], dtype=dtype, seed=seed)


def values(model):
    return [parameter.value.copy() for parameter in model.parameters()]


def assert_close(a, b, **options):
    for p, q in zip(a, b, strict=True):
        np.testing.assert_allclose(p, q, **options)


class Watch(Callback):
    """The parameters after each step, and the learning rate of it."""

    def on_fit_begin(self, progress):
        self.values, self.rates, self.hooks = [], [], []

    def on_batch_end(self, progress):
        self.values.append([parameter.value.copy() for parameter in progress.parameters])
        self.rates.append(progress.optimizer.lr)


class Hooks(Callback):
    """Every hook that is called, with a name of its own."""

    def __init__(self, name, calls):
        self.name, self.calls = name, calls

    def __getattribute__(self, name):
        if name.startswith("on_"):
            object.__getattribute__(self, "calls").append((object.__getattribute__(self, "name"), name))
        return object.__getattribute__(self, name)


def test_hooks_come_in_order_and_end_in_the_opposite_one():
    x, y = sums(8)
    calls = []
    trainer = fl.Trainer(regressor(), "mse", callbacks=[Hooks("a", calls), Hooks("b", calls)])
    trainer.fit(x, y, epochs=1, batch_size=8, validation=(x, y))
    hooks = ["fit_begin", "epoch_begin", "batch_begin", "batch_end", "validation_begin"]
    expected = [(name, f"on_{hook}") for hook in hooks for name in "ab"]
    expected += [(name, "on_validation_end") for name in "ba"]
    expected += [(name, "on_epoch_end") for name in "ab"]
    expected += [(name, "on_fit_end") for name in "ba"]
    assert calls == expected


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("time", ["mean", "sum"])
def test_gradients_added_up_are_those_of_one_batch(time, per_step):
    """Steps of two batches of 4 equal steps of batches of 8, though the weights of the batches differ."""
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(20, 5, 1)), rng.random((20, 5) if per_step else 20)
    y = x.cumsum(1) if per_step else x.sum(1)
    found = []
    for size, accumulate in ((8, 1), (4, 2), (1, 8)):
        middle = [] if per_step else [fl.Last()]
        model = fl.Model([fl.LSTM(1, 4), *middle, fl.Dense(4, 1)], dtype="float64", seed=0)
        loss = fl.mse.with_options(time=time)
        watch = Watch()
        trainer = fl.Trainer(model, loss, fl.SGD(0.3), accumulate=accumulate, clip_norm=0.2, callbacks=[watch])
        history = trainer.fit(x, y, epochs=2, batch_size=size, shuffle=False, sample_weight=weight)
        found.append(values(model))
        assert len(watch.values) == 2 * -(-20 // size)
        assert_close(watch.values[-1], found[-1])
        assert history.epochs == 2
    if time == "sum":  # averaged over the sequences of a step
        assert_close(found[0], found[1], rtol=1e-10)
    assert_close(found[0], found[2], rtol=1e-10)
    assert_close(found[0], found[1], rtol=1e-10)


def test_an_epoch_of_unknown_length_ends_with_a_step():
    x, y = sums(12)

    def batches(epoch):
        for start in (0, 4, 8):
            yield x[start : start + 4], y[start : start + 4]

    known, unknown = regressor(), regressor()
    fl.Trainer(known, "mse", accumulate=2).fit_batches(batches, epochs=3, batches_per_epoch=3)
    fl.Trainer(unknown, "mse", accumulate=2).fit_batches(batches, epochs=3)
    assert_close(values(known), values(unknown), rtol=0)


def test_numbers_of_the_gradient_are_cut_before_its_norm():
    x, y = sums(8)
    model, twin = regressor(), regressor()
    fl.Trainer(model, "mse", fl.SGD(1.0), clip_value=0.05, clip_norm=0.1).fit(x, y, epochs=1, batch_size=8)
    tape = twin.tape()
    _, dpred = fl.mse(twin.forward(x, tape, training=True), y)
    twin.backward(dpred, tape)
    grads = [np.clip(parameter.grad, -0.05, 0.05) for parameter in twin.parameters()]
    norm = math.sqrt(sum((grad**2).sum() for grad in grads))
    assert norm > 0.1
    expected = [p.value - 0.1 / norm * grad for p, grad in zip(twin.parameters(), grads, strict=True)]
    assert_close(values(model), expected, rtol=1e-9)


def test_ema_follows_its_formula_and_is_what_is_validated_and_left():
    x, y = sums(16)
    watch, ema = Watch(), EMA(0.8)
    model = regressor()
    trainer = fl.Trainer(model, "mse", fl.Adam(0.05), callbacks=[watch, ema])
    history = trainer.fit(x, y, epochs=3, batch_size=4, validation=(x, y))
    average = watch.values[0]
    for k, step in enumerate(watch.values[1:], start=1):
        d = min(0.8, (1 + k) / (10 + k))
        average = [d * a + (1 - d) * w for a, w in zip(average, step, strict=True)]
    assert_close(values(model), average, rtol=1e-9)
    assert trainer.evaluate(x, y)["loss"] == pytest.approx(history["val_loss"][-1], rel=1e-9)
    plain = Watch()
    fl.Trainer(regressor(), "mse", fl.Adam(0.05), callbacks=[plain]).fit(x, y, epochs=3, batch_size=4)
    for a, b in zip(plain.values, watch.values, strict=True):
        assert_close(a, b, rtol=0)  # the training itself does not see the averages


@pytest.mark.parametrize("start", [0.5, 3])
def test_swa_is_the_mean_of_the_last_epochs(start):
    x, y = sums(16)
    watch, model = Watch(), regressor()
    trainer = fl.Trainer(model, "mse", fl.Adam(0.05), callbacks=[SWA(start), watch])
    history = trainer.fit(x, y, epochs=4, batch_size=4, validation=(x, y))
    expected = [(a + b) / 2 for a, b in zip(watch.values[11], watch.values[15], strict=True)]
    assert_close(values(model), expected, rtol=1e-9)
    assert trainer.evaluate(x, y)["loss"] == pytest.approx(history["val_loss"][-1], rel=1e-9)


def test_early_stopping_goes_back_to_the_best_average():
    x, y = sums(16)
    xv, yv = sums(16, seed=1)
    trainer = fl.Trainer(regressor(), "mse", fl.Adam(0.3), callbacks=[EarlyStopping(patience=3), EMA(0.5)])
    history = trainer.fit(x, y, epochs=200, batch_size=4, validation=(xv, yv))
    assert history.epochs < 200
    assert trainer.evaluate(xv, yv)["loss"] == pytest.approx(min(history["val_loss"]), rel=1e-9)


def test_early_stopping_puts_running_statistics_back():
    x, y = sums(16)
    model = fl.Model([fl.LSTM(1, 4), fl.Last(), fl.BatchNorm(4), fl.Dense(4, 1)], dtype="float64", seed=0)
    trainer = fl.Trainer(model, "mse", fl.Adam(0.3), callbacks=[EarlyStopping(patience=3)])
    history = trainer.fit(x, y, epochs=200, batch_size=8, validation=sums(16, seed=1))
    assert history.epochs < 200
    assert trainer.evaluate(*sums(16, seed=1))["loss"] == pytest.approx(min(history["val_loss"]), rel=1e-9)


def rates(schedule, epochs=10, batches=2, validation=None, lr=2.0, **options):
    watch = Watch()
    optimizer = fl.SGD(lr)
    optimizer.update = lambda *arguments: None
    x, y = np.zeros((batches, 2, 1)), np.zeros((batches, 1))
    model = fl.Model([fl.LSTM(1, 2), fl.Last(), fl.Dense(2, 1)], seed=0)
    trainer = fl.Trainer(model, "mse", optimizer, callbacks=[schedule, watch], **options)
    trainer.fit(x, y, epochs=epochs, batch_size=1, validation=validation)
    assert optimizer.lr == lr  # as it was given
    return np.array(watch.rates) / lr


def test_schedules_are_their_formulas():
    step = np.arange(20)
    np.testing.assert_allclose(rates(schedules.Constant()), 1)
    np.testing.assert_allclose(rates(schedules.Constant(warmup=5)), np.minimum(1, (step + 1) / 5))
    np.testing.assert_allclose(rates(schedules.Constant(warmup=0.25)), np.minimum(1, (step + 1) / 5))
    np.testing.assert_allclose(rates(schedules.Step(3, 0.1)), 0.1 ** (step // 6))
    np.testing.assert_allclose(rates(schedules.Exponential(0.9)), 0.9 ** (step // 2))
    np.testing.assert_allclose(rates(schedules.Exponential(0.9, start=4)), 0.9 ** np.maximum(0, step // 2 - 3))
    cosine = 0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * step / 20))
    np.testing.assert_allclose(rates(schedules.Cosine(floor=0.1)), cosine)
    warm = np.where(step < 4, (step + 1) / 4, 0.5 * (1 + np.cos(np.pi * np.maximum(0, step - 4) / 16)))
    np.testing.assert_allclose(rates(schedules.Cosine(warmup=4)), warm)
    cycle = rates(schedules.OneCycle(rise=0.25))
    assert cycle[0] == pytest.approx(1 / 25)
    assert cycle[-1] == pytest.approx(1e-4)
    assert cycle.argmax() == 5
    assert cycle.max() > 0.99
    np.testing.assert_allclose(rates(schedules.Function(lambda progress: 1 / (1 + progress.step))), 1 / (1 + step))


def test_schedules_count_steps_and_not_batches():
    found = rates(schedules.Cosine(), epochs=5, batches=4, accumulate=2)
    np.testing.assert_allclose(found[::2], 0.5 * (1 + np.cos(np.pi * np.arange(10) / 10)))
    np.testing.assert_allclose(found[1::2], found[::2])


def test_the_rate_falls_on_a_plateau_and_not_below_its_floor():
    found = rates(schedules.ReduceOnPlateau(0.1, 2, "loss", floor=0.005), epochs=9, batches=1)
    np.testing.assert_allclose(found, [1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.005, 0.005])


def test_a_schedule_that_needs_the_end_asks_for_it():
    x, y = sums(4)
    trainer = fl.Trainer(regressor(), "mse", callbacks=[schedules.Cosine()])
    with pytest.raises(ValueError, match="give batches_per_epoch"):
        trainer.fit_batches(lambda epoch: iter([(x, y)]), epochs=2)
    trainer.fit_batches([(x, y)], epochs=2)


def test_a_csv_log_has_a_row_for_each_epoch(tmp_path):
    x, y = sums(8)
    trainer = fl.Trainer(regressor(), "mse", fl.Adam(0.5), callbacks=[CSVLog(tmp_path / "log.csv")], metrics=["mae"])
    history = trainer.fit(x, y, epochs=3, batch_size=4)
    with open(tmp_path / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [row["step"] for row in rows] == ["2", "4", "6"]
    assert [float(row["mae"]) for row in rows] == history["mae"]
    assert rows[0]["lr"] == "0.5"


def test_norms_of_gradients_are_kept_before_they_are_clipped():
    x, y = sums(16)
    norms = [GradientNorms(), GradientNorms()]
    fl.Trainer(regressor(), "mse", fl.SGD(0.0), callbacks=[norms[0]]).fit(x, y, epochs=2, batch_size=8)
    fl.Trainer(regressor(), "mse", fl.SGD(0.0), clip_norm=0.01, callbacks=[norms[1]]).fit(x, y, epochs=2, batch_size=8)
    assert norms[0].norms == norms[1].norms
    assert len(norms[0].norms) == 4
    assert min(norms[0].norms) > 0.01


def test_the_steps_between_points_of_a_curve_are_checked(tmp_path):
    with pytest.raises(ValueError, match="every: expected at least 1, got 0"):
        TensorBoard(tmp_path, every=0)


def test_tensorboard_gets_its_files_or_says_what_is_missing(tmp_path, monkeypatch):
    x, y = sums(8)
    trainer = fl.Trainer(regressor(), "mse", callbacks=[TensorBoard(tmp_path, every=1)])
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"pip install 'fastlstm\[tensorboard\]'"):
        trainer.fit(x, y, epochs=1)
    monkeypatch.undo()
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    trainer.fit(x, y, epochs=2)
    content = b"".join(path.read_bytes() for path in tmp_path.glob("events.out.*"))
    assert b"step/loss" in content
    assert b"epoch/loss" in content


def classes(model_outputs, **options):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4, 1)), np.repeat([0, 1, 2], [20, 8, 2])
    watch = Watch()
    model = fl.Model([fl.LSTM(1, 3), fl.Last(), fl.Dense(3, model_outputs)], dtype="float64", seed=0)
    trainer = fl.Trainer(model, "softmax_cross_entropy", fl.SGD(0.1), callbacks=[watch])
    trainer.fit(x, y, epochs=1, batch_size=30, **options)
    return watch.values[0]


def test_class_weights_are_weights_of_their_sequences():
    y = np.repeat([0, 1, 2], [20, 8, 2])
    assert_close(classes(3, class_weight={1: 3.0, 2: 0.5}), classes(3, sample_weight=np.array([1, 3, 0.5])[y]))
    balanced = 30 / (3 * np.array([20, 8, 2]))
    assert_close(classes(3, class_weight="balanced"), classes(3, sample_weight=balanced[y]))
    for error, message, weight in (
        (ValueError, r"class_weight: expected some of the classes \[0, 1, 2\], got 3", {3: 1.0}),
        (ValueError, "class_weight of 1: expected at least 0, got -1", {1: -1.0}),
        (ValueError, "class_weight: expected a dict or 'balanced', got 'even'", "even"),
        (TypeError, r"class_weight: expected a dict or 'balanced', got \[1, 2\]", [1, 2]),
    ):
        with pytest.raises(error, match=message):
            classes(3, class_weight=weight)
    x, y = sums(4)
    with pytest.raises(ValueError, match="class_weight: expected y to hold one class"):
        fl.Trainer(fl.Model([fl.LSTM(1, 2), fl.Last()], seed=0), "mse").fit(
            x, np.ones((4, 2)), epochs=1, class_weight={1: 2.0}
        )
