"""Masks with holes: against a loop that keeps the state, central differences, and batches without holes."""

import numpy as np
import pytest
from conftest import instruction_sets
from gradcheck import relative_error
from hypothesis import given, settings
from hypothesis import strategies as st
from recurrent_cases import Case, random_case

import fastlstm as fl
from fastlstm import losses

path = instruction_sets(["baseline", "plain"])
MASK = np.array(
    [
        [1, 1, 1, 1, 1, 1],  # full
        [0, 0, 1, 1, 1, 1],  # padded at the left
        [1, 1, 1, 0, 0, 0],  # padded at the right
        [0, 1, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0],
    ],
    bool,
)
CASES = [
    Case(6, 5, 3, 7, layers, bidirectional, cell=cell)
    for cell in ("lstm", "gru", "tanh", "relu")
    for layers, bidirectional in ((1, False), (2, True))
]
CASES += [
    Case(6, 5, 3, 5, cell="lstm", options=(("peephole", True), ("zoneout", (0.3, 0.1)))),
    Case(6, 5, 3, 5, 2, cell="lstm", options=(("coupled", True),)),
    Case(6, 5, 3, 5, 2, cell="gru", options=(("clip", 0.7),)),
]


def random_numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def looped(problem, x, state, mask, fill):
    """Outputs and final states by the reference's cells, step by step; a masked step keeps the state."""
    reference = problem.reference()
    final = tuple(part.copy() for part in state)
    n, t, _ = x.shape
    for layer in range(reference.num_layers):
        outputs = np.zeros((n, t, reference.directions * reference.hidden))
        for d in range(reference.directions):
            _, weights = reference._weights(layer, d)
            place, columns = layer * reference.directions + d, slice(d * reference.hidden, (d + 1) * reference.hidden)
            for row in range(n):
                now = tuple(part[place, row] for part in state)
                for step in range(t)[:: -1 if d else 1]:
                    if mask[row, step]:
                        now, _ = reference.cell.forward(x[row, step], now, *weights)
                        outputs[row, step, columns] = now[0]
                for part, value in zip(final, now, strict=True):
                    part[place, row] = value
        x = outputs
    if fill == "last":
        for row, step in np.ndindex(n, t):
            if not mask[row, step] and step:
                x[row, step] = x[row, step - 1]
    return x, final


@pytest.mark.parametrize("fill", ["zero", "last"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_masked_step_keeps_the_state(path, case, fill):
    problem = random_case(case)
    layer, (x, state, *_) = problem.layer(), problem.arrays()
    expected, ends = looped(problem, x, state, MASK, fill)
    for mask in (MASK, MASK.astype(int), MASK.tolist()):
        y, final = layer(x, problem.given(), mask=mask, fill=fill)
        np.testing.assert_allclose(y, expected, atol=1e-12)
        for part, end in zip(final if isinstance(final, tuple) else (final,), ends, strict=True):
            np.testing.assert_allclose(part, end, atol=1e-12)


@pytest.mark.parametrize("kind", [fl.LSTM, fl.GRU, fl.SimpleRNN])
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_any_mask(kind, data):
    n, t = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 9))
    mask = np.array(data.draw(st.lists(st.lists(st.booleans(), min_size=t, max_size=t), min_size=n, max_size=n)))
    layer = kind(2, 3, bidirectional=data.draw(st.booleans()), dtype=data.draw(st.sampled_from(["float32", "float64"])))
    tolerance = 1e-5 if layer._dtype == np.float32 else 1e-12
    x = random_numbers(n, t, 2)
    y, state = layer(x, mask=mask)
    parts = state if isinstance(state, tuple) else (state,)
    for row in range(n):
        if mask[row].any():
            own, end = layer(x[row, mask[row]][None])
            np.testing.assert_allclose(y[row, mask[row]], own[0], atol=tolerance)
            for part, value in zip(parts, end if isinstance(end, tuple) else (end,), strict=True):
                np.testing.assert_allclose(part[:, row], value[:, 0], atol=tolerance)
        else:
            assert not any(part[:, row].any() for part in parts)
    assert not y[~mask].any()


NETWORKS = {
    "steps": lambda: [fl.LSTM(3, 4, num_layers=2, bidirectional=True), fl.LayerNorm(8), fl.Dense(8, 2)],
    "last": lambda: [fl.GRU(3, 4), fl.Last(), fl.Dense(4, 2)],
    "mean": lambda: [fl.Dense(3, 4), fl.BatchNorm(4), fl.SimpleRNN(4, 4), fl.MeanPool()],
    "max": lambda: [fl.LSTM(3, 4, go_backwards=True, checkpoint_every=2), fl.MaxPool()],
    "attention": lambda: [fl.LSTM(3, 4, bidirectional=True, merge="mul"), fl.AttentionPool(4)],
    "decoder": lambda: [
        fl.LSTM(3, 4, num_layers=2, residual=True),
        fl.Decoder(4, 4, num_tokens=5, max_steps=3, end_token=4),
    ],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_by_central_differences(path, name):
    model = fl.Model(NETWORKS[name](), dtype="float64", seed=0)
    x, tape = random_numbers(5, 6, 3), model.tape()

    def forward():
        if name == "decoder":
            model.layers[-1]._teach(np.ones((5, 3), int), tape.workspaces[-1])
        return model.forward(x, tape, training=True, mask=MASK)

    dy = random_numbers(*forward().shape, seed=1)
    if name == "steps":
        assert dy.shape[1] == 6
    forward()
    dx = model.backward(dy, tape).copy()
    assert relative_error(lambda: (forward() * dy).sum(), x, dx) < 1e-7
    assert not dx[~MASK].any() or name == "mean"
    for parameter in model.parameters():
        array, gradient = parameter.value.copy(), parameter.grad.copy()

        def value(parameter=parameter, array=array):
            parameter.value = array
            return (forward() * dy).sum()

        if np.abs(gradient).max() > 1e-12:
            assert relative_error(value, array, gradient) < 1e-7
        parameter.value = array


@pytest.mark.parametrize("name", NETWORKS)
def test_no_layer_looks_at_masked_steps(path, name):
    model = fl.Model(NETWORKS[name](), dtype="float64", seed=0)
    x, other = random_numbers(5, 6, 3), random_numbers(5, 6, 3, seed=1)
    other[MASK] = x[MASK]
    seen = MASK if name == "steps" else slice(None)
    expected = model.predict(x, mask=MASK)
    for array in (x, other):
        for y in (
            model(array, mask=MASK),
            model.predict(array, batch_size=2, mask=MASK),
            model.forward(array, model.tape(), mask=MASK),
        ):
            np.testing.assert_allclose(y[seen], expected[seen], rtol=1e-12)
    for row in range(4):
        own = model.predict(x[row, MASK[row]][None])[0]
        found = expected[row, MASK[row]] if name == "steps" else expected[row]
        np.testing.assert_allclose(found, own, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("given", ["lengths", "mask"])
def test_the_last_output_of_a_model_fills_what_is_not_real(given):
    model = fl.Model([fl.LSTM(3, 4), fl.Dense(4, 2)], dtype="float64", seed=0)
    x, lengths = random_numbers(5, 6, 3), np.array([6, 0, 1, 3, 5])
    mask = np.arange(6) < lengths[:, None] if given == "lengths" else MASK
    y = model(x, fill="last", **{given: lengths if given == "lengths" else mask})
    zero = model(x, **{given: lengths if given == "lengths" else mask})
    for row, step in np.ndindex(5, 6):
        before = np.flatnonzero(mask[row, : step + 1])
        expected = zero[row, before[-1]] if before.size else np.zeros(2)
        np.testing.assert_array_equal(y[row, step], expected)
    np.testing.assert_allclose(model(x, fill="last"), model(x))


def test_a_mask_of_padding_is_the_same_as_lengths():
    model, x, lengths = fl.Model([fl.LSTM(3, 4)], seed=0), random_numbers(4, 6, 3), np.array([6, 2, 1, 5])
    mask = np.arange(6) < lengths[:, None]
    np.testing.assert_array_equal(model(x, mask=mask), model(x, lengths))
    np.testing.assert_array_equal(model(x, mask=np.ones((4, 6), bool)), model(x))


def test_tokens_take_a_mask():
    model = fl.Model([fl.Embedding(9, 3), fl.LSTM(3, 4), fl.Last()], dtype="float64", seed=0)
    tokens = np.array([[0, 0, 3, 1], [2, 0, 5, 0]])
    y = model(tokens, mask=tokens != 0)
    for row, own in enumerate(([3, 1], [2, 5])):
        np.testing.assert_allclose(y[row], model([own])[0], rtol=1e-12)


def test_merge_none_and_gates_take_a_mask():
    x = random_numbers(5, 6, 3)
    layer = fl.LSTM(3, 4, bidirectional=True, dtype="float64", seed=0)
    apart = fl.LSTM(3, 4, bidirectional=True, merge="none", dtype="float64", seed=0)
    (forwards, backwards), _ = apart(x, mask=MASK, fill="last")
    np.testing.assert_array_equal(np.concatenate([forwards, backwards], 2), layer(x, mask=MASK, fill="last")[0])
    for reverse in (False, True):
        hidden = layer.gates(x, mask=MASK, reverse=reverse).hidden
        np.testing.assert_allclose(hidden, layer(x, mask=MASK)[0][..., 4 * reverse :][..., :4], atol=1e-12)


def test_attention_shows_its_weights_where_the_steps_are():
    layer, x = fl.AttentionPool(3, dtype="float64", seed=0), random_numbers(5, 6, 3)
    weights = layer.weights(x, mask=MASK)
    assert not weights[~MASK].any()
    for row in range(4):
        np.testing.assert_allclose(weights[row, MASK[row]], layer.weights(x[row, MASK[row]][None])[0], rtol=1e-12)


def networks(per_step):
    layers = [fl.LSTM(3, 4), fl.BatchNorm(4), *([] if per_step else [fl.MeanPool()]), fl.Dense(4, 2)]
    return fl.Model(layers, dtype="float64", seed=0)


@pytest.mark.parametrize("per_step", [True, False])
@pytest.mark.parametrize("by", ["fit", "fit_batches"])
def test_a_training_with_holes_is_that_without_them(path, per_step, by):
    x, mask = random_numbers(6, 7, 3), np.random.default_rng(2).random((6, 7)) < 0.6
    y = np.random.default_rng(3).integers(2, size=(6, 7) if per_step else 6)
    weight = np.random.default_rng(4).random(y.shape)
    moved, lengths = [np.zeros_like(array) for array in (x, y, weight)], mask.sum(1)
    for row, length in enumerate(lengths):
        for new, old in zip(moved, (x, y, weight), strict=True):
            new[row] = old[row]
            if old.ndim > 1:
                new[row, :length] = old[row, mask[row]]
    found = []
    for (x_, y_, weight_), third in (((x, y, weight), {"mask": mask}), (moved, {"lengths": lengths})):
        model = networks(per_step)
        trainer = fl.Trainer(model, "softmax_cross_entropy", fl.SGD(0.1), metrics=["accuracy"])
        (real,) = third.values()
        if by == "fit":
            options = {"sample_weight": weight_, "batch_size": 4, "epochs": 3, "seed": 0, "progress": False}
            history = trainer.fit(x_, y_, validation=(x_, y_, real), **third, **options)
        else:
            history = trainer.fit_batches([(x_, y_, real, weight_)], epochs=3, seed=0, progress=False)
        values = trainer.evaluate(x_, y_, sample_weight=weight_, **third)
        found.append([*(p.value for p in model.parameters()), *(np.array(v) for v in history.values()), values])
    *arrays, values = found[0]
    *others, expected = found[1]
    assert values == pytest.approx(expected)
    assert len(arrays) == len(others)
    for a, b in zip(arrays, others, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_ctc_reads_the_real_steps():
    x, mask = random_numbers(3, 8, 2), np.array([[0, 1, 1, 0, 1, 1, 1, 1], [1] * 8, [0, 0, 0, 1, 1, 1, 0, 1]], bool)
    labels = np.array([[1, 2], [2, -1], [1, 1]])
    values = []
    for row_x, options in (
        (x, {"mask": mask}),
        (np.stack([np.r_[a[m], a[~m]] for a, m in zip(x, mask, strict=True)]), {"lengths": mask.sum(1)}),
    ):
        model = fl.Model([fl.LSTM(2, 4), fl.Dense(4, 3)], dtype="float64", seed=0)
        values.append(fl.Trainer(model, losses.ctc).evaluate(row_x, labels, **options)["loss"])
    assert values[0] == pytest.approx(values[1])


def test_sequences_of_tokens_are_read_with_a_mask():
    decoder = fl.Decoder(4, 6, num_tokens=5, max_steps=4, end_token=4)
    model = fl.Model([fl.Embedding(6, 3), fl.LSTM(3, 4), decoder], dtype="float64", seed=0)
    x, y = np.array([[0, 2, 3, 0, 1], [5, 0, 0, 0, 1]]), np.array([[1, 2, 4], [3, 4, 4]])
    trainer = fl.Seq2SeqTrainer(model)
    trainer.fit(x, y, mask=x != 0, epochs=2, seed=0, progress=False)
    found = fl.generate(model, x, mask=x != 0, beam=2)
    own = [fl.generate(model, [row[row != 0]], beam=2) for row in x]
    np.testing.assert_array_equal(found.tokens, np.concatenate([one.tokens for one in own]))
    values = [trainer.evaluate([row[row != 0]], [to])["loss"] for row, to in zip(x, y, strict=True)]
    whole = trainer.evaluate(x, y, mask=x != 0)["loss"]
    assert min(values) <= whole <= max(values)


@pytest.mark.parametrize("options", [{"recurrent_dropout": 0.4}, {"zoneout": 0.4}, {"input_dropout": 0.4}], ids=str)
def test_what_is_drawn_is_that_of_the_real_steps_alone(path, options):
    model = fl.Model([fl.LSTM(3, 4, **options)], dtype="float64", seed=0)
    x, mask = random_numbers(2, 6, 3), MASK[[3, 1]]
    moved = np.stack([np.r_[row[real], row[~real]] for row, real in zip(x, mask, strict=True)])
    y = model.forward(x, model.tape(seed=1), training=True, mask=mask)
    expected = model.forward(moved, model.tape(seed=1), training=True, lengths=mask.sum(1))
    for row in range(2):
        np.testing.assert_array_equal(y[row, mask[row]], expected[row, : mask[row].sum()])


def test_a_carried_state_passes_over_masked_steps(path):
    model, x = fl.Model([fl.GRU(3, 4)], dtype="float64", seed=0), random_numbers(5, 6, 3)
    tape = model.tape(carry=True)
    parts = [model.forward(x[:, :3], tape, mask=MASK[:, :3]).copy(), model.forward(x[:, 3:], tape, mask=MASK[:, 3:])]
    np.testing.assert_allclose(np.concatenate(parts, 1), model(x, mask=MASK), atol=1e-13)


X = np.ones((2, 3, 1))
BAD = {
    "both": (
        lambda m: m(X, [3, 3], mask=np.ones((2, 3))),
        ValueError,
        "mask: expected either lengths or a mask, got both",
    ),
    "both in a layer": (
        lambda m: m.layers[0](X, lengths=[3, 3], mask=np.ones((2, 3))),
        ValueError,
        "mask: expected either lengths or a mask, got both",
    ),
    "shape": (lambda m: m(X, mask=[True, False]), ValueError, r"mask: expected shape \(2, 3\), got \(2,\)"),
    "floats": (lambda m: m(X, mask=np.full((2, 3), 0.5)), TypeError, "mask: expected True and False, or 1 and 0"),
    "numbers": (lambda m: m(X, mask=[[1, 1, 2], [1, 0, 0]]), ValueError, r"mask: expected 0 to 1, got 2 at \[0, 2\]"),
    "fill": (lambda m: m(X, fill="mean"), ValueError, "fill: expected 'zero' or 'last', got 'mean'"),
    "fill of a layer": (lambda m: m.layers[0](X, fill=0), ValueError, "fill: expected 'zero' or 'last', got 0"),
    "nothing to fill": (
        lambda m: fl.Model([m.layers[0], fl.Last()])(X, fill="last"),
        ValueError,
        "fill: expected 'zero' for a model without an output at each step, got 'last'",
    ),
    "training": (
        lambda m: fl.Trainer(m, "mse").fit(X, np.ones((2, 3, 2)), epochs=1, lengths=[1, 2], mask=np.ones((2, 3))),
        ValueError,
        "mask: expected either lengths or a mask, got both",
    ),
    "windows": (
        lambda m: fl.Trainer(m, "mse").fit(
            np.lib.stride_tricks.sliding_window_view(np.arange(6.0), 5)[..., None],
            np.ones((2, 5, 2)),
            epochs=1,
            mask=[[1, 0, 1, 1, 1]] * 2,
        ),
        ValueError,
        "mask: expected none with holes where x is read one mini-batch at a time",
    ),
    "masked array": (
        lambda m: m(np.ma.masked_array(X, X > 2)),
        TypeError,
        "x: expected a plain array, got a masked one; fill it first, or use lengths, mask or weights",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told(name):
    call, kind, message = BAD[name]
    with pytest.raises(kind, match=message):
        call(fl.Model([fl.LSTM(1, 2)], seed=0))


@pytest.mark.parametrize("fill", ["zero", "last"])
@pytest.mark.parametrize("some", [1, 700, 1 << 16])
def test_outputs_are_moved_in_place_some_sequences_at_a_time(monkeypatch, some, fill):
    """What a call has given, and x, stay as they are when the next one comes."""
    monkeypatch.setattr("fastlstm.masking.MOVED_BYTES", some)
    rng = np.random.default_rng(0)
    model = fl.Model([fl.LSTM(3, 5)], dtype="float64", seed=0)
    x, masks = rng.normal(size=(7, 6, 3)), rng.random((2, 7, 6)) > 0.4
    before = x.copy()
    found = [model.predict(x, mask=mask, fill=fill) for mask in masks]
    np.testing.assert_array_equal(x, before)
    for y, mask in zip(found, masks, strict=True):
        for row, real, own in zip(x, mask, y, strict=True):
            expected = np.zeros((6, 5))
            if real.any():
                expected[real] = model.predict(row[None, real])[0]
            if fill == "last":
                count = np.cumsum(real)
                expected = np.concatenate([np.zeros((1, 5)), expected[real]])[count]
            np.testing.assert_allclose(own, expected, atol=1e-13)
