"""Many small models side by side: the same bits as one after the other, and no more threads than processors."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import fastlstm as fl
from fastlstm.distributed import many, map_models
from fastlstm.forecasting import LSTMForecaster

joblib = pytest.importorskip("joblib", reason="joblib, whose workers take functions of a test, is not installed")


def series(n):
    rng = np.random.default_rng(0)
    return [rng.normal(size=60).cumsum() for _ in range(n)]


def fitter():
    """A function that no module has: it goes to the workers by value."""

    def fit(values):
        made = LSTMForecaster(1, hidden_size=4, epochs=2, distribution="normal").fit(values, fh=3, progress=False)
        return made.predict(), made

    return fit


@pytest.mark.slow
def test_the_same_bits_as_one_by_one():
    fit = fitter()
    expected = [fit(one) for one in series(6)]
    for found, (forecast, made) in zip(map_models(fit, series(6), workers=2), expected, strict=True):
        np.testing.assert_array_equal(found[0], forecast)
        for values in series(2):
            np.testing.assert_array_equal(found[1].update(values).predict(), made.update(values).predict())


def busy():
    def report(i):
        import os
        import time

        import numpy as np

        import fastlstm as fl

        def tasks():
            return len(os.listdir("/proc/self/task")) if os.path.exists("/proc/self/task") else 0

        model, before = fl.Model([fl.LSTM(30, 100)], seed=0), tasks()
        for _ in range(2):
            model.predict(np.ones((40, 50, 30), "f4"))
        time.sleep(0.2)  # the other worker gets an item, too
        variables = [os.environ[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")]
        return os.getpid(), fl.get_num_threads(), tasks() - before, {*variables}

    return report


@pytest.mark.slow
@pytest.mark.parametrize(("processors", "workers", "threads"), [(5, 2, 2), (1, 3, 1), (2, None, 1)])
def test_workers_times_threads_are_no_more_than_the_processors(monkeypatch, processors, workers, threads):
    monkeypatch.setenv("FASTLSTM_NUM_THREADS", "7")  # of this process, not of each worker
    monkeypatch.setattr(many, "default_num_threads", lambda: processors)
    found = list(map_models(busy(), range(6), workers=workers))
    assert 1 < len({pid for pid, *_ in found}) <= (workers or processors)
    assert os.getpid() not in {pid for pid, *_ in found}
    assert {number for _, number, _, _ in found} == {threads}
    assert max(started for _, _, started, _ in found) <= threads - 1
    assert all(variables == {str(threads)} for *_, variables in found)


def test_one_worker_is_this_process(default_threads):
    fl.set_num_threads(3)
    assert list(map_models(lambda i: (i, os.getpid(), fl.get_num_threads()), range(2), workers=1)) == [
        (0, os.getpid(), 3),
        (1, os.getpid(), 3),
    ]


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_error_names_its_item_and_comes_in_its_place(workers):
    def inverse(number):
        return 1 / number

    found = map_models(inverse, [1, 2, 0, 4], workers=workers)
    assert [next(found), next(found)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError, match="division by zero") as error:
        next(found)
    assert error.value.__notes__ == ["map_models: this came in place of the result of item 2, 0"]
    assert list(found) == []


@pytest.mark.slow
def test_a_worker_that_dies_is_an_error():
    def die(i):
        import os

        os._exit(3)

    with pytest.raises(Exception, match=r"in place of the result of item 0, 'a'") as error:
        list(map_models(die, ["a", "b"], workers=2))
    assert "Terminated" in type(error.value).__name__ or "Broken" in type(error.value).__name__


@pytest.mark.slow
def test_a_long_iterable_is_taken_only_a_little_ahead():
    taken = []

    def numbers():
        for i in range(10_000):
            taken.append(i)
            yield i

    def square(i):
        return i * i

    found = map_models(square, numbers(), workers=2)
    assert taken == []
    for i in range(40):
        assert next(found) == i * i
        assert len(taken) <= i + 1 + 2 * many.AHEAD
    found.close()


def test_nothing_is_nothing():
    assert list(map_models(abs, [], workers=1)) == []
    assert list(map_models(abs, iter([]), workers=2)) == []


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((3, []), TypeError, "function: expected a function of an item, got 3"),
        ((abs, 3), TypeError, "items: expected an iterable, got int"),
        ((abs, [], 0), ValueError, "workers: expected at least 1, got 0"),
        ((abs, [], 1.5), TypeError, "workers: expected a whole number, got 1.5"),
    ],
)
def test_what_it_cannot_take_is_named_at_once(arguments, kind, message):
    function, items, *workers = arguments
    with pytest.raises(kind, match=message):
        map_models(function, items, workers=workers[0] if workers else None)


WAIT = """
import os, sys, time
if {none}:
    sys.modules["joblib.externals"] = None
from fastlstm.distributed import map_models
def wait(i):
    os.write(1, f"{{os.getpid()}}\\n".encode())  # in one piece: the workers share the pipe
    time.sleep(100)
if __name__ == "__main__":
    list(map_models(wait, range(10), workers=2))
"""


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="no list of processes on this system")
@pytest.mark.parametrize("none", [False, True], ids=["loky", "without joblib"])
def test_ctrl_c_ends_the_workers_too(tmp_path, none):
    (tmp_path / "wait.py").write_text(WAIT.format(none=none))
    command = [sys.executable, "-P", str(tmp_path / "wait.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            workers = [int(process.stdout.readline()) for _ in range(2)]
            began = time.monotonic()
            process.send_signal(signal.SIGINT)  # to it alone; a terminal would send it to the workers as well
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode != 0 and "KeyboardInterrupt" in said
    assert time.monotonic() - began < 30
    while any(alive(pid) for pid in workers):
        assert time.monotonic() - began < 30
        time.sleep(0.05)


WITHOUT_JOBLIB = """
import os, sys
if {none}:
    sys.modules["joblib.externals"] = None
import numpy as np
import fastlstm as fl
from fastlstm.distributed import map_models

class Halving(fl.Layer):  # of one's own, and in the script itself
    input_shape = ("N", "T", "F")
    def output_shape(self, input_shape): return input_shape
    def forward(self, x, workspace, *, training=False, lengths=None): return x / 2
    def backward(self, dy, workspace, *, input_gradient=True): return dy / 2
    def config(self): return {{}}

def build(seed):
    return fl.Model([Halving(), fl.LSTM(1, 4)], seed=seed), fl.get_num_threads(), os.getpid()

if __name__ == "__main__":
    x = np.ones((2, 3, 1))
    for seed, (model, threads, pid) in enumerate(map_models(build, range(5), workers=2)):
        assert np.array_equal(model.predict(x), build(seed)[0].predict(x))
        assert pid != os.getpid() and threads == {threads}, threads
    predictors = list(map_models(fl.Predictor(build(0)[0]), [x, x], workers=2))
    assert all(np.array_equal(y, build(0)[0].predict(x)) for y in predictors)
    print("the same")
"""


@pytest.mark.slow
@pytest.mark.parametrize("none", [False, True], ids=["loky", "without joblib"])
def test_a_script_with_a_layer_of_its_own(tmp_path, none):
    threads = max(1, fl.threads.default_num_threads() // 2)
    (tmp_path / "script.py").write_text(WITHOUT_JOBLIB.format(none=none, threads=threads))
    done = subprocess.run([sys.executable, "-P", str(tmp_path / "script.py")], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("the same", 0), done.stderr


@pytest.mark.slow
def test_joblib_alone_oversubscribes_nothing_either(monkeypatch):
    """Its workers have OMP_NUM_THREADS, which the default follows."""
    monkeypatch.delenv("FASTLSTM_NUM_THREADS", raising=False)

    def report(i):
        import os

        import fastlstm as fl

        return fl.get_num_threads(), os.environ["OMP_NUM_THREADS"]

    share = max(1, joblib.cpu_count() // 2)
    with joblib.parallel_config("loky", n_jobs=2):
        found = joblib.Parallel()(joblib.delayed(report)(i) for i in range(4))
    assert found == [(min(share, fl.threads.default_num_threads()), str(share))] * 4
    model = fl.Model([fl.LSTM(2, 8)], seed=0)
    x = np.random.default_rng(0).normal(size=(4, 5, 2))
    predictor = fl.Predictor(model)
    for y in joblib.Parallel(n_jobs=2)(joblib.delayed(predictor)(x) for _ in range(4)):
        np.testing.assert_array_equal(y, model.predict(x))
