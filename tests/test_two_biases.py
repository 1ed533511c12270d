"""Two biases of each gate, as PyTorch has them."""

import numpy as np
import pytest
from gradcheck import relative_error
from recurrent_cases import TORCH_CELLS, Case, random_case

import fastlstm as fl

OPTIONS = [{}, {"num_layers": 2, "bidirectional": True}, {"clip": 1.5}]
X = np.random.default_rng(0).normal(size=(3, 6, 3))
cells = pytest.mark.parametrize("cell", TORCH_CELLS)


def of(cell, hidden=5, dtype="float64", **options):
    """A layer with two biases that are random, and the one with the sums of them."""
    two, one = (
        Case(0, 0, 3, hidden, cell=cell, options=tuple(more.items())).layer(dtype)
        for more in (
            {**options, "two_biases": True},
            options,
        )
    )
    rng = np.random.default_rng(1)
    arrays = {name: rng.normal(0, 0.5, shape) for name, shape in two.parameter_shapes().items()}
    two.load_parameters(arrays, dtype)
    sums = {}
    for name in one.parameter_shapes():
        if name.startswith("bias"):
            ih, hh = (two.parameter(name.replace("bias", part)).value for part in ("bias_ih", "bias_hh"))
            both = ih + hh
            if cell == "gru":
                both = np.concatenate([both[: 2 * hidden], ih[2 * hidden :], hh[2 * hidden :]])
            sums[name] = both
        else:
            sums[name] = arrays[name]
    one.load_parameters(sums, dtype)
    return two, one


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@cells
def test_outputs_and_gradients_are_those_of_their_sum(isa, cell, options):
    if cell == "relu" and "clip" in options:
        pytest.skip("the layer with a clip is another cell")
    found = []
    lengths = np.array([6, 2, 4])
    for layer in of(cell, 17, **options):
        tape = fl.Workspace(0)
        outputs = [layer(X)[0], layer(X, lengths=lengths)[0], fl.Model([layer], dtype="float64").predict(X)]
        for _ in range(2):  # gradients add up
            y = layer.forward(X, tape, training=True, lengths=lengths)
            dx = layer.backward(np.ones_like(y), tape)
        grads = {name: layer.parameter(name).grad.copy() for name in layer.parameter_shapes()}
        found.append(([*outputs, y.copy(), dx.copy()], grads))
    (outputs, grads), (expected, sums) = found
    for a, b in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    for name, gradient in grads.items():
        if not name.startswith("bias"):
            np.testing.assert_array_equal(gradient, sums[name])
            continue
        whole = sums[name.replace("_ih", "").replace("_hh", "")]
        rows = [*range(len(gradient))]
        if cell == "gru" and "hh" in name:
            rows = [*range(2 * 17), *range(3 * 17, 4 * 17)]
        np.testing.assert_array_equal(gradient, whole[rows])


@cells
def test_gradients_against_central_differences(isa, cell):
    layer, _ = of(cell)

    def forward(tape):
        for parameter in layer.parameters():
            parameter.touch()
        return layer.forward(X, tape, training=True, lengths=None)

    tape = fl.Workspace(2)
    dy = np.random.default_rng(2).normal(size=forward(tape).shape)
    layer.backward(dy.copy(), tape)
    for name in layer.parameter_shapes():
        parameter = layer.parameter(name)
        error = relative_error(
            lambda: (forward(fl.Workspace(2)) * dy).sum(), parameter.writable(), parameter.grad.copy(), 6
        )
        assert error < 1e-7, name


@pytest.mark.parametrize("n", [1, 4])
@cells
def test_a_replayed_pass_gives_the_bits_of_any_other(isa, cell, n):
    """Also where the biases have moved since it was recorded, and with steps too small for packed weights."""
    found = []
    for replayed in (True, False):
        model = fl.Model([of(cell, 17, "float32")[0], fl.Dense(17, 2)], seed=0)
        tape, optimizer, held = model.tape(), fl.SGD(0.1), np.empty((n, 1 if n == 1 else 6, 3), np.float32)
        steps = []
        for step in range(6):
            x = np.random.default_rng(step).normal(size=held.shape).astype(np.float32)
            held[...] = x
            model.zero_grad()
            y = model.forward(held if replayed else x, tape, training=True)
            model.backward(np.ones_like(y), tape)
            steps += [y.copy(), *(parameter.grad.copy() for parameter in model.parameters())]
            optimizer.step(model.parameters())
        assert len(tape._replays) == replayed
        found.append(steps)
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("format", ["bfloat16", "int8"])
def test_quantized_and_in_a_file(tmp_path, format):
    two, one = of("lstm", 64, "float32")
    two.weights = one.weights = format
    model = fl.Model([two])
    np.testing.assert_array_equal(model.predict(X), one(X.astype(np.float32))[0])
    fl.save(model, tmp_path / "m")
    loaded = fl.load(tmp_path / "m")
    assert loaded.layers[0].config()["two_biases"] is True
    assert "two_biases" not in one.config()
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def modules(torch, cell, dtype, **options):
    kinds = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
    if cell in ("tanh", "relu"):
        options["nonlinearity"] = cell
    return kinds.get(cell, torch.nn.RNN)(3, 5, 2, batch_first=True, dtype=getattr(torch, dtype), **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bidirectional", [False, True])
@cells
def test_pytorch_gets_back_what_it_gave_to_the_bit(tmp_path, cell, dtype, bidirectional):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.manual_seed(0)
    module = modules(torch, cell, dtype, bidirectional=bidirectional)
    layer = fl.io.from_torch(module)
    fl.save(fl.Model([layer], dtype=dtype), tmp_path / "m")
    for given in (layer, fl.load(tmp_path / "m").layers[0]):
        back = fl.io.to_torch(given).state_dict()
        assert [*back] == [*module.state_dict()]
        for name, tensor in module.state_dict().items():
            assert torch.equal(back[name], tensor), name


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@cells
def test_training_moves_both_as_pytorch_does(cell, optimizer):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.manual_seed(0)
    module = modules(torch, cell, "float64")
    layer = fl.io.from_torch(module)
    sums = fl.io.from_torch(module, two_biases=False)
    assert [name for name in sums.parameter_shapes() if "bias" in name] == ["bias_l0", "bias_l1"]
    theirs = getattr(torch.optim, optimizer)(module.parameters(), lr=0.05)
    ours, tape = getattr(fl, optimizer)(0.05), fl.Workspace(0)
    for _ in range(5):
        theirs.zero_grad()
        (module(torch.tensor(X))[0] ** 2).sum().backward()
        theirs.step()
        for parameter in layer.parameters():
            parameter.zero_grad()
        y = layer.forward(X, tape, training=True, lengths=None)
        layer.backward(2 * y, tape)
        ours.step(layer.parameters())
    for name, tensor in fl.io.to_torch(layer).state_dict().items():
        np.testing.assert_allclose(tensor.numpy(), module.state_dict()[name].numpy(), atol=1e-8, err_msg=name)


def test_a_new_layer_starts_as_one_with_one_bias():
    for kind in (fl.LSTM, fl.GRU, fl.SimpleRNN):
        x = X.astype(np.float32)
        np.testing.assert_array_equal(kind(3, 5, two_biases=True, seed=0)(x)[0], kind(3, 5, seed=0)(x)[0])


def test_what_is_wrong_is_named():
    with pytest.raises(TypeError, match="two_biases: expected True or False, got 2"):
        fl.GRU(3, 4, two_biases=2)
    with pytest.raises(ValueError, match="two_biases: expected False with bias=False, which leaves both out, got True"):
        fl.LSTM(3, 4, bias=False, two_biases=True)
    state = random_case(Case(2, 2, 3, 4, options=(("two_biases", True),))).parameters
    with pytest.raises(TypeError, match="two_biases: expected True or False, got 'no'"):
        fl.io.from_torch(state, two_biases="no")
