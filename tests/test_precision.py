"""Training with products in bfloat16: exact by its own definition, the same bits on any threads, and in a trainer."""

import copy

import numpy as np
import pytest
from conftest import instruction_sets
from reference import CELLS
from test_quantization import LAYERS, to_bfloat16

import fastlstm as fl
from fastlstm._kernels import cpu
from fastlstm.layers import packed

isa = instruction_sets(["avx512_bf16", "armv8_6"])
isa_without = instruction_sets(["avx512_vnni", "avx512", "avx2", "baseline", "plain"])


@pytest.fixture
def always(monkeypatch):
    """Products are in bfloat16 even where that is not faster."""
    monkeypatch.setattr(packed, "worth", lambda format, *sizes: format)


def step_backward(cell, dstate, tape, before, w, u):
    """The gradients by a step's x and state and by w, u and b, with products of rounded numbers."""
    known, (x, h, *rest) = CELLS[cell], tape
    _, dbefore, _, _, da = known.backward(dstate, (x, before, *rest), w, u)  # past the products, h is as it is
    gates = len(w) // len(h)
    by_h = np.delete(da.reshape(known.biases, -1), 2, 0).ravel() if cell == "gru" else da
    past_products = dbefore[0] - u.T @ by_h
    da, by_h = to_bfloat16(da), to_bfloat16(by_h)
    by_x = da[: gates * len(h)]
    return w.T @ by_x, (past_products + u.T @ by_h, *dbefore[1:]), np.outer(by_x, x), np.outer(by_h, h), da


def expected(cell, layer, x, start, dy, lengths):
    """Outputs, dx, gradients of the initial state and of the parameters, in float64 but for what is rounded."""
    w, u, b = (parameter.value for parameter in layer.parameters())
    w, u, known = to_bfloat16(w), to_bfloat16(u), CELLS[cell]
    y, dx = np.zeros(dy.shape), np.zeros(x.shape)
    dstart, sums = tuple(np.zeros(part.shape) for part in start), [np.zeros(a.shape) for a in (w, u, b)]
    for n, length in enumerate(lengths):
        state, tapes = tuple(np.float64(part[0, n]) for part in start), []
        for t in range(length):
            before = state[0]
            rounded = to_bfloat16(before)
            state, tape = known.forward(to_bfloat16(x[n, t]), (rounded, *state[1:]), w, u, b)
            if cell == "gru":
                state = (state[0] + tape[3] * (before - rounded),)
            y[n, t] = state[0]
            tapes.append((tape, before))
        dstate = tuple(np.zeros(layer.hidden_size) for _ in start)
        for t in range(length - 1, -1, -1):
            after = (dstate[0] + dy[n, t], *dstate[1:])
            dx[n, t], dstate, *own = step_backward(cell, after, *tapes[t], w, u)
            sums = [a + b for a, b in zip(sums, own, strict=True)]
        for part, value in zip(dstart, dstate, strict=True):
            part[0, n] = value
    return y, dx, *dstart, *sums


def passes(layer, x, start, dy, lengths=None, precision="bfloat16"):
    """The same by the layer itself."""
    tape = fl.Workspace(0, precision=precision)
    for parameter in layer.parameters():
        parameter.zero_grad()
    y, _ = layer.forward_with_state(x, start, tape, training=True, lengths=lengths)
    y = y.copy()
    dx, dstart = layer.backward_with_state(dy, None, tape)
    return [y, dx.copy(), *dstart, *[parameter.grad.copy() for parameter in layer.parameters()]]


def problem(cell, rows, steps, inputs, hidden, **options):
    layer, rng = LAYERS[cell](inputs, hidden, seed=1, **options), np.random.default_rng(2)
    layer.build("float32")
    parts = 2 if cell == "lstm" else 1
    places = len(layer._matrices())
    width = hidden * (1 + (options.get("bidirectional", False)))
    x, dy = (rng.normal(size=(rows, steps, size)).astype("f4") for size in (inputs, width))
    start = tuple(rng.normal(size=(places, rows, hidden)).astype("f4") for _ in range(parts))
    return layer, x, start, dy, rng.integers(1, steps + 1, rows)


@pytest.mark.parametrize("cell", LAYERS)
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize(
    ("rows", "steps", "inputs", "hidden"),
    [(1, 3, 33, 33), (2, 5, 3, 1), (3, 4, 1, 40), (7, 3, 17, 64), (6, 2, 70, 65), (13, 1, 5, 17)],
)
def test_gradients_are_exact_by_their_definition(isa, always, cell, ragged, rows, steps, inputs, hidden):
    layer, x, start, dy, lengths = problem(cell, rows, steps, inputs, hidden)
    lengths = lengths if ragged else np.full(rows, steps)
    for got, want in zip(
        passes(layer, x, start, dy, lengths), expected(cell, layer, x, start, dy, lengths), strict=True
    ):
        error, size = np.abs(got - want), np.abs(want).max() + 1e-6
        assert error.max() < 0.02 * size  # where a number lies between two of bfloat16, the last bit may tip
        assert error.mean() < 2e-5 * size
    for got, exact in zip(
        passes(layer, x, start, dy, lengths), passes(layer, x, start, dy, lengths, None), strict=True
    ):
        assert np.abs(got - exact).mean() < 0.05 * np.abs(exact).mean()
    assert not np.array_equal(passes(layer, x, start, dy)[1], passes(layer, x, start, dy, precision=None)[1])


@pytest.mark.parametrize("cell", LAYERS)
def test_a_training_pass_gives_the_outputs_of_inference_on_the_same_weights(isa, always, cell):
    layer, x, start, dy, lengths = problem(cell, 5, 6, 70, 65)
    narrow = LAYERS[cell](70, 65, weights="bfloat16")
    narrow.build("float32")
    for own, other in zip(narrow.parameters(), layer.parameters(), strict=True):
        own.value = other.value
    assert narrow._matrices()[0].used() == "bfloat16"
    y, _ = narrow(x, start if len(start) > 1 else start[0], lengths=lengths)
    assert np.array_equal(passes(layer, x, start, dy, lengths)[0], y)


@pytest.mark.parametrize("cell", LAYERS)
@pytest.mark.parametrize("options", [{"num_layers": 2}, {"bidirectional": True}])
@pytest.mark.parametrize(("rows", "hidden"), [(40, 40), (3, 300), (70, 130)])
def test_no_bit_depends_on_threads_or_blocks(isa, cell, options, rows, hidden, default_threads):
    options = {"init": "uniform", **options}
    layer, x, start, dy, lengths = problem(cell, rows, 12, 40, hidden, **options)
    for given in (None, lengths):
        fl.set_num_threads(1)
        want = passes(layer, x, start, dy, given)
        for threads in (2, 3, 4):
            fl.set_num_threads(threads)
            for got, one in zip(passes(layer, x, start, dy, given), want, strict=True):
                assert np.array_equal(got, one)
    if cell != "lstm":
        return
    in_blocks, *_ = problem(cell, rows, 12, 40, hidden, **options, checkpoint_every=5)
    for got, one in zip(passes(in_blocks, x, start, dy), passes(layer, x, start, dy), strict=True):
        assert np.array_equal(got, one)


@pytest.mark.parametrize(
    ("rows", "inputs", "outputs"),
    [(1, 64, 64), (3, 17, 70), (33, 33, 33), (200, 130, 257), (5, 1100, 40), (700, 65, 3)],
)
def test_the_products_of_dense_are_exact_by_their_definition(isa, always, rows, inputs, outputs, default_threads):
    dense, rng = fl.Dense(inputs, outputs, seed=1), np.random.default_rng(2)
    x, dy = (rng.normal(size=(rows, 1, size)).astype("f4") for size in (inputs, outputs))
    found = []
    for threads in (1, 2, 3):
        fl.set_num_threads(threads)
        tape = fl.Workspace(0, precision="bfloat16")
        y = dense.forward(x, tape, training=True, lengths=None).copy()
        for parameter in dense.parameters():
            parameter.zero_grad()
        dx = dense.backward(dy, tape).copy()
        found.append([y, dx, *[parameter.grad.copy() for parameter in dense.parameters()]])
    x, g, w = to_bfloat16(x[:, 0]), to_bfloat16(dy[:, 0]), to_bfloat16(dense.parameter("weight").value)
    want = [x @ w.T + dense.parameter("bias").value, g @ w, g.T @ x, dy[:, 0].sum(0)]
    for got, *others, exact in zip(*found, want, strict=True):
        assert np.abs(got.reshape(exact.shape) - exact).max() < 1e-5 * np.abs(exact).max() + 1e-5
        for other in others:
            assert np.array_equal(got, other)


@pytest.mark.parametrize("tied", [False, True])
def test_a_replayed_step_gives_the_bits_of_the_first(isa, tied):
    embedding = fl.Embedding(70, 64)
    output = fl.TiedDense(embedding) if tied else fl.Dense(64, 70)
    model, x = fl.Model([embedding, fl.LSTM(64, 64), output], seed=0), np.arange(60).reshape(5, 12)
    dy = np.random.default_rng(0).normal(size=(5, 12, 70)).astype("f4")
    tape, seen = model.tape(precision="bfloat16"), []
    for _ in range(4):
        model.zero_grad()
        y = model.forward(x, tape, training=True).copy()
        model.backward(dy, tape, input_gradient=False)
        seen.append([y, *[parameter.grad.copy() for parameter in model.parameters()]])
    for other in seen[1:]:
        assert same(other, seen[0])
    assert not np.array_equal(seen[0][0], model.forward(x, model.tape(), training=True))


def test_a_decoder_trains_with_all_its_products(isa):
    decoder = fl.Decoder(64, 48, num_tokens=40, max_steps=4, end_token=39, attention=True)
    found = {}
    for precision in (None, "bfloat16"):
        model = fl.Model([fl.Embedding(40, 64), fl.LSTM(64, 64), copy.deepcopy(decoder)], seed=0)
        trainer = fl.Seq2SeqTrainer(model, teacher_forcing=0.5, precision=precision)
        x = np.random.default_rng(0).integers(0, 39, (24, 4))
        found[precision] = trainer.fit(x, x[:, ::-1], epochs=4, seed=0, progress=False)["loss"]
    assert found[None] != found["bfloat16"]
    np.testing.assert_allclose(found["bfloat16"], found[None], rtol=0.02)


def test_a_carried_state_and_added_batches_are_those_of_one_training(isa):
    x = np.random.default_rng(0).normal(size=(401, 4)).astype("f4")
    found = []
    for threads in (1, 2):
        fl.set_num_threads(threads)
        model = fl.Model([fl.LSTM(4, 64), fl.Dense(64, 4)], seed=0)
        trainer = fl.Trainer(model, "mse", precision="bfloat16", accumulate=2)
        trainer.fit_sequence(x[:-1], x[1:], window=20, batch_size=4, epochs=2, seed=0, progress=False)
        found.append([parameter.value.copy() for parameter in model.parameters()])
    fl.set_num_threads(None)
    assert same(*found)


def training_of(precision, hidden=64, **options):
    x = np.random.default_rng(0).normal(size=(24, 12, 3)).astype("f4")
    model = fl.Model(
        [fl.LSTM(3, hidden), fl.Dropout(0.1), fl.GRU(hidden, hidden), fl.Last(), fl.Dense(hidden, 1)], seed=0
    )
    return fl.Trainer(model, "mse", fl.Adam(1e-3), precision=precision, **options), x, x.sum((1, 2))[:, None] / 6


def trained(precision, *, hidden=64, epochs=2, resume=None, **options):
    trainer, x, y = training_of(precision, hidden, **options)
    trainer.fit(x, y, epochs=epochs, batch_size=8, seed=0, progress=False, resume=resume)
    return [parameter.value for parameter in trainer.model.parameters()]


def same(a, b):
    return all(np.array_equal(left, right) for left, right in zip(a, b, strict=True))


def test_a_training_learns_and_its_parameters_are_not_rounded(isa, default_threads):
    trainer, x, y = training_of("bfloat16")
    history = trainer.fit(x, y, epochs=60, batch_size=8, seed=0, progress=False)
    assert history["loss"][-1] < 0.1 * history["loss"][0]
    weight = trainer.model.parameters()[0].value
    assert weight.dtype == np.float32
    assert (to_bfloat16(weight) != weight).mean() > 0.9
    assert not same(trained(None), trained("bfloat16"))
    fl.set_num_threads(1)
    one = trained("bfloat16")
    fl.set_num_threads(3)
    assert same(trained("bfloat16"), one)


def test_a_training_goes_on_to_the_same_bits(isa, tmp_path):
    trained("bfloat16", resume=tmp_path)
    assert same(trained("bfloat16", epochs=4, resume=tmp_path), trained("bfloat16", epochs=4))
    with pytest.raises(ValueError, match=r"precision: expected 'bfloat16', that of the interrupted training, got None"):
        trained(None, epochs=5, resume=tmp_path)


def test_where_float32_is_faster_it_is_taken(isa):
    assert same(trained("bfloat16", hidden=7), trained(None, hidden=7))
    layer, x, start, dy, _ = problem("lstm", 3, 1, 40, 65)
    assert same(passes(layer, x, start, dy), passes(layer, x, start, dy, precision=None))


def test_a_processor_without_such_products_trains_in_float32(isa_without):
    assert not cpu.trains("bfloat16")
    assert same(trained("bfloat16"), trained(None))


@pytest.mark.parametrize("precision", ["float16", "bf16", "", 16, True, np.float32])
def test_other_precisions_are_told(precision):
    model = fl.Model([fl.LSTM(3, 4)], seed=0)
    for make in (lambda: fl.Trainer(model, "mse", precision=precision), lambda: model.tape(precision=precision)):
        with pytest.raises(ValueError, match=r"precision: expected 'bfloat16' or None, got"):
            make()


def test_float64_has_no_precision():
    model = fl.Model([fl.LSTM(3, 4)], "float64", seed=0)
    with pytest.raises(ValueError, match=r"precision: expected None for a model in float64, got 'bfloat16'"):
        fl.Trainer(model, "mse", precision="bfloat16")
