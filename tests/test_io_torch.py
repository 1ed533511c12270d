"""Whole models to and from PyTorch, live: outputs beside torch, and weights there and back to the bit."""

import copy
import re

import numpy as np
import pytest
from peer_cases import Draw, on_both_paths

import fastlstm as fl

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn
torch.set_num_threads(1)  # its passes are small

FUNCTIONS = [
    *("sigmoid", "tanh", "relu", "hard_sigmoid", ("hard_sigmoid", 1 / 6), "softsign", "softplus", "leaky_relu", "exp"),
    *(("thresholded_relu", 0.3), ("elu", 0.5), ("affine", 2.0, 0.5), ("scaled_tanh", 1.7, 0.6)),
    *("gelu", "gelu_tanh", "silu"),
]

PARTS = {
    "lstm": lambda d, f: fl.LSTM(
        f, d.size(5), num_layers=d.size(2), bidirectional=d.of(True, False), bias=d.of(True, False)
    ),
    "projected": lambda d, f: fl.LSTM(f, 5, proj_size=d.size(4), two_biases=True, forget_bias=0.5),
    "gru": lambda d, f: fl.GRU(f, d.size(5), bidirectional=d.of(True, False), two_biases=d.of(True, False)),
    "rnn": lambda d, f: fl.SimpleRNN(f, d.size(5), activation=d.of("tanh", "relu")),
    "dense": lambda d, f: fl.Dense(f, d.size(6), bias=d.of(True, False), regularizers={"weight": "l2"}),
    "norm": lambda d, f: fl.LayerNorm(f, eps=0.01),
    "batch": lambda d, f: fl.BatchNorm(f, momentum=0.25, eps=0.01),
    "activation": lambda d, f: fl.Activation(d.of(*FUNCTIONS)),
    "dropout": lambda d, f: fl.Dropout(0.25),
    "softmax": lambda d, f: fl.Softmax(),
    "conv": lambda d, f: fl.Conv1d(
        f, d.size(5), d.size(3), stride=d.size(2), dilation=d.size(2), padding=d.of("valid", "same", "causal")
    ),
    "sides": lambda d, f: fl.Conv1d(f, d.size(5), 3, padding=(2, d.size(2)), bias=False),
    "pool": lambda d, f: fl.MaxPool1d(d.size(2), d.size(2), padding=d.of("valid", "same", "causal")),
    "residual": lambda d, f: fl.Residual([fl.LayerNorm(f), fl.Residual([fl.GRU(f, f)]), fl.Dense(f, f)]),
    "concat": lambda d, f: fl.Concat([], [fl.LSTM(f, 2, bidirectional=True), fl.Dense(4, 3)]),
}
ENDS = {
    "last": lambda d, f: fl.Last(),
    "final": lambda d, f: fl.FinalState(bidirectional=f % 2 == 0),
    "mean": lambda d, f: fl.MeanPool(),
    "max": lambda d, f: fl.MaxPool(),
    "attention": lambda d, f: fl.AttentionPool(f, d.size(4)),
    "all": lambda d, f: fl.Concat([fl.Last()], [fl.MeanPool()], [fl.Conv1d(f, 2, 1), fl.MaxPool()]),
}


def random_model(names, number, dtype):
    """A chain of these parts and, if the last name is of `ENDS`, one for (N, F), with random weights everywhere."""
    draw = Draw([number, len(names)])
    layers, features = [], draw.size(5)
    for name in names:
        layers.append({**PARTS, **ENDS}[name](draw, features))
        features = layers[-1].output_shape(("N", 9, features))[-1]
    model = fl.Model(layers, dtype, seed=number)
    for parameter in [*model.parameters(), *model.buffers()]:
        value = draw.normal(*parameter.shape)
        parameter.value = np.abs(value) + 0.1 if "running_var" in parameter.name else value
    return model, draw


def names_of(number):
    draw = Draw([9, number])
    names = [draw.of(*PARTS) for _ in range(draw.size(4))]
    return [*names, draw.of(*ENDS), *draw.of([], ["dense", "softmax"], ["batch"])] if draw.of(True, False) else names


CHAINS = [*([name] for name in PARTS), *([name] for name in ENDS), *map(names_of, range(40))]
PARTS["average"] = lambda d, f: fl.AveragePool1d(
    *(d.size(3), d.size(2)), padding=d.of("valid", "same", "causal"), count_padding=d.of(False, True)
)
CHAINS += [["average"], ["average", "gru"], ["lstm", "average", "last"], ["average", "dense", "average"]] * 2


def there(module, x, lengths=None):
    """Its outputs in inference."""
    with torch.no_grad():
        given = None if lengths is None else torch.tensor(lengths)
        return module.eval()(torch.tensor(x), given).numpy()


@pytest.mark.parametrize("number", range(len(CHAINS)))
def test_a_model_becomes_a_module_that_gives_the_same(number):
    model, draw = random_model(CHAINS[number], number, "float64")
    module = fl.io.to_torch(model)
    n, t = draw.size(5), 9 + draw.size(3)
    x = draw.normal(n, t, model.input_shape[-1] if isinstance(model.input_shape[-1], int) else 4)
    for lengths in (None, draw.rng.integers(0, t + 1, n)):
        expected = there(module, x, lengths)
        for found in on_both_paths(lambda lengths=lengths: model.predict(x, lengths=lengths)):
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("number", range(0, len(CHAINS), 2))
def test_a_model_comes_back_to_the_bit(number, dtype):
    model, _ = random_model(CHAINS[number], number, dtype)
    module = fl.io.to_torch(model)
    back = fl.io.from_torch(copy.deepcopy(module))
    assert repr(back) == repr(model) and back.dtype == model.dtype
    assert [layer.config() for layer in back.layers if not layer._held()] == [
        layer.config() for layer in model.layers if not layer._held()
    ]
    before = {**model.named_parameters(), **model.named_buffers()}
    after = {**back.named_parameters(), **back.named_buffers()}
    assert before.keys() == after.keys()
    for name, parameter in before.items():
        assert np.array_equal(after[name].value, parameter.value), name
    again = fl.io.to_torch(back).state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in module.state_dict().items())


@pytest.mark.parametrize("bias", [True, False])
def test_tied_weights_stay_tied(bias):
    embedding = fl.Embedding(7, 4)
    model = fl.Model([embedding, fl.LSTM(4, 4), fl.TiedDense(embedding, bias=bias)], seed=0)
    module = fl.io.to_torch(model)
    assert module.get_submodule("2").weight is module.get_submodule("0").weight
    tokens = np.arange(12).reshape(3, 4) % 7
    np.testing.assert_allclose(model.predict(tokens, lengths=[4, 0, 2]), there(module, tokens, [4, 0, 2]), atol=1e-6)
    back = fl.io.from_torch(module)
    assert isinstance(back.layers[2], fl.TiedDense) and back.layers[2].embedding is back.layers[0]
    assert np.array_equal(back.predict(tokens), model.predict(tokens))


@pytest.mark.parametrize("make", [*PARTS.values(), *ENDS.values()], ids=[*PARTS, *ENDS])
def test_a_layer_alone(make):
    layer, x = make(Draw(4), 4), Draw(5).normal(2, 9, 4).astype("float32")
    module, found = fl.io.to_torch(layer).eval(), layer(x)
    expected = module(torch.tensor(x))
    found, expected = (one[0] if isinstance(one, tuple) else one for one in (found, expected))
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-5)
    back = fl.io.from_torch(module)
    assert type(back) is type(layer)
    again = back(x)
    np.testing.assert_array_equal(again[0] if isinstance(again, tuple) else again, found)


def test_a_tied_layer_alone_has_the_weight_of_its_embedding():
    embedding = fl.Embedding(5, 3)
    module = fl.io.to_torch(fl.TiedDense(embedding))
    assert np.array_equal(module.weight.detach().numpy(), embedding.parameter("weight").value)


def test_gradients_are_those_of_torch():
    """A training pass with lengths, of what differs between the passes: batch statistics, and both biases."""
    model, draw = random_model(["conv", "lstm", "batch", "attention", "dense"], 3, "float64")
    module = fl.io.to_torch(model).train()
    x, lengths = draw.normal(4, 11, model.input_shape[-1]), np.array([11, 0, 5, 2])
    tape = model.tape()
    y = model.forward(x, tape, training=True, lengths=lengths)
    theirs = module(torch.tensor(x), torch.tensor(lengths))
    np.testing.assert_allclose(y, theirs.detach().numpy(), atol=1e-10)
    dy = draw.normal(*y.shape)
    model.zero_grad()
    model.backward(dy.copy(), tape)
    theirs.backward(torch.tensor(dy))
    for name, parameter in module.named_parameters():
        own = model.named_parameters()[re.sub(r"bias_[ih]h", "bias", name)]
        np.testing.assert_allclose(own.grad, parameter.grad.numpy(), atol=1e-10, err_msg=name)
    after = model.named_buffers()["2.running_var"].value
    np.testing.assert_allclose(after, module.get_submodule("2").running_var.numpy(), atol=1e-12)


def test_frozen_stays_frozen():
    model = fl.Model([fl.LSTM(3, 4, trainable={"weight_ih": False}), fl.Dense(4, 2, trainable={"bias": False})])
    module = fl.io.to_torch(model)
    frozen = [name for name, parameter in module.named_parameters() if not parameter.requires_grad]
    assert frozen == ["0.weight_ih_l0", "1.bias"]
    back = fl.io.from_torch(module)
    assert [name for name, one in back.named_parameters().items() if not one.trainable] == frozen
    assert not fl.io.from_torch(nn.Linear(2, 3).requires_grad_(False)).trainable


def test_a_module_of_a_model_is_one_like_others(tmp_path):
    model, draw = random_model(["conv", "lstm", "last", "dense"], 1, "float32")
    module, other = (
        fl.io.to_torch(model),
        fl.io.to_torch(random_model(["conv", "lstm", "last", "dense"], 1, "float32")[0]),
    )
    assert module.training
    x = draw.normal(2, 9, model.input_shape[-1]).astype("float32")
    for parameter in other.parameters():
        parameter.data.zero_()
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert np.array_equal(there(other, x), there(module, x))
    exported = torch.export.export(module.eval(), (torch.tensor(x),))
    np.testing.assert_allclose(exported.module()(torch.tensor(x)).detach().numpy(), there(module, x), atol=1e-6)


STEPS = nn.Sequential(
    nn.Linear(3, 5, bias=False), nn.LayerNorm(5), nn.Sequential(nn.GELU(), nn.Identity()), nn.Dropout(0.2)
)
CHANNELS = nn.Sequential(
    nn.Conv1d(3, 4, 3, padding="same"),
    nn.BatchNorm1d(4),
    nn.ReLU(inplace=True),
    nn.MaxPool1d(2),
    nn.AvgPool1d(3, 1, padding=1),
    nn.AvgPool1d(2, 1, padding=1, count_include_pad=False),
    nn.Conv1d(4, 5, 3, stride=2, padding=2, bias=False),
    nn.Softmax(dim=1),
)
ROWS = nn.Sequential(
    nn.Linear(3, 5), nn.BatchNorm1d(5, affine=False), nn.Softplus(), nn.Linear(5, 2), nn.Softmax(dim=1)
)
MORE = nn.Sequential(
    *(nn.Tanh(), nn.Sigmoid(), nn.Hardsigmoid(), nn.GELU("tanh"), nn.SiLU(), nn.LeakyReLU(0.3), nn.ELU(0.5)),
    *(nn.Softsign(), nn.Threshold(0.1, 0), nn.LayerNorm(3, elementwise_affine=False), nn.LayerNorm(3, bias=False)),
)
TOKENS = nn.Sequential(nn.Embedding(5, 3, padding_idx=0), nn.Linear(3, 2))


@pytest.mark.parametrize("module", [STEPS, MORE], ids=["steps", "more"])
def test_a_sequential_over_features(module):
    module = copy.deepcopy(module).double().eval()
    x = np.random.default_rng(0).normal(size=(4, 6, 3))
    for found in on_both_paths(lambda: fl.io.from_torch(module).predict(x)):
        np.testing.assert_allclose(found, module(torch.tensor(x)).detach().numpy(), atol=1e-10)


def test_a_sequential_over_channels_takes_them_last_here():
    module = copy.deepcopy(CHANNELS).double()
    x = np.random.default_rng(0).normal(size=(4, 12, 3))
    module(torch.tensor(x).transpose(1, 2))  # moves the running statistics
    expected = module.eval()(torch.tensor(x).transpose(1, 2)).transpose(1, 2).detach().numpy()
    for found in on_both_paths(lambda: fl.io.from_torch(module).predict(x)):
        np.testing.assert_allclose(found, expected, atol=1e-10)


def test_a_sequential_over_rows_takes_them_as_steps_here():
    module = copy.deepcopy(ROWS).double().eval()
    x = np.random.default_rng(0).normal(size=(6, 3))
    model = fl.io.from_torch(module)
    assert not model.layers[1].trainable  # it has no weights there
    np.testing.assert_allclose(model.predict(x[:, None])[:, 0], module(torch.tensor(x)).detach().numpy(), atol=1e-8)


def test_a_sequential_over_tokens_and_one_that_ends_with_an_lstm():
    tokens = np.arange(6).reshape(2, 3) % 5
    np.testing.assert_allclose(
        fl.io.from_torch(TOKENS).predict(tokens), TOKENS(torch.tensor(tokens)).detach().numpy(), atol=1e-6
    )
    module = nn.Sequential(nn.Linear(3, 4), nn.LSTM(4, 5, batch_first=True)).double()
    x = np.random.default_rng(0).normal(size=(2, 7, 3))
    np.testing.assert_allclose(
        fl.io.from_torch(module).predict(x), module(torch.tensor(x))[0].detach().numpy(), atol=1e-10
    )


@pytest.mark.parametrize("kind", ["LSTMCell", "GRUCell"])
@pytest.mark.parametrize("bias", [True, False])
def test_cells(kind, bias):
    module = getattr(nn, kind)(3, 4, bias=bias, dtype=torch.float64)
    cell, x = fl.io.from_torch(module), np.random.default_rng(0).normal(size=(5, 3))
    assert type(cell) is getattr(fl, kind)
    expected, found = module(torch.tensor(x)), cell(x)
    for theirs, ours in zip(*[one if isinstance(one, tuple) else (one,) for one in (expected, found)], strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=1e-12)
    back = fl.io.to_torch(cell).state_dict()
    assert all(torch.equal(back[name], tensor) for name, tensor in module.state_dict().items())


def test_what_runs_on_our_kernels_in_torch_is_known():
    import fastlstm.torch

    module = fastlstm.torch.GRU(3, 4)
    assert type(fl.io.from_torch(module)) is fl.GRU
    with fastlstm.torch.accelerate(chain := nn.Sequential(nn.Linear(3, 4), nn.LSTM(4, 5))):
        assert type(fl.io.from_torch(chain).layers[1]) is fl.LSTM


def test_a_parametrized_weight_is_what_it_makes():
    module = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    assert np.array_equal(fl.io.from_torch(module).parameter("weight").value, module.weight.detach().numpy())


def hooked(module):
    module.register_forward_hook(lambda *_: None)
    return module


REFUSED = [
    (
        lambda: nn.Sequential(nn.Linear(2, 2), nn.Flatten()),
        r"layer 1 \(Flatten\) is not known here; known are .*Conv1d",
    ),
    (lambda: nn.Sequential(nn.Sequential(nn.LogSoftmax(-1))), r"layer 0\.0 \(LogSoftmax\) is not known here"),
    (lambda: nn.Sequential(nn.Linear(2, 2), nn.Conv1d(2, 2, 1)), r"layer 1 \(Conv1d\) takes \(N, C, T\), and layer 0"),
    (lambda: nn.Sequential(nn.Embedding(2, 2), nn.BatchNorm1d(2)), "a BatchNorm1d behind sequences"),
    (lambda: nn.Sequential(nn.Linear(2, 2), nn.Softmax(dim=1)), r"layer 1 \(Softmax\): expected dim=-1, .*got dim=1"),
    (lambda: nn.Sequential(nn.GRU(2, 2), nn.Linear(2, 2)), r"layer 0 \(GRU\) gives outputs and a state"),
    (lambda: nn.Sequential(nn.Identity()), "expected at least one module that does something, got none in Sequential"),
    (lambda: nn.Conv1d(2, 2, 1, groups=2), r"the module \(Conv1d\): expected groups=1, got 2"),
    (lambda: nn.Conv1d(2, 2, 1, padding=3), r"\(Conv1d\): padding: expected numbers from 0 to 0"),
    (lambda: nn.MaxPool1d(2, dilation=2), "expected dilation=1, got 2"),
    (lambda: nn.MaxPool1d(2, ceil_mode=True), "expected ceil_mode=False, got True"),
    (lambda: nn.AvgPool1d(2, ceil_mode=True), r"\(AvgPool1d\): expected ceil_mode=False, got True"),
    (lambda: nn.Embedding(2, 2, max_norm=1.0), r"\(Embedding\): expected max_norm=None, got 1\.0"),
    (lambda: nn.Embedding(2, 2, scale_grad_by_freq=True), "expected scale_grad_by_freq=False, got True"),
    (lambda: nn.LayerNorm((2, 3)), r"expected normalized_shape of one axis, got \(2, 3\)"),
    (lambda: nn.BatchNorm1d(2, track_running_stats=False), "expected track_running_stats=True, got False"),
    (lambda: nn.BatchNorm1d(2, momentum=None), "expected a number as momentum, got None"),
    (lambda: nn.Dropout(1.0), r"\(Dropout\): rate: expected at least 0 and below 1, got 1\.0"),
    (lambda: nn.Softplus(beta=2), "expected beta=1, got 2"),
    (lambda: nn.Softplus(threshold=5), "expected threshold of at least 20, got 5"),
    (lambda: nn.Threshold(1.0, 2.0), "expected value=0, got 2.0"),
    (lambda: hooked(nn.Linear(2, 2)), r"\(Linear\) has hooks, which may change what it does"),
    (lambda: nn.Sequential(hooked(nn.Sequential(nn.Tanh()))), r"layer 0 \(Sequential\) has hooks, which may"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_a_module_that_means_something_else_here_is_named(make, message):
    with pytest.raises(ValueError, match=f"source: .*{message}"):
        fl.io.from_torch(make())


def test_types_that_do_not_fit_are_named():
    with pytest.raises(
        TypeError, match=r"source: the module \(Bilinear\) is not known here; known are AvgPool1d, BatchNorm1d, "
    ):
        fl.io.from_torch(nn.Bilinear(2, 2, 2))
    with pytest.raises(TypeError, match="source: expected all modules in float32, got float64 of layer 1"):
        fl.io.from_torch(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()))
    with pytest.raises(
        TypeError, match=r"source: the module \(Linear\): expected weight in float32 or float64, got float16"
    ):
        fl.io.from_torch(nn.Linear(2, 2).half())
    with pytest.raises(ValueError, match="expected weight with numbers, got a tensor on the device 'meta'"):
        fl.io.from_torch(nn.Linear(2, 2, device="meta"))
    module = nn.Linear(2, 2)
    module.bias.data[1] = torch.inf
    with pytest.raises(ValueError, match=r"the module \(Linear\): bias: expected finite numbers, got inf at \[1\]"):
        fl.io.from_torch(module)
    with pytest.raises(ValueError, match="activation: expected none but for an RNN, got 'tanh' for Linear"):
        fl.io.from_torch(nn.Linear(2, 2), activation="tanh")


NOT_IN_TORCH = [
    ([fl.Dense(3, 3), fl.MinLSTM(3, 2)], "layer 1: PyTorch has no MinLSTM; known are Activation, Add, AttentionPool, "),
    ([fl.Residual([fl.SLSTM(3, 3)])], r"layer 0\.0: PyTorch has no SLSTM"),
    ([fl.LSTM(3, 3, peephole=True)], "layer 0: expected no options that PyTorch does not have, got peephole"),
    ([fl.Concat([], [fl.GRU(3, 2, reset="before")])], r"layer 0\.1\.0: expected no options .* got reset"),
    ([fl.ActivityRegularization("l1")], "layer 0: PyTorch has no ActivityRegularization"),
]


@pytest.mark.parametrize(("layers", "message"), NOT_IN_TORCH)
def test_a_layer_that_pytorch_does_not_have_is_named(layers, message):
    with pytest.raises(ValueError, match=message):
        fl.io.to_torch(fl.Model(layers))
    with pytest.raises(ValueError, match="layer: expected no options .*, got proj_size of a cell"):
        fl.io.to_torch(fl.LSTMCell(3, 4, proj_size=2))


def test_too_few_steps_are_said_by_the_module_too():
    with pytest.raises(ValueError, match="x: expected at least 3 steps, got 2"):
        fl.io.to_torch(fl.Model([fl.Conv1d(1, 1, 3)]))(torch.zeros(1, 2, 1))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [fl.LSTM(2, 2, bidirectional=True), fl.FinalState(merge="sum")],
            "layer 1: expected merge='concat'.* got 'sum'",
        ),
        ([fl.LSTM(2, 2), fl.AttentionPool(2, score="linear")], "layer 1: expected score='additive'.* got 'linear'"),
        ([fl.EachStep([fl.Dense(2, 2)], 1, 2)], "layer 0: PyTorch has no EachStep"),
    ],
)
def test_options_that_torch_has_no_module_for(layers, message):
    with pytest.raises(ValueError, match=message):
        fl.io.to_torch(fl.Model(layers, seed=0))


def test_sums_of_chains():
    model = fl.Model(
        [fl.Add([fl.Dense(3, 4)], [fl.GRU(3, 4)], [fl.LSTM(3, 2), fl.Dense(2, 4)])], dtype="float64", seed=0
    )
    module, x = fl.io.to_torch(model), np.random.default_rng(0).normal(size=(2, 5, 3))
    np.testing.assert_allclose(module(torch.from_numpy(x)).detach(), model.predict(x), rtol=1e-10)
    again = fl.io.from_torch(module)
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes(mode):
    module = nn.Conv1d(2, 3, 5, padding=2, padding_mode=mode, dtype=torch.float64)
    x = np.random.default_rng(0).normal(size=(2, 9, 2))
    expected = module(torch.from_numpy(x).transpose(1, 2)).transpose(1, 2).detach()
    layer = fl.io.from_torch(module)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-10)
    back = fl.io.to_torch(fl.Model([layer], "float64"))
    np.testing.assert_allclose(back(torch.from_numpy(x)).detach(), expected, rtol=1e-10)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize(
    "options", [{"padding": "same"}, {"padding": (4, 1), "stride": 2}, {"padding": 3, "dilation": 2}]
)
def test_padding_modes_of_sequences_with_lengths(mode, options):
    layer = fl.Conv1d(2, 3, 5 if "dilation" not in options else 3, **options, padding_mode=mode)
    model = fl.Model([layer], "float64", seed=0)
    module, lengths = fl.io.to_torch(model), np.array([9, 5, 3, 2, 1])
    x = np.random.default_rng(0).normal(size=(5, 9, 2))
    found = module(torch.from_numpy(x), torch.from_numpy(lengths)).detach()
    np.testing.assert_allclose(found, model.predict(x, lengths=lengths), rtol=1e-10, atol=1e-12)
    again = fl.io.from_torch(module)
    assert again.layers[0].config() == layer.config() | {"padding": again.layers[0].padding}
    np.testing.assert_array_equal(again.predict(x, lengths=lengths), model.predict(x, lengths=lengths))
