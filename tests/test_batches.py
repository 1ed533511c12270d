"""Batches: every sequence once an epoch, little padding, the same buffers."""

import numpy as np
import pytest

import fastlstm as fl
from fastlstm.training.batch import Batch
from fastlstm.training.batches import Batches

T = 40


def ragged(n=230, seed=0):
    rng = np.random.default_rng(seed)
    x, lengths = rng.normal(size=(n, T, 2)), rng.integers(1, T + 1, n)
    return x, x.cumsum(1)[..., :1] / 5, lengths


def batches(n=230, size=8, bucket=True, seed=None, trim=True, per_step=True):
    x, y, lengths = ragged(n)
    weights = (np.arange(T) < lengths[:, None]).astype(float) if per_step else np.ones(n)
    return Batches(Batch(x, y if per_step else y[:, 0], lengths, weights), size, seed=seed, bucket=bucket, trim=trim)


def tagger(dtype="float64"):
    return fl.Model([fl.LSTM(2, 6), fl.Dense(6, 1)], dtype=dtype, seed=0)


@pytest.mark.parametrize("bucket", [False, True])
@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize("n", [1, 8, 230, 8 * 50 * 2 + 3])
def test_every_sequence_comes_once_an_epoch(n, seed, bucket):
    source = batches(n, bucket=bucket, seed=seed)
    for epoch in (1, 2):
        plan = source.plan(epoch)
        np.testing.assert_array_equal(np.sort(np.concatenate(plan)), np.arange(n))
        assert len(plan) == source.count
        assert sorted(map(len, plan))[1:] == [8] * (len(plan) - 1)


@pytest.mark.parametrize("trim", [False, True])
@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("seed", [None, 0])
def test_a_batch_holds_what_the_data_holds(seed, per_step, trim):
    source = batches(seed=seed, trim=trim, per_step=per_step)
    data, plan = source._data, batches(seed=seed).plan(1)
    for chosen, batch in zip(plan, source.at(1), strict=True):
        lengths = data.lengths[chosen]
        longest = lengths.max() if trim else T
        np.testing.assert_array_equal(batch.x, data.x[chosen, :longest])
        cut = np.s_[:, :longest] if per_step else np.s_[:]
        np.testing.assert_array_equal(batch.y, data.y[chosen][cut])
        np.testing.assert_array_equal(batch.weights, data.weights[chosen][cut])
        np.testing.assert_array_equal(
            np.full(len(chosen), longest) if batch.lengths is None else batch.lengths, lengths
        )
        assert batch.x.flags.c_contiguous and batch.weights.flags.c_contiguous
        assert batch.size == len(chosen)


def test_similar_lengths_share_a_batch_and_batches_come_in_any_order():
    def steps(**options):
        return [batch.x.shape[0] * batch.x.shape[1] for batch in batches(seed=0, **options).at(1)]

    real = batches()._data.lengths.sum()
    assert sum(steps(bucket=True)) < 1.1 * real < 1.5 * real < sum(steps(bucket=False))
    assert sum(steps(bucket=False)) < sum(steps(bucket=False, trim=False)) == 230 * T
    assert steps(bucket=True) != sorted(steps(bucket=True))


def test_batches_lie_in_the_same_buffers():
    places = {
        (name, getattr(batch, name).ctypes.data)
        for _ in range(2)
        for batch in batches(n=229, seed=0, trim=False).at(1)
        for name in ("x", "y", "weights")
    }
    source = batches(n=229, seed=0)
    list(source.at(1))  # the buffers grow to the longest batch
    trimmed = {(name, getattr(batch, name).ctypes.data) for batch in source.at(1) for name in ("x", "y", "weights")}
    assert len(places) == 2 * 3
    assert len(trimmed) == 3


def test_bucketing_of_equal_lengths_without_shuffling_changes_nothing():
    x, y, _ = ragged()
    found = []
    for bucket in (False, True):
        model = tagger()
        trainer = fl.Trainer(model, fl.mse)
        trainer.fit(x, y, epochs=2, lengths=np.full(len(x), 7), shuffle=False, bucket=bucket)
        found.append([p.value for p in model.parameters()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shuffle", [False, True])
def test_bucketed_training_learns_and_repeats_to_the_bit(shuffle):
    x, y, lengths = ragged()
    found = []
    for seed in (1, 1, 2):
        model = tagger("float32")
        history = fl.Trainer(model, fl.mse, fl.Adam(0.01)).fit(
            x, y, epochs=5, batch_size=16, lengths=lengths, bucket=True, shuffle=shuffle, seed=seed
        )
        found.append(history["loss"])
    assert found[0] == found[1]
    assert (found[0] != found[2]) == shuffle
    assert found[0][-1] < 0.5 * found[0][0]


@pytest.mark.parametrize("time", ["mean", "sum"])
def test_cutting_a_batch_leaves_the_step_as_it_was(time):
    """One step of SGD against one over arrays in which nothing can be cut: its longest sequence has all steps."""
    x, y, lengths = ragged(6)
    lengths = np.minimum(lengths, 20)
    models = [tagger(), tagger()]
    loss = fl.mse.with_options(time=time)
    fl.Trainer(models[0], loss, fl.SGD(0.1)).fit(x, y, epochs=1, lengths=lengths)
    tape, mask = models[1].tape(), np.arange(T) < lengths[:, None]
    _, dpred = loss(models[1].forward(x, tape, training=True, lengths=lengths), y, mask)
    models[1].zero_grad()
    models[1].backward(dpred, tape)
    fl.SGD(0.1).step(models[1].parameters())
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        np.testing.assert_allclose(a.value, b.value, atol=1e-13)


def test_a_loss_of_ones_own_gets_what_a_batch_was_cut_to():
    x, y, lengths = ragged(6)
    lengths = np.minimum(lengths, 20)
    seen = []

    def loss(pred, target, weight):
        seen.append((pred.shape, target.shape, weight.shape))
        return fl.mse(pred, target, weight)

    fl.Trainer(tagger(), loss).fit(x, y, epochs=1, lengths=lengths)
    t = lengths.max()
    assert seen == [((6, t, 1), (6, t, 1), (6, t))]


def test_targets_of_a_loss_of_ones_own_may_be_objects():
    x, _, _ = ragged(5)
    y = np.array([{"goal": k} for k in range(5)])

    def loss(pred, target, weight):
        return fl.mse(pred, np.array([[thing["goal"]] for thing in target]), weight)

    model = fl.Model([fl.LSTM(2, 4), fl.Last(), fl.Dense(4, 1)], seed=0)
    history = fl.Trainer(model, loss).fit(x, y, epochs=3, batch_size=2)
    assert history["loss"][-1] < history["loss"][0]


def test_a_model_with_a_fixed_number_of_steps_gets_them_all():
    class Ten(fl.Dropout):
        input_shape = ("N", 10, 2)

        def output_shape(self, shape):
            return shape

    model = fl.Model([Ten(0.0), fl.LSTM(2, 4), fl.Last(), fl.Dense(4, 1)], seed=0)
    x = np.ones((4, 10, 2))
    history = fl.Trainer(model, fl.mse).fit(x, np.ones((4, 1)), epochs=1, lengths=[3, 2, 1, 3])
    assert history.epochs == 1
    del fl.layers.Layer.registry["Ten"]


def test_bucket_needs_lengths():
    x, y, _ = ragged(4)
    trainer = fl.Trainer(tagger(), fl.mse)
    with pytest.raises(ValueError, match="bucket: expected lengths with bucket=True, got none"):
        trainer.fit(x, y, epochs=1, bucket=True)
    with pytest.raises(TypeError, match="bucket: expected True or False, got 5"):
        trainer.fit(x, y, epochs=1, bucket=5)
