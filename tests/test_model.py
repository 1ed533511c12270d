"""The model: its chain, its summary, prediction, streaming, tapes."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from gradcheck import relative_error

import fastlstm as fl
from fastlstm._kernels import cpu


def tagger(dtype="float32", seed=0):
    return fl.Model(
        [fl.Embedding(11, 6), fl.LSTM(6, 8, num_layers=2, bidirectional=True), fl.Dropout(0.3), fl.Dense(16, 5)],
        dtype=dtype,
        seed=seed,
    )


def forecaster(dtype="float32", seed=0):
    return fl.Model([fl.LSTM(3, 8, num_layers=2), fl.Last(), fl.Dense(8, 2)], dtype=dtype, seed=seed)


def test_summary(capsys):
    forecaster().summary()
    assert capsys.readouterr().out == (
        "layer        output shape   parameters\n"
        "--------------------------------------\n"
        "0 LSTM       (N, T, 8)             928\n"
        "1 Last       (N, 8)                  0\n"
        "2 Dense      (N, 2)                 18\n"
        "--------------------------------------\n"
        "total                              946\n"
    )
    assert forecaster().num_parameters == 4 * (8 * (3 + 8) + 8) + 4 * (8 * (8 + 8) + 8) + 18


def test_parameters_have_names_of_their_own():
    model = tagger()
    names = [p.name for p in model.parameters()]
    assert len(set(names)) == len(names)
    assert names[:3] == ["0.weight", "1.weight_ih_l0", "1.weight_hh_l0"]
    assert model.num_parameters == sum(p.value.size for p in model.parameters())


def test_gradients_of_a_whole_model():
    model = fl.Model(
        [fl.LSTM(3, 4, bidirectional=True), fl.Dropout(0.3), fl.LSTM(8, 5), fl.Last(), fl.Dense(5, 2)],
        dtype="float64",
        seed=0,
    )
    rng = np.random.default_rng(0)
    x, target, lengths = rng.normal(size=(4, 6, 3)), rng.normal(size=(4, 2)), [6, 2, 1, 5]

    def value():
        return fl.mse(model.forward(x, model.tape(seed=9), training=True, lengths=lengths), target)[0]

    tape = model.tape(seed=9)
    dx = model.backward(fl.mse(model.forward(x, tape, training=True, lengths=lengths), target)[1], tape)
    assert relative_error(value, x, dx) < 1e-7
    for parameter in model.parameters():
        assert relative_error(value, parameter.writable(), parameter.grad) < 1e-7, parameter.name


def test_zero_grad():
    model = forecaster()
    tape = model.tape()
    model.backward(np.ones_like(model.forward(np.ones((2, 4, 3)), tape, training=True)), tape)
    assert all(p.grad.any() for p in model.parameters())
    model.zero_grad()
    assert not any(p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("ragged", [False, True])
def test_predict_does_not_depend_on_the_batch_size(ragged):
    model = tagger("float64")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 11, (10, 7))
    lengths = rng.integers(1, 8, 10) if ragged else None
    whole = model.predict(x, lengths=lengths)
    for size in (1, 3, 10, 100):
        np.testing.assert_allclose(model.predict(x, size, lengths), whole, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predict_from_eight_threads_gives_the_same_bits_as_from_one(dtype):
    model = fl.Model([fl.LSTM(5, 64, num_layers=2, bidirectional=True), fl.Dense(128, 3)], dtype=dtype, seed=0)
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(int(n), int(t), 5)) for n, t in rng.integers(1, 40, (8, 2))]
    expected = [model.predict(x) for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            for found, wanted in zip(pool.map(model.predict, inputs), expected, strict=True):
                np.testing.assert_array_equal(found, wanted)
            for found in pool.map(model.predict, [inputs[0]] * 8):
                np.testing.assert_array_equal(found, expected[0])


def test_predict_takes_lists_integers_and_any_memory_layout():
    model = forecaster("float64")
    x = np.random.default_rng(0).integers(-3, 3, (4, 5, 3))
    expected = model.predict(x.astype(float))
    np.testing.assert_array_equal(model.predict(x), expected)
    np.testing.assert_array_equal(model.predict(x.tolist()), expected)
    np.testing.assert_array_equal(model.predict(np.asfortranarray(x.astype(float))), expected)
    np.testing.assert_array_equal(model.predict(np.repeat(x.astype(float), 2, 1)[:, ::2]), expected)


def test_what_predict_returns_is_the_callers():
    model = fl.Model([fl.LSTM(3, 4)], seed=0)
    x = np.ones((1, 5, 3))
    first = model.predict(x)
    kept = first.copy()
    model.predict(-x)
    np.testing.assert_array_equal(first, kept)


def test_seed_is_kept_when_it_was_drawn():
    drawn = fl.Model([fl.LSTM(3, 4)])
    again = fl.Model([fl.LSTM(3, 4)], seed=drawn.seed)
    for a, b in zip(drawn.parameters(), again.parameters(), strict=True):
        np.testing.assert_array_equal(a.value, b.value)


def test_a_layers_own_seed_and_values_stay():
    own = fl.LSTM(3, 4, seed=7)
    alone = fl.LSTM(3, 4, seed=7)
    fl.Model([own], seed=1)
    for a, b in zip(own.parameters(), alone.parameters(), strict=True):
        np.testing.assert_array_equal(a.value, b.value)


def test_value_is_read_only_and_assignment_counts_as_a_version():
    parameter = fl.Dense(2, 3, seed=0).parameter("weight")
    with pytest.raises(ValueError, match="read-only"):
        parameter.value[0, 0] = 1
    version = parameter.version
    parameter.value = np.arange(6).reshape(3, 2)
    assert parameter.version == version + 1
    np.testing.assert_array_equal(parameter.value, [[0, 1], [2, 3], [4, 5]])
    with pytest.raises(ValueError, match=r"weight: expected shape \(3, 2\), got \(2, 3\)"):
        parameter.value = np.ones((2, 3))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_stream_gives_step_by_step_what_predict_gives_at_once(batch, dtype):
    model = fl.Model([fl.LSTM(3, 17, num_layers=2), fl.Dropout(0.5), fl.Dense(17, 2)], dtype=dtype, seed=0)
    x = np.random.default_rng(0).normal(size=(batch, 9, 3))
    stream = model.stream(batch)
    found = np.stack([stream.step(x[:, t]) for t in range(9)], 1)
    assert found.dtype == dtype
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(found, model.predict(x), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_stream_takes_blocks_and_steps_in_turn(dtype):
    model = fl.Model([fl.LSTM(3, 17, num_layers=2), fl.Dense(17, 2)], dtype=dtype, seed=0)
    x = np.random.default_rng(0).normal(size=(2, 12, 3))
    stream = model.stream(2)
    parts = [stream.run(x[:, :5]), stream.step(x[:, 5])[:, None], stream.run(x[:, 6:7]), stream.run(x[:, 7:])]
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(np.concatenate(parts, 1), model.predict(x), rtol=tolerance, atol=tolerance)


def test_a_stream_sees_new_weights_and_keeps_its_state():
    model = fl.Model([fl.LSTM(3, 5)], dtype="float64", seed=0)
    x = np.random.default_rng(0).normal(size=(1, 2, 3))
    stream = model.stream()
    stream.step(x[:, 0])
    lstm = model.layers[0]
    _, state = lstm(x[:, :1])
    for parameter in model.parameters():
        parameter.value = parameter.value + 0.1
    np.testing.assert_allclose(stream.step(x[:, 1]), lstm(x[:, 1:], state)[0][:, 0], rtol=1e-12)


def test_a_stream_of_last_steps_and_of_tokens():
    model = forecaster("float64")
    x = np.random.default_rng(0).normal(size=(1, 5, 3))
    stream = model.stream()
    for t in range(5):
        np.testing.assert_allclose(stream.step(x[0, t]), model.predict(x[:, : t + 1]), rtol=1e-12)
    words = fl.Model([fl.Embedding(9, 4), fl.LSTM(4, 5)], dtype="float64", seed=0)
    stream = words.stream()
    found = [stream.step(token)[0] for token in (3, 1, 4)]
    np.testing.assert_allclose(found, words.predict([[3, 1, 4]])[0], rtol=1e-12)
    assert words.stream(2).step([3, 1]).shape == (2, 5)


@pytest.mark.parametrize("rows", [None, 1, [0, 2], np.array([True, False, True]), -1, []])
def test_reset_begins_these_rows_anew(rows):
    model = forecaster("float64")
    rng = np.random.default_rng(0)
    stream, control = model.stream(3), model.stream(3)
    x, then = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    stream.step(x)
    control.step(x)
    stream.reset(rows)
    found, kept, anew = stream.step(then), control.step(then), model.stream(3).step(then)
    chosen = np.zeros(3, bool)
    if not isinstance(rows, list) or rows:
        chosen[slice(None) if rows is None else rows] = True
    np.testing.assert_allclose(found[chosen], anew[chosen], rtol=1e-13)
    np.testing.assert_allclose(found[~chosen], kept[~chosen], rtol=1e-13)


def test_streams_of_one_model_do_not_meet():
    model = forecaster("float64")
    first, second = model.stream(), model.stream()
    x = np.ones(3)
    expected = first.step(x), first.step(-x)
    np.testing.assert_array_equal(second.step(x), expected[0])
    np.testing.assert_array_equal(second.step(-x), expected[1])


def test_what_step_returns_is_the_callers():
    stream = fl.Model([fl.LSTM(2, 3)], seed=0).stream()
    first = stream.step([1, 2])
    kept = first.copy()
    stream.step([3, 4])
    np.testing.assert_array_equal(first, kept)


def test_backward_belongs_to_the_forward_pass_before_it():
    model = forecaster()
    tape, x = model.tape(), np.ones((2, 4, 3))
    dy = np.ones((2, 2))
    for prepare in (
        lambda: None,
        lambda: model.forward(x, tape),
        lambda: (model.forward(x, tape, training=True), model.forward(x, tape)),
        lambda: (model.forward(x, tape, training=True), model.backward(dy, tape)),
    ):
        prepare()
        with pytest.raises(RuntimeError, match="backward needs a forward pass with training=True on the same tape"):
            model.backward(dy, tape)
    model.forward(x, tape, training=True)
    model.parameters()[0].value = model.parameters()[0].value + 1
    with pytest.raises(RuntimeError, match="a parameter has changed since the forward pass"):
        model.backward(dy, tape)


SAME_SHAPE = {
    "LSTM": lambda: [fl.LSTM(4, 4)],
    "both ways": lambda: [fl.LSTM(4, 2, bidirectional=True)],
    "MaxPool1d": lambda: [fl.MaxPool1d(3, 1, padding="same")],
    "BatchNorm": lambda: [fl.BatchNorm(4)],
    "Activation": lambda: [fl.Activation("gelu")],
    "Residual": lambda: [fl.Residual([fl.LayerNorm(4), fl.GRU(4, 4)])],
    "chain": lambda: [fl.Dense(4, 3), fl.GRU(3, 2, bidirectional=True), fl.LayerNorm(4)],
}


@pytest.mark.parametrize("make", SAME_SHAPE.values(), ids=SAME_SHAPE)
@pytest.mark.parametrize("lengths", [None, [5, 2, 3]], ids=str)
@pytest.mark.parametrize("passes", [1, 3])
def test_what_a_tape_gives_may_be_given_back(make, lengths, passes):
    x = np.random.default_rng(0).normal(size=(3, 5, 4))
    found = []
    for given in (lambda array: array, np.copy):
        model = fl.Model(make(), dtype="float64", seed=0)
        tape, results = model.tape(), []
        for _ in range(passes):
            y = model.forward(x, tape, training=True, lengths=lengths)
            dx = model.backward(np.cos(y), tape)
        y = model.forward(given(y), tape, training=True, lengths=lengths)  # outputs as the next input
        results.append(y.copy())
        dx = model.backward(given(dx), tape)  # gradients as the next ones
        results.append(dx.copy())
        results.append(model.forward(given(dx), tape, training=True, lengths=lengths).copy())
        results.append(model.backward(np.ones_like(y), tape).copy())
        trained, y = y, model.forward(x, tape, lengths=lengths)
        for _ in range(2):
            y = model.forward(given(y), tape, lengths=lengths)
            results.append(y.copy())
        results.append(model.forward(given(y)[:2], tape, lengths=lengths and lengths[:2]).copy())
        results.append(model.forward(given(trained), tape, training=True, lengths=lengths).copy())
        results.append(model.backward(np.ones_like(y), tape).copy())
        found.append([*results, *(parameter.grad for parameter in model.parameters())])
    for own, copied in zip(*found, strict=True):
        np.testing.assert_array_equal(own, copied)


@pytest.mark.parametrize("width", [2, 5])
def test_features_are_checked_behind_layers_that_take_any(width):
    model = fl.Model([fl.Dropout(0.1), fl.LSTM(3, 2, bidirectional=True)], seed=0)
    assert model.input_shape == ("N", "T", 3)
    for call in (model.predict, model, lambda x: model.forward(x, model.tape())):
        with pytest.raises(ValueError, match=rf"x: expected shape \(N, T, 3\), got \(2, 4, {width}\)"):
            call(np.ones((2, 4, width)))


def test_input_may_lie_anywhere_in_memory():
    model = forecaster()
    x = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("f4")
    crooked = np.zeros(241, "u1")[1:].view("f4").reshape(4, 5, 3)
    crooked[...] = x
    swapped = x.astype(">f4")
    locked = x.copy()
    locked.flags.writeable = False
    for other in (crooked, swapped, locked):
        np.testing.assert_array_equal(model.predict(other), model.predict(x))
        np.testing.assert_array_equal(model.stream(4).run(other), model.stream(4).run(x))


def test_dense_alone_takes_rows_with_or_without_steps():
    layer = fl.Dense(3, 2, seed=0)
    np.testing.assert_array_equal(layer(np.ones((4, 3))), layer(np.ones((4, 1, 3)))[:, 0])


def test_starting_values_are_as_large_as_they_should_be():
    lstm, dense, embedding = fl.LSTM(30, 50, seed=0), fl.Dense(40, 60, seed=0), fl.Embedding(100, 50, seed=0)
    for weight, limit in (
        (lstm.parameter("weight_ih_l0"), np.sqrt(6 / (30 + 50))),
        (dense.parameter("weight"), np.sqrt(6 / (40 + 60))),
        (embedding.parameter("weight"), 0.05),
    ):
        assert 0.98 * limit < np.abs(weight.value).max() <= limit
        assert abs(weight.value.mean()) < 0.05 * limit


def chain(first):
    return fl.Model([first, fl.Dropout(0.2), fl.LSTM(6, 9, num_layers=2), fl.Last(), fl.Dense(9, 2)], seed=0)


@pytest.mark.parametrize("first", ["tokens", "numbers"])
def test_a_pass_that_is_ready_gives_what_the_first_one_gave(first):
    """The second pass over a tape for the same shape takes a shorter way; every bit must be the same."""
    tokens = first == "tokens"
    model = chain(fl.Embedding(11, 6) if tokens else fl.Dense(4, 6))
    rng = np.random.default_rng(0)
    xs = [rng.integers(0, 11, (3, 8)) if tokens else rng.standard_normal((3, 8, 4)).astype("f4") for _ in range(4)]
    tape = model.tape()
    expected = [model.forward(x, model.tape()).copy() for x in xs]
    for x, y in zip(xs, expected, strict=True):
        np.testing.assert_array_equal(model.forward(x, tape), y)
    odd = np.asfortranarray(xs[1]) if not tokens else xs[1].astype("i4")
    np.testing.assert_array_equal(model.forward(odd, tape), expected[1])
    np.testing.assert_array_equal(model.forward(xs[2].tolist(), tape), expected[2])
    assert model.forward(xs[0][:2], tape).shape == (2, 2)
    with pytest.raises(RuntimeError, match="training=True"):
        model.backward(np.ones((2, 2)), tape)


def test_a_pass_that_is_ready_still_checks_its_input():
    model = chain(fl.Dense(4, 6))
    tape, x = model.tape(), np.ones((3, 8, 4), "f4")
    good = model.forward(x, tape).copy()
    bad = x.copy()
    bad[1, 2, 3] = np.nan
    for _ in range(2):
        with pytest.raises(ValueError, match=r"x: expected finite numbers, got nan at \[1, 2, 3\]"):
            model.forward(bad, tape)
        np.testing.assert_array_equal(model.forward(x, tape), good)
    with pytest.raises(TypeError, match="masked"):
        model.forward(np.ma.masked_array(x, x > 0), tape)
    with pytest.raises(ValueError, match="x: expected"):
        model.forward(x.reshape(3, 4, 8), tape)
    words = chain(fl.Embedding(11, 6))
    tape, x = words.tape(), np.ones((1, 4), np.intp)
    words.forward(x, tape)
    for token in (-1, 11):
        with pytest.raises(ValueError, match=f"x: expected 0 to 10, got {token}"):
            words.forward(x * token, tape)


def test_a_pass_that_is_ready_sees_new_weights_and_threads():
    model = chain(fl.Dense(4, 6))
    tape, x = model.tape(), np.random.default_rng(0).standard_normal((3, 8, 4)).astype("f4")
    before = model.forward(x, tape).copy()
    for parameter in model.parameters():
        value = parameter.value.copy()
        parameter.value = value * 1.5 + 0.1
        after = model.forward(x, tape)
        assert (after != before).any(), parameter.name
        np.testing.assert_array_equal(after, model.forward(x, model.tape()))
        parameter.value = value
    fl.set_num_threads(1)
    np.testing.assert_array_equal(model.forward(x, tape), before)
    fl.set_num_threads(None)


def test_a_layer_of_ones_own_is_never_passed_by():
    class Doubled(fl.Dense):
        def forward(self, x, tape, *, training, lengths):
            return 2 * super().forward(x, tape, training=training, lengths=lengths)

    model = fl.Model([Doubled(3, 2, seed=0)], seed=0)
    tape, x = model.tape(), np.ones((1, 2, 3), "f4")
    for _ in range(2):
        np.testing.assert_array_equal(model.forward(x, tape), 2 * fl.Dense(3, 2, seed=0)(x))


@pytest.mark.thread_unsafe(reason="counts the memory of the whole process")
@pytest.mark.skipif(cpu.isa() == "plain", reason="the plain path prepares nothing")
def test_inference_allocates_nothing_after_the_first_pass():
    model = fl.Model([fl.LSTM(8, 40, num_layers=2, bidirectional=True), fl.Dense(80, 3)], seed=0)
    tape, x = model.tape(), np.ones((20, 50, 8), "f4")
    stream = fl.Model([fl.LSTM(8, 40), fl.Dense(40, 3)], seed=0).stream(20)
    steps = x[:, 0].copy()
    for _ in range(2):
        model.forward(x, tape)
        stream.step(steps)
    tracemalloc.start()
    for _ in range(50):
        model.forward(x, tape)
        stream.step(steps)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4096  # one step's output, 240 bytes, and small Python objects


def test_a_stream_step_takes_what_it_says_and_nothing_else():
    model = fl.Model([fl.LSTM(3, 5), fl.Last(), fl.Dense(5, 2)], seed=0)
    one, two = model.stream(), model.stream(2)
    for _ in range(2):
        assert one.step(np.ones(3, "f4")).shape == one.step(np.ones((1, 3), "f4")).shape == (1, 2)
        assert one.step([1, 2, 3]).shape == (1, 2)
        assert two.step(np.ones((2, 3), "f4")).shape == (2, 2)
        for stream, wrong in ((one, np.ones((3, 1), "f4")), (one, np.ones(4, "f4")), (two, np.ones(3, "f4"))):
            with pytest.raises(ValueError, match="x_t: expected"):
                stream.step(wrong)
        with pytest.raises(ValueError, match="x_t: expected finite"):
            one.step(np.full(3, np.nan, "f4"))
    kept = one.step(np.ones(3, "f4"))
    copy = kept.copy()
    one.step(np.zeros(3, "f4"))
    np.testing.assert_array_equal(kept, copy)
