"""The benchmark: that it runs, compares what it measures, and says what it found. No time is tested here."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fastlstm._kernels import cpu

ROOT = Path(__file__).parent.parent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / "bench").exists(), reason="the benchmark is not part of the package"),
    pytest.mark.skipif(cpu.isa() == "plain", reason="the benchmark asks the packed kernels what the machine can do"),
]


def bench(*words):
    return python("-m", "bench", *words)


def python(*words):
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.fixture
def main(monkeypatch):
    """The same in this process, for what measures nothing."""
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(ROOT))
    from bench.__main__ import main

    return lambda *words: main([str(word) for word in words])


# suites of small cases
CASES = """
import sys
from bench import cases, worker
from bench.steps import ours_trainer
ours_trainer.ROUNDS = 2
cases.SUITES["ragged"]["ragged"] = [cases.Case(7, 5, 3, 4, directions=d, ragged=True) for d in (1, 2)]
small = cases.Case(7, 5, 3, 4)
own = [cases.replace(small, head=True, directions=2), cases.replace(small, ragged=True, orders=3)]
cases.SUITES["calls"] = {"inference": [small, cases.replace(small, pause=1)], "own calls": own}
cases.SUITES["steps"]["steps"] = [
    cases.StepCase("tokens", 6, 5, 9, 3, 4, 2, 9, True, "softmax_cross_entropy"),
    cases.StepCase("numbers", 6, 5, None, 3, 4, 1, 1, False, "mse"),
    cases.StepCase("choice", 6, 5, 9, 3, 4, 1, 1, False, "sigmoid_cross_entropy"),
]
cases.SUITES["fit"] = {"fit": cases.SUITES["steps"]["steps"]}
wide = cases.low_step(4, 16, 48, 128, layers=2)
cases.SUITES["low-steps"] = {"low steps": [*cases.SUITES["steps"]["steps"], wide]}
cases.SUITES["torch"] = {
    "torch training": [
        cases.TorchCase("tagger", cases.Case(6, 5, 3, 4, layers=2, directions=2), 9, 7, every_step=True),
        cases.TorchCase("translator", cases.Case(4, 5, 3, 4), 9, 9, every_step=True),
        cases.TorchCase("forecaster", cases.Case(4, 5, 3, 4), None, 1),
    ],
    "torch packed": [cases.TorchCase("classifier", cases.Case(6, 5, 3, 4, directions=2, ragged=True), 9, 1)],
    "torch inference": [cases.TorchCase("step", cases.Case(1, 1, 3, 4), None, 2)],
}
cases.SUITES["cells"] = {  # a case of a suite has a name of its own
    "inference": [small, cases.Case(6, 2, 3, 8, layers=2, directions=2)],
    "training": [cases.Case(8, 5, 3, 4), cases.Case(9, 2, 3, 8, layers=2, directions=2)],
    "streaming": [cases.Case(1, 2, 3, 4)],
    "ragged": [cases.Case(10, 5, 3, 4, ragged=True)],
}
"""

# measures one of them by each contender, in one process
SMALL = (
    CASES
    + """
suite, cell, dtype, folder, *names = sys.argv[1:]
for one in cell.split():
    for name in names:
        path = f"{folder}/{name}.npz" if one == cell else f"{folder}/{one}-{name}.npz"
        figures = worker.main(name, suite, one, dtype, 1, 0.001, path)
        assert all(figure["median"] > 0 for figure in figures.values()), figures
"""
)


def small(suite, dtype, folder, *names):
    """Results of each contender by case and number."""
    python("-c", SMALL, suite, "lstm", dtype, folder, *names)
    return [dict(np.load(folder / f"{name}.npz")) for name in names]


def differences(found, ours):
    return {key: np.abs(found[key] - ours[key]).max() / np.abs(ours[key]).max() for key in found}


# runs suites as `python -m bench` does, but in one process, which imports all once, and calls each case a few times
RUNS = """
import contextlib, json, sys
from pathlib import Path
from bench import __main__ as bench, timing, worker
from bench.steps import ours_trainer
timing.SLOW = 0  # all are timed as few times as slow ones
ours_trainer.ROUNDS = 2
folder, options, runs = Path(sys.argv[1]), sys.argv[2].split(), json.loads(sys.argv[3])
speed = json.loads((folder / "quick.json").read_text())["threads"]["1"]["machine"]
def measured(name, threads, options, results):
    if name == "machine":
        return speed
    path = results / f"{name}.npz"
    return worker.main(name, options.suite, options.cell, options.dtype, threads, options.seconds, path)
bench.run_process = measured
for name, words in runs.items():
    with open(folder / f"{name}.txt", "w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
        assert bench.main([*words, *options, "--json", str(folder / f"{name}.json")]) == 0
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    options = ["--peers", "--seconds", 0.001, "--threads", 1]
    printed = bench("--suite", "quick", *options, "--processes", 2, "--json", folder / "quick.json").stdout
    (folder / "quick.txt").write_text(printed, encoding="utf-8")
    more = {suite: ["--suite", suite] for suite in ("calls", "streaming", "ragged", "steps")} | {
        "gru": ["--cell", "gru"]
    }
    words = " ".join(map(str, [*options, "--processes", 1]))
    python("-c", RUNS, folder, words, json.dumps(more))
    found = {name: folder / f"{name}.json" for name in ("quick", *more)}
    for name in list(found):
        found[name + " printed"] = printed = (folder / f"{name}.txt").read_text(encoding="utf-8")
        assert "GFLOP/s of multiply-adds" in printed
        assert f"\nprocessor: {json.loads(found[name].read_text())['machine']['processor']}\n" in printed
    return found


def test_every_case_is_measured_in_every_process(runs):
    result = json.loads(runs["quick"].read_text())
    figures = result["threads"]["1"]["figures"]["fastlstm"]
    assert list(figures) == ["T100 N1 I64 H64", "T100 N32 I64 H128", "T30 N128 I1 H32"]
    assert all(len(processes) == 2 for processes in figures.values())
    assert all(figure["median"] >= figure["least"] > 0 for processes in figures.values() for figure in processes)
    assert "fastlstm, block" in runs["streaming printed"]
    assert "RTNeural" in runs["streaming printed"]
    for suite, count in (("ragged", 4), ("steps", 4)):
        figures = json.loads(runs[suite].read_text())["threads"]["1"]["figures"]
        assert {name: len(found) for name, found in figures.items()} == dict.fromkeys(figures, count)
    assert "T500 N32 I32 H100: ragged batches take " in runs["ragged printed"]
    assert "; 0.53 of the steps are real" in runs["ragged printed"]
    assert "word model T20 N20 " in runs["steps printed"]


def test_calls_are_measured_beside_what_they_are_beyond(runs):
    figures = json.loads(runs["calls"].read_text())["threads"]["1"]["figures"]
    steps = ["small model T10 N32"]
    assert list(figures["fastlstm, Trainer"]) == list(figures["fastlstm"])[-1:] == steps
    assert list(figures["fastlstm, prepared"]) == list(figures["fastlstm"])[:-1]
    for case, [figure] in [*list(figures["fastlstm"].items())[:-1], *figures["fastlstm, Trainer"].items()]:
        assert figure["cpu"] > 0
        assert ("beyond" in figure) == (" after " not in case)
    for words in (
        "fastlstm, beyond the prepared pass: at most ",
        "fastlstm, beyond the prepared pass, with a head: at most ",
        "fastlstm, beyond the prepared pass, lengths that change: at most ",
        "fastlstm, Trainer, beyond the kernels: at most ",
        "largest load of ours, CPU time over threads × time: ",
    ):
        assert words in runs["calls printed"]


def test_a_run_names_its_cell(runs):
    lstm, gru = (json.loads(runs[name].read_text()) for name in ("quick", "gru"))
    assert (lstm["cell"], gru["cell"]) == ("lstm", "gru")
    for name, figures in lstm["threads"]["1"]["figures"].items():
        assert list(gru["threads"]["1"]["figures"][name]) == list(figures)
    assert "\nsuite quick, float32, 1 thread; " in runs["quick printed"]
    assert "\nsuite quick, GRU, float32, 1 thread; " in runs["gru printed"]


def test_two_runs_are_compared(runs, main, capsys):
    assert main("compare", runs["quick"], runs["quick"]) == 0
    assert "geometric mean of A / B: 1.000" in capsys.readouterr().out
    for other, told in (
        ("streaming", "the two runs differ in suite: quick and streaming"),
        ("gru", "the two runs differ in cell: lstm and gru"),
    ):
        with pytest.raises(SystemExit):
            main("compare", runs["quick"], runs[other])
        assert told in capsys.readouterr().err


def test_the_page_is_made_from_runs(runs, main, tmp_path):
    main(
        "docs",
        *(runs[name] for name in ("quick", "gru", "calls", "streaming", "ragged", "steps")),
        "--folder",
        tmp_path,
    )
    page = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert "| T100 N32 I64 H128 | " in page
    assert "\n![quick-float32-ratios](pictures/quick-float32-ratios.png)\n" in page
    assert "\n## Quick, GRU, float32\n" in page
    assert "\n![quick-gru-float32-ratios](pictures/quick-gru-float32-ratios.png)\n" in page
    assert "\n## Calls, float32\n\nSmall shapes, where a call is more than its kernels" in page
    assert "\n## Ragged, float32\n\nAs in training, over sequences of different lengths" in page
    assert "\n## Steps, float32\n\nWhole training steps of models" in page
    for line in page.splitlines():
        if line.startswith("!["):
            assert (tmp_path / line.partition("(")[2].rstrip(")")).stat().st_size > 5000


def test_sections_that_are_not_renewed_are_kept(runs, main, tmp_path):
    path = tmp_path / "benchmarks.md"
    main("docs", runs["quick"], runs["ragged"], "--folder", tmp_path)
    before = path.read_text(encoding="utf-8")
    main("docs", "--keep", runs["quick"], "--folder", tmp_path)
    after = path.read_text(encoding="utf-8")
    # the machine of the section that is kept, which is the same one here, stands above it
    assert after[: after.rindex("## The machine")] + after[after.index("## Ragged") :] == before
    main("docs", "--keep", runs["quick"], runs["ragged"], "--folder", tmp_path)
    assert path.read_text(encoding="utf-8") == before


def test_peers_agree_with_us(tmp_path):
    needed = {"torch": ["torch"], "onnxruntime": ["onnxruntime", "onnx"]}
    peers = [peer for peer, packages in needed.items() if all(map(importlib.util.find_spec, packages))]
    if not peers:
        pytest.skip("neither PyTorch nor ONNX Runtime is installed")
    path = tmp_path / "run.json"
    bench("--suite", "streaming", "--peers", *peers, "--processes", 1, "--seconds", 0.001, "--json", path)
    differences = json.loads(path.read_text())["threads"]["1"]["differences"]
    for peer in peers:
        assert len([case for case in differences if case.startswith(peer)]) == 6
    assert 0 < max(differences.values()) < 1e-5


def test_ragged_results_agree(tmp_path):
    pytest.importorskip("torch")
    names = ("fastlstm", "fastlstm, full", "torch", "torch, masked")
    ours, full, torch, masked = small("ragged", "float64", tmp_path, *names)
    assert (len(ours), len(full), len(torch), len(masked)) == (6, 0, 6, 3)
    for found in (torch, masked):
        assert max(differences(found, ours).values()) < 1e-12


@pytest.mark.parametrize(("peer", "dtype", "limit"), [("torch", "float64", 1e-5), ("keras", "float32", 1e-4)])
def test_training_steps_agree(peer, dtype, limit, tmp_path):
    for package in [peer] if peer == "torch" else ["keras", "tensorflow"]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    ours, theirs = small("steps", dtype, tmp_path, "fastlstm", peer)
    found = differences(theirs, ours)
    # losses, an array for each parameter, and from PyTorch how far the parameters have moved
    assert len(found) == sum(1 + parameters + (peer == "torch") for parameters in (9, 5, 6))
    # PyTorch clips to the norm over the norm + 1e-6, which shows where clipping is active, as it is here
    assert max(found.values()) < limit
    assert all(np.isfinite(array).all() for array in ours.values())


def test_models_in_torch_agree(tmp_path):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    ours, theirs = small("torch", "float64", tmp_path, "fastlstm", "torch")
    assert max(differences(theirs, ours).values()) < 1e-9
    assert {name.rpartition("/")[0].partition(" T")[0] for name in ours} == {
        *("tagger", "translator", "forecaster", "classifier packed", "step")
    }


# prints their errors against float64 after that
ERRORS = """
import json
from pathlib import Path
from bench import exact
print(json.dumps(exact.errors(names, suite, cell, 1, Path(folder))))
"""


def test_training_steps_in_low_precision_are_measured_beside_those_in_float64(tmp_path):
    pytest.importorskip("torch")
    names = ["fastlstm", "torch", "fastlstm-bfloat16", "pytorch-autocast"]
    found = json.loads(python("-c", SMALL + ERRORS, "low-steps", "lstm", "float32", tmp_path, *names).stdout)
    assert list(found) == ["losses", "gradients"]
    for errors in found.values():
        assert list(errors) == names
        assert all(len(of_cases) == 4 for of_cases in errors.values())
        for name, limit in zip(names, (1e-4, 1e-4, 0.1, 0.1), strict=True):
            assert max(errors[name].values()) < limit
    rounding = {name: errors["T4 N16 I48 H128 x2"] for name, errors in found["gradients"].items()}
    assert rounding["pytorch-autocast"] > 1e-3
    if cpu.trains("bfloat16"):
        assert rounding["fastlstm-bfloat16"] > 1e-3


# results of each contender in suite "cells": those of training are y and the gradients of x and of the weights
COUNTS = {"torch": 12, "torch, masked": 3, "onnxruntime": 3, "openvino": 3, "jax": 6, "keras": 6}


@pytest.mark.parametrize("peer", COUNTS)
def test_all_compute_the_same_cell(peer, tmp_path):
    packages = {"torch, masked": ["torch"], "onnxruntime": ["onnxruntime", "onnx"], "keras": ["keras", "tensorflow"]}
    packages["openvino"] = ["openvino", "onnx"]
    for package in packages.get(peer, [peer]):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    cells = ["lstm", "gru", "tanh", "relu"]
    python("-c", SMALL, "cells", " ".join(cells), "float32", tmp_path, "fastlstm", peer)
    for cell in cells:
        found = differences(*(dict(np.load(tmp_path / f"{cell}-{name}.npz")) for name in (peer, "fastlstm")))
        assert len(found) == COUNTS[peer], cell
        assert max(found.values()) < 1e-5, cell


def test_what_calls_give_is_the_prepared_pass(tmp_path):
    ours, prepared = small("calls", "float32", tmp_path, "fastlstm", "fastlstm, prepared")
    assert len(prepared) == 4
    assert all((ours[key] == prepared[key]).all() for key in prepared)


def test_a_trainer_takes_the_steps_that_its_parts_take(tmp_path):
    ours, trainer = small("fit", "float64", tmp_path, "fastlstm", "fastlstm, Trainer")
    assert ours.keys() == trainer.keys()
    assert max(differences(trainer, ours).values()) < 1e-12


def test_who_cannot_be_measured_is_named():
    code = "from bench.__main__ import taking_part; print(taking_part('ragged', ['jax']))"
    done = python("-c", code)
    assert "jax is not measured in suite ragged" in done.stderr
    assert done.stdout == "['fastlstm', 'fastlstm, full']\n"
