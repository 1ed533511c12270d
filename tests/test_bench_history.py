"""The history of speed keeps ratios by case, each run once, and shows what was measured several times; none here."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(not (ROOT / "bench").exists(), reason="the benchmark is not part of the package")

PROCESSOR = "A processor (model 1), 2 cores; L1 32 KiB"


@pytest.fixture
def history(monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(ROOT))
    from bench import history

    return history


@pytest.fixture
def main(history, monkeypatch):
    """`python -m bench history`, with commits of its own: each has the date that it is named for."""
    from bench import __main__

    monkeypatch.setattr(history, "commit_of", lambda name: (f"c{name[-2:]}", name))
    return lambda *line: __main__.main(["history", *map(str, line)])


def run(path, times, processor=PROCESSOR, suite="quick", threads=("1",)):
    """A file of a run: the times of each contender in microseconds, for each of the first cases."""
    from bench.cases import cases_of

    cases = [str(case) for _, case in cases_of(suite)]
    figures = {
        name: {case: [{"median": time, "cpu": time}] for case, time in zip(cases, some, strict=False)}
        for name, some in times.items()
    }
    machine = {"flops": 100, "read": {"memory": 10}, "sizes": {}}
    part = {"figures": figures, "differences": {}, "machine": machine}
    described = {"processor": processor, "system": "Linux", "fastlstm": "0.2.0, kernels packed", "torch": "2.13"}
    result = {"suite": suite, "dtype": "float32", "processes": 3, "machine": described}
    path.write_text(json.dumps({**result, "threads": dict.fromkeys(threads, part)}), encoding="utf-8")
    return path


FIRST = {"fastlstm": [10.0, 20.0, 30.0], "torch": [20.0, 30.0, 33.0], "openvino": [15.0, 40.0, 36.0]}
SECOND = {"fastlstm": [10.0, 20.0, 30.0], "torch": [30.0, 30.0, 27.0]}


def test_a_run_is_kept_as_ratios_to_each_peer(main, history, tmp_path):
    path = run(tmp_path / "run.json", {**FIRST, "fastlstm, prepared": [9.0, 19.0, 29.0]}, threads=("1", "2"))
    assert main(path, "--commit", "2026-01-02", "--folder", tmp_path) == 0
    one, two = history.load(tmp_path)
    first = next(iter(one["ratios"]))
    assert one["ratios"][first] == {"torch": 2.0, "openvino": 1.5}
    assert history.best(one, first) == 1.5
    assert (one["date"], one["commit"], one["version"]) == ("2026-01-02", "c02", "0.2.0")
    assert one["processor"] == PROCESSOR
    assert one["peers"] == {"torch": "2.13"}
    assert (one["threads"], two["threads"]) == ("1", "2")
    assert (tmp_path / "history.json").read_text(encoding="utf-8").count("\n") == 4, "a run is a line"


def test_each_of_ours_stands_beside_the_peers_of_its_precision(main, history, tmp_path):
    times = {"fastlstm": [10.0], "fastlstm-int8x16": [5.0], "fastlstm-int8": [4.0], "onnxruntime-int8": [6.0]}
    main(run(tmp_path / "low.json", times, suite="low"), "--commit", "2026-01-02", "--folder", tmp_path)
    ratios = {entry["ours"]: [*entry["ratios"].values()] for entry in history.load(tmp_path)}
    assert ratios == {
        "fastlstm-int8": [{"onnxruntime-int8": 1.5}],
        "fastlstm-int8x16": [{"onnxruntime-int8": 1.2}],
    }


def test_runs_stand_in_the_order_of_their_commits_and_each_once(main, history, tmp_path):
    for commit, times in (("2026-02-09", SECOND), ("2026-01-02", FIRST), ("2026-02-09", FIRST)):
        main(run(tmp_path / "run.json", times), "--commit", commit, "--folder", tmp_path)
    main(run(tmp_path / "run.json", SECOND, processor="Another"), "--commit", "2026-02-09", "--folder", tmp_path)
    entries = history.load(tmp_path)
    assert [(entry["date"], entry["processor"]) for entry in entries] == [
        ("2026-01-02", PROCESSOR),
        ("2026-02-09", PROCESSOR),
        ("2026-02-09", "Another"),
    ]
    assert "openvino" in next(iter(entries[1]["ratios"].values())), "the later run has taken the place of the other"


def test_the_page_shows_the_mean_and_the_least_of_each_version_below_what_was_there(main, tmp_path):
    page = tmp_path / "benchmarks.md"
    page.write_text("# Benchmarks\n\nWords.\n\n## History\n\nof before\n", encoding="utf-8")
    for commit, times in (("2026-01-02", FIRST), ("2026-02-09", SECOND)):
        main(run(tmp_path / "run.json", times), "--commit", commit, "--folder", tmp_path)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Benchmarks\n\nWords.\n\n## History\n\nThe ratio to the best peer")
    assert "of before" not in text
    # 1.5, 1.5, 1.1 and 3, 1.5, 0.9
    assert "| 2026-01-02 c02 | 0.2.0 | A processor (model 1), 2 cores | 3 | 1.35 | 1.10 T30 N128 I1 H32 |" in text
    assert "| 2026-02-09 c09 | 0.2.0 | A processor (model 1), 2 cores | 3 | 1.59 | 0.90 T30 N128 I1 H32 |" in text
    picture = "pictures/history-quick-float32-1-thread.png"
    assert f"### Quick, float32, 1 thread\n\n![history-quick-float32-1-thread]({picture})\n" in text
    assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


def test_a_line_is_drawn_for_each_case_and_processor(history, tmp_path, monkeypatch):
    from bench.pictures import plt

    drawn = []
    monkeypatch.setattr(plt, "close", drawn.append)

    def entry(commit, processor, **ratios):
        found = {case: {"torch": ratio} for case, ratio in ratios.items()}
        return {"date": "2026-01-02", "commit": commit, "processor": processor, "ratios": found}

    entries = [entry("a", "P", x=2.0, y=1.0), entry("b", "Q", x=4.0), entry("c", "P", x=3.0, y=1.5)]
    history.draw("quick", entries, tmp_path)
    x, y = drawn[0].axes
    lines = {panel.get_title(loc="left"): [line.get_xydata().tolist() for line in panel.lines[1:]] for panel in (x, y)}
    assert lines == {"x": [[[0, 2], [2, 3]], [[1, 4]]], "y": [[[0, 1], [2, 1.5]], []]}
    monkeypatch.undo()
    plt.close(drawn[0])


def test_what_was_measured_once_or_on_other_processors_has_no_picture(main, tmp_path):
    page = tmp_path / "benchmarks.md"
    main(run(tmp_path / "run.json", FIRST), "--commit", "2026-01-02", "--folder", tmp_path)
    assert "###" not in page.read_text(encoding="utf-8")
    main(run(tmp_path / "run.json", FIRST, processor="Another"), "--commit", "2026-01-03", "--folder", tmp_path)
    assert "| 2026-01-03 c03 | 0.2.0 | Another |" in page.read_text(encoding="utf-8")
    assert "![" not in page.read_text(encoding="utf-8")


def test_a_page_that_is_made_anew_has_the_history_at_its_end(main, tmp_path):
    from bench import __main__

    for commit in ("2026-01-02", "2026-01-03"):
        path = run(tmp_path / "run.json", FIRST)
        main(path, "--commit", commit, "--folder", tmp_path)
    for more in ([], ["--keep"]):
        assert __main__.main(["docs", *more, str(path), "--folder", str(tmp_path)]) == 0
        text = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
        assert text.count("## History\n") == 1 and text.index("## Quick, float32") < text.index("## History")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ([], "runs: expected files written by --json, as {folder} has no history yet"),
        (["{folder}/run.json"], "expected a file written by --json, got {folder}/run.json"),
    ],
)
def test_what_is_no_history_is_told(main, tmp_path, capsys, line, told):
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(SystemExit):
        main(*(word.format(folder=tmp_path) for word in line), "--folder", tmp_path)
    assert told.format(folder=tmp_path) in capsys.readouterr().err


def test_a_commit_that_is_not_there_is_told(history, tmp_path, capsys):
    with pytest.raises(SystemExit):
        history.main([str(run(tmp_path / "run.json", FIRST)), "--commit", "no-such-one", "--folder", str(tmp_path)])
    assert "--commit: expected a commit of the repository, got 'no-such-one'" in capsys.readouterr().err


def test_the_history_that_is_kept_is_one(history):
    entries = history.load(ROOT / "docs")
    assert entries == history.joined([], entries)
    assert all(history.best(entry, case) > 0 for entry in entries for case in entry["ratios"])
