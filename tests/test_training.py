"""Training on packed weights: whole models, ragged batches, single steps, memory."""

import tracemalloc

import numpy as np
import pytest
from recurrent_cases import Case, random_case, run, run_reference

import fastlstm as fl
from fastlstm._kernels import cpu
from fastlstm.layers.recurrent import plan, trained_phase


@pytest.fixture
def all_threads(monkeypatch):
    """Sets the number of threads, all of which are used however small the work is, by rows and by units in turn."""
    monkeypatch.setattr(plan, "plan", lambda available, n, *_: (available, n % 2 == 0))
    monkeypatch.setattr(trained_phase, "LARGE", 0)
    yield fl.set_num_threads
    fl.set_num_threads(None)


def values(model):
    return [parameter.value.copy() for parameter in model.parameters()]


def grads(model):
    return [parameter.grad.copy() for parameter in model.parameters()]


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def character_model(rng):
    text = rng.integers(0, 60, (12, 21))
    layers = [fl.Embedding(60, 24), fl.LSTM(24, 40, num_layers=2, dropout=0.2), fl.Dropout(0.2), fl.Dense(40, 60)]
    return layers, "softmax_cross_entropy", (text[:, :-1], text[:, 1:]), {}


def word_model(rng):
    text = rng.integers(0, 300, (9, 14))
    layers = [fl.Embedding(300, 32), fl.LSTM(32, 48), fl.Dense(48, 300)]
    return layers, "softmax_cross_entropy", (text[:, :-1], text[:, 1:]), {}


def forecaster(rng):
    x, y = rng.normal(size=(15, 24, 5)), rng.normal(size=(15, 1))
    return [fl.LSTM(5, 33), fl.Last(), fl.Dense(33, 1)], "mse", (x, y), {}


def classifier(rng):
    tokens, labels, lengths = rng.integers(0, 50, (14, 30)), rng.integers(0, 3, 14), rng.integers(1, 31, 14)
    lstms = [fl.LSTM(16, 35, bidirectional=True), fl.LSTM(70, 33)]
    layers = [fl.Embedding(50, 16), *lstms, fl.Last(), fl.Dense(33, 3)]
    return layers, "softmax_cross_entropy", (tokens, labels), {"lengths": lengths, "bucket": True}


@pytest.mark.skipif(cpu.isa() == "plain", reason="the plain path runs on BLAS's threads")
@pytest.mark.parametrize("make", [character_model, word_model, forecaster, classifier])
@pytest.mark.slow
def test_fifty_steps_give_the_same_bits_on_any_number_of_threads(make, all_threads):
    found = []
    for threads in (1, 1, 2, 3):
        all_threads(threads)
        layers, loss, data, options = make(np.random.default_rng(0))
        model = fl.Model(layers, seed=0)
        before = values(model)
        fl.Trainer(model, loss, clip_norm=1.0).fit(*data, epochs=25, batch_size=8, seed=0, **options)
        found.append(values(model))
    assert all((a != b).any() for a, b in zip(found[0], before, strict=True))
    for other in found[1:]:
        assert_same(other, found[0])


@pytest.mark.skipif(cpu.isa() == "plain", reason="the plain path runs on BLAS's threads")
def test_truncated_back_propagation_gives_the_same_bits_on_any_number_of_threads(all_threads):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 5)), rng.normal(size=(400, 2))
    found = []
    for threads in (1, 2, 3):
        all_threads(threads)
        model = fl.Model([fl.LSTM(5, 35, num_layers=2, dropout=0.1), fl.Dense(35, 2)], seed=0)
        trainer = fl.Trainer(model, "mse", clip_norm=0.5)
        history = trainer.fit_sequence(x, y, window=9, batch_size=5, epochs=2, starts=[33, 34, 250], seed=0)
        found.append((history["loss"], values(model)))
    for losses, other in found[1:]:
        assert losses == found[0][0]
        assert_same(other, found[0][1])


@pytest.mark.skipif(cpu.isa() == "plain", reason="the plain path keeps copies of its own")
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_step_of_training_allocates_nothing_that_grows(elsewhere):
    most = []
    for t in (100, 400):
        layers = [fl.LSTM(5, 32, num_layers=2, bidirectional=True, dropout=0.1), fl.Dropout(0.1), fl.Dense(64, 3)]
        model = fl.Model(layers, seed=0)
        tape, dy = model.tape(), np.ones((8, t, 3), "f4")
        xs = [np.full((8, t, 5), k, "f4") for k in range(4)]

        def step(x, model=model, tape=tape, dy=dy):
            model.zero_grad()
            model.forward(x, tape, training=True)
            model.backward(dy, tape, input_gradient=False)

        for k in range(2):
            step(xs[k])
        tracemalloc.start()
        for k in range(10):
            step(xs[k % 4 if elsewhere else 1])
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(most) < 1 << 15  # the outputs of a layer at 400 steps have 25 times as much
    assert most[1] < most[0] + 2048


RAGGED = [Case(9, 5, 3, 17, 2, True, True), Case(12, 7, 5, 33, 1, True, True), Case(7, 13, 70, 5, 1, False, True)]


def pass_over(layer, x, state, dy, dstate, lengths=None):
    """Outputs, final state, gradients of x and of the initial state, and after them those of the parameters."""
    tape = fl.Workspace(0)
    y, (h, c) = layer.forward_with_state(x, state, tape, training=True, lengths=lengths)
    dx, (dh0, dc0) = layer.backward_with_state(dy, dstate, tape)
    return [part.copy() for part in (y, h, c, dx, dh0, dc0)], tape


@pytest.mark.parametrize("every", [None, 4])
@pytest.mark.parametrize("case", RAGGED, ids=str)
def test_sequences_of_a_ragged_batch_are_as_each_alone(packed_isa, case, every):
    """Initial states, and gradients of final states, with them; the parameters' gradients are the sums of theirs."""
    problem = random_case(case)
    x, state, dy, dstate = problem.arrays()
    together, apart = problem.layer(), problem.layer()
    together.checkpoint_every = every
    found, tape = pass_over(together, x, state, dy, dstate, problem.lengths.astype(np.intp))
    for n, length in enumerate(problem.lengths.tolist()):
        one = slice(n, n + 1)
        own = [tuple(part[:, one].copy() for part in pair) for pair in (state, dstate)]
        expected, _ = pass_over(apart, x[one, :length].copy(), own[0], dy[one, :length].copy(), own[1])
        mine = [found[0][one, :length], *(part[:, one] for part in found[1:3])]
        mine += [found[3][one, :length], *(part[:, one] for part in found[4:])]
        for a, b in zip(mine, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)
    for a, b in zip(grads(together), grads(apart), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)
    if every is None:  # nothing is kept of padding
        width = -(-case.hidden // cpu.lanes("float64")) * cpu.lanes("float64")
        assert tape.child("l0_0")._buffers["kept"].size == problem.lengths.sum() * 4 * width


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("n", range(1, 7))
@pytest.mark.parametrize(("hidden", "inputs"), [(1, 3), (17, 1), (33, 5), (64, 70)])
def test_a_single_step_equals_the_reference(packed_isa, n, given, hidden, inputs):
    problem = random_case(Case(1, n, inputs, hidden, 2, bias=n % 2 == 0), seed=n)
    if not given:
        for part in problem.state:
            part.fill(0)
    expected = run_reference(problem)
    x, state, dy, dstate = problem.arrays()
    layer, tape = problem.layer(), fl.Workspace(0)
    for times in (1, 2):  # the second adds to the gradients
        y, (h, c) = layer.forward_with_state(x, state if given else None, tape, training=True, lengths=None)
        found = {"y": y.copy(), "h": h.copy(), "c": c.copy()}
        dx, (dh0, dc0) = layer.backward_with_state(dy, dstate, tape)
        found.update(dx=dx, dh0=dh0, dc0=dc0)
        for name in layer.parameter_shapes():
            found[name] = layer.parameter(name).grad / times
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-11, atol=1e-13, err_msg=name)


def test_sequences_of_one_real_step_are_a_single_step(packed_isa):
    """Padded, and walked from both ends."""
    problem = random_case(Case(4, 3, 5, 17, 2, True, True))
    problem.lengths[:] = 1
    expected = run_reference(problem)
    for name, value in run(problem).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-11, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("t", [1, 5])
def test_outputs_of_a_training_pass_are_read_only(packed_isa, t):
    model = fl.Model([fl.LSTM(3, 5)], seed=0)
    tape = model.tape()
    y = model.forward(np.ones((2, t, 3)), tape, training=True)
    with pytest.raises(ValueError, match="read-only"):
        y[0] = 0
    y.copy()[0] = 0


def test_gradients_are_cleared_when_they_are_looked_at():
    model = fl.Model([fl.LSTM(3, 5), fl.Dense(5, 2)], seed=0)
    tape, x, dy = model.tape(), np.ones((2, 4, 3)), np.ones((2, 4, 2))

    def backward():
        model.forward(x, tape, training=True)
        model.backward(dy, tape)

    assert not any(grad.any() for grad in grads(model))
    backward()
    once = grads(model)
    assert all(grad.any() for grad in once)
    backward()
    for a, b in zip(grads(model), once, strict=True):
        np.testing.assert_allclose(a, 2 * b, rtol=1e-5)
    model.zero_grad()
    assert not any(parameter.grad.any() for parameter in model.parameters())
    backward()  # after a look at zeros
    assert_same(grads(model), once)
    model.zero_grad()
    backward()  # without a look
    assert_same(grads(model), once)


def test_the_accumulator_says_once_that_it_holds_nothing():
    (parameter,) = fl.Dense(2, 3, bias=False, seed=0).parameters()
    array, add = parameter.accumulator()
    assert (array.shape, add) == ((3, 2), False)  # whoever asked has written all of it by now
    array.fill(7)
    again, add = parameter.accumulator()
    assert again is array and add and (parameter.grad == 7).all()
    parameter.zero_grad()
    assert (array == 7).all()  # nobody has looked yet
    assert not parameter.grad.any() and parameter.grad is array
    assert parameter.accumulator() == (array, True)
    parameter.zero_grad()
    parameter.grad = np.ones((3, 2))
    assert parameter.accumulator()[1] and (parameter.grad == 1).all()


@pytest.fixture
def torch():
    """PyTorch on one thread: its threads and ours would wait for each other."""
    module = pytest.importorskip("torch", reason="PyTorch is not installed")
    before = module.get_num_threads()
    module.set_num_threads(1)
    yield module
    module.set_num_threads(before)


def test_ragged_training_in_both_directions_equals_pytorch(torch):
    rng = np.random.default_rng(0)
    n, t = 16, 40
    lengths = rng.integers(1, t + 1, n)
    lengths[5] = t
    x, y = rng.normal(size=(n, t, 20)).astype("f4"), rng.normal(size=(n, t, 3)).astype("f4")
    model = fl.Model([fl.LSTM(20, 48, num_layers=2, bidirectional=True), fl.Dense(96, 3)], seed=0)
    lstm, dense = fl.io.to_torch(model.layers[0]), torch.nn.Linear(96, 3)
    with torch.no_grad():
        dense.weight.copy_(torch.tensor(model.layers[1].parameter("weight").value.copy()))
        dense.bias.zero_()
    trained = [*(p for name, p in lstm.named_parameters() if "bias_hh" not in name), *dense.parameters()]
    optimizer = torch.optim.SGD(trained, lr=0.3)
    real = torch.tensor(np.arange(t) < lengths[:, None])
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        torch.tensor(x), torch.tensor(lengths), batch_first=True, enforce_sorted=False
    )
    losses = []
    for _ in range(4):
        out, _ = torch.nn.utils.rnn.pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=t)
        loss = ((dense(out) - torch.tensor(y)) ** 2)[real].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    trainer = fl.Trainer(model, "mse", fl.SGD(0.3))
    history = trainer.fit(x, y, lengths=lengths, epochs=4, batch_size=n, shuffle=False)
    assert history["loss"] == pytest.approx(losses, rel=1e-5)
    for name, parameter in lstm.named_parameters():
        if "bias_hh" not in name:
            own = model.layers[0].parameter(name.replace("bias_ih", "bias")).value
            np.testing.assert_allclose(own, parameter.detach().numpy(), rtol=1e-4, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(
        model.layers[1].parameter("weight").value, dense.weight.detach().numpy(), rtol=1e-4, atol=1e-5
    )


class Mirror(fl.Layer):
    """A layer of one's own that gives views: it turns the steps round."""

    input_shape = ("N", "T", "F")

    def output_shape(self, shape):
        return shape

    def forward(self, x, tape, *, training, lengths):
        return x[:, ::-1]

    def backward(self, dy, tape, *, input_gradient=True):
        return dy[:, ::-1]

    def config(self):
        return {}


def test_views_from_other_layers_are_taken(isa):
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(3, 5, 2)), rng.normal(size=(3, 5, 4))
    mirrored = fl.Model([Mirror(), fl.LSTM(2, 4, seed=0), Mirror()], dtype="float64")
    straight = fl.Model([fl.LSTM(2, 4, seed=0)], dtype="float64")
    found, expected = [], []
    for model, turn, out in ((mirrored, 1, found), (straight, -1, expected)):
        tape = model.tape()
        y = model.forward(x[:, ::turn], tape, training=True)[:, ::turn]
        out += [
            y,
            model.backward(dy[:, ::turn], tape)[:, ::turn],
            *grads(model),
            model.predict(x[:, ::turn])[:, ::turn],
        ]
    assert_same(found, expected)


@pytest.mark.skipif(cpu.isa() == "plain", reason="of the packed kernels")
def test_a_backward_pass_that_fails_leaves_the_gradients_zero():
    layer, tape = fl.LSTM(2, 4, seed=0), fl.Workspace(0)
    x = np.ones((3, 5, 2), np.float32)
    layer.forward(x, tape, training=True, lengths=None)
    layer.backward(np.ones((3, 5, 4), np.float32), tape)
    for parameter in layer.parameters():
        parameter.zero_grad()
    with pytest.raises(ValueError, match="sizes or dtypes"):
        layer.backward(np.ones((3, 5, 4)), tape)
    assert not any(parameter.grad.any() for parameter in layer.parameters())
