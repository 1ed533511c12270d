"""Normalisation: beside PyTorch's, over real steps only; running statistics, which are saved and never trained."""

import numpy as np
import pytest
from gradcheck import relative_error

import fastlstm as fl
from fastlstm._kernels import norm as kernel

TOLERANCE = {"float32": dict(rtol=1e-4, atol=1e-5), "float64": dict(rtol=1e-10, atol=1e-12)}
SHAPES = [(4, 5, 3), (2, 1, 2), (3, 7, 17), (2, 33, 64)]


def normal(shape, dtype, seed):
    return (np.random.default_rng(seed).normal(size=shape) * 3 + 1).astype(dtype)


def trained(layer, x, dy, lengths=None):
    """y, dx and the gradients after a training pass, with weights and biases that are not those of the start."""
    dtype = x.dtype
    model = fl.Model([layer], dtype=dtype, seed=0)
    for name, seed in (("weight", 5), ("bias", 6)):
        layer.parameter(name).value = normal((x.shape[-1],), dtype, seed)
    tape = model.tape()
    y = model.forward(x, tape, training=True, lengths=lengths).copy()
    dx = model.backward(dy, tape)
    return y, dx, layer.parameter("weight").grad, layer.parameter("bias").grad


def in_torch(module, x, dy):
    """The same, by a module of PyTorch that takes x."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(normal((x.shape[-1],), x.dtype, 5)))
        module.bias.copy_(torch.from_numpy(normal((x.shape[-1],), x.dtype, 6)))
    inputs = torch.tensor(x, requires_grad=True)
    y = module(inputs)
    y.backward(torch.tensor(dy))
    return [array.detach().numpy() for array in (y, inputs.grad, module.weight.grad, module.bias.grad)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layer_norm_is_pytorchs(shape, dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x, dy = normal(shape, dtype, 0), normal(shape, dtype, 1)
    module = torch.nn.LayerNorm(shape[-1], dtype=getattr(torch, dtype))
    for ours, theirs in zip(trained(fl.LayerNorm(shape[-1]), x, dy), in_torch(module, x, dy), strict=True):
        np.testing.assert_allclose(ours, theirs, **TOLERANCE[dtype])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("ragged", [False, True])
def test_batch_norm_is_pytorchs_over_the_real_steps(shape, dtype, ragged):
    """PyTorch's has no lengths: it is given the real steps alone, as rows."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    n, t, features = shape
    lengths = np.arange(n) % t + 1
    real = np.arange(t) < (lengths if ragged else np.full(n, t))[:, None]
    x, dy = normal(shape, dtype, 0), normal(shape, dtype, 1)
    x[~real], dy[~real] = 1e9, 1e9  # nothing of this may show
    layer = fl.BatchNorm(features, momentum=0.3)
    module = torch.nn.BatchNorm1d(features, momentum=0.3, dtype=getattr(torch, dtype))
    found, expected = trained(layer, x, dy, lengths if ragged else None), in_torch(module, x[real], dy[real])
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours[real] if ours.ndim == 3 else ours, theirs, **TOLERANCE[dtype])
    for padded in found[:2]:
        assert not padded[~real].any()
    for name in ("running_mean", "running_var"):
        np.testing.assert_allclose(layer.buffer(name).value, getattr(module, name).numpy(), **TOLERANCE[dtype])
    with torch.no_grad():
        expected = module.eval()(torch.tensor(x[real])).numpy()
    found = fl.Model([layer], dtype=dtype).predict(x, lengths=lengths if ragged else None)
    np.testing.assert_allclose(found[real], expected, **TOLERANCE[dtype])


@pytest.mark.parametrize("kind", [fl.LayerNorm, fl.BatchNorm])
def test_gradients_in_a_model(kind):
    layers = [fl.LSTM(3, 4), kind(4), fl.LSTM(4, 5), fl.Last(), kind(5), fl.Dense(5, 2)]
    model = fl.Model(layers, dtype="float64", seed=0)
    rng = np.random.default_rng(0)
    x, target, lengths = rng.normal(size=(4, 6, 3)), rng.normal(size=(4, 2)), [6, 2, 1, 5]

    def value():
        return fl.mse(model.forward(x, model.tape(), training=True, lengths=lengths), target)[0]

    tape = model.tape()
    dx = model.backward(fl.mse(model.forward(x, tape, training=True, lengths=lengths), target)[1], tape)
    assert relative_error(value, x, dx) < 1e-6
    for parameter in model.parameters():
        assert relative_error(value, parameter.writable(), parameter.grad) < 1e-6, parameter.name


@pytest.mark.parametrize("kind", [fl.LayerNorm, fl.BatchNorm])
def test_gradients_add_up_and_are_cleared(kind):
    x, dy = normal((2, 3, 4), "f8", 0), normal((2, 3, 4), "f8", 1)
    model = fl.Model([kind(4)], dtype="float64", seed=0)
    tape = model.tape()
    found = []
    for clear in (True, False, True):
        if clear:
            model.zero_grad()
        model.forward(x, tape, training=True)
        model.backward(dy, tape)
        found.append([parameter.grad.copy() for parameter in model.parameters()])
    for once, twice, again in zip(*found, strict=True):
        np.testing.assert_allclose(twice, 2 * once, rtol=1e-14)
        np.testing.assert_array_equal(again, once)


def test_running_statistics_follow_training_passes_only():
    model = fl.Model([fl.BatchNorm(2, momentum=0.5)], dtype="float64", seed=0)
    mean, variance = model.buffers()
    assert (mean.name, variance.name) == ("0.running_mean", "0.running_var")
    assert list(model.named_buffers()) == [mean.name, variance.name]
    x, tape = normal((5, 4, 2), "f8", 0), model.tape()
    model.predict(x)
    model.forward(x, tape)
    model.stream(5).step(x[:, 0])
    np.testing.assert_array_equal(mean.value, [0, 0])
    np.testing.assert_array_equal(variance.value, [1, 1])
    model.forward(x, tape, training=True)
    rows = x.reshape(-1, 2)
    np.testing.assert_allclose(mean.value, rows.mean(0) / 2, rtol=1e-14)
    np.testing.assert_allclose(variance.value, (1 + rows.var(0, ddof=1)) / 2, rtol=1e-14)


def test_buffers_are_saved_and_not_trained(tmp_path):
    layers = [fl.LSTM(3, 4), fl.BatchNorm(4), fl.Dense(4, 1)]
    model = fl.Model(layers, seed=0)
    assert not {"1.running_mean", "1.running_var"} & model.named_parameters().keys()
    assert model.num_parameters == sum(p.size for p in model.parameters()) == 128 + 8 + 5
    x = normal((8, 6, 3), "f4", 0)
    fl.Trainer(model, fl.mse).fit(x, x.sum(2, keepdims=True), epochs=2, seed=0, progress=False)
    assert all((buffer.value != start).all() for buffer, start in zip(model.buffers(), (0, 1), strict=True))
    fl.save(model, tmp_path / "m")
    again = fl.load(tmp_path / "m")
    for ours, loaded in zip(model.buffers(), again.buffers(), strict=True):
        assert ours.name == loaded.name
        np.testing.assert_array_equal(ours.value, loaded.value)
    np.testing.assert_array_equal(model.predict(x), again.predict(x))


def test_a_file_without_its_running_statistics_is_damaged(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    model = fl.Model([fl.BatchNorm(2)], seed=0)
    fl.save(model, tmp_path / "m")
    with safetensors.safe_open(tmp_path / "m", "numpy") as file:
        header, arrays = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    del arrays["0.running_var"], header["checksum"]
    safetensors.save_file(arrays, tmp_path / "m", header)
    with pytest.raises(ValueError, match=r"damaged: 0.running_var: expected an array \(2,\), got none"):
        fl.load(tmp_path / "m")


@pytest.mark.parametrize("kind", [fl.LayerNorm, fl.BatchNorm])
def test_a_stream_gives_what_predict_gives(kind):
    model = fl.Model([fl.LSTM(3, 4), kind(4), fl.LSTM(4, 4), kind(4)], dtype="float64", seed=0)
    x = normal((3, 6, 3), "f8", 0)
    model.forward(x, model.tape(), training=True)
    stream = model.stream(3)
    found = np.stack([stream.step(x[:, t]) for t in range(6)], 1)
    np.testing.assert_allclose(found, model.predict(x), rtol=1e-12)


def test_equal_features_and_equal_steps_give_the_bias():
    for layer in (fl.LayerNorm(3), fl.BatchNorm(3)):
        y, dx, _, _ = trained(layer, np.full((2, 4, 3), 7.0), np.ones((2, 4, 3)))
        np.testing.assert_array_equal(y, np.broadcast_to(layer.parameter("bias").value, y.shape))
        assert np.isfinite(dx).all()


def test_a_batch_of_one_step_has_no_variance():
    model = fl.Model([fl.BatchNorm(2)], seed=0)
    with pytest.raises(ValueError, match="BatchNorm: expected at least 2 real steps in a training batch, got 1"):
        model.forward(np.ones((1, 1, 2)), model.tape(), training=True)
    assert model.predict(np.ones((1, 1, 2))).shape == (1, 1, 2)


@pytest.mark.parametrize("kind", [fl.LayerNorm, fl.BatchNorm])
def test_bad_arguments_are_named(kind):
    with pytest.raises(ValueError, match="size: expected at least 1, got 0"):
        kind(0)
    with pytest.raises(ValueError, match="eps: expected at least 0, got -1"):
        kind(3, eps=-1)
    with pytest.raises(ValueError, match=r"layer 1 \(.*Norm\): size: expected 4, .* got 3"):
        fl.Model([fl.LSTM(3, 4), kind(3)])
    assert kind(3)(np.ones((4, 3))).shape == (4, 3)
    with pytest.raises(ValueError, match="momentum: expected at least 0 and at most 1, got 2"):
        fl.BatchNorm(3, momentum=2)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_instruction_set_gives_the_equations(isa, shape, dtype):
    x, dy = normal(shape, "float64", 0), normal(shape, "float64", 1)
    weight, bias = normal(shape[-1:], "float64", 5), normal(shape[-1:], "float64", 6)
    scale = 1 / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    n = (x - x.mean(-1, keepdims=True)) * scale
    dn = dy * weight
    dx = scale * (dn - dn.mean(-1, keepdims=True) - n * (dn * n).mean(-1, keepdims=True))
    expected = n * weight + bias, dx, (dy * n).sum((0, 1)), dy.sum((0, 1))
    for ours, theirs in zip(trained(fl.LayerNorm(shape[-1]), x.astype(dtype), dy.astype(dtype)), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [1, 15, 33, 64])
def test_a_row_has_the_same_bits_in_batches_of_any_size(isa, default_threads, width, dtype):
    x, dy = normal((40, 3, width), dtype, 0), normal((40, 3, width), dtype, 1)
    fl.set_num_threads(1)
    y, dx = trained(fl.LayerNorm(width), x, dy)[:2]
    for threads, some in ((1, slice(0, 1)), (2, slice(7, 9)), (2, slice(3, 40))):
        fl.set_num_threads(threads)
        found = trained(fl.LayerNorm(width), x[some], dy[some])
        np.testing.assert_array_equal(found[0], y[some])
        np.testing.assert_array_equal(found[1], dx[some])


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 7, 33), (40, 30, 129)], ids=str)
def test_layer_norm_has_the_same_bits_on_any_number_of_threads(shape, default_threads):
    x, dy = normal(shape, "f4", 0), normal(shape, "f4", 1)
    found = []
    for threads in (1, 2, 3):
        fl.set_num_threads(threads)
        found.append(trained(fl.LayerNorm(shape[-1]), x, dy))
    for one, two, three in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)


def test_layer_norm_is_exact_far_from_zero():
    x = normal((4, 5, 65), "f8", 0)
    expected = fl.LayerNorm(65, dtype="float64")(x)
    np.testing.assert_allclose(fl.LayerNorm(65)(np.float32(x) + 1000), expected, atol=2e-4)


def test_a_pass_that_is_ready_sees_new_weights_and_rows_that_lie_apart():
    """`Last` gives a view of its input, which the prepared pass reads where it lies."""
    model = fl.Model([fl.LSTM(3, 5), fl.Last(), fl.LayerNorm(5), fl.Dense(5, 2)], seed=0)
    x, tape, stream = normal((4, 6, 3), "f4", 0), model.tape(), model.stream(4)
    for scale in (1, 2):
        for parameter in model.layers[2].parameters():
            parameter.value = scale + parameter.value
        last = fl.Model(model.layers[:2]).predict(x)
        apart = last - last.mean(1, keepdims=True)
        weight, bias = (parameter.value for parameter in model.layers[2].parameters())
        y = apart / np.sqrt(apart.var(1, keepdims=True) + 1e-5) * weight + bias
        expected = model.layers[3](y)
        stream.reset()
        for _ in range(2):
            np.testing.assert_allclose(model.forward(x, tape), expected, rtol=1e-4, atol=1e-5)
        found = [stream.step(x[:, t]) for t in range(6)]
        np.testing.assert_allclose(found[-1], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [fl.LayerNorm, fl.BatchNorm])
def test_a_pass_that_is_ready_sees_a_new_eps(kind):
    layer = kind(3, eps=0.1)
    model, x = fl.Model([layer], seed=0), normal((4, 6, 3), "f4", 0)
    tape, stream = model.tape(), model.stream(4)
    calls = (layer, model.predict, lambda x: model.forward(x, tape), lambda x: stream.step(x[:, 0])[:, None])
    for call in calls:
        call(x)
    layer.eps = 5
    assert layer.config()["eps"] == 5
    expected = fl.Model([kind(3, eps=5)]).predict(x)
    for call in calls:
        y = call(x)
        np.testing.assert_array_equal(y, expected[:, : y.shape[1]])
    with pytest.raises(ValueError, match="eps: expected at least 0, got -1"):
        layer.eps = -1


def test_the_kernel_refuses_what_does_not_fit():
    row, rows, sums = np.ones(3), np.ones((4, 3)), np.ones((kernel.BLOCKS, 2, 3))
    good = dict(x=rows, weight=row, bias=row, eps=0.0, y=rows.copy(), mean=np.ones(4), scale=np.ones(4))
    for wrong in (
        dict(weight=np.ones(2)), dict(bias=np.ones(4)), dict(y=np.ones((4, 2))), dict(mean=row), dict(scale=row),
        dict(x=np.ones((4, 6))[:, ::2]), dict(x=np.ones((0, 3))),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="norm: sizes do not agree|norm: rows must be contiguous"):
            kernel.forward(**{**good, **wrong})
    four = np.ones(4)
    good = dict(dy=rows, x=rows, weight=row, mean=four, scale=four, sums=sums, dx=rows.copy(), dweight=row, dbias=row)
    for wrong in (
        dict(dy=np.ones((3, 3))), dict(weight=four), dict(mean=row), dict(scale=row), dict(sums=sums[1:]),
        dict(dx=np.ones((2, 3))), dict(dweight=four), dict(dbias=four),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="norm: sizes do not agree"):
            kernel.backward(**{**good, **wrong})
