"""What the benchmark makes of times: its clock, its cases, its tables. All of it by a clock of its own."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest

import fastlstm as fl

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(not (ROOT / "bench").exists(), reason="the benchmark is not part of the package")


@pytest.fixture
def bench(monkeypatch):
    """Its modules, imported from the repository."""
    monkeypatch.syspath_prepend(str(ROOT))
    from bench import cases, compare, machine, report, timing

    return type(
        "Bench", (), {"cases": cases, "compare": compare, "machine": machine, "report": report, "timing": timing}
    )


@pytest.fixture
def command(bench):
    """The module behind `python -m bench`, which imports what draws."""
    pytest.importorskip("matplotlib")
    from bench import __main__

    return __main__


def test_cases_of_a_suite_have_different_names(bench):
    for suite in bench.cases.SUITES:
        names = [str(case) for _, case in bench.cases.cases_of(suite)]
        assert len(set(names)) == len(names)


def test_operations_of_a_case_are_those_of_the_gates_of_its_cell(bench):
    gates = {"lstm": 4, "gru": 3, "tanh": 1, "relu": 1}
    for cell, count in gates.items():
        case = bench.cases.Case(7, 5, 3, 8, layers=2, directions=2, cell=cell)
        assert case.recurrent_numbers == 4 * count * 8 * 8
        assert case.forward_flops == 2 * 35 * count * 8 * 2 * ((3 + 8) + (16 + 8))
        assert str(case) == "T7 N5 I3 H8 x2 bi"


@pytest.mark.parametrize("suite", ["calls", "steps", "low-steps"])
def test_whole_models_are_those_of_lstms(command, suite, capsys):
    with pytest.raises(SystemExit):
        command.parse(["--suite", suite, "--cell", "gru"])
    expected = f"--cell: expected lstm with --suite {suite}, which trains whole models of LSTMs, got gru"
    assert expected in capsys.readouterr().err
    assert command.parse(["--suite", suite]).cell == "lstm"


@pytest.mark.parametrize("suite", ["low", "low-steps"])
@pytest.mark.parametrize("options", [["--dtype", "float64"], ["--pictures", "pictures"]])
def test_low_precision_is_lower_than_float32_and_has_no_pictures(command, suite, options, capsys):
    with pytest.raises(SystemExit):
        command.parse(["--suite", suite, *options])
    assert f"--suite {suite}: expected --dtype float32" in capsys.readouterr().err


def test_steps_without_a_name_are_named_by_their_shape(bench):
    assert str(bench.cases.low_step(35, 64, 650, 128, layers=2)) == "T35 N64 I650 H128 x2"
    assert str(bench.cases.SMALL_STEP) == "small model T10 N32"


def test_differences_are_the_largest_or_the_mean(command):
    ours = np.array([-4.0, 2.0, 0.0, 2.0])
    found = ours + np.array([0.0, 0.0, 1.0, 0.0])
    assert command.difference(found, ours, np.max) == 1 / 4
    assert command.difference(found, ours, np.mean) == 1 / 8
    assert command.difference(np.array([1e-9]), np.zeros(1), np.max) == 1e-9
    assert np.isnan(command.difference(np.array([np.nan]), np.ones(1), np.mean))


def test_lengths_that_change_are_the_same_work(bench):
    case = bench.cases.Case(9, 6, 3, 4, ragged=True, orders=5)
    orders = case.ordered_lengths
    assert len(orders) == 5
    assert all(sorted(lengths) == sorted(case.lengths) for lengths in orders)
    assert len({tuple(lengths) for lengths in orders}) == 5


class Clock:
    """A clock whose time passes in calls and pauses only, while so many threads are busy."""

    def __init__(self, busy_in_calls, busy_in_pauses):
        self.busy, self.now, self.cpu = (busy_in_calls, busy_in_pauses), 0.0, 0.0

    def perf_counter(self):
        return self.now

    def process_time(self):
        return self.cpu

    def call(self, seconds=1e-4):
        self.now += seconds
        self.cpu += seconds * self.busy[0]

    def sleep(self, seconds):
        self.now += seconds
        self.cpu += seconds * self.busy[1]


@pytest.fixture
def clock(bench, monkeypatch):
    clock = Clock(busy_in_calls=2, busy_in_pauses=1)
    monkeypatch.setattr(bench.timing, "time", clock)
    return clock


@pytest.mark.parametrize(("pause", "cpu"), [(0, 200), (0.005, 200 + 5000)])
def test_cpu_time_is_that_of_all_threads_and_of_the_pauses(bench, clock, pause, cpu):
    times = bench.timing.measure(clock.call, 0.1, pause)
    assert times.median == pytest.approx(100)
    assert times.cpu == pytest.approx(cpu)
    assert len(times.calls) == pytest.approx(0.1 / (1e-4 + pause), abs=2)


def test_short_calls_are_timed_together_and_slow_ones_three_times(bench, clock):
    timing = bench.timing
    short = timing.measure(lambda: clock.call(1e-6), 0.01)
    assert short.median == pytest.approx(1)
    assert short.cpu == pytest.approx(2)
    assert len(short.calls) == pytest.approx(0.01 / timing.TOGETHER, abs=10)
    assert len(timing.measure(lambda: clock.call(2), 0.01).calls) == 3


def test_a_call_is_measured_in_turn_with_its_core(bench, clock):
    timing = bench.timing
    assert timing.beyond(clock.call, lambda count: 60.0 * count, 0.01) == pytest.approx(40)
    assert timing.beyond(lambda: clock.call(1e-6), lambda count: 0.25 * count, 0.01) == pytest.approx(0.75)


def run_of(bench, suite):
    """A run on one thread and on two: calls take 100 and 60 microseconds, 90 of CPU time."""
    figure = {"median": 100.0, "least": 99.0, "cpu": 90.0, "calls": 5, "beyond": 2.0}
    figures = {
        name: {str(case): [dict(figure)] for _, case in bench.cases.cases_of(suite)}
        for name in ("fastlstm", "fastlstm, prepared")
    }
    speed = {"flops": 100.0, "read": {"L1": 90.0, "memory": 9.0}, "sizes": {"L1": 1 << 15}}
    one = {"figures": figures, "differences": {}, "machine": speed}
    two = copy.deepcopy(one)
    for found in two["figures"].values():
        for [one_figure] in found.values():
            one_figure["median"] = 60.0
    about = {"suite": suite, "dtype": "float32", "processes": 1, "machine": {"processor": "an abacus; two rods"}}
    return {**about, "threads": {"1": one, "2": two}}


def test_load_and_second_threads_are_told(bench):
    result = run_of(bench, "calls")
    one, two = (result["threads"][threads]["figures"] for threads in ("1", "2"))
    one["fastlstm, prepared"]["T1 N1 I64 H64"][0]["cpu"] = 120.0
    one["fastlstm"]["T200 N4 I6 H48 head"][0]["beyond"] = 3.5
    two["fastlstm"]["T20 N4 I32 H64 after 5 ms"][0]["cpu"] = 5000.0  # what threads do in a pause is no load
    first, second = (bench.report.table(result, threads) for threads in ("1", "2"))
    assert "processor: an abacus; two rods\n" in first
    assert "CPU time over threads × time: 1.20, fastlstm, prepared at T1 N1 I64 H64" in first
    assert "fastlstm, beyond the prepared pass, with a head: at most 3.5 microseconds, at T200 N4 I6 H48 head" in first
    assert "CPU time over threads × time: 0.75, fastlstm at T10 N2 I3 H8" in second
    assert "60 (+0%) [5000]" in second
    assert "T20 N4 I32 H64 after 5 ms: on 2 threads fastlstm takes 0.60 of the time on one" in second
    assert " takes " not in first


def test_the_cpu_time_is_that_of_the_best_process(bench):
    result = run_of(bench, "quick")
    figures = result["threads"]["1"]["figures"]["fastlstm"]["T100 N1 I64 H64"]
    figures.append({**figures[0], "median": 50.0, "cpu": 55.0, "beyond": 4.0})
    row = bench.report.rows(result, "1")[0]
    assert (row.best["fastlstm"], row.spread["fastlstm"], row.cpu["fastlstm"]) == (50.0, 2.0, 55.0)
    assert row.load["fastlstm"] == pytest.approx(1.1)
    assert row.beyond["fastlstm"] == 3.0


def test_runs_of_earlier_versions_are_read(bench, tmp_path, capsys):
    result = run_of(bench, "quick")
    new, old = tmp_path / "new.json", tmp_path / "old.json"
    new.write_text(json.dumps({**result, "cell": "lstm"}))
    for part in result["threads"].values():
        del part["figures"]["fastlstm, prepared"]
        for [figure] in part["figures"]["fastlstm"].values():
            del figure["cpu"], figure["beyond"]
    old.write_text(json.dumps(result))
    table = bench.report.table(bench.report.load(str(old)), "1")
    assert "a run of an earlier version: fastlstm's time is that of its prepared pass" in table
    assert "100 (+0%) [–]" in table
    assert "load" not in table
    assert bench.compare.main([str(old), str(new)]) == 0
    printed = capsys.readouterr().out
    assert "fastlstm is the prepared pass in the older run, and predict in the newer one" in printed
    assert "T100 N1 I64 H64                       100       [–]         100      [90]    1.00" in printed


ZEN = """processor	: 0
model name	: AMD EPYC
cpu family	: {family}
model		: {model}
flags		: fpu fma avx2 avx512f avx512_bf16 avx512_vnni{more}
"""


def test_processors_of_one_name_are_told_apart(bench, tmp_path):
    found = []
    for family, model, more in ((25, 17, ""), (26, 2, " avx_vnni avx512_vp2intersect")):
        path = tmp_path / f"{family}"
        path.write_text(ZEN.format(family=family, model=model, more=more))
        found.append(bench.machine.processor(path))
    assert found[0] == ("AMD EPYC (family 25, model 17)", "avx2 fma avx512f avx512_vnni avx512_bf16")
    assert found[1][0] == "AMD EPYC (family 26, model 2)"
    assert found[1][1] == "avx2 fma avx_vnni avx512f avx512_vnni avx512_bf16 avx512_vp2intersect"
    name, instructions = bench.machine.processor(tmp_path / "none")
    assert name
    assert not instructions


def test_low_precision_is_shown_beside_the_peers_of_the_same_precision(bench, command):
    result = run_of(bench, "low")
    part = result["threads"]["1"]
    cases = list(part["figures"]["fastlstm"])
    times = {"fastlstm-bfloat16": 50.0, "fastlstm-int8": 25.0, "openvino-bf16": 60.0, "pytorch-int8": 30.0}
    for name, time in times.items():
        part["figures"][name] = {case: [{**part["figures"]["fastlstm"][case][0], "median": time}] for case in cases}
    part["errors"] = {name: dict.fromkeys(cases, time / 1e4) for name, time in times.items()}
    shown = command.low.table(result, "1")
    assert "1.20 openvino-bf16" in shown
    assert "1.20 pytorch-int8" in shown
    assert "0.83 pytorch-int8" in shown
    part["figures"]["fastlstm-int8x16"] = part["figures"]["fastlstm-int8"]
    assert command.low.table(result, "1").count("1.20 pytorch-int8") == 2 * shown.count("1.20 pytorch-int8")
    del part["figures"]["fastlstm-int8x16"]
    assert command.too_large(part, "float32") == {}
    part["errors"]["pytorch-int8"][cases[0]] = 0.2
    part["errors"]["openvino-bf16"][cases[1]] = float("nan")
    part["errors"]["fastlstm"] = {cases[2]: 2e-3}
    wrong = {f"pytorch-int8/{cases[0]}", f"openvino-bf16/{cases[1]}", f"fastlstm/{cases[2]}"}
    assert command.too_large(part, "float32").keys() == wrong


def low_steps(bench):
    """A run of training steps on one thread: ours 100 microseconds, PyTorch 120, in bfloat16 50 and 60."""
    result = run_of(bench, "low-steps")
    part = result["threads"]["1"]
    cases = list(part["figures"]["fastlstm"])
    times = {"fastlstm": 100.0, "fastlstm-bfloat16": 50.0, "torch": 120.0, "pytorch-autocast": 60.0}
    figure = part["figures"]["fastlstm"][cases[0]][0]
    part["figures"] = {name: {case: [{**figure, "median": time}] for case in cases} for name, time in times.items()}
    errors = {"fastlstm": 1e-6, "fastlstm-bfloat16": 4e-3, "torch": 2e-6, "pytorch-autocast": 8e-3}
    for kind in ("losses", "gradients"):
        part[kind] = {name: dict.fromkeys(cases, error) for name, error in errors.items()}
    return {**result, "threads": {"1": part}}, cases


def test_training_in_low_precision_is_shown_beside_float32_and_the_peer(bench, command):
    result, cases = low_steps(bench)
    (_, _), (_, ratios), (losses, of_losses), (gradients, of_gradients) = command.low.tables(result, "1")
    assert ratios[0] == ["case", "float32: best peer", "bfloat16: float32", "bfloat16: best peer"]
    assert ratios[1] == [cases[0], "1.20 torch", "2.00", "1.20 pytorch-autocast"]
    assert ratios[-1] == ["geometric mean", "1.20", "2.00", "1.20"]
    assert losses == "Largest error of a loss as a share of the float64 loss"
    assert of_losses[1] == [cases[0], "1.0e-06", "4.0e-03", "2.0e-06", "8.0e-03"]
    assert (
        gradients == "Largest error of a parameter's gradients, of their running mean, as a share of those in float64"
    )
    assert of_gradients[1] == [*of_losses[1], "0.50 pytorch-autocast"]
    assert command.too_large(result["threads"]["1"], "float32") == {}
    assert command.low.notes(result, "1") == []


def test_errors_of_training_in_low_precision_are_told_and_others_end_the_run(bench, command):
    result, cases = low_steps(bench)
    part = result["threads"]["1"]
    part["gradients"]["pytorch-autocast"][cases[0]] = 0.2
    part["losses"]["fastlstm-bfloat16"][cases[1]] = float("nan")
    part["gradients"]["torch"][cases[2]] = 2e-3
    assert command.too_large(part, "float32").keys() == {f"torch/{cases[2]}"}
    assert command.low.notes(result, "1") == [
        f"no time can be believed of fastlstm-bfloat16 at {cases[1]}: error of the losses nan",
        f"no time can be believed of pytorch-autocast at {cases[0]}: error of the gradients 2.0e-01",
    ]
    assert "error of the gradients 2.0e-01" in command.low.table(result, "1")


def test_the_page_has_a_section_of_training_in_low_precision(bench, command, tmp_path):
    result, cases = low_steps(bench)
    run = tmp_path / "run.json"
    run.write_text(json.dumps(result))
    assert command.main(["docs", str(run), "--folder", str(tmp_path)]) == 0
    page = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert "\n## Low-steps, float32\n\nWhole training steps in low precision" in page
    assert f"\n| {cases[0]} | 1.20 torch | 2.00 | 1.20 pytorch-autocast |\n" in page
    assert not (tmp_path / "pictures").exists()


def test_errors_are_shares_of_what_is_right(bench):
    from bench import exact

    step = bench.cases.low_step(2, 3, 4, 5)
    right = [np.array([2.0, 4.0]), np.array([3.0, 4.0]), np.ones(4)]
    found = [np.array([2.0, 4.2]), np.array([3.0, 4.5]), np.ones(4)]
    errors = exact.errors_of(step, found, right)
    assert errors == {"losses": pytest.approx(0.05), "gradients": pytest.approx(0.1)}
    found[2] = found[2] * np.nan
    assert np.isnan(exact.errors_of(step, found, right)["gradients"])
    assert exact.errors_of(bench.cases.Case(1, 1, 1, 2), [np.array([0.0, 3.0])], [np.array([-1.0, 3.0])]) == {
        "errors": pytest.approx(0.25)
    }


def test_every_table_of_times_has_cpu_time_beside_it(bench):
    result = run_of(bench, "calls")
    for threads, time in (("1", "100"), ("2", "60")):
        _, *rows = bench.report.columns(result, threads, bench.report.rows(result, threads))
        assert rows
        assert all(f"{time} (+0%) [90]" in cell for row in rows for cell in row[1:3])


def test_tables_of_variants_have_cpu_time(bench, default_threads):
    from bench import variants

    own = {"inference": 10.0, "inference, CPU": 20.0, "training": 40.0, "training, CPU": 50.0}
    rounds = [(own, {key: factor * value for key, value in own.items()}) for factor in (1.0, 1.5, 9.0)]
    rounds = [(one, other | {"training, CPU": 100.0}) for one, other in rounds]
    row = variants.row("peephole", rounds, ".2f")
    assert row.split() == ["peephole", "1.50", "[1.50]", "1.50", "[2.00]"]
    assert len(row) == len(variants.heads("what"))
    found = variants.measure("LSTM", {}, 1, steps=2, seconds=0.001)
    assert set(found) == set(own) and all(value > 0 for value in found.values())


def test_the_table_of_invariance_has_cpu_time(bench, monkeypatch, capsys, default_threads):
    from bench import invariance

    measured = invariance.step_time
    monkeypatch.setattr(invariance, "step_time", lambda *arguments: measured(*arguments, repeats=2))
    invariance.main()
    heads, *rows = capsys.readouterr().out.splitlines()
    assert heads.split() == ["False", "[CPU]", "True", "[CPU]", "ratio"]
    assert len(rows) == 4 and all(row.count("[") == 2 and len(row) == len(heads) for row in rows)


def test_the_table_of_threads_has_the_calls_over_those_of_one_thread(bench, monkeypatch, capsys, default_threads):
    from bench import threads

    model = fl.Model([fl.LSTM(2, 3)], seed=0)
    rate, busy = threads.calls(model, np.ones((1, 2, 2), "f4"), 3, seconds=0)
    assert rate > 0 and busy > 0
    made = {1: (1e5, 10.0), 2: (1.9e5, 10.5), 4: (2e5, 15.0)}
    monkeypatch.setattr(threads, "calls", lambda model, x, count: made[count])
    monkeypatch.setattr(threads.sys, "argv", ["bench.threads", "2", "4"])
    threads.main()
    _, heads, *rows = capsys.readouterr().out.splitlines()
    assert heads.split() == ["µs,", "1", "thread", "2", "threads", "4", "threads"]
    assert [row.split()[-5:] for row in rows] == [["10.0", "1.90", "[1.05]", "2.00", "[1.50]"]] * 3


def test_the_table_of_products_has_cpu_time(bench, monkeypatch, capsys):
    from bench import products

    monkeypatch.setattr(products, "SHAPES", {"one step": [(4, 8, 16, 0, 1)]})
    monkeypatch.setattr(products.os, "sched_setaffinity", lambda *_: None, raising=False)
    assert products.side("tile", "float32", 1)[0][1] > 0
    figures = iter(["[[20.0, 30.0]]", "[[40.0, 60.0]]", "[[10.0, 15.0]]", "[[50.0, 70.0]]"])
    done = type("Done", (), {})
    monkeypatch.setattr(products.subprocess, "run", lambda *_, **__: setattr(done, "stdout", next(figures)) or done)
    products.main(["--processes", "2"])
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.split()[-6:] == ["10.0", "[15.0]", "0.1", "40.0", "[60.0]", "4.00"]
