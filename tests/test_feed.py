"""Batches from elsewhere, and data that is not read at once."""

import numpy as np
import pytest

import fastlstm as fl
from fastlstm.data import windows
from fastlstm.training.checked import Lazy, as_data
from fastlstm.training.feed import Feed


def sums(n=40, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, 6, 1))
    return x, x.sum(1)


def regressor():
    return fl.Model([fl.LSTM(1, 5), fl.Last(), fl.Dense(5, 1)], seed=0)


def values(model):
    return [parameter.value.copy() for parameter in model.parameters()]


def assert_same(a, b):
    for p, q in zip(a, b, strict=True):
        np.testing.assert_array_equal(p, q)


class Numbered:
    """Knows the batches of each epoch."""

    def __init__(self, items):
        self.items, self.asked = items, []

    def at(self, epoch):
        self.asked.append(epoch)
        return iter(self.items)


def test_batches_from_anywhere_train_like_those_of_fit():
    x, y = sums()
    parts = [(x[k : k + 8], y[k : k + 8]) for k in range(0, 40, 8)]
    expected = regressor()
    history = fl.Trainer(expected, "mse", metrics=["mae"]).fit(
        x, y, epochs=3, batch_size=8, shuffle=False, validation=(x, y)
    )
    numbered = Numbered(parts)
    for source, options in (
        (parts, {}),
        (tuple(parts), {}),
        (lambda epoch: parts, {}),
        (numbered, {}),
        (iter(parts * 3), {"batches_per_epoch": 5}),
    ):
        model = regressor()
        found = fl.Trainer(model, "mse", metrics=["mae"]).fit_batches(
            source, epochs=3, validation=parts if source is parts else (x, y), **options
        )
        assert_same(values(model), values(expected))
        for name in history:
            assert found[name] == pytest.approx(history[name], rel=1e-6)
    assert numbered.asked == [1, 2, 3]


def test_lengths_and_weights_come_with_a_batch():
    x, y = sums(8)
    lengths, weight = np.array([1, 2, 3, 4, 5, 6, 6, 6]), np.linspace(0, 1, 8)
    a, b = regressor(), regressor()
    fl.Trainer(a, "mse").fit(x, y, epochs=2, batch_size=8, shuffle=False, lengths=lengths, sample_weight=weight)
    fl.Trainer(b, "mse").fit_batches([(x, y, lengths, weight)], epochs=2)
    assert_same(values(a), values(b))


def test_what_is_wrong_with_a_batch_is_told_with_its_number():
    x, y = sums(8)

    def fit(batches, **options):
        fl.Trainer(regressor(), "mse").fit_batches(batches, **{"epochs": 2, **options})

    spoilt = np.where(np.arange(8)[:, None, None] == 3, np.nan, x)
    for error, message, batches, options in (
        (
            ValueError,
            r"batches: batch 2: x: expected finite numbers, got nan at \[3, 0, 0\]",
            [(x, y), (spoilt, y)],
            {},
        ),
        (ValueError, r"batches: batch 1: y: expected shape \(8, 1\), got \(7, 1\)", [(x, y[1:])], {}),
        (TypeError, r"batches: expected \(x, y\[, lengths\[, weight\]\]\), got ndarray at batch 1", [x], {}),
        (TypeError, r"batches: expected \(x, y\[, lengths\[, weight\]\]\), got tuple of 1 at batch 1", [(x,)], {}),
        (TypeError, "batches: expected an iterable", 3, {}),
        (ValueError, "batches: expected at least one batch in epoch 1, got none", [], {"batches_per_epoch": 3}),
        (ValueError, "in epoch 2, got none; an iterator ends once", iter([(x, y)]), {}),
        (
            ValueError,
            "batches: expected at least one real step with a weight above 0 in epoch 2, got none",
            lambda epoch: [(x, y, [2 - epoch] * 8)] * 2,
            {},
        ),
        (
            ValueError,
            "validation: expected at least one real step with a weight above 0 in epoch 1, got none",
            [(x, y)],
            {"validation": [(x, y, [0] * 8)]},
        ),
        (ValueError, "batches_per_epoch: expected at least 1, got 0", [(x, y)], {"batches_per_epoch": 0}),
        (ValueError, "validation: batch 1: x: expected shape", [(x, y)], {"validation": [(y, y)]}),
    ):
        with pytest.raises(error, match=message):
            fit(batches, **options)


def test_windows_and_files_are_read_a_batch_at_a_time(tmp_path):
    """The same bits as from a copy in memory, whether views overlap or lie in a file."""
    series = np.random.default_rng(0).normal(size=500)
    x, y = windows(series, 20, 3)
    assert Lazy.suits(x)
    np.save(tmp_path / "x.npy", np.ascontiguousarray(x))
    np.save(tmp_path / "y.npy", y[..., 0])
    on_disk = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xy"]
    assert Lazy.suits(on_disk[0])
    lengths = np.random.default_rng(1).integers(1, 21, len(x))
    found = []
    for inputs, targets in ((np.ascontiguousarray(x), y[..., 0].copy()), (x, y[..., 0]), on_disk):
        model = fl.Model([fl.LSTM(1, 4), fl.Last(), fl.Dense(4, 3)], seed=0)
        trainer = fl.Trainer(model, "mse")
        history = trainer.fit(inputs, targets, epochs=2, lengths=lengths, validation=(inputs, targets))
        found.append((values(model), dict(history)))
    for other in found[1:]:
        assert_same(other[0], found[0][0])
        assert other[1] == found[0][1]


def test_tokens_and_labels_are_read_a_batch_at_a_time():
    text = np.random.default_rng(0).integers(0, 7, 300).astype(np.uint8)
    x, y = (np.lib.stride_tricks.sliding_window_view(part, 16) for part in (text[:-1], text[1:]))
    found = []
    for inputs, targets in ((x, y), (x.copy(), y.copy())):
        model = fl.Model([fl.Embedding(7, 4), fl.LSTM(4, 6), fl.Dense(6, 7)], seed=0)
        data = as_data(model, fl.softmax_cross_entropy, inputs, targets, None, None)
        assert isinstance(data.x, Lazy) == (inputs is x)
        fl.Trainer(model, "softmax_cross_entropy").fit(inputs, targets, epochs=1)
        found.append(values(model))
    assert_same(*found)


def test_what_is_read_later_is_checked_at_once():
    series = np.random.default_rng(0).normal(size=300)
    x, y = windows(series, 20, 1)
    spoilt = series.copy()
    spoilt[-2] = np.nan
    bad_x, bad_y = windows(spoilt, 20, 1)
    trainer = fl.Trainer(regressor(), "mse")
    for message, inputs, targets in (
        (r"x: expected finite numbers, got nan", bad_x, y[..., 0]),
        (r"y: expected finite numbers, got nan", x, bad_y[..., 0]),
        (r"x: expected shape \(N, T, 1\)", x[..., 0], y[..., 0]),
        (r"y: expected shape \(280, 1\), got \(279, 1\)", x, y[1:, :, 0]),
        (r"y: expected shape \(280, 1\), got \(279, 1\)", bad_x, y[1:, :, 0]),  # before x is read, which may be huge
    ):
        with pytest.raises(ValueError, match=message):
            trainer.fit(inputs, targets, epochs=1)


def test_a_feed_skips_what_was_learned_from():
    x, y = sums(8)
    items = [(x + k, y) for k in range(5)]
    model = regressor()
    for source in (items, lambda epoch: iter(items)):
        found = [float(batch.x[0, 0, 0] - np.float32(x[0, 0, 0])) for batch in Feed(model, fl.mse, source, 5).at(1, 3)]
        assert found == pytest.approx([3, 4], abs=1e-6)
    endless = Feed(model, fl.mse, iter(items), 2)
    assert len(list(endless.at(2, 1))) == 1  # the first epoch and a batch of the second are passed over
    assert endless._position == 4
