"""Convolutions and pools over neighbouring steps: windows, lengths, streams."""

import numpy as np
import pytest
from gradcheck import along, relative_error

import fastlstm as fl
from fastlstm.layers.windows import windows_of
from fastlstm.model.memory import activations

WINDOWS = [
    (size, stride, dilation, padding)
    for size, dilation in [(1, 1), (2, 1), (3, 2), (5, 1)]
    for stride in (1, 2, 3)
    for padding in ("valid", "same", "causal", (size // 2, size // 2))
]
LAYERS = [("conv", *windows) for windows in WINDOWS] + [
    ("pool", *windows) for windows in WINDOWS if windows[0] > 1 and windows[2] == 1
]


def conv_of(size, stride, dilation, padding, **options):
    return fl.Conv1d(3, 4, size, stride=stride, dilation=dilation, padding=padding, **options)


def layer_of(kind, *windows):
    return conv_of(*windows) if kind == "conv" else fl.MaxPool1d(*windows[:2], padding=windows[3])


def sides_of(t, size, stride, dilation, padding):
    """Steps of padding on both sides, as TensorFlow writes them."""
    reach = (size - 1) * dilation
    if padding == "same":
        whole = max((-(-t // stride) - 1) * stride + reach + 1 - t, 0)
        return whole // 2, whole - whole // 2
    return {"valid": (0, 0), "causal": (reach, 0)}.get(padding, padding)


def convolved(x, layer, size, stride, dilation, padding):
    """A sequence (T, I), convolved step by step."""
    weight, bias = layer.parameter("weight").value, layer.parameter("bias").value
    left, right = sides_of(len(x), size, stride, dilation, padding)
    x = np.pad(x, ((left, right), (0, 0)))
    starts = range(0, len(x) - (size - 1) * dilation, stride)
    return np.array([bias + sum(weight[:, :, k] @ x[t + k * dilation] for k in range(size)) for t in starts])


def random_numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def with_bias(layer):
    model = fl.Model([layer], dtype="float64", seed=1)
    if "bias" in layer.parameter_shapes():
        layer.parameter("bias").value = np.arange(len(layer.parameter("bias").value))
    return model


@pytest.mark.parametrize("windows", WINDOWS, ids=str)
def test_a_convolution_is_its_formula(path, windows):
    layer = conv_of(*windows)
    model, x = with_bias(layer), random_numbers(2, 9, 3)
    expected = [convolved(row, layer, *windows) for row in x]
    for _ in range(2):  # made, and kept
        np.testing.assert_allclose(model.predict(x), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-12, atol=1e-14)
    tape = model.tape()
    np.testing.assert_allclose(model.forward(x, tape, training=True), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_a_sequence_of_a_ragged_batch_is_that_sequence_alone(path, layer):
    model, x, lengths = with_bias(layer_of(*layer)), random_numbers(6, 9, 3), [9, 4, 1, 7, 0, 5]
    after = model.output_lengths(lengths)
    for y in (
        model.predict(x, lengths=lengths),
        model.predict(x, lengths=lengths),
        model.forward(x, model.tape(), training=True, lengths=lengths),
    ):
        for k, length in enumerate(lengths):
            if after[k]:
                alone = model.predict(x[k : k + 1, :length])[0]
                assert len(alone) == after[k]
                np.testing.assert_allclose(y[k, : after[k]], alone, rtol=1e-12, atol=1e-14)
            elif length:
                with pytest.raises(ValueError, match="x: expected at least . steps, as many as a window sees, got"):
                    model.predict(x[k : k + 1, :length])


@pytest.mark.parametrize("layer", LAYERS[1::3], ids=str)
@pytest.mark.parametrize("lengths", [None, [8, 3, 0, 5]])
def test_gradients(path, layer, lengths):
    model, x = with_bias(layer_of(*layer)), random_numbers(4, 8, 3)
    tape = model.tape()
    dy = random_numbers(*model.forward(x, tape, training=True, lengths=lengths).shape, seed=2)
    dx = model.backward(dy, tape)

    def value():
        return (model.forward(x, model.tape(), training=True, lengths=lengths) * dy).sum()

    assert relative_error(value, x, dx, entries=3) < 1e-8
    for parameter in model.parameters():
        assert relative_error(value, parameter.writable(), parameter.grad, entries=3) < 1e-8, parameter.name


@pytest.mark.parametrize("windows", [one[1:] for one in LAYERS if one[0] == "pool"], ids=str)
@pytest.mark.parametrize("count", [False, True])
def test_an_average_is_its_formula_with_its_gradient(path, windows, count):
    size, stride, dilation, padding = windows
    model = fl.Model([fl.AveragePool1d(size, stride, padding=padding, count_padding=count)], dtype="float64")
    x, lengths = random_numbers(4, 9, 3), np.array([9, 6, 5, 7])
    expected = np.zeros(model.predict(x, lengths=lengths).shape)
    for n, length in enumerate(lengths):
        sides = sides_of(length, size, stride, dilation, padding)
        own, ones = (np.pad(a, (sides, (0, 0))) for a in (x[n, :length], np.ones((length, 1))))
        for k, t in enumerate(range(0, len(own) - size + 1, stride)):
            expected[n, k] = own[t : t + size].sum(0) / (size if count else ones[t : t + size].sum())
    x[1, 6:] = 1e300  # no padding is read
    np.testing.assert_allclose(model.predict(x, lengths=lengths), expected, rtol=1e-12, atol=1e-14)
    tape, weight = model.tape(), random_numbers(*expected.shape, seed=1)
    model.forward(x, tape, training=True, lengths=lengths)
    dx = model.backward(weight, tape)
    assert not dx[1, 6:].any()
    x[1, 6:] = 0

    def value():
        return (weight * model.forward(x, model.tape(), training=True, lengths=lengths)).sum()

    assert relative_error(value, x, dx, entries=20) < 1e-8


def test_a_pool_takes_the_largest_and_gives_its_gradient_to_the_first():
    model = fl.Model([fl.MaxPool1d(3, 2)], dtype="float64")
    x = np.array([[[1.0], [5], [5], [2], [-3], [-1], [7]]])
    tape = model.tape()
    np.testing.assert_array_equal(model.forward(x, tape, training=True)[0, :, 0], [5, 5, 7])
    np.testing.assert_array_equal(
        model.backward(np.array([[[1.0], [10], [100]]]), tape)[0, :, 0], [0, 1, 10, 0, 0, 0, 100]
    )
    negative = fl.Model([fl.MaxPool1d(2, padding="same")])
    np.testing.assert_array_equal(negative.predict(-np.ones((1, 3, 1))), -np.ones((1, 2, 1)))  # no zeros of padding


@pytest.mark.parametrize("trainable", [{"weight": False}, {"bias": False}, False])
def test_what_is_frozen_gets_no_gradient_and_lets_it_through(path, trainable):
    free, frozen = (with_bias(conv_of(3, 1, 1, "same", **options)) for options in ({}, {"trainable": trainable}))
    x, dx = random_numbers(2, 5, 3), []
    for model in (free, frozen):
        tape = model.tape()
        model.forward(x, tape, training=True)
        dx.append(model.backward(np.ones((2, 5, 4)), tape))
    np.testing.assert_allclose(*dx, rtol=1e-12)
    for one, other in zip(free.parameters(), frozen.parameters(), strict=True):
        np.testing.assert_allclose(other.grad, one.grad if other.trainable else np.zeros_like(one.grad), rtol=1e-12)


@pytest.mark.parametrize(
    ("size", "dilation", "padding"), [(3, 1, "causal"), (2, 3, "causal"), (3, 2, (4, 0)), (1, 1, "same")]
)
def test_a_stream_gives_what_a_call_gives(path, size, dilation, padding, tmp_path):
    layers = [conv_of(size, 1, dilation, padding), fl.GRU(4, 5), fl.Conv1d(5, 2, 2, padding="causal")]
    model, x = fl.Model(layers, dtype="float64", seed=1), random_numbers(3, 11, 3)
    expected, stream = model.predict(x), model.stream(3)
    close = {"rtol": 1e-11, "atol": 1e-13}
    for t in range(4):
        np.testing.assert_allclose(stream.step(x[:, t]), expected[:, t], **close)
    np.testing.assert_allclose(stream.run(x[:, 4:6]), expected[:, 4:6], **close)
    state, clone = stream.state_dict(), stream.clone(rows=[2, 0])
    stream.save(tmp_path / "state")
    np.testing.assert_allclose(stream.run(x[:, 6:]), expected[:, 6:], **close)
    np.testing.assert_allclose(clone.run(x[[2, 0], 6:]), expected[[2, 0], 6:], **close)
    other, filed = model.stream(3), model.stream(3)
    other.load_state_dict(state)
    filed.load(tmp_path / "state")
    for one in (other, filed):
        np.testing.assert_allclose(one.step(x[:, 6]), expected[:, 6], **close)
        one.reset([1])
        y = one.run(x[:, 7:])
        np.testing.assert_allclose(y[[0, 2]], expected[[0, 2], 7:], **close)
        np.testing.assert_allclose(y[1], model.predict(x[1:2, 7:])[0], **close)


def test_a_causal_convolution_stands_before_layers_that_look_ahead():
    model = fl.Model([fl.Conv1d(3, 4, 3, padding="causal"), fl.LSTM(4, 2)], dtype="float64", seed=0)
    stream, x = model.stream(2, look_ahead=2), random_numbers(2, 9, 3)
    y = np.concatenate([stream.run(x[:, :5]), stream.run(x[:, 5:]), stream.finish()], axis=1)
    np.testing.assert_allclose(y, model.predict(x), rtol=1e-11)


@pytest.mark.parametrize("lengths", [None, [9, 4, 2, 7]])
def test_layers_behind_see_the_lengths_that_are_left(path, lengths, tmp_path):
    layers = [
        fl.Conv1d(3, 4, 3, stride=2),
        fl.Activation("relu"),
        fl.LSTM(4, 5, bidirectional=True),
        fl.MaxPool1d(2, padding="same"),
        fl.FinalState(),
    ]
    model, x = fl.Model(layers, dtype="float64", seed=1), random_numbers(4, 9, 3)
    assert model.output_shape == ("N", 10) and fl.Model(layers[:4], dtype="float64").output_shape == ("N", "T''", 10)
    y = model.predict(x, lengths=lengths)
    np.testing.assert_allclose(model.predict(x, lengths=lengths), y, rtol=1e-12)
    for other in ([9, 9, 9, 3], [3, 4, 5, 9]):  # kept programs follow other lengths
        found = model.predict(x, lengths=other if lengths else None)
        np.testing.assert_allclose(
            model.forward(x, model.tape(), lengths=other if lengths else None), found, rtol=1e-12
        )
    for k, length in enumerate(lengths or [9] * 4):
        expected = model.predict(x[k : k + 1, :length])[0] if length > 2 else np.zeros(10)
        np.testing.assert_allclose(y[k], expected, rtol=1e-11, atol=1e-13)
    tape = model.tape()
    np.testing.assert_allclose(model.forward(x, tape, training=True, lengths=lengths), y, rtol=1e-12, atol=1e-14)
    dx = model.backward(np.ones_like(y), tape)
    assert relative_error(lambda: model.predict(x, lengths=lengths).sum(), x, dx, entries=5) < 1e-7
    fl.save(model, tmp_path / "m")
    np.testing.assert_array_equal(fl.load(tmp_path / "m").predict(x, lengths=lengths), y)


def test_a_mask_says_which_steps_neighbour_each_other():
    model = fl.Model([fl.Conv1d(3, 4, 2, stride=2), fl.MeanPool()], dtype="float64", seed=1)
    x, mask = random_numbers(2, 9, 3), np.random.default_rng(3).random((2, 9)) < 0.6
    y = model.predict(x, mask=mask)
    for k in range(2):
        np.testing.assert_allclose(y[k], model.predict(x[k : k + 1, mask[k]])[0], rtol=1e-12)


@pytest.mark.parametrize("bucket", [False, True])
def test_a_training_counts_the_outputs_that_are_left(bucket):
    """A loss of each step behind strides: what the padding makes must not count."""
    layers = [fl.Conv1d(2, 3, 3, stride=2, padding="same"), fl.GRU(3, 4), fl.Dense(4, 1)]
    model = fl.Model(layers, dtype="float64", seed=1)
    x, lengths = random_numbers(4, 10, 2), np.array([10, 3, 6, 1])
    y, after = random_numbers(4, 5, 1), model.output_lengths(lengths)
    assert after.tolist() == [5, 2, 3, 1]
    real = np.arange(5) < after[:, None]
    expected = np.square(model.predict(x, lengths=lengths) - y)[real].mean()
    trainer = fl.Trainer(model, "mse")
    assert trainer.evaluate(x, y, lengths=lengths)["loss"] == pytest.approx(expected, rel=1e-9)
    y[~real] = 1e9
    trainer.fit(x, y, lengths=lengths, epochs=1, batch_size=2, seed=0, bucket=bucket, progress=False)
    assert trainer.evaluate(x, y, lengths=lengths)["loss"] < expected


def test_sequences_that_are_all_too_short_train_too():
    model = fl.Model([fl.Conv1d(2, 3, 4), fl.LSTM(3, 2), fl.Last(), fl.Dense(2, 1)], seed=1)
    x, lengths = random_numbers(4, 9, 2), [2, 3, 2, 1]
    fl.Trainer(model, "mse").fit(x, np.ones((4, 1)), lengths=lengths, epochs=1, batch_size=2, progress=False)
    assert np.isfinite(model.predict(x, lengths=lengths)).all()


def test_a_training_that_is_run_again_is_the_same(path):
    first, second = (
        fl.Model([fl.Conv1d(2, 3, 3, padding="same"), fl.MaxPool1d(2), fl.Dense(3, 1)], seed=1) for _ in "ab"
    )
    x, dy = random_numbers(4, 8, 2).astype(np.float32), random_numbers(4, 4, 1).astype(np.float32)
    tape = first.tape()
    for _ in range(3):  # the second pass is recorded
        first.forward(x, tape, training=True)
        first.backward(dy, tape)
        other = second.tape()
        second.forward(x, other, training=True)
        second.backward(dy, other)
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        np.testing.assert_array_equal(one.grad, two.grad)


def test_weights_of_fewer_bits(path):
    model, x = fl.Model([fl.Conv1d(48, 64, 3, padding="same")], seed=0), random_numbers(2, 9, 48)
    exact = model.predict(x)
    for kind, error in (("bfloat16", 0.02), ("int8", 0.03), ("int8x16", 0.02)):
        found = fl.quantize(model, kind, sample=x)
        assert found.weights == {"0.weight": kind} and found.error < error
        if path == "packed" and found.in_use["0.weight"]:
            assert (model.predict(x) != exact).any()
    fl.quantize(model, None)
    np.testing.assert_array_equal(model.predict(x), exact)


def test_the_error_of_fewer_bits_is_that_of_real_outputs():
    """What the padding makes of the sample is not looked at."""
    model, x = fl.Model([fl.Conv1d(48, 64, 3, stride=2)], seed=0), random_numbers(2, 9, 48)
    x[1, 5:] = 1e6  # beyond the end, where only padding is seen
    alone = fl.quantize(model, "int8", sample=x[:, :5]).error
    assert fl.quantize(model, "int8", sample=x, lengths=[5, 5]).error == pytest.approx(alone, rel=1e-5)


def test_training_in_bfloat16_rounds_a_little():
    model, x = fl.Model([fl.Conv1d(48, 64, 3, padding="same")], seed=0), random_numbers(4, 9, 48)
    found = []
    for precision in (None, "bfloat16"):
        tape = model.tape(precision=precision)
        model.zero_grad()
        y = model.forward(x, tape, training=True).copy()
        dx = model.backward(np.ones_like(y), tape)
        found.append([y, dx.copy(), model.parameters()[0].grad.copy()])
    for exact, rounded in zip(*found, strict=True):
        assert abs(rounded - exact).max() < 0.02 * abs(exact).max()


def test_ctc_reads_what_strides_have_left():
    layers = [fl.Conv1d(3, 8, 3, stride=2, padding="same"), fl.GRU(8, 8), fl.Dense(8, 4)]
    model, x, lengths = fl.Model(layers, seed=0), random_numbers(6, 12, 3), np.array([12, 9, 12, 7, 10, 8])
    trainer = fl.Trainer(model, fl.ctc, optimizer=fl.Adam(lr=0.02))
    y = np.tile([1, 2], (6, 1))
    before = trainer.evaluate(x, y, lengths=lengths)["loss"]
    wide = np.concatenate([x, 1e3 * np.ones((6, 4, 3))], axis=1)  # more padding, which does not count
    assert trainer.evaluate(wide, y, lengths=lengths)["loss"] == pytest.approx(before, rel=1e-4)
    trainer.fit(x, y, lengths=lengths, epochs=5, seed=0, progress=False)
    assert trainer.evaluate(x, y, lengths=lengths)["loss"] < before


def test_the_estimate_of_memory_counts_what_windows_see():
    assert activations([fl.Conv1d(3, 4, 5, stride=2)], 2, 8) == 2 * 2 * 8 * 4 + 2 * 2 * 8 * 5 * 3 // 2


def test_starting_values_see_the_kernels_as_a_matrix():
    named = fl.Conv1d(3, 4, 5, seed=0, init="glorot_uniform").parameter("weight").value
    np.testing.assert_array_equal(fl.Conv1d(3, 4, 5, seed=0).parameter("weight").value, named)
    limit = np.sqrt(6 / (3 * 5 + 4))
    assert 0.8 * limit < abs(named).max() <= limit
    layer = fl.Conv1d(3, 400, 5, seed=0, init="torch_uniform")
    for parameter in layer.parameters():
        assert 0.95 * 15**-0.5 < abs(parameter.value).max() <= 15**-0.5
    layer = fl.Conv1d(3, 4, 5, init=fl.init.Constant(1.0), constraints={"weight": fl.constraints.MaxNorm(1.0)})
    weight = layer.parameter("weight")
    weight.constraint.apply(weight.writable())
    np.testing.assert_allclose(np.square(weight.value).sum((1, 2)), np.ones(4), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"kernel_size": 0}, ValueError, "kernel_size: expected at least 1, got 0"),
        ({"stride": 1.5}, TypeError, "stride: expected a whole number, got 1.5"),
        ({"dilation": 0}, ValueError, "dilation: expected at least 1, got 0"),
        ({"padding": "full"}, ValueError, "padding: expected 'valid', 'same', 'causal', a number or two, got 'full'"),
        ({"padding": (1, 1, 1)}, ValueError, r"padding: expected .* a number or two, got \(1, 1, 1\)"),
        ({"padding": True}, TypeError, "padding: expected .* a number or two, got True"),
        ({"padding": 3}, ValueError, "padding: expected numbers from 0 to 2, the steps from .* got 3"),
        ({"padding": (0, -1)}, ValueError, r"padding: expected numbers from 0 to 2, .* got \(0, -1\)"),
    ],
    ids=str,
)
def test_bad_windows_are_refused(options, error, message):
    own = {"kernel_size": 3, **options}
    with pytest.raises(error, match=message):
        fl.Conv1d(3, 4, **own)
    if "dilation" not in own:
        with pytest.raises(error, match=message):
            fl.MaxPool1d(**own)
        with pytest.raises(error, match=message):
            fl.AveragePool1d(**own)


def test_what_convolutions_and_pools_refuse():
    with pytest.raises(ValueError, match="kernel_size: expected at most 16384, got 16385"):
        fl.MaxPool1d(16385)
    with pytest.raises(TypeError, match="count_padding: expected True or False, got 1"):
        fl.AveragePool1d(2, count_padding=1)
    conv = fl.Conv1d(3, 4, 3)
    with pytest.raises(ValueError, match="x: expected at least 3 steps, as many as a window sees, got 2"):
        fl.Model([conv]).predict(np.ones((1, 2, 3)))
    with pytest.raises(ValueError, match=r"layer 1 \(Conv1d\): Conv1d takes sequences \(N, T, F\), got \(N, 3\)"):
        fl.Model([fl.Last(), conv])
    with pytest.raises(
        ValueError, match=r"layer 1 \(Conv1d\): input_size: expected 4, the size of what comes in, got 3"
    ):
        fl.Model([fl.Dense(3, 4), fl.Conv1d(3, 4, 3)])
    for layer, word in (
        (conv, "Conv1d cannot stream with stride=1, padding='valid' and padding_mode='zeros'"),
        (fl.Conv1d(3, 4, 3, padding="same"), "padding='same'"),
        (fl.Conv1d(3, 4, 3, padding="causal", stride=2), "stride=2"),
        (fl.MaxPool1d(2), "MaxPool1d cannot stream"),
        (fl.AveragePool1d(2), "AveragePool1d cannot stream"),
    ):
        with pytest.raises(ValueError, match=rf"layer 0 \({type(layer).__name__}\): .*{word}"):
            fl.Model([layer]).stream()
        with pytest.raises(ValueError, match=word):
            fl.Model([layer]).stream(look_ahead=3)
    with pytest.raises(ValueError, match=r"layer 0 \(Conv1d\): Conv1d cannot carry a state with .* padding='same'"):
        fl.Model([fl.Conv1d(3, 4, 3, padding="same")]).tape(carry=True)
    with pytest.raises(ValueError, match="fill: expected 'zero' for a model without an output at each step"):
        fl.Model([conv]).predict(np.ones((1, 5, 3)), fill="last")
    with pytest.raises(ValueError, match="model: expected one with an output at every step"):
        fl.Trainer(fl.Model([conv]), "mse").fit_sequence(np.ones((9, 3)), np.ones((9, 4)), window=4)


@pytest.mark.parametrize(("size", "dilation"), [(1, 1), (3, 1), (2, 3)])
def test_a_causal_convolution_carries_the_steps_that_it_still_sees(path, size, dilation):
    layers = [fl.Conv1d(3, 4, size, dilation=dilation, padding="causal"), fl.GRU(4, 2)]
    model, x = fl.Model(layers, dtype="float64", seed=0), random_numbers(3, 12, 3)
    tape, found = model.tape(carry=True), []
    for first in range(0, 12, 2):
        found.append(model.forward(x[:, first : first + 2], tape, training=True).copy())
        assert model.backward(np.ones_like(found[0]), tape).shape == (3, 2, 3)
    np.testing.assert_allclose(np.concatenate(found, axis=1), model.predict(x), rtol=1e-12)
    model.carry([2, -1], tape)
    y = model.forward(x[:2, :4], tape, lengths=[1, 3])
    np.testing.assert_allclose(y[1, :3], model.predict(x[1:2, :3])[0], rtol=1e-12)
    again = model.forward(x[:2, 4:6], tape)  # they go on after one step and three
    expected = model.predict(np.concatenate([x[2], x[0, :1], x[0, 4:6]])[None])[0, -2:]
    np.testing.assert_allclose(again[0], expected, rtol=1e-11)
    np.testing.assert_allclose(again[1], model.predict(x[1:2, [0, 1, 2, 4, 5]])[0, -2:], rtol=1e-11)


def test_the_gradient_of_a_carried_pass_is_that_of_its_own_steps(path):
    model, x = fl.Model([fl.Conv1d(3, 4, 3, padding="causal")], dtype="float64", seed=0), random_numbers(2, 9, 3)
    dy, tape = random_numbers(2, 5, 4, seed=2), model.tape(carry=True)
    model.forward(x[:, :4], tape)
    state = tape.state()
    model.forward(x[:, 4:], tape, training=True)
    dx = model.backward(dy, tape)

    def value():
        return (model.forward(x, model.tape(), training=True)[:, 4:] * dy).sum()

    later = np.zeros_like(x)
    later[:, 4:] = random_numbers(2, 5, 3, seed=5)
    assert along(value, x, later) == pytest.approx((dx * later[:, 4:]).sum(), rel=1e-8)
    for parameter in model.parameters():
        assert relative_error(value, parameter.writable(), parameter.grad, entries=3) < 1e-8
    other = model.tape(carry=True)
    other.restore(state)
    np.testing.assert_allclose(model.forward(x[:, 4:], other), model.predict(x)[:, 4:], rtol=1e-12)


def test_an_interrupted_training_on_one_sequence_goes_on_to_the_same_bits(tmp_path):
    def train(folder, epochs, x):
        layers = [fl.Residual([fl.Conv1d(2, 2, 3, padding="causal")]), fl.GRU(2, 3), fl.Dense(3, 1)]
        trainer = fl.Trainer(fl.Model(layers, seed=0), "mse")
        options = {"window": 6, "batch_size": 2, "starts": [0, 17], "epochs": epochs, "seed": 0, "progress": False}
        trainer.fit_sequence(x, x[:, :1], resume=tmp_path / folder, **options)
        return [parameter.value for parameter in trainer.model.parameters()]

    x = random_numbers(60, 2)
    train("parts", 1, x)
    for one, other in zip(train("parts", 3, x), train("whole", 3, x), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_same_windows_as_pytorch():
    torch = pytest.importorskip("torch")
    x = random_numbers(2, 11, 3)
    steps = torch.from_numpy(x.transpose(0, 2, 1).copy())
    for size, stride, dilation, padding in WINDOWS:
        layer = conv_of(size, stride, dilation, padding)
        model = with_bias(layer)
        weight, bias = (torch.from_numpy(parameter.value.copy()) for parameter in layer.parameters())
        left, right = sides_of(11, size, stride, dilation, padding)
        padded = torch.nn.functional.pad(steps, (left, right))
        expected = torch.nn.functional.conv1d(padded, weight, bias, stride=stride, dilation=dilation)
        np.testing.assert_allclose(model.predict(x), expected.numpy().transpose(0, 2, 1), rtol=1e-11, atol=1e-13)
        if padding == "same" and stride == 1 and size % 2:
            expected = torch.nn.functional.conv1d(steps, weight, bias, dilation=dilation, padding="same")
            np.testing.assert_allclose(model.predict(x), expected.numpy().transpose(0, 2, 1), rtol=1e-11, atol=1e-13)
    for size, stride, padding in [(2, 2, 0), (3, 2, 1), (3, 1, 1), (4, 3, 2)]:
        expected = torch.nn.functional.max_pool1d(steps, size, stride, padding).numpy().transpose(0, 2, 1)
        model = fl.Model([fl.MaxPool1d(size, stride, padding=padding)], dtype="float64")
        np.testing.assert_array_equal(model.predict(x), expected)
        for count in (False, True):
            expected = torch.nn.functional.avg_pool1d(steps, size, stride, padding, count_include_pad=count)
            model = fl.Model([fl.AveragePool1d(size, stride, padding=padding, count_padding=count)], dtype="float64")
            np.testing.assert_allclose(model.predict(x), expected.numpy().transpose(0, 2, 1), rtol=1e-12, atol=1e-14)


def test_counts_of_windows_are_those_of_keras():
    """TensorFlow's rules: (T - reach - 1) / s + 1 rounded down, T / s rounded up."""
    for t in range(1, 12):
        assert windows_of(3, 2, 1, "valid").counts(t) == max((t - 3) // 2 + 1, 0)
        assert windows_of(3, 2, 2, "same").counts(t) == -(-t // 2)
        assert windows_of(3, 2, 2, "causal").counts(t) == -(-t // 2)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("sides", [(2, 0), (1, 3), (4, 4)])
def test_padding_modes_are_those_of_numpy(mode, sides):
    """Each row of a ragged batch by itself, as np.pad fills it."""
    x, lengths = np.random.default_rng(0).normal(size=(3, 9, 2)), [9, 5, 6]
    layer = fl.Conv1d(2, 3, 5, padding=sides, padding_mode=mode, dtype="float64", seed=0)
    names = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    model, plain = fl.Model([layer], dtype="float64"), fl.Conv1d(2, 3, 5, dtype="float64", seed=0)
    found = model.predict(x, lengths=lengths)
    for row, length in enumerate(lengths):
        padded = np.pad(x[row, :length], [sides, (0, 0)], mode=names[mode])
        wanted = plain(padded[None])[0]
        np.testing.assert_allclose(found[row, : len(wanted)], wanted, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(fl.Conv1d.from_config(layer.config()).windows.mode, mode)


def test_padding_modes_that_there_are_not():
    with pytest.raises(ValueError, match="padding_mode: expected 'zeros', 'reflect', 'replicate', 'circular', got 3"):
        fl.Conv1d(2, 3, 5, padding=2, padding_mode=3)
    with pytest.raises(ValueError, match="cannot stream"):
        fl.Model([fl.Conv1d(2, 3, 5, padding="causal", padding_mode="reflect")]).stream()
