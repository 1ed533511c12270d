"""The call that people write: programs that are kept for a shape, each for one caller at a time."""

import copy
import os
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from call_cases import Twice, numbers

import fastlstm as fl
from fastlstm._kernels import cpu
from fastlstm._kernels.program import Kept
from fastlstm._kernels.stage import Call
from fastlstm.layers.elementwise import SLOPES

pytestmark = pytest.mark.usefixtures("default_threads")

staged = pytest.mark.skipif(cpu.isa() == "plain", reason="the plain path calls layers where others have stages")


MODELS = {
    "LSTM": lambda: [fl.LSTM(3, 17)],
    "LSTM, Last, Dense": lambda: [fl.LSTM(3, 17), fl.Last(), fl.Dense(17, 2)],
    "two directions": lambda: [fl.LSTM(3, 9, num_layers=2, bidirectional=True), fl.LayerNorm(18), fl.Dense(18, 4)],
    "pooling": lambda: [fl.LSTM(3, 8), fl.MeanPool(), fl.Dense(8, 1)],
    "normalisation first": lambda: [fl.BatchNorm(3), fl.LSTM(3, 8), fl.MaxPool()],
    "gated units": lambda: [fl.GRU(3, 8, num_layers=2, bidirectional=True), fl.Dense(16, 2)],
    "simple network": lambda: [fl.SimpleRNN(3, 8), fl.LSTM(8, 5), fl.Dropout(0.5), fl.AttentionPool(5, 4)],
    "user's layer first": lambda: [Twice(), fl.LSTM(3, 8), fl.Last()],
    "user's layer last": lambda: [fl.Dropout(0.1), fl.LSTM(3, 8), Twice()],
    "nothing but a view": lambda: [fl.Dropout(0.5)],
    **{f"{name}": lambda name=name: [fl.Activation(name)] for name in ("gelu", "softplus")},
    "function of the last step": lambda: [fl.LSTM(3, 5), fl.Last(), fl.Activation("elu"), fl.Softmax()],
    "probabilities": lambda: [fl.LSTM(3, 5), fl.Softmax()],
    "a causal convolution": lambda: [fl.Conv1d(3, 5, 3, padding="causal", dilation=2), fl.Activation("relu")],
    "windows": lambda: [fl.MaxPool1d(2, 1, padding="same"), fl.Conv1d(3, 4, 3, padding="same"), fl.LSTM(4, 5)],
    "final states": lambda: [fl.LSTM(3, 5, bidirectional=True), fl.FinalState(), fl.Residual([fl.Dense(10, 10)])],
    "final state": lambda: [fl.GRU(3, 5), fl.FinalState(bidirectional=False), fl.Softmax()],
    "past others": lambda: [fl.Residual([fl.LSTM(3, 3)]), fl.Concat([], [fl.GRU(3, 5), fl.Activation("tanh")])],
    "sums": lambda: [fl.Add([fl.GRU(3, 4)], [fl.Dense(3, 4)], [fl.LSTM(3, 4)], [fl.Conv1d(3, 4, 1)])],
    "last step past others": lambda: [fl.LSTM(3, 4), fl.Last(), fl.Residual([fl.Dropout(0.5)])],
}


def one_by_one(model, x, lengths=None):
    """The layers' own forward passes, one after the other."""
    for layer in model.layers:
        x = layer.forward(np.ascontiguousarray(x), fl.Workspace(0), training=False, lengths=lengths)
    return x


STAGED = {
    **{f"Activation {name}": lambda name=name: fl.Activation(name) for name in SLOPES},
    "Softmax": lambda: fl.Softmax(),
    "Conv1d": lambda: fl.Conv1d(6, 4, 3, stride=2, padding="same"),
    "MaxPool1d": lambda: fl.MaxPool1d(3, 2, padding=(1, 2)),
    "FinalState": lambda: fl.FinalState(),
    "Residual": lambda: fl.Residual([fl.Dense(6, 6), fl.Activation("relu")]),
    "Concat": lambda: fl.Concat([], [fl.Conv1d(6, 3, 3, padding="same")], [fl.LSTM(6, 2)]),
}


@staged
@pytest.mark.parametrize("make", STAGED.values(), ids=STAGED)
def test_layers_run_in_inference_without_calls_into_python(make):
    layer, x = make(), np.random.default_rng(0).standard_normal((3, 7, 6))
    layer.build("float64")
    stages, y = layer._prepare(x, fl.Workspace(0))
    assert stages and not [stage for stage in stages if isinstance(stage, Call)]
    for stage in stages:
        stage.go()
    np.testing.assert_array_equal(y, layer.forward(x, fl.Workspace(0), training=False, lengths=None))


@staged
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_causal_convolution_streams_without_calls_into_python(steps):
    layer, tape = fl.Conv1d(2, 4, 3, dilation=2, padding="causal", seed=0), fl.Workspace(0)
    x = np.random.default_rng(0).standard_normal((3, 4 * steps, 2)).astype("f4")
    expected = layer(x)
    layer.start(3, tape)
    block = x[:, :steps].copy()
    stages, y = layer._prepare(block, tape, streaming=True)
    assert not [stage for stage in stages if isinstance(stage, Call)]
    for begin in range(0, 4 * steps, steps):
        block[...] = x[:, begin : begin + steps]
        for stage in stages:
            stage.go()
        np.testing.assert_allclose(y, expected[:, begin : begin + steps], rtol=1e-6)


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_call_gives_what_the_layers_give_one_by_one(isa, make, dtype):
    """The first call of a shape and the later ones, shapes in turn, lengths that change, other dtypes and layouts."""
    model = fl.Model(make(), dtype=dtype, seed=0)
    rng = np.random.default_rng(1)
    for _ in range(3):
        for n, t in [(1, 1), (4, 6), (33, 5), (4, 3)]:
            x = rng.standard_normal((n, t, 3)).astype(dtype)
            lengths = rng.integers(1, t + 1, n)
            for given in (None, lengths, np.full(n, t)):
                real = None if given is None or (given == t).all() else given
                expected = one_by_one(model, x, real)
                for same in (given, None if given is None else given.tolist()):
                    np.testing.assert_array_equal(model.predict(x, lengths=same), expected)
                np.testing.assert_array_equal(model(x.astype("f8"), lengths=given), expected)
                parts = model.predict(x[::-1][::-1], batch_size=3, lengths=given)
                np.testing.assert_allclose(parts, expected, rtol=1e-5, atol=1e-6)


def test_what_a_call_gives_is_the_callers():
    model = fl.Model([fl.LSTM(3, 8)], seed=0)
    x, other = numbers(2, 5, 3), numbers(2, 5, 3, seed=1)
    first = [model.predict(x) for _ in range(3)]
    second = model.predict(other)
    np.testing.assert_array_equal(first[0], first[2])
    assert not np.array_equal(first[2], second)
    second[...] = 7
    np.testing.assert_array_equal(model.predict(x), first[0])
    assert not any(np.shares_memory(a, b) for a, b in zip(first, first[1:], strict=False))


def test_nothing_of_the_callers_is_kept():
    model = fl.Model([fl.LSTM(3, 8), fl.Last()], seed=0)
    layer = fl.LSTM(3, 8, seed=0)
    stream, first = model.stream(), fl.Model([fl.Last()])
    x, x_t = numbers(1, 5, 3), numbers(1, 3)
    seen = [weakref.ref(x), weakref.ref(x_t)]
    for _ in range(2):
        model.predict(x, lengths=[3])
        model(x)
        layer(x)
        stream.step(x_t)
        stream.run(x)
        first.predict(x, lengths=[3])
    del x, x_t
    assert [ref() for ref in seen] == [None, None]


def test_new_weights_threads_and_instruction_sets_are_noticed():
    model = fl.Model([fl.LSTM(3, 8), fl.Dense(8, 2)], seed=0)
    layer, x = model.layers[0], numbers(2, 5, 3)
    before = model.predict(x), layer(x)[0]
    for parameter in model.parameters():
        parameter.value = parameter.value / 2
    after = model.predict(x), layer(x)[0]
    np.testing.assert_array_equal(after[0], one_by_one(model, x))
    assert not np.array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])
    fl.set_num_threads(3)
    np.testing.assert_array_equal(model.predict(x), after[0])
    found, isa = cpu.isa(), []
    try:
        for name in ("plain", "baseline", found):
            cpu.choose(name)
            np.testing.assert_allclose(model.predict(x), after[0], rtol=1e-5, atol=1e-6)
            isa.append(cpu.isa())
    finally:
        cpu.choose(found)


def test_a_layer_without_stages_is_called_once_a_pass():
    twice = Twice()
    model = fl.Model([fl.LSTM(3, 8), twice], seed=0)
    for passes in range(1, 5):
        model.predict(numbers(2, 5, 3))
        assert twice.passes == passes
    stream = model.stream()
    for passes in range(5, 9):
        stream.step(numbers(1, 3))
        assert twice.passes == passes


def test_a_layer_whose_output_changes_its_shape_is_run_anew_and_named_in_a_stream():
    class Fickle(Twice):
        def forward(self, x, tape, *, training, lengths):
            self.passes += 1
            return np.repeat(x, self.passes, axis=2)

    try:
        model, x = fl.Model([fl.LSTM(3, 8), Fickle()], seed=0), numbers(2, 5, 3)
        tape = model.tape()
        for passes in (1, 3, 5):  # the second of each two finds out
            assert model.predict(x).shape == (2, 5, 8 * passes)
        assert model.forward(x, tape).shape == (2, 5, 8 * 6)
        assert model.forward(x, tape).shape == (2, 5, 8 * 8)
        stream = model.stream(batch=2)
        stream.step(x[:, 0])
        with pytest.raises(ValueError, match=r"Fickle: expected an output \(2, 1, 72\) of float32"):
            stream.step(x[:, 0])
    finally:
        fl.Layer.registry.pop("Fickle")


@pytest.mark.skipif(cpu.isa() == "plain", reason="the layer alone has no program here")
def test_weights_that_change_during_a_first_call_make_no_outdated_program():
    class Meddler(Twice):
        def forward(self, x, tape, *, training, lengths):
            if self.passes == 0:
                lstm.parameter("weight_hh_l0").value = np.zeros((32, 8))
            return super().forward(x, tape, training=training, lengths=lengths)

    try:
        lstm = fl.LSTM(3, 8)
        model, x = fl.Model([lstm, Meddler()], seed=0), numbers(2, 5, 3)
        model.predict(x)
        np.testing.assert_array_equal(model.predict(x), one_by_one(model, x))
    finally:
        fl.Layer.registry.pop("Meddler")


def test_tokens_that_another_thread_changes_lead_nowhere():
    model = fl.Model([fl.Embedding(50, 64), fl.Last()], seed=0)
    x, stop = np.ones((64, 200), np.intp), threading.Event()

    def meddle():
        while not stop.is_set():
            x[-1, -1] = 10**9
            x[-1, -1] = 0

    thread = threading.Thread(target=meddle)
    thread.start()
    try:
        for _ in range(300):
            try:
                model.predict(x)
            except ValueError as error:
                assert "x: expected 0 to 49, got 1000000000" in str(error)
    finally:
        stop.set()
        thread.join()


def test_a_layer_cannot_write_the_lengths_of_a_walk():
    class Greedy(Twice):
        def forward(self, x, tape, *, training, lengths):
            lengths[...] = 10**6
            return x

    try:
        with pytest.raises(ValueError, match="read-only"):
            fl.Model([Greedy(), fl.LSTM(3, 8)], seed=0).predict(numbers(2, 5, 3), lengths=[5, 2])
    finally:
        fl.Layer.registry.pop("Greedy")


def test_an_error_in_a_layer_leaves_the_program_free():
    class Broken(Twice):
        def forward(self, x, tape, *, training, lengths):
            if self.passes == 1:
                self.passes += 1
                raise OSError("a cable is out")
            return super().forward(x, tape, training=training, lengths=lengths)

    try:
        model, x = fl.Model([Broken(), fl.LSTM(3, 8)], seed=0), numbers(2, 5, 3)
        expected = model.predict(x)
        with pytest.raises(OSError, match="a cable is out"):
            model.predict(x)
        np.testing.assert_array_equal(model.predict(x), expected)
    finally:
        fl.Layer.registry.pop("Broken")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lengths": [-1, 5]}, "lengths: expected 0 to 5, got -1"),
        ({"lengths": [6, 5]}, "lengths: expected 0 to 5, got 6"),
        ({"lengths": [5]}, "lengths: expected shape"),
        ({"lengths": [[5, 5], [5]]}, "lengths: expected a regular array"),
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ({"batch_size": -1}, "batch_size: expected at least 1, got -1"),
    ],
)
def test_a_call_that_has_a_program_is_checked_all_the_same(arguments, message):
    model, x = fl.Model([fl.LSTM(3, 8)], seed=0), numbers(2, 5, 3)
    for lengths in (None, [5, 3]):
        model.predict(x, lengths=lengths)
    with pytest.raises(ValueError, match=message):
        model.predict(x, **arguments)
    with pytest.raises(ValueError, match=r"x: expected finite numbers, got nan at \[1, 2, 0\]"):
        model.predict(np.where(np.arange(30).reshape(2, 5, 3) == 21, np.nan, x))
    for kind in (float, bool):
        with pytest.raises(TypeError, match="lengths: expected whole numbers"):
            model.predict(x, lengths=np.ones(2, kind))


def test_tokens_outside_are_named_by_a_call_that_has_a_program():
    model = fl.Model([fl.Embedding(5, 3), fl.LSTM(3, 4)], seed=0)
    tokens = np.array([[1, 4, 0]])
    np.testing.assert_array_equal(model.predict(tokens), model.predict(tokens))
    for wrong in (5, -1):
        with pytest.raises(ValueError, match=f"x: expected 0 to 4, got {wrong} at"):
            model.predict(np.array([[1, wrong, 0]]))


def test_few_programs_are_kept():
    model = fl.Model([fl.LSTM(3, 8)], seed=0)
    for t in range(1, 30):
        model.predict(numbers(1, t, 3))
    assert len(model._kept) == 8


@pytest.mark.skipif(cpu.isa() == "plain", reason="the plain path has no program of a layer alone")
def test_a_large_program_of_a_layer_alone_is_not_kept():
    kept = Kept(most_bytes=10_000)
    layer = fl.LSTM(3, 8, seed=0)
    layer._kept = kept
    layer(numbers(1, 4, 3))
    assert len(kept) == 1
    layer(numbers(64, 64, 3))  # its output alone has 131,072 bytes
    assert len(kept) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("directions", [1, 2])
def test_a_layer_alone_takes_states_and_gives_them(isa, dtype, directions):
    layer = fl.LSTM(3, 17, num_layers=2, bidirectional=directions == 2, dtype=dtype, seed=0)
    rng = np.random.default_rng(0)
    for _ in range(3):
        for lengths in (None, [5, 2, 4, 5], [1, 5, 3, 3]):
            x = rng.standard_normal((4, 5, 3)).astype(dtype)
            start = tuple(rng.standard_normal((2 * directions, 4, 17)).astype(dtype) for _ in range(2))
            for state in (None, start):
                y, final = layer(x, state, lengths)
                checked = None if lengths is None else np.array(lengths)
                expected, parts = layer.forward_with_state(x, state, fl.Workspace(0), training=False, lengths=checked)
                np.testing.assert_array_equal(y, expected)
                for found, part in zip(final, parts, strict=True):
                    np.testing.assert_array_equal(found, part)


WRONG = [
    (np.zeros((2, 5, 4)), (2, 9), r"x: expected shape \(N, T, 3\), got \(2, 5, 4\)"),
    (np.full((2, 5, 3), np.nan), (2, 9), r"x: expected finite numbers, got nan at \[0, 0, 0\]"),
    (np.zeros((2, 5, 3)), (3, 9), r"state h: expected shape \(1, 2, 9\), got \(1, 3, 9\)"),
    (np.zeros((2, 5, 3)), (2, 8), r"state h: expected shape \(1, 2, 9\), got \(1, 2, 8\)"),
]


@pytest.mark.parametrize(("x", "shape", "message"), WRONG)
def test_what_is_wrong_is_said_whether_or_not_a_program_is_kept(isa, x, shape, message):
    layer, state = fl.LSTM(3, 9, dtype="float64", seed=0), (np.zeros((1, *shape)),) * 2
    for _ in range(2):
        with pytest.raises(ValueError, match=message):
            layer(x, state)
        layer(np.zeros((2, 5, 3)), (np.zeros((1, 2, 9)),) * 2)


@pytest.mark.parametrize("scale", [1.0, 1e19, 1e28, 1e30])
@pytest.mark.parametrize("rows", [4, 500])
def test_a_large_state_is_clipped_whether_or_not_a_program_is_kept(isa, rows, scale):
    layer, limit = fl.LSTM(3, 9, seed=0), np.float32(np.finfo("f4").max / 2**32)
    x, h = np.ones((rows, 1, 3), "f4"), np.full((1, rows, 9), -0.5, "f4")
    h[0, 1, 2] = scale
    c = np.zeros_like(h)
    clipped, _ = layer(x, (h.clip(-limit, limit), c))
    for _ in range(2):
        np.testing.assert_array_equal(layer(x, (h, c))[0], clipped)


def test_any_number_of_threads_may_call_predict_at_once():
    fl.set_num_threads(2)
    model = fl.Model([fl.LSTM(3, 40), fl.MeanPool(), fl.Dense(40, 2)], seed=0)
    batches = [numbers(n, 20, 3, seed=n) for n in range(1, 7)]
    lengths = [np.random.default_rng(n).integers(1, 21, n) for n in range(1, 7)]
    expected = [model.predict(x, lengths=length) for x, length in zip(batches, lengths, strict=True)]

    def work(k):
        found = [model.predict(batches[j % 6], lengths=lengths[j % 6]) for j in range(k, k + 60)]
        return all(np.array_equal(found[j], expected[(k + j) % 6]) for j in range(60))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def meet(call):
    """What two threads get that make the call again and again: answers and errors."""
    barrier, answers, errors = threading.Barrier(2), [], []

    def work():
        barrier.wait()
        for _ in range(300):
            try:
                answers.append(call())
            except RuntimeError as error:
                errors.append(str(error))
            if errors:
                break

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers, errors


def test_two_threads_on_one_stream_or_tape_are_told():
    model = fl.Model([fl.LSTM(3, 64), fl.Dense(64, 1)], seed=0)
    x = numbers(64, 200, 3)
    stream, tape = model.stream(batch=64), model.tape()
    wide = fl.Model([fl.LSTM(3, 1000, init="uniform")], seed=0).stream(batch=64)

    def train():
        y = model.forward(x, tape, training=True)
        return model.backward(np.ones_like(y), tape)

    for what, call in {
        "stream": lambda: stream.run(x),
        "stream ": lambda: wide.step(x[:, 0].copy()),
        "tape": lambda: model.forward(x, tape),
        "tape ": train,
    }.items():
        _, errors = meet(call)
        assert errors, what
        for error in errors:
            assert f"this {what.strip()} is in use by another call, perhaps of another thread" in error or (
                "backward needs a forward pass" in error
            )


def test_a_stream_loses_no_step_to_a_refused_one():
    """Steps that were answered are those that the state has seen."""
    model = fl.Model([fl.LSTM(2, 300)], seed=0)
    stream, x = model.stream(), np.full((1, 1000, 2), 0.5, "f4")
    answers, _ = meet(lambda: stream.run(x))
    follow = model.stream()
    expected = [follow.run(x) for _ in answers]
    assert len(expected) == len(answers)
    for found in answers:  # in whatever order they were noted
        assert any(np.array_equal(found, one) for one in expected)
    np.testing.assert_array_equal(stream.step(x[:, 0]), follow.step(x[:, 0]))


def test_streams_of_blocks_and_steps_go_on_with_one_state(isa):
    model = fl.Model([fl.LSTM(3, 9), fl.LayerNorm(9), fl.Dense(9, 2)], seed=0)
    x = numbers(2, 24, 3)
    expected = model.predict(x)
    stream = model.stream(batch=2)
    for _ in range(3):
        stream.reset()
        found, t = [], 0
        for block in (1, 3, 1, 1, 5, 3, 1, 5, 4):
            part = x[:, t : t + block]
            found.append(stream.step(part[:, 0].copy())[:, None] if block == 1 else stream.run(part))
            t += block
        np.testing.assert_allclose(np.concatenate(found, 1), expected, rtol=1e-5, atol=1e-6)


def test_a_model_and_a_layer_can_be_copied_after_a_call():
    model, x = fl.Model([fl.LSTM(3, 8), fl.Last()], seed=0), numbers(2, 5, 3)
    expected = model.predict(x)
    other = copy.deepcopy(model)
    np.testing.assert_array_equal(other.predict(x), expected)
    assert len(other._kept) == 1


THREADS_STARTED = """
import os, time
import numpy as np, fastlstm as fl
fl.set_num_threads(4)
model = fl.Model([fl.LSTM(32, 64)], seed=0)
x = np.ones((4, 20, 32), "f4")
before = len(os.listdir("/proc/self/task"))
for _ in range(30):
    model.predict(x)
    time.sleep(0.002)
seldom = len(os.listdir("/proc/self/task")) - before
for _ in range(2000):
    model.predict(x)
print(seldom, len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="no list of threads on this system")
@pytest.mark.skipif(cpu.isa() == "plain", reason="the plain path runs on BLAS's threads")
def test_small_calls_that_come_now_and_then_start_no_thread():
    """They are done by the caller alone; those that follow each other closely are shared."""
    done = subprocess.run([sys.executable, "-P", "-c", THREADS_STARTED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "3"]
