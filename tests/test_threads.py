"""How many threads there may be."""

import os
import subprocess
import sys

import pytest

import fastlstm as fl
from fastlstm import threads
from fastlstm._kernels import cpu

pytestmark = pytest.mark.usefixtures("default_threads")


def test_set_and_get():
    fl.set_num_threads(3)
    assert fl.get_num_threads() == 3
    fl.set_num_threads(None)
    assert fl.get_num_threads() >= 1


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (0, ValueError, "n: expected at least 1"),
        ("2", TypeError, "n: expected a whole number"),
        *((n, ValueError, f"n: expected at most 256 threads, got {n}") for n in (257, 2**31, 2**40, 2**100)),
    ],
)
def test_bad_numbers_are_named_and_change_nothing(value, kind, message):
    fl.set_num_threads(3)
    with pytest.raises(kind, match=message):
        fl.set_num_threads(value)
    assert fl.get_num_threads() == 3


def test_as_many_threads_as_the_pool_has_room_for():
    fl.set_num_threads(cpu.MOST_THREADS)
    assert fl.get_num_threads() == cpu.MOST_THREADS == 256


def test_the_environment(monkeypatch):
    monkeypatch.setenv("FASTLSTM_NUM_THREADS", "5")
    fl.set_num_threads(None)
    assert fl.get_num_threads() == 5
    monkeypatch.setenv("FASTLSTM_NUM_THREADS", "many")
    with pytest.raises(ValueError, match="FASTLSTM_NUM_THREADS: expected a number from 1 to 256, got 'many'"):
        fl.set_num_threads(None)
    assert fl.get_num_threads() == 5
    for wrong in ("0", "257", "-1", str(2**40), "9" * 5000):
        monkeypatch.setenv("FASTLSTM_NUM_THREADS", wrong)
        with pytest.raises(ValueError, match="FASTLSTM_NUM_THREADS: expected a number from 1 to 256, got"):
            fl.set_num_threads(None)
        assert fl.get_num_threads() == 5


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(("1", 1), (" 2 ", 2), ("3,2,1", 3), ("1000", 4)),
        *((nonsense, 4) for nonsense in ("", " ", "0", "-1", "many", "2.5", ",2", "²", "9" * 5000)),
    ],
)
def test_what_openmp_is_told_bounds_the_default(monkeypatch, value, expected):
    monkeypatch.delenv("FASTLSTM_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4), raising=False)
    monkeypatch.setattr(threads, "_quota", lambda _: 1 << 16)
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    fl.set_num_threads(None)
    assert fl.get_num_threads() == expected


def test_our_own_variable_comes_before_that_of_openmp(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("FASTLSTM_NUM_THREADS", "5")
    fl.set_num_threads(None)
    assert fl.get_num_threads() == 5


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_the_default_respects_the_affinity(tmp_path):
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "import fastlstm; print(fastlstm.get_num_threads())"
    )
    environment = {key: value for key, value in os.environ.items() if key != "FASTLSTM_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"


def test_show_config(capsys):
    fl.set_num_threads(3)
    fl.show_config()
    shown = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines() if not line.startswith("numpy"))
    assert shown["fastlstm"] == fl.__version__
    assert shown["threads"] == "3"
    assert cpu.isa() in shown["kernels"]


@pytest.mark.parametrize(
    ("text", "expected"), [("max 100000", 1 << 16), ("250000 100000", 2), ("50000 100000", 0), ("nonsense", 1 << 16)]
)
def test_quota_of_a_control_group(tmp_path, text, expected):
    (tmp_path / "cpu.max").write_text(text + "\n")
    assert threads._quota(tmp_path / "cpu.max") == expected
    assert threads._quota(tmp_path / "missing") == 1 << 16


COUNT_RUNNABLE = """
import os, threading, time
from pathlib import Path
import numpy as np
import fastlstm as fl

def runnable():
    states = []
    for task in Path("/proc/self/task").iterdir():
        if int(task.name) != threading.get_native_id():  # not this one, which only looks
            try:
                states.append((task / "stat").read_text().rpartition(")")[2].split()[0])
            except OSError:
                pass  # it has ended
    return states.count("R")

before = len(os.listdir("/proc/self/task"))
fl.set_num_threads(3)
trainer = fl.Trainer(fl.Model([fl.LSTM(30, 100, bidirectional=True), fl.Last(), fl.Dense(200, 1)], seed=0), "mse")
x, y = np.ones((40, 50, 30), "f4"), np.ones((40, 1), "f4")
time.sleep(0.5)  # the orthogonal starting weights come from LAPACK, whose threads spin for a moment longer
stop = threading.Event()

def work():
    while not stop.is_set():
        trainer.model.predict(x)
        trainer.fit(x, y, epochs=1)

worker = threading.Thread(target=work)
worker.start()
most, until = 0, time.monotonic() + 2
while time.monotonic() < until:
    most = max(most, runnable())
stop.set()
worker.join()
time.sleep(0.1)
print(most, len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="no list of threads on this system")
@pytest.mark.skipif(cpu.isa() == "plain", reason="the plain path runs on BLAS's threads")
def test_no_more_threads_run_than_were_asked_for(tmp_path):
    """In inference and in training: three at most at any moment, and two are all that were ever started."""
    done = subprocess.run(
        [sys.executable, "-c", COUNT_RUNNABLE], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    most, started = map(int, done.stdout.split())
    assert 1 <= most <= 3
    assert started == 2
