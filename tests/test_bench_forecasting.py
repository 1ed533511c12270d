"""The benchmark of forecasters: its figures, its halves, what is kept, and the command from series to tables."""

import importlib
import json
import re
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(not (ROOT / "bench").exists(), reason="the benchmark is not part of the package")


@pytest.fixture
def bench(monkeypatch):
    """Its modules, imported from the repository."""
    pytest.importorskip("pandas")
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.chdir(ROOT)  # where its processes find it, behind the package that is installed
    from bench import forecasting

    for name in ("__main__", "cold", "data", "kept", "page", "panel", "protocol", "report", "scores", "worker"):
        importlib.import_module(f"{forecasting.__name__}.{name}")
    return forecasting


def case_of(bench, name="sales", frequency="quarterly", half="report", origin=0, train=None, test=(3.0, 4.0)):
    train = np.arange(20.0) if train is None else np.asarray(train, float)
    return bench.data.Case(name, name, half, frequency, "2000-01-01", origin, train, np.asarray(test, float))


def line_of(case, mean, quantiles=None, version="1", **more):
    told = {
        "forecast": {"mean": list(mean), "quantiles": quantiles},
        "seconds": {"wall": [1.0, 0.5], "cpu": [0.5, 0.25]},
    }
    return {"case": case.key, "values": case.fingerprint(), "version": version, **told, **more}


def test_mase_and_smape_by_hand(bench):
    # The values four quarters before are 4 away but for the last, which is 8 away: the scale is (3 * 4 + 8) / 4
    case = case_of(bench, train=[0, 1, 2, 3, 4, 5, 6, 11], test=[10, np.nan, 0])
    found = bench.protocol.measures(case, bench.protocol.Forecast(np.array([14.0, 99.0, 0.0])))
    assert found == {"mase": pytest.approx((4 + 0) / 2 / 5), "smape": pytest.approx((200 * 4 / 24 + 0) / 2)}


def test_crps_of_a_normal_distribution_is_near_its_closed_form(bench):
    sure = NormalDist(10, 2)
    quantiles = np.array([[sure.inv_cdf(level)] for level in bench.protocol.LEVELS])
    case = case_of(bench, train=np.arange(8.0), test=[13.0])
    z, standard = 1.5, NormalDist()
    closed = 2 * (z * (2 * standard.cdf(z) - 1) + 2 * standard.pdf(z) - 1 / np.sqrt(np.pi))
    found = bench.protocol.measures(case, bench.protocol.Forecast(np.array([10.0]), quantiles))
    # The integral over all levels is 0.05 times the sum of 19: 0.95 times the mean
    assert found["crps"] * 4 * 0.95 == pytest.approx(closed, rel=0.01)
    assert found["coverage"] == 1.0


def test_pinball_loss_and_coverage_by_hand(bench):
    levels = np.array(bench.protocol.LEVELS)
    quantiles = np.full((19, 3), 5.0)
    case = case_of(bench, train=np.arange(8.0), test=[7.0, 4.0, 5.0])
    found = bench.protocol.measures(case, bench.protocol.Forecast(np.full(3, 5.0), quantiles))
    assert found["crps"] == pytest.approx(2 * np.mean([2 * levels, 1 - levels, 0 * levels]) / 4)
    assert found["coverage"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("mean", "quantiles", "told"),
    [
        ([np.nan], None, "the forecast is not finite"),
        ([1.0], np.ones((3, 1)), r"expected quantiles \(19, 1\), got \(3, 1\)"),
    ],
)
def test_forecasts_that_are_none_are_refused(bench, mean, quantiles, told):
    with pytest.raises(ValueError, match=told):
        bench.protocol.Forecast(np.array(mean), quantiles)


def test_halves_are_disjoint_and_stay_as_they_are(bench):
    groups = ["nile", "lynx", "shampoo", "sunspots", "macrodata", "covid", "ETTh1", "pollution"]
    halves = [bench.data.half_of(group) for group in groups]
    assert halves == [*["tuning"] * 3, *["report"] * 3, "tuning", "report"]
    source = bench.data.Source(
        "nile", "yearly", "1871-01-01", lambda: {"a": np.arange(60.0), "b": np.arange(60.0) ** 1.5}
    )
    cases = bench.data.cases([source])
    assert {case.half for case in cases} == {bench.data.half_of("nile")} and len({case.key for case in cases}) == 6


def test_each_moment_knows_only_what_came_before(bench):
    values = np.concatenate([[np.nan, np.nan], np.arange(45.0)])
    values[12] = np.nan
    source = bench.data.Source("a", "quarterly", "2000-01-01", lambda: {"x": values, "still": np.ones(40)})
    cases = bench.data.cases([source])
    assert [case.name for case in cases] == ["a, x, quarterly"] * 3  # one that never changes has no scale
    assert [case.origin for case in cases] == [0, 1, 2]
    for case in cases:
        end = 45 - 8 * (case.origin + 1)
        np.testing.assert_array_equal(case.test, np.arange(end, end + 8.0))
        assert len(case.train) == end and case.train[10] == 9.0 and case.train[11] == 11.0
        assert (
            len(case.dates()) == end
            and bench.data.Case.from_dict(json.loads(json.dumps(case.as_dict()))).key == case.key
        )


def test_sources_that_are_not_here_are_named(bench, monkeypatch):
    monkeypatch.delenv("FASTLSTM_DATA", raising=False)
    source = bench.data.Source("x", "monthly", "2000-01-01", lambda: bench.data.SOURCES[0].read())
    with pytest.warns(UserWarning, match=r"x \(monthly\) is left out: FASTLSTM_DATA is not set"):
        assert bench.data.cases([source]) == []


def test_a_run_goes_on_from_what_is_kept(bench, tmp_path, monkeypatch):
    cases = [case_of(bench, name, origin=origin) for name in ("a", "b") for origin in (1, 0)]
    bench.kept.save_cases(tmp_path, cases)
    seen = []

    def fit(chosen):
        seen.extend(case.key for case in chosen)
        if chosen[0].key == "b -1":
            raise ValueError("no")
        return lambda: [bench.protocol.repeated(case) for case in chosen]

    monkeypatch.setattr(bench.kept, "version_of", lambda name: "2")
    monkeypatch.setattr(bench.worker.CONTENDERS["auto_ets"].__class__, "fit", lambda self, name: fit)
    bench.kept.add_line(tmp_path, "auto_ets", line_of(cases[0], [1.0, 2.0], version="2"))
    bench.kept.add_line(tmp_path, "auto_ets", line_of(cases[1], [1.0, 2.0], version="1"))
    bench.worker.main("auto_ets", tmp_path)
    assert seen == ["a -0", "b -0", "b -1"]  # the last moments first
    bench.worker.main("auto_ets", tmp_path)
    assert len(seen) == 3
    lines = bench.kept.lines_of(tmp_path, "auto_ets", cases)
    assert lines["b -1"]["reason"] == "ValueError: no" and lines["a -0"]["version"] == "2"
    assert all(len(times) == 2 and min(times) >= 0 for times in lines["a -0"]["seconds"].values())
    other = [case_of(bench, "a", train=np.arange(21.0))]
    assert bench.kept.lines_of(tmp_path, "auto_ets", other) == {}


def test_panels_learn_from_one_half_frequency_and_moment(bench):
    cases = [
        case_of(bench, "e", "weekly"),
        case_of(bench, "a", "monthly"),
        case_of(bench, "b", "quarterly"),
        case_of(bench, "c", "quarterly", half="tuning"),
        case_of(bench, "d", "quarterly"),
        case_of(bench, "d", "quarterly", origin=1),
    ]
    found = [[case.key for case in batch] for batch in bench.worker.batches(cases, panel=True)]
    assert found == [["b -0", "d -0"], ["a -0"], ["c -0"], ["d -1"], ["e -0"]]
    asked = bench.worker.CONTENDERS["darts_lstm"].asked(cases)
    assert [case.key for case in asked] == ["e -0", "a -0", "b -0", "d -0"]


@pytest.fixture
def folder(bench, tmp_path):
    """A folder of three contenders: one complete, one that has failed once, and one that has not come to its end."""
    cases = [
        case_of(bench, "a"),
        case_of(bench, "b", "monthly", train=np.arange(40.0) % 13),
        case_of(bench, "c", half="tuning"),
    ]
    bench.kept.save_cases(tmp_path, cases)
    wide = np.linspace(0, 9, 19)[:, None].repeat(2, 1).tolist()
    for case, mean in zip(cases, ([3.0, 5.0], [4.0, 4.0], [3.0, 4.0]), strict=True):
        bench.kept.add_line(tmp_path, "lstm_forecaster", line_of(case, mean, wide))
    for case in cases[1:]:
        bench.kept.add_line(tmp_path, "auto_ets", line_of(case, [2.0, 4.0], wide))
    failed = {**line_of(cases[0], []), "forecast": None, "reason": "ValueError: no"}
    bench.kept.add_line(tmp_path, "auto_ets", failed)
    bench.kept.add_line(tmp_path, "auto_arima", line_of(cases[0], [3.0, 4.0]))
    return tmp_path


def test_a_row_shows_contenders_that_have_forecast_all_of_it(bench, folder, capsys):
    assert bench.__main__.main(["--keep", str(folder), "--report"]) == 0
    told = capsys.readouterr().out
    report = told.partition("## The half of the report")[2].partition("\n## ")[0]
    assert "AutoARIMA was ended after 1 of 2 forecasts, for its time." in report
    # Of a: errors 0 and 1 over 4, and 0 and 0; the last quarters again, 16 and 17, miss by 13 each
    assert "|  | series | forecasts | AutoETS | AutoARIMA | LSTMForecaster |" in report
    assert "| quarterly | 1 | 1 | 3.25 | **0.00** | 0.12 |" in report
    assert re.search(r"\| monthly \| 1 \| 1 \| \S+ \|  \| \S+ \|", report)
    assert "| quarterly | 1 | 1 |  |  | 100 |" in report and "| all | 2 | 2 | 100 |  | 100 |" in report
    assert (
        "| AutoETS | 2 | 1.0 | 0.5 | 3.0 | 1.00 | 1 |" in report
        and "| AutoARIMA | 1 | 0.5 | 0.2 | 1.5 | 1.00 | 0 |" in report
    )
    assert "| LSTMForecaster | 75 % | 0 % |" in report  # ahead of AutoETS once, and once level
    assert "## The half for tuning" in told and "AutoARIMA" not in told.partition("for tuning")[2]


def test_the_page_says_what_was_measured(bench, folder, tmp_path, capsys):
    with pytest.raises(ValueError, match="the page takes all cases: panel, cold is not kept yet"):
        (folder / "machine.json").write_text('{"processor": "a processor", "statsforecast": "2.0"}')
        bench.__main__.main(["--keep", str(folder), "--report", "--page", "--output", str(tmp_path)])
    times = {"wall": 30.0, "cpu": 55.0}
    panel = {"series": 10_000, "fit": times, "predict": times, "interval": times, "memory": 100.0}
    panel |= {"share": 0.5, "mase": 0.8, "naive": 1.0, "coverage": 0.9}
    (folder / "panel.json").write_text(json.dumps(panel))
    figures = {"mase": 1.5, "naive": 1.75, "coverage": 0.88, "series": 14}
    (folder / "cold.json").write_text(json.dumps({"monthly": {"1": figures, "2": figures}}))
    bench.__main__.main(["--keep", str(folder), "--report", "--page", "--output", str(tmp_path)])
    page = (tmp_path / "forecasting-benchmark.md").read_text(encoding="utf-8")
    assert "3 series, 3 forecasts: 2 in the half of the report and 1 in the half for tuning." in page
    assert "- processor: a processor\n- statsforecast: 2.0" in page and "<!--" not in page
    assert (
        "| fit | 30.0 | 55.0 | 300 |" in page
        and "| 2 | 1.50 | 1.75 | 88 |" in page
        and "over\n14 monthly series," in page
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--page"], "--report and --page: expected --keep FOLDER"),
        (["--report", "--keep", "nowhere"], "--keep: expected a folder with cases.json"),
        (["--keep", "x", "--page", "--half", "report"], "--page: expected all cases of both halves"),
    ],
)
def test_words_that_do_not_go_together_are_refused(bench, words, told, capsys):
    with pytest.raises(SystemExit):
        bench.__main__.main(words)
    assert told in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_goes_from_series_to_tables(bench, tmp_path, monkeypatch, capsys):
    """On two short series, without any peer."""
    steps = np.arange(26.0)
    rng = np.random.default_rng(0)
    series = {name: 10 + steps * slope + rng.normal(0, 1, 26) for name, slope in (("up", 0.5), ("down", -0.2))}
    source = bench.data.Source("two", "quarterly", "2000-01-01", lambda: series)
    cases = bench.data.cases([source])
    monkeypatch.setattr(bench.data, "cases", lambda: cases)
    words = ["--contenders", "lstm_forecaster", "lstm_forecaster_panel", "--case", "accuracy", "--keep", str(tmp_path)]
    assert bench.__main__.main(words) == 0
    told = capsys.readouterr().out
    assert "| quarterly | 2 | 2 |" in told and "LSTMForecaster, panel" in told
    lines = [json.loads(line) for line in (tmp_path / "lstm_forecaster.jsonl").read_text().splitlines()]
    assert len(lines) == 2 and all(len(line["forecast"]["quantiles"]) == 19 for line in lines)


def test_cold_series_are_cut_and_the_others_are_not(bench, monkeypatch):
    """By a forecaster that says 30 of each whole series, and of a cut one the number of its values."""
    cases = [case_of(bench, name, train=np.arange(20.0), test=[9.0]) for name in "abc"]
    panels = []

    def fit(panel):
        panels.append([len(case.train) for case in panel])
        levels = np.zeros((19, 1))
        return lambda: [
            bench.protocol.Forecast(np.array([30.0 if len(case.train) == 20 else len(case.train)]), levels)
            for case in panel
        ]

    monkeypatch.setattr(bench.worker.CONTENDERS["auto_ets"].__class__, "fit", lambda self, name: fit)
    found = bench.cold.measured([*cases, case_of(bench, "d", half="tuning")], lengths=(1, 5))
    assert panels == [[1, 20, 1], [20, 1, 20], [5, 20, 5], [20, 5, 20]]
    one, five = found["quarterly"]["1"], found["quarterly"]["5"]
    assert one == {"mase": 2.0, "naive": 2.5, "coverage": 0.0, "series": 3}  # (9 - 1) / 4, and (19 - 9) / 4
    assert five["mase"] == 1.0 and five["naive"] == (16 - 9) / 4  # the last season again begins four quarters before
    assert bench.cold.cut(cases[0], 5).dates()[-1] == cases[0].dates()[-1]


@pytest.mark.slow
def test_many_series_at_once_are_measured(bench):
    values = bench.panel.made(20)
    assert values.shape == (20, 112) and (values > 0).all()
    np.testing.assert_array_equal(values, bench.panel.made(20))
    found = bench.panel.measured(20)
    assert found["fit"]["cpu"] > 0 and found["memory"] >= 0 and 0 < found["mase"] < found["naive"]
    assert "| fit | " in bench.panel.table(found) and 0.5 < found["coverage"] <= 1
