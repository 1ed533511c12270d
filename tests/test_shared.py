"""What threads may share, with a GIL and without: models, streams that take turns, trainings side by side, files."""

import contextlib
import importlib
import os
import pkgutil
import subprocess
import sys
import sysconfig
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastlstm as fl
from fastlstm import _kernels
from fastlstm._kernels.program import Turn
from fastlstm.parameter import Parameter

THREADS = 8

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

pytestmark = pytest.mark.thread_unsafe(reason="starts threads of its own")


def together(work):
    """What `work` gives for each of 0 to 7, in threads that begin at once. An error in one of them is raised."""
    barrier = threading.Barrier(THREADS)

    def begin(k):
        barrier.wait()
        return work(k)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(THREADS)))


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("f4")


MODELS = {
    "lstm": lambda: [fl.LSTM(3, 17, num_layers=2, bidirectional=True), fl.Dense(34, 2)],
    "gru": lambda: [fl.GRU(3, 9, learn_initial_state=True), fl.LayerNorm(9), fl.Last(), fl.Dense(9, 2)],
    "conv": lambda: [fl.Conv1d(3, 5, 3, padding="same"), fl.Activation("relu"), fl.MinLSTM(5, 8), fl.MeanPool()],
    "int8": lambda: [fl.LSTM(3, 64, weights="int8"), fl.Last()],
}


@pytest.mark.parametrize("name", MODELS)
def test_the_first_calls_of_a_model_may_come_at_once(path, name):
    """All of them pack the weights and make programs, for one shape and for others; each gets what one thread gets."""
    batches = [numbers(n, 12, 3, seed=n) for n in (1, 2, 5)]
    lengths = [None, np.array([12, 4]), np.array([3, 12, 0, 7, 1])]
    alone = fl.Model(MODELS[name](), seed=0)
    expected = [alone.predict(x, lengths=length) for x, length in zip(batches, lengths, strict=True)]
    model = fl.Model(MODELS[name](), seed=0)

    def work(k):
        return [(j, model.predict(batches[j], lengths=lengths[j])) for j in ((k + i) % 3 for i in range(30))]

    for found in together(work):
        for j, y in found:
            np.testing.assert_array_equal(y, expected[j])
    assert 1 <= len(model._kept) <= 8


def test_the_first_calls_of_a_layer_may_come_at_once():
    """They build it: all read the same starting values."""
    x = numbers(2, 6, 3)
    for _ in range(10):
        layer = fl.LSTM(3, 8, seed=1)
        first, *others = together(lambda _, layer=layer: layer(x)[0])
        for other in others:
            np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize("hidden", [4, 200])
def test_a_stream_that_threads_share_loses_no_step(path, hidden):
    """A step is refused or taken: the state has seen as many as were answered."""
    model = fl.Model([fl.GRU(2, hidden), fl.Dense(hidden, 1)], seed=0)
    stream, x = model.stream(), np.full((1, 2), 0.5, "f4")

    def work(k):
        taken = 0
        for _ in range(150):
            try:
                stream.step(x)
                taken += 1
            except RuntimeError as error:
                assert "this stream is in use by another call" in str(error)
        return taken

    taken = sum(together(work))
    assert taken > 0
    alone = model.stream()
    for _ in range(taken):
        alone.step(x)
    np.testing.assert_array_equal(stream.step(x), alone.step(x))


def test_a_turn_is_had_by_one_thread_at_a_time():
    turn, owner = Turn("this thing", "wait"), [-1]

    def work(k):
        had = shared = 0
        for _ in range(3000):
            try:
                with turn:
                    owner[0] = k
                    had += 1
                    time.sleep(0)  # a thread that must not come now would write here
                    shared += owner[0] != k
            except RuntimeError:
                pass
        return had, shared

    had, shared = zip(*together(work), strict=True)
    assert sum(had) > 0
    assert sum(shared) == 0
    with turn:
        pass


def test_tokens_that_change_during_a_call_are_refused_or_left_out():
    """Each is looked at when it is used: who writes nonsense meanwhile does not make a kernel leave the table."""
    model = fl.Model([fl.Embedding(50, 64)], seed=0)
    tape, tokens, dy = model.tape(), np.ones((64, 100), np.intp), np.ones((64, 100, 64), "f4")
    model.forward(tokens, tape, training=True)
    ended = threading.Event()

    def spoil():
        while not ended.is_set():
            tokens[...] = 10**12
            tokens[...] = 1

    with ThreadPoolExecutor(1) as pool:
        spoiling = pool.submit(spoil)
        until = time.monotonic() + 1
        try:
            while time.monotonic() < until:
                for call in (lambda: model.forward(tokens, tape, training=True), lambda: model.backward(dy, tape)):
                    with contextlib.suppress(ValueError, RuntimeError):
                        call()
        finally:
            ended.set()
        spoiling.result()
    model.forward(np.ones((64, 100), np.intp), tape, training=True)
    model.backward(dy, tape)


def test_streams_and_tapes_of_one_model_go_side_by_side(path):
    model = fl.Model([fl.LSTM(3, 20), fl.Dropout(0.5), fl.Dense(20, 2)], seed=0)
    x = numbers(4, 30, 3)

    def work(k):
        stream, tape = model.stream(batch=4), model.tape(seed=5)
        steps = [stream.step(x[:, t]) for t in range(30)]
        passes = [model.forward(x, tape, training=True).copy() for _ in range(5)]
        return np.stack([*steps, *(y[:, -1] for y in passes)])

    expected = work(0)
    for found in together(work):
        np.testing.assert_array_equal(found, expected)


def test_a_tape_that_threads_share_tells_them():
    model = fl.Model([fl.LSTM(3, 20), fl.Dense(20, 2)], seed=0)
    tape, x = model.tape(), numbers(4, 10, 3)
    dy = np.ones((4, 10, 2), "f4")

    def work(k):
        for _ in range(60):
            try:
                model.forward(x, tape, training=True)
                model.backward(dy, tape)
            except RuntimeError as error:
                told = str(error)
                assert "this tape is in use by another call" in told or "backward needs a forward pass" in told

    together(work)
    y = model.forward(x, tape, training=True)
    np.testing.assert_array_equal(y, model.forward(x, model.tape(), training=True))


def trained(seed):
    """The losses and the weights of a training, in which a layer is frozen for a while."""
    layers = [fl.LSTM(3, 12), fl.Dropout(0.3), fl.Last(), fl.Dense(12, 1)]
    model = fl.Model(layers, seed=seed)
    trainer = fl.Trainer(model, "mse", metrics=["mae"], clip_norm=1.0)
    x, y = numbers(40, 9, 3, seed=seed), numbers(40, 1, seed=seed + 1)
    losses = []
    for frozen in (False, True, False):
        layers[0].trainable = not frozen
        losses += trainer.fit(x, y, epochs=2, batch_size=16, seed=seed, progress=False)["loss"]
    return losses, [parameter.value.copy() for parameter in model.parameters()]


def test_trainings_in_threads_of_their_own_give_the_bits_of_one_thread(path):
    expected = [trained(seed) for seed in range(THREADS)]
    for (losses, values), (wanted, alone) in zip(together(trained), expected, strict=True):
        assert losses == wanted
        for found, value in zip(values, alone, strict=True):
            np.testing.assert_array_equal(found, value)


def test_a_model_may_be_asked_while_another_one_is_trained():
    model, x = fl.Model([fl.LSTM(3, 24), fl.Last(), fl.Dense(24, 1)], seed=0), numbers(3, 8, 3)
    expected = model.predict(x)

    def work(k):
        return trained(k) if k < 2 else [model.predict(x) for _ in range(50)]

    for found in together(work)[2:]:
        for y in found:
            np.testing.assert_array_equal(y, expected)


def test_every_change_of_a_parameter_is_counted():
    """A pass that has been recorded is run again only if the count is what it was."""
    before = Parameter._changes

    def work(k):
        parameter = Parameter("weight", (2,), lambda rng, shape: np.zeros(shape))
        for _ in range(500):
            parameter.trainable = not parameter.trainable

    together(work)
    assert Parameter._changes == before + THREADS * 500


def test_files_that_threads_write_at_once_are_whole(tmp_path):
    models = [fl.Model([fl.LSTM(2, 3 + k)], seed=k) for k in range(THREADS)]

    def work(k):
        for _ in range(10):
            fl.save(models[k], tmp_path / "model.safetensors")
            found = fl.load(tmp_path / "model.safetensors")
        return found.num_parameters

    assert set(together(work)) <= {model.num_parameters for model in models}
    assert os.listdir(tmp_path) == ["model.safetensors"]


@pytest.mark.parametrize("layers", [[fl.MeanPool], [], [lambda: fl.Dense(5, 2)]], ids=["pool", "alone", "dense"])
@pytest.mark.parametrize("least", [0, 1])
def test_lengths_that_another_thread_changes_lead_nowhere(path, layers, least):
    model = fl.Model([fl.LSTM(2, 5), *(layer() for layer in layers)], seed=0)
    x, lengths, stop = numbers(64, 20, 2), np.full(64, 10), threading.Event()
    lengths[0] = least

    def meddle():
        while not stop.is_set():
            lengths[-1] = 10**9
            lengths[-1] = 5

    thread = threading.Thread(target=meddle)
    thread.start()
    try:
        for _ in range(100):
            try:
                model.predict(x, lengths=lengths)
            except ValueError as error:
                assert "length" in str(error)
    finally:
        stop.set()
        thread.join()


def modules():
    """Those of the package that need nothing that may be missing, the compiled ones among them."""
    compiled = [f"fastlstm._kernels.{module.name}" for module in pkgutil.iter_modules(_kernels.__path__)]
    return [*compiled, "fastlstm", "fastlstm.forecasting", "fastlstm.text", "fastlstm.classification", "fastlstm.io"]


def test_every_compiled_module_is_among_those_that_are_imported():
    names = modules()
    assert {"fastlstm._kernels.program", "fastlstm._kernels.cpu", "fastlstm._kernels.scipy_blas"} <= set(names)
    for name in names:
        importlib.import_module(name)


@pytest.mark.skipif(not FREE_THREADED, reason="this Python always has its GIL")
def test_an_import_does_not_switch_the_gil_on():
    code = f"import sys, {', '.join(modules())}; print(sys._is_gil_enabled())"
    asked = {key: value for key, value in os.environ.items() if key != "PYTHON_GIL"}  # which would keep it off
    done = subprocess.run([sys.executable, "-P", "-c", code], env=asked, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"], done.stderr
