"""Sequences without a step among others: they keep their initial state, and count for nothing."""

import numpy as np
import pytest
from conftest import instruction_sets
from gradcheck import relative_error
from recurrent_cases import Case, random_case

import fastlstm as fl
from fastlstm.decoding import ctc_beam_search, ctc_greedy

path = instruction_sets(["baseline", "plain"])
LENGTHS = np.array([3, 0, 6, 0, 1])
CASES = [
    Case(6, 5, 3, 7, layers, bidirectional, cell=cell)
    for cell in ("lstm", "gru", "tanh")
    for layers, bidirectional in ((1, False), (2, True))
]
CASES += [
    Case(6, 5, 3, 5, cell="lstm", options=(("peephole", True),)),
    Case(6, 5, 3, 5, 3, cell="lstm", options=(("residual", True), ("checkpoint_every", 2))),
    Case(6, 5, 3, 5, cell="gru", options=(("go_backwards", True),)),
]
HEADS = {"last": fl.Last, "mean": fl.MeanPool, "max": fl.MaxPool, "attention": lambda: fl.AttentionPool(4, 3)}


def random_numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("lengths", [LENGTHS, np.zeros(5, int)], ids=["some", "all"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_empty_sequence_keeps_its_state_and_gives_zeros(path, case, lengths):
    problem = random_case(case)
    layer, (x, state, *_), empty = problem.layer(), problem.arrays(), lengths == 0
    for start in (problem.given(), None):
        y, final = layer(x, start, lengths=lengths)
        final = final if isinstance(final, tuple) else (final,)
        for k, part in enumerate(final):
            np.testing.assert_array_equal(part[:, empty], 0 if start is None else state[k][:, empty])
        assert not y[empty].any()
        if not empty.all():
            own = None if start is None else tuple(part[:, ~empty] for part in state)
            own = own[0] if own is not None and len(own) == 1 else own
            expected, ends = layer(x[~empty], own, lengths=lengths[~empty])
            np.testing.assert_allclose(y[~empty], expected, atol=1e-13)
            for part, end in zip(final, ends if isinstance(ends, tuple) else (ends,), strict=True):
                np.testing.assert_allclose(part[:, ~empty], end, atol=1e-13)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_with_empty_sequences(path, case):
    problem = random_case(case)
    layer = problem.layer()
    x, state, dy, dstate = problem.arrays()
    dy = np.ones((5, 6, layer.output_size)) if dy.shape[2] != layer.output_size else dy
    tape = fl.Model([layer], dtype="float64").tape().workspaces[0]

    def value():
        y, final = layer.forward_with_state(x, state, tape, training=True, lengths=LENGTHS)
        return (y * dy).sum() + sum((a * b).sum() for a, b in zip(final, dstate, strict=True))

    value()
    for parameter in layer.parameters():
        parameter.zero_grad()
    before = dy.copy(), *(part.copy() for part in dstate)
    dx, initial = layer.backward_with_state(dy, dstate, tape)
    found = [dx.copy(), *(part.copy() for part in initial), *(p.grad.copy() for p in layer.parameters())]
    for old, new in zip(before, (dy, *dstate), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not dx[LENGTHS == 0].any()
    for part, end in zip(initial, dstate, strict=True):
        np.testing.assert_array_equal(part[:, LENGTHS == 0], end[:, LENGTHS == 0])
    moved = [x, *state]
    for array, gradient in zip(moved, found, strict=False):
        assert relative_error(value, array, gradient) < 1e-7
    for parameter, gradient in zip(layer.parameters(), found[len(moved) :], strict=True):
        array = parameter.value.copy()

        def moved_value(parameter=parameter, array=array):
            parameter.value = array
            return value()

        assert relative_error(moved_value, array, gradient) < 1e-7
        parameter.value = array


@pytest.mark.parametrize("name", HEADS)
def test_what_makes_one_vector_of_a_sequence_makes_zeros_of_an_empty_one(path, name):
    x, bias = random_numbers(5, 6, 3), [0.5, -1.0]
    model = fl.Model([fl.LSTM(3, 4), HEADS[name](), fl.Dense(4, 2)], dtype="float64", seed=0)
    model.layers[2].parameter("bias").value = bias
    y = model.predict(x, lengths=LENGTHS)
    np.testing.assert_allclose(y[LENGTHS == 0], [bias] * 2)
    full = LENGTHS > 0
    np.testing.assert_allclose(y[full], model.predict(x[full], lengths=LENGTHS[full]), rtol=1e-12)
    tape = model.tape()
    np.testing.assert_allclose(model.forward(x, tape, lengths=LENGTHS), y, rtol=1e-12)
    dy = random_numbers(5, 2, seed=1)
    np.testing.assert_allclose(model.forward(x, tape, training=True, lengths=LENGTHS), y, rtol=1e-12)
    dx = model.backward(dy, tape)
    assert not dx[~full].any()

    def value():
        return (model.forward(x, tape, training=True, lengths=LENGTHS) * dy).sum()

    assert relative_error(value, x, dx.copy()) < 1e-7
    np.testing.assert_allclose(model.predict(x, lengths=np.zeros(5, int)), [bias] * 5)
    np.testing.assert_allclose(model.predict(x, batch_size=2, lengths=LENGTHS), y, rtol=1e-12)


def test_attention_gives_no_weight_to_an_empty_sequence():
    weights = fl.AttentionPool(3, seed=0).weights(random_numbers(5, 6, 3), LENGTHS)
    np.testing.assert_allclose(weights.sum(1), LENGTHS > 0, rtol=1e-6)


def test_a_prediction_is_a_new_array():
    model, x = fl.Model([fl.Dropout(0.5)], seed=0), random_numbers(2, 3, 1).astype(np.float32)
    y = model.predict(x, lengths=[0, 3])
    assert not np.may_share_memory(x, y)


@pytest.mark.parametrize("attention", [False, True])
def test_a_decoder_reads_zeros_of_an_empty_sequence(attention):
    decoder = fl.Decoder(4, 5, num_tokens=6, max_steps=3, end_token=5, attention=attention)
    model = fl.Model([fl.Dense(3, 4), decoder], dtype="float64", seed=0)
    x, other = random_numbers(5, 6, 3), random_numbers(5, 6, 3, seed=1)
    other[LENGTHS > 0] = x[LENGTHS > 0]
    y = model.predict(x, lengths=LENGTHS)
    assert np.isfinite(y).all()
    np.testing.assert_array_equal(y, model.predict(other, lengths=LENGTHS))
    trainer = fl.Seq2SeqTrainer(model, optimizer=fl.Adam(1e-2))
    history = trainer.fit(x, np.zeros((5, 3), int), lengths=LENGTHS, epochs=2, seed=0, progress=False)
    assert np.isfinite(history["loss"]).all()


TRAINED_HEADS = {
    "steps": [fl.Dense(4, 1)],
    "one": [fl.Last(), fl.Dense(4, 1)],
    "one, batch norm": [fl.Last(), fl.BatchNorm(4), fl.Dense(4, 1)],
}


@pytest.mark.parametrize("head", TRAINED_HEADS.values(), ids=TRAINED_HEADS)
def test_an_empty_sequence_counts_for_nothing_in_a_training(path, head):
    def trained(rows):
        layers = [fl.LSTM(3, 4), *(type(layer).from_config(layer.config()) for layer in head)]
        model = fl.Model(layers, dtype="float64", seed=0)
        x, y = random_numbers(5, 6, 3), random_numbers(5, 6, 1, seed=1)
        y = y[:, 0] if isinstance(head[0], fl.Last) else y
        trainer = fl.Trainer(model, loss="mse", optimizer=fl.SGD(0.1), metrics=["mae"])
        trainer.fit(x[rows], y[rows], lengths=LENGTHS[rows], epochs=2, batch_size=5, shuffle=False, progress=False)
        values = trainer.evaluate(x[rows], y[rows], lengths=LENGTHS[rows], batch_size=2)
        return [p.value.copy() for p in (*model.parameters(), *model.buffers())], values

    (found, values), (expected, own) = trained(slice(None)), trained(LENGTHS > 0)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)
    assert values == pytest.approx(own)


@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_a_batch_of_empty_sequences_alone_teaches_nothing(loss):
    x, y = random_numbers(4, 6, 3), random_numbers(4, 6, 1, seed=1)
    found = []
    for batches in ([(x, y, [6, 2, 0, 1]), (x, y, [0] * 4)], [(x, y, [6, 2, 0, 1])]):
        model = fl.Model([fl.LSTM(3, 4), fl.Dense(4, 1)], dtype="float64", seed=0)
        history = fl.Trainer(model, loss=loss).fit_batches(batches, epochs=2, seed=0, progress=False)
        found.append([*(p.value for p in model.parameters()), np.array(history["loss"])])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b)
    trainer = fl.Trainer(model, loss=loss)
    with pytest.raises(
        ValueError, match="sample_weight: expected at least one real step with a weight above 0, got none"
    ):
        trainer.fit(x, y, lengths=[0] * 4, epochs=1, progress=False)


def test_batch_norm_leaves_empty_sequences_out():
    x = random_numbers(5, 6, 3)
    model = fl.Model([fl.BatchNorm(3)], dtype="float64", seed=0)
    y = model.forward(x, model.tape(), training=True, lengths=LENGTHS)
    real = np.arange(6) < LENGTHS[:, None]
    np.testing.assert_allclose(y[real], (x[real] - x[real].mean(0)) / np.sqrt(x[real].var(0) + 1e-5))
    assert not y[~real].any()
    assert not model.predict(x, lengths=np.zeros(5, int)).any()


def test_batch_norm_of_vectors_leaves_those_of_empty_sequences_out():
    x = random_numbers(5, 6, 3)
    model = fl.Model([fl.MaxPool(), fl.BatchNorm(3, momentum=1.0)], dtype="float64", seed=0)
    y = model.forward(x, model.tape(), training=True, lengths=LENGTHS)
    rows = np.stack([row[:length].max(0) for row, length in zip(x, LENGTHS, strict=True) if length])
    np.testing.assert_allclose(y[LENGTHS > 0], (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-5))
    mean, variance = (buffer.value for buffer in model.buffers())
    np.testing.assert_allclose([mean, variance], [rows.mean(0), rows.var(0, ddof=1)])
    assert not y[LENGTHS == 0].any()
    assert not model.predict(x, lengths=LENGTHS)[LENGTHS == 0].any()
    with pytest.raises(ValueError, match="BatchNorm: expected at least 2 real steps in a training batch, got 1"):
        model.forward(x, model.tape(), training=True, lengths=[0, 0, 6, 0, 0])


def test_a_carried_state_stays_where_a_sequence_has_no_step(path):
    x = random_numbers(2, 4, 3)
    model = fl.Model([fl.LSTM(3, 4)], dtype="float64", seed=0)
    tape = model.tape(carry=True)
    model.forward(x[:, :2], tape)
    model.forward(x[:, 2:], tape, lengths=[0, 2])
    y = model.forward(x[:, 2:], tape, lengths=[2, 0])
    np.testing.assert_allclose(y[0], model.predict(x)[0, 2:], rtol=1e-12)


def test_gates_of_an_empty_sequence_are_zeros():
    gates = fl.LSTM(3, 4, seed=0).gates(random_numbers(5, 6, 3), lengths=LENGTHS)
    assert not gates.hidden[LENGTHS == 0].any()
    assert gates.forget[0, :3].all()


def test_ctc_with_empty_sequences():
    logits, labels = random_numbers(5, 6, 4), np.array([[1], [-1], [2], [3], [1]])
    weight = (np.arange(6) < LENGTHS[:, None]).astype(float)
    value, dpred = fl.ctc(logits, labels, weight)
    own, _ = fl.ctc(logits[LENGTHS > 0], labels[LENGTHS > 0], weight[LENGTHS > 0])
    assert value == pytest.approx(own)
    assert not dpred[LENGTHS == 0].any()
    assert [len(one) for one in ctc_greedy(logits, LENGTHS)][1] == 0
    assert ctc_beam_search(logits, LENGTHS)[1][0].labels.size == 0
