"""Training on several ranks is training in one process. The ranks are threads; tests of MPI are in test_mpi.py."""

import numpy as np
import pytest
from rank_cases import on_ranks

import fastlstm as fl
from fastlstm.callbacks import EMA, SWA, EarlyStopping, GradientNorms
from fastlstm.layers.dropout import drop
from fastlstm.metrics import Measure
from fastlstm.training.pieces import cover, node
from fastlstm.training.shares import Share, shares_of
from fastlstm.workspace import Part, Workspace

RNG = np.random.default_rng(0)
X = RNG.normal(size=(45, 6, 2))
Y = X.cumsum(1)[..., :1]
LEAVES_OUT = {
    **{"dropout": 0.2, "input_dropout": 0.2, "variational": True, "weight_dropout": 0.2, "recurrent_dropout": 0.3},
    **{"zoneout": (0.2, 0.3), "peephole": True},
}
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
    "all that an LSTM leaves out": Fit(
        lambda: [fl.LSTM(2, 5, num_layers=2, **LEAVES_OUT), fl.Dense(5, 1)], lengths=LENGTHS
    ),
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
    "learned states": Fit(
        lambda: [fl.LSTM(2, 5, num_layers=2, learn_initial_state=True), fl.Dense(5, 1)], lengths=LENGTHS
    ),
    "sequence with learned states": Fit(
        lambda: [fl.LSTM(2, 4, learn_initial_state=True), fl.Dense(4, 1)],
        x=SERIES,
        y=NEXT,
        window=10,
        batch_size=5,
        starts=[7, 60, 61, 130],
    ),
    "a loss of one's own": Fit(
        per_step, loss=lambda pred, y, w: fl.mse(pred, y, w), metrics=(), lengths=LENGTHS, sample_weight=WEIGHT
    ),
}

NORMED = {
    "batch norm": Fit(lambda: [fl.BatchNorm(2), *per_step(fl.BatchNorm(5))], validation=HELD_OUT),
    "ragged batch norm": Fit(lambda: per_step(fl.BatchNorm(5)), lengths=LENGTHS),
    "batch norm of fewer rows than ranks": Fit(
        lambda: [fl.LSTM(2, 5), fl.Last(), fl.BatchNorm(5), fl.Dense(5, 1)], x=X[:42], y=Y[:42, -1]
    ),
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


def test_fifty_steps_of_ragged_batches_with_all_that_there_is():
    """Weights, dropout, accumulation, clipping and an uneven last batch at once."""
    fit = Fit(
        lambda: [fl.Dropout(0.1), fl.LSTM(2, 6, num_layers=2, dropout=0.2), fl.BatchNorm(6), fl.Dense(6, 1)],
        trainer={"accumulate": 2, "clip_norm": 0.3},
        lengths=LENGTHS,
        sample_weight=WEIGHT,
        epochs=17,
        validation=HELD_OUT,
    )
    expected = fit()
    assert len(expected[1]["loss"]) * 3 > 50
    for found in on_ranks(4, fit):
        assert_close(found, expected, 1e-12)


@pytest.mark.parametrize("size", [2, 4])
def test_the_plain_path_has_the_masks_of_the_whole_batch_too(size, monkeypatch):
    from fastlstm._kernels import cpu

    before = cpu.isa()
    cpu.choose("plain")
    try:
        for name in ("ragged dropout", "sequence with dropout", "all that an LSTM leaves out"):
            expected = FITS[name]()
            for found in on_ranks(size, FITS[name]):
                assert_close(found, expected)
    finally:
        cpu.choose(before)


def test_a_mask_is_that_of_the_rows_place_in_the_whole_batch():
    x = np.ones((7, 3, 5))
    whole = drop(x, 0.4, Workspace(3)).copy()
    for rows in (slice(0, 3), slice(3, 7), slice(6, 7)):
        np.testing.assert_array_equal(drop(x[rows], 0.4, Workspace(3, part=Part(first=rows.start))), whole[rows])


def test_shares_are_all_rows_once_and_pieces_do_not_depend_on_the_ranks():
    for n in range(12):
        for size in range(1, 9):
            rows = [row for k in range(size) for row in range(n)[Share(k, size).rows(n)]]
            assert rows == [*range(n)]
            assert [share for rank in range(size) for share in shares_of(rank, size, 8)] == [*shares_of(0, 1, 8)]


@pytest.mark.parametrize("pieces", [1, 2, 3, 5, 7, 8, 13])
def test_the_tree_of_pieces_is_the_same_for_any_number_of_ranks(pieces):
    numbers = np.random.default_rng(pieces).normal(size=pieces) * 10.0 ** np.arange(pieces)
    leaves = {(k, k + 1): number for k, number in enumerate(numbers)}
    whole = node((0, pieces), leaves)
    assert np.isclose(whole, numbers.sum(), rtol=1e-12)
    for size in range(1, pieces + 1):
        blocks = {}
        for rank in range(size):
            own = shares_of(rank, size, pieces)
            span = own[0].index, own[-1].index + 1
            mine = {key: leaf for key, leaf in leaves.items() if span[0] <= key[0] < span[1]}
            blocks |= {part: node(part, mine) for part in cover((0, pieces), span)}
        assert node((0, pieces), blocks) == whole


def decided(communicator=None, **options):
    """A training whose callbacks decide, and what they have decided."""
    best, norms = EarlyStopping(patience=2), GradientNorms()
    callbacks = [best, norms, EMA(0.5), SWA(2), fl.schedules.ReduceOnPlateau(patience=1)]
    fit = {"epochs": 12, "validation": HELD_OUT}
    trained = FITS["full"](communicator, callbacks, fit, **options)
    return trained, (best.best_epoch, norms.norms)


def test_callbacks_decide_the_same_everywhere():
    expected, (epoch, norms) = decided()
    assert 1 < len(expected[1]["loss"]) <= 12
    for found, (best, seen) in on_ranks(3, decided):
        assert_close(found, expected, 1e-10)
        assert best == epoch
        np.testing.assert_allclose(seen, norms, rtol=1e-10)


class StopOnOne(fl.Callback):
    """One rank wants to stop, in the second batch or at the end of the first epoch."""

    def __init__(self, where):
        self.where = where

    def on_batch_end(self, progress):
        if self.where == "batch" and progress.rank == 1 and progress.step == 2:
            progress.stop = True

    def on_epoch_end(self, progress):
        if self.where == "epoch" and progress.rank == 1:
            progress.stop = True


@pytest.mark.parametrize("where", ["batch", "epoch"])
def test_all_stop_if_one_does(where):
    steps = {"batch": 3, "epoch": 6}[where]

    def act(ranks):
        norms = GradientNorms()
        FITS["full"](ranks, [StopOnOne(where), norms])
        return len(norms.norms)

    assert on_ranks(3, act) == [steps] * 3


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_gradients_in_16_bits_learn_nearly_the_same_as_nothing_is_lost_for_good(kind):
    expected = FITS["ragged"](fit={"epochs": 10})
    found = on_ranks(3, lambda ranks: FITS["ragged"](ranks, fit={"epochs": 10}, wire=kind))
    for other in found[1:]:
        assert_same(other, found[0])
    assert 0 < abs(found[0][1]["loss"][-1] / expected[1]["loss"][-1] - 1) < 0.02


def test_in_16_bits_half_as_much_travels():
    def sent(**options):
        def act(ranks):
            fit = Fit(lambda: [fl.LSTM(2, 64), fl.Dense(64, 1)], metrics=())
            fit(ranks, dtype="float32", **options)
            return sum(size for call, size in ranks.calls if call != "gather" or size > 4000)

        return on_ranks(2, act)[0]

    assert sent(wire="bfloat16") < 0.8 * sent()


def test_what_rounding_loses_comes_later():
    """A gradient that is far too small for 16 bits beside a large one still arrives, in sum."""
    from fastlstm.training.exchange import Exchange
    from fastlstm.training.wire import Wire

    def act(ranks):
        wire, total = Wire("bfloat16", Exchange(ranks)), 0.0
        for _ in range(1000):
            array = np.array([1.001, 1.0])
            wire.sum(array, 1.0)
            total += array[0]
        return total

    for total in on_ranks(2, act):
        assert abs(total - 2002) < 0.02


def test_averaging_after_each_step_of_plain_descent_is_descent_on_the_whole_batch():
    """The mean of steps along gradients of equally many sequences is the step along their mean."""

    def act(ranks=None, **options):
        model = fl.Model(per_step(), dtype="float64", seed=0)
        trainer = fl.Trainer(model, "mse", fl.SGD(0.1, momentum=0.5), communicator=ranks, **options)
        history = trainer.fit(X[:32], Y[:32], epochs=3, batch_size=8, seed=3, validation=HELD_OUT)
        return [parameter.value.copy() for parameter in model.parameters()], history

    expected = act()
    for found in on_ranks(2, lambda ranks: act(ranks, average_every=1)):
        np.testing.assert_allclose(found[0][0], expected[0][0], rtol=1e-12)


@pytest.mark.parametrize("name", ["ragged", "weights", "first sequences only", "accumulate", "batches", "sequence"])
def test_ranks_that_average_every_few_steps_end_with_the_same_parameters_and_learn(name):
    fit = {"epochs": 4}
    found = on_ranks(3, lambda ranks: FITS[name](ranks, fit=fit, average_every=3))
    for other in found[1:]:
        assert_same(other, found[0])
    assert name == "batches" or found[0][1]["loss"][-1] < found[0][1]["loss"][0]  # which has new ones in each epoch


@pytest.mark.parametrize("every", [1, 2, 5])
def test_a_last_step_that_was_not_known_to_be_one_is_averaged_too(every):
    fit = Fit(per_step, batches=lambda epoch: [*batches(epoch)][:3], trainer={"accumulate": 2})
    first, second = on_ranks(2, lambda ranks: fit(ranks, average_every=every))
    assert_same(second, first)


def test_evaluation_is_shared_out():
    model = fl.Model(per_step(), dtype="float64", seed=0)
    alone = fl.Trainer(model, "mse", metrics=["mae", "rmse"])
    expected = alone.evaluate(X, Y, lengths=LENGTHS, batch_size=7), alone.evaluate_sequence(SERIES, NEXT, batch_size=5)

    def act(ranks):
        own = fl.Model(per_step(), dtype="float64", seed=0)
        trainer = fl.Trainer(own, "mse", metrics=["mae", "rmse"], communicator=ranks)
        return (
            trainer.evaluate(X, Y, lengths=LENGTHS, batch_size=7),
            trainer.evaluate_sequence(SERIES, NEXT, batch_size=5),
        )

    for found in on_ranks(3, act):
        for a, b in zip(found, expected, strict=True):
            assert a == pytest.approx(b, rel=1e-12)


def test_seq2seq_with_the_decoders_own_choices():
    x = np.random.default_rng(0).integers(0, 4, (45, 3))

    def act(ranks=None, **options):
        decoder = fl.Decoder(6, 6, num_tokens=5, max_steps=4, end_token=4)
        model = fl.Model([fl.Embedding(4, 5), fl.LSTM(5, 6), decoder], dtype="float64", seed=0)
        trainer = fl.Seq2SeqTrainer(
            model, optimizer=fl.Adam(0.02), teacher_forcing=0.5, metrics=["accuracy"], communicator=ranks, **options
        )
        history = trainer.fit(x, x[:, ::-1], epochs=2, batch_size=8, seed=0, validation=(x[:20], x[:20]))
        return [parameter.value.copy() for parameter in model.parameters()], history

    expected = act()
    for found in on_ranks(3, act):
        assert_close(found, expected)
    exact = act(reproducible=True)
    for found in on_ranks(2, lambda ranks: act(ranks, reproducible=True)):
        assert_same(found, exact)


def test_ctc():
    labels = np.array([[1, 2], [2, -1], [1, 1]] * 5)
    fit = Fit(
        lambda: [fl.LSTM(2, 5), fl.Dense(5, 3)], "ctc", [fl.metrics.label_error_rate(blank=0)], x=X[:15], y=labels
    )
    expected = fit()
    for found in on_ranks(4, fit):
        assert_close(found, expected)


class Largest(Measure):
    name = "largest"

    def start(self):
        self.largest = np.zeros(1)

    def update(self, pred, target, weights):
        self.largest = np.maximum(self.largest, np.abs(pred - target).max())

    def value(self):
        return float(self.largest[0])

    def state(self):
        return {"largest": self.largest}

    def restore(self, state):
        self.largest = state["largest"]


class Mergeable(Largest):
    def merge(self, state):
        self.largest = np.maximum(self.largest, state["largest"])


def test_a_metric_of_ones_own_is_put_together_if_it_says_how():
    expected = Fit(per_step, metrics=[Mergeable()])()
    for found in on_ranks(2, Fit(per_step, metrics=[Mergeable()])):
        assert_close(found, expected)
    with pytest.raises(TypeError, match="metrics: expected metrics with a method merge, .* got 'largest' without"):
        on_ranks(2, Fit(per_step, metrics=[Largest()]))


def test_threads_change_no_bit():
    fit = Fit(lambda: [fl.LSTM(2, 40), fl.Dense(40, 1)], lengths=LENGTHS)
    found = []
    for count in (1, 2):
        fl.set_num_threads(count)
        found += on_ranks(2, lambda ranks: fit(ranks, reproducible=True))
    fl.set_num_threads(None)
    for other in found[1:]:
        assert_same(other, found[0])
