"""The benchmark: that it runs, compares what it measures, and says what it found. No time is tested here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastlstm._kernels import cpu

ROOT = Path(__file__).parent.parent

pytestmark = [
    pytest.mark.skipif(not (ROOT / "bench").exists(), reason="the benchmark is not part of the package"),
    pytest.mark.skipif(cpu.isa() == "plain", reason="the benchmark asks the packed kernels what the machine can do"),
]


def bench(*words, check=True):
    return subprocess.run(
        [sys.executable, "-m", "bench", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=check,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    found = {}
    for suite in ("quick", "streaming"):
        found[suite] = folder / f"{suite}.json"
        options = ["--peers", "--processes", 2, "--seconds", 0.001, "--threads", 1]
        printed = bench("--suite", suite, *options, "--json", found[suite]).stdout
        assert "GFLOP/s of multiply-adds" in printed
        found[suite + " printed"] = printed
    return found


def test_every_case_is_measured_in_every_process(runs):
    result = json.loads(runs["quick"].read_text())
    figures = result["threads"]["1"]["figures"]["fastlstm"]
    assert list(figures) == ["T100 N1 I64 H64", "T100 N32 I64 H128", "T30 N128 I1 H32"]
    assert all(len(processes) == 2 for processes in figures.values())
    assert all(figure["median"] >= figure["least"] > 0 for processes in figures.values() for figure in processes)
    assert "fastlstm, block" in runs["streaming printed"]
    assert "RTNeural" in runs["streaming printed"]


def test_two_runs_are_compared(runs):
    printed = bench("compare", runs["quick"], runs["quick"]).stdout
    assert "geometric mean of A / B: 1.000" in printed
    failed = bench("compare", runs["quick"], runs["streaming"], check=False)
    assert failed.returncode
    assert "the two runs differ in suite: quick and streaming" in failed.stderr


def test_the_page_is_made_from_runs(runs, tmp_path):
    pytest.importorskip("matplotlib")
    bench("docs", runs["quick"], runs["streaming"], "--folder", tmp_path)
    page = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert "| T100 N32 I64 H128 | " in page
    for line in page.splitlines():
        if line.startswith("!["):
            assert (tmp_path / line.partition("(")[2].rstrip(")")).stat().st_size > 5000


@pytest.mark.parametrize("peer", ["torch", "onnxruntime"])
def test_peers_agree_with_us(peer, tmp_path):
    pytest.importorskip(peer)
    if peer == "onnxruntime":
        pytest.importorskip("onnx")
    path = tmp_path / "run.json"
    bench("--suite", "streaming", "--peers", peer, "--processes", 1, "--seconds", 0.001, "--json", path)
    differences = json.loads(path.read_text())["threads"]["1"]["differences"]
    assert len([case for case in differences if case.startswith(peer)]) == 6
    assert 0 < max(differences.values()) < 1e-5
