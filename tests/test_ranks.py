"""Training on several ranks is training in one process. The ranks are threads; tests of MPI are in test_mpi.py."""

import numpy as np
import pytest
from rank_cases import on_ranks

import fastlstm as fl
from fastlstm.callbacks import EMA, Checkpoint, EarlyStopping, GradientNorms

RNG = np.random.default_rng(0)
X = RNG.normal(size=(45, 6, 2))
Y = X.cumsum(1)[..., :1]
LENGTHS = RNG.integers(1, 7, 45)
WEIGHT = RNG.random((45, 6)) * (RNG.random(45) > 0.3)[:, None]
LABELS = (Y[:, -1, 0] > 0).astype(int)


def per_step(*between):
    return [fl.LSTM(2, 5, num_layers=2), *between, fl.Dense(5, 1)]


def pooled(*between):
    return [fl.LSTM(2, 5, bidirectional=True), *between, fl.MeanPool(), fl.Dense(10, 3)]


class Fit:
    """A training, its metrics and the arguments of its fit."""

    def __init__(self, layers, loss="mse", metrics=("rmse",), trainer=None, **fit):
        self.layers, self.loss, self.metrics, self.trainer = layers, loss, metrics, trainer or {}
        self.fit = {"x": X, "y": Y, "batch_size": 8, "seed": 3, "epochs": 2, **fit}

    def __call__(self, communicator=None, callbacks=(), fit=None, **options):
        model = fl.Model(self.layers(), dtype=options.pop("dtype", "float64"), seed=0)
        trainer = fl.Trainer(
            model,
            self.loss,
            fl.Adam(0.01),
            metrics=self.metrics,
            callbacks=callbacks,
            **{**self.trainer, "communicator": communicator, **options},
        )
        given = {**self.fit, **(fit or {})}
        call = trainer.fit
        if "window" in given:
            call = trainer.fit_sequence
        if "batches" in given:
            call = trainer.fit_batches
            given = {k: v for k, v in given.items() if k not in ("x", "y", "batch_size")}
        history = call(**given)
        return [array.value.copy() for array in (*model.parameters(), *model.buffers())], history


def batches(epoch):
    rng = np.random.default_rng(epoch)
    for size in (8, 3, 1, 8):
        x = rng.normal(size=(size, 6, 2))
        yield (
            x,
            x.cumsum(1)[..., :1],
            rng.integers(1, 7, size),
            np.maximum(rng.random((size, 6)) > 0.3, [[1, 0, 0, 0, 0, 0]]),
        )


SERIES = RNG.normal(size=(203, 2))
NEXT = SERIES.cumsum(0)[:, :1] / 5
HELD_OUT = (X[:19] + 1, Y[:19])

FITS = {
    "full": Fit(per_step, validation=HELD_OUT),
    "ragged": Fit(per_step, lengths=LENGTHS, bucket=True, validation=(*HELD_OUT, LENGTHS[:19])),
    "weights": Fit(per_step, sample_weight=WEIGHT),
    "first sequences only": Fit(per_step, sample_weight=np.arange(45) < 5, shuffle=False),
    "sum over time": Fit(per_step, loss=fl.mse.with_options(time="sum"), sample_weight=WEIGHT),
    "accumulate": Fit(per_step, trainer={"accumulate": 4}, lengths=LENGTHS),
    "dropout": Fit(lambda: [fl.Dropout(0.2), fl.LSTM(2, 5, num_layers=2, dropout=0.3), fl.Dense(5, 1)]),
    "ragged dropout": Fit(
        lambda: [fl.Dropout(0.2), fl.GRU(2, 5, num_layers=3, dropout=0.3), fl.Dense(5, 1)], lengths=LENGTHS
    ),
    "clipping": Fit(per_step, trainer={"clip_norm": 0.05, "clip_value": 0.02}),
    "classes": Fit(
        lambda: pooled(fl.LayerNorm(10)),
        loss="softmax_cross_entropy",
        metrics=("accuracy", "f1", "auc"),
        y=LABELS,
        class_weight="balanced",
        validation=(X[:19], LABELS[:19]),
    ),
    "tied": Fit(
        lambda: (lambda table: [table, fl.LSTM(4, 4), fl.TiedDense(table)])(fl.Embedding(7, 4)),
        loss="softmax_cross_entropy",
        metrics=("accuracy",),
        x=np.arange(45 * 6).reshape(45, 6) % 7,
        y=np.arange(45 * 6).reshape(45, 6) // 2 % 7,
    ),
    "batches": Fit(per_step, batches=batches, validation=HELD_OUT),
    "batches of known number": Fit(
        per_step, batches=batches, batches_per_epoch=3, trainer={"accumulate": 2}, validation=lambda epoch: batches(9)
    ),
    "sequence": Fit(
        per_step, x=SERIES, y=NEXT, window=10, batch_size=5, starts=[7, 60, 61, 130], validation=(SERIES, NEXT)
    ),
    "sequence with dropout": Fit(
        lambda: [fl.Dropout(0.2), fl.LSTM(2, 4, num_layers=2, dropout=0.2), fl.Dense(4, 1)],
        x=SERIES,
        y=NEXT,
        window=10,
        batch_size=5,
        starts=[7, 60, 61, 130],
        sample_weight=np.arange(203) % 40 < 21,
    ),
    "a loss of one's own": Fit(
        per_step, loss=lambda pred, y, w: fl.mse(pred, y, w), metrics=(), lengths=LENGTHS, sample_weight=WEIGHT
    ),
}

NORMED = {
    "batch norm": Fit(lambda: [fl.BatchNorm(2), *per_step(fl.BatchNorm(5))], validation=HELD_OUT),
    "ragged batch norm": Fit(lambda: per_step(fl.BatchNorm(5)), lengths=LENGTHS),
    "batch norm of pooled": Fit(lambda: pooled(fl.BatchNorm(10)), y=X[:, 0, :1] * [1, 2, 3]),
}


def assert_close(found, expected, rtol=1e-12):
    (values, history), (wanted, figures) = found, expected
    for a, b in zip(values, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
    assert [*history] == [*figures]
    for name in figures:
        np.testing.assert_allclose(history[name], figures[name], rtol=1e-10, err_msg=name)


def assert_same(found, expected):
    (values, history), (wanted, figures) = found, expected
    for a, b in zip(values, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    assert history["loss"] == figures["loss"]
    assert history.get("val_loss") == figures.get("val_loss")


@pytest.fixture(scope="module")
def alone():
    """What a single process learns, by the name of the training."""
    return {name: fit() for name, fit in (FITS | NORMED).items()}


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("name", FITS | NORMED)
def test_ranks_learn_what_one_process_learns(name, size, alone):
    for found in on_ranks(size, (FITS | NORMED)[name]):
        assert_close(found, alone[name])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FITS)
def test_with_reproducible_the_bits_do_not_depend_on_the_ranks(name, dtype, alone):
    expected = FITS[name](reproducible=True, dtype=dtype)
    if dtype == "float64":
        assert_close(expected, alone[name])
    for size in (2, 3):
        for found in on_ranks(size, lambda ranks: FITS[name](ranks, reproducible=True, dtype=dtype)):
            assert_same(found, expected)
