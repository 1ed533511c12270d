"""How many threads there may be."""

import os
import subprocess
import sys

import pytest

import fastlstm as fl
from fastlstm import threads
from fastlstm._kernels import cpu


@pytest.fixture(autouse=True)
def default_threads():
    yield
    fl.set_num_threads(None)


def test_set_and_get():
    fl.set_num_threads(3)
    assert fl.get_num_threads() == 3
    fl.set_num_threads(None)
    assert fl.get_num_threads() >= 1


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [(0, ValueError, "n: expected at least 1"), ("2", TypeError, "n: expected a whole number")],
)
def test_bad_numbers_are_named(value, kind, message):
    with pytest.raises(kind, match=message):
        fl.set_num_threads(value)


def test_the_environment(monkeypatch):
    monkeypatch.setenv("FASTLSTM_NUM_THREADS", "5")
    fl.set_num_threads(None)
    assert fl.get_num_threads() == 5
    monkeypatch.setenv("FASTLSTM_NUM_THREADS", "many")
    fl.set_num_threads(None)
    with pytest.raises(ValueError, match="FASTLSTM_NUM_THREADS: expected a number of at least 1, got 'many'"):
        fl.get_num_threads()


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
    assert cpu.isa() in shown["inference"]


@pytest.mark.parametrize(
    ("text", "expected"), [("max 100000", 1 << 16), ("250000 100000", 2), ("50000 100000", 0), ("nonsense", 1 << 16)]
)
def test_quota_of_a_control_group(tmp_path, text, expected):
    (tmp_path / "cpu.max").write_text(text + "\n")
    assert threads._quota(tmp_path / "cpu.max") == expected
    assert threads._quota(tmp_path / "missing") == 1 << 16
