"""What notebooks show: tables and pictures that need nothing from elsewhere, with words escaped."""

import base64
import pickle
import re
import sys
import types
import zlib
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import fastlstm as fl
from fastlstm import html
from fastlstm.callbacks import bar
from fastlstm.forecasting import LSTMForecaster
from fastlstm.training.history import History

EVIL = "<script>alert('&')</script>"


def parsed(text):
    """The elements; ElementTree refuses what is not closed or not escaped."""
    root = ElementTree.fromstring(f"<div>{text}</div>")
    assert not [one for one in root.iter() if one.tag in ("script", "link", "iframe", "object")]
    sources = [one.get("src") for one in root.iter() if one.get("src")]
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http" not in text and not re.search(r"\son\w+=", text)
    return root


def cells(root):
    return [["".join(cell.itertext()) for cell in row] for row in root.iter("tr")]


def points(root, tag="polyline"):
    return [[tuple(map(float, pair.split(","))) for pair in one.get("points").split()] for one in root.iter(tag)]


def test_a_model_is_a_table_of_its_layers():
    model = fl.Model([fl.LSTM(3, 8), fl.Last(), fl.Dense(8, 1, trainable=False)], seed=0)
    root = parsed(model._repr_html_())
    assert cells(root) == [
        ["", "layer", "output shape", "parameters"],
        ["0", "LSTM", "(N, T, 8)", "384"],
        ["1", "Last", "(N, 8)", "0"],
        ["2", "Dense", "(N, 1)", "9"],
        ["", "total", "", "393"],
        ["", "of them frozen", "", "9"],
    ]
    assert root.find(".//caption").text == "Model, float32, (N, T, 3) to (N, 1)"


def test_a_model_shows_the_layers_that_others_hold():
    model = fl.Model([fl.LSTM(3, 8), fl.Residual([fl.Dense(8, 8)])], seed=0)
    assert [row[:2] for row in cells(parsed(model._repr_html_()))[1:4]] == [
        ["0", "LSTM"],
        ["1", "Residual"],
        ["1.0", "Dense"],
    ]


def test_words_are_escaped():
    root = parsed(html.table((EVIL,), [(EVIL,)], EVIL) + html.line({EVIL: [1, 2]}, title=EVIL))
    assert cells(root) == [[EVIL], [EVIL]] and root.find(".//caption").text == EVIL
    assert "".join(root.itertext()).count(EVIL) == 5
    named = type(EVIL, (fl.Dropout,), {"__init__": lambda self: fl.Dropout.__init__(self, 0.5)})
    try:
        assert cells(parsed(fl.Model([fl.LSTM(1, 2), named()])._repr_html_()))[2][1] == EVIL
    finally:
        fl.Layer.registry.pop(EVIL)
    assert parsed(html.picture(np.zeros((1, 1)), 0, 1, EVIL)).find(".//small").text == EVIL


def test_a_history_has_a_row_and_a_curve_of_each_figure():
    history = History.from_dict({"loss": [4, 2, 3], "val_loss": [5, 4, 1], EVIL: [0.5, float("nan"), 0.25]})
    root = parsed(history._repr_html_())
    assert cells(root)[1:3] == [["loss", "4", "3", "2", "4"], ["val_loss", "5", "1", "1", "5"]]
    assert cells(root)[3][0] == EVIL and len([*root.iter("svg")]) == 2
    loss, held_out, *pieces = points(root)
    assert [len(one) for one in (loss, held_out, *pieces)] == [3, 3, 2, 2]
    assert loss[0][0] == held_out[0][0] == html.EDGE and loss[-1][0] == html.WIDTH - html.EDGE
    assert held_out[0][1] == html.EDGE and held_out[-1][1] == html.HEIGHT - html.EDGE  # the highest, the lowest
    assert loss[2][1] == pytest.approx(html.HEIGHT / 2)


def test_an_empty_history_and_one_of_one_epoch_have_no_picture():
    for history in (History(), History.from_dict({"loss": [1.0]}), History.from_dict({"loss": [float("nan")] * 3})):
        assert not [*parsed(history._repr_html_()).iter("svg")]


@pytest.mark.parametrize("curve", [[2.0, 2.0], [1e300, -1e300], [0, np.inf, 1]])
def test_curves_stay_in_the_picture(curve):
    for piece in points(parsed(html.line({"y": curve}))):
        assert all(0 <= x <= html.WIDTH and 0 <= y <= html.HEIGHT for x, y in piece)


def frame(name, values, missing=()):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    table = pandas.DataFrame({name: values}, pandas.date_range("2020-01-31", periods=len(values), freq="D", tz="UTC"))
    table.iloc[[*missing], 0] = np.nan
    return table


def test_a_forecaster_shows_its_parameters_and_then_what_it_has_learned(tmp_path):
    forecaster = LSTMForecaster(7, window=10, epochs=2, patience=1)
    root = parsed(forecaster._repr_html_())
    assert cells(root)[:3] == [["parameter", "value"], ["season", "7"], ["window", "10"]]
    assert root.find(".//caption").text == "LSTMForecaster, which has learned nothing yet"
    values = np.sin(np.arange(100.0))
    forecaster.fit(frame(EVIL, values, missing=[50, 51]), fh=5)
    root = parsed(forecaster._repr_html_())
    facts = dict(cells(root)[1:])
    assert facts.pop("believed of what it says (share_)") == f"{forecaster.share_:.4g}"
    assert int(facts.pop("parameters of the network").replace(",", "")) > 1000
    assert facts == {
        "series": "1", "values": "100", "of them missing": "2", "from": "2020-01-31", "to": "2020-05-09",
        "columns beside them": "none", "horizon": "5", "season": "7", "window": "10",
    }  # fmt: skip
    assert root.find(".//caption").text == repr(forecaster)
    assert len([*root.iter("svg")]) == 2 and f"{EVIL}:" in "".join(root.itertext())
    loss, held_out, forecast, shown = points(root)
    assert len(loss) == len(held_out) == forecaster.history_.epochs and (len(forecast), len(shown)) == (5, 24)
    (band,) = points(root, "polygon")
    assert len(band) == 10 and forecast[0][0] == band[0][0] > shown[-1][0]
    forecaster.save(tmp_path / "a.safetensors")  # which does not keep the losses
    again = parsed(LSTMForecaster.load(tmp_path / "a.safetensors")._repr_html_())
    assert len([*again.iter("svg")]) == 1 and points(again) == [forecast, shown]


def test_a_forecaster_of_much_or_of_columns_to_come_is_not_asked_for_a_forecast():
    values = np.sin(np.arange(3001.0))
    for given in ((values,), (values[:60], np.ones(60))):
        root = parsed(LSTMForecaster(1, window=3, epochs=1, max_windows=50).fit(*given, fh=2)._repr_html_())
        assert not points(root, "polygon") and "share_" in "".join(root.itertext())


def test_a_forecaster_of_several_series_shows_the_first_few():
    values = np.random.default_rng(0).normal(size=(50, 8))
    root = parsed(LSTMForecaster(1, epochs=1).fit(values, fh=2)._repr_html_())
    titles = [one.text.partition(":")[0] for one in root.iter("small")][-6:]
    assert titles == [*"012345"] and len(points(root, "polygon")) == 6
    assert dict(cells(root)[1:])["from"] == "0" and dict(cells(root)[1:])["to"] == "49"


@pytest.mark.parametrize("scaling", ["instance", "log"])
def test_a_backtest_shows_its_errors_and_forecasts(scaling):
    values = np.exp(np.sin(np.arange(80.0))) + 1
    forecaster = LSTMForecaster(1, epochs=1, scaling=scaling)
    backtest = forecaster.backtest(frame(EVIL, values), fh=3, origins=2, step=5)
    assert np.allclose(backtest.panel.values[0], values, rtol=1e-12)
    root = parsed(backtest._repr_html_())
    own, naive = backtest.scores["fastlstm"], backtest.scores["last value"]
    assert cells(root) == [
        ["forecast", "MAE", "RMSE", "MASE"],
        ["fastlstm", f"{own.mae:.4g}", f"{own.rmse:.4g}", f"{backtest.mase:.4g}"],
        ["last value", f"{naive.mae:.4g}", f"{naive.rmse:.4g}", f"{backtest.naive_mase:.4g}"],
    ]
    assert root.find(".//caption").text == (
        f"Backtest of 1 series from 2 origins, 3 steps each; {backtest.coverage:.1%} of the values are within the "
        "intervals"
    )
    first, second, shown = points(root)
    assert (len(first), len(second), len(shown)) == (3, 3, 24 + 8)
    assert first[0][0] == shown[24][0] and second[-1][0] == shown[-1][0]
    assert [len(band) for band in points(root, "polygon")] == [6, 6]
    missing = replace(backtest, truth=np.full_like(backtest.truth, np.nan))
    assert cells(parsed(missing._repr_html_()))[1] == ["fastlstm", "nan", "nan", "nan"]


def test_estimators_are_shown_before_and_after_they_have_learned():
    """By the diagram of scikit-learn."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from fastlstm.estimators import LSTMClassifier, LSTMRegressor, SequenceTagger

    for estimator in (LSTMClassifier(4, class_weight={EVIL: 1}), LSTMRegressor(4), SequenceTagger(4)):
        shown = estimator._repr_mimebundle_()["text/html"]
        assert type(estimator).__name__ in shown and EVIL not in shown
    x, y = np.random.default_rng(0).normal(size=(8, 3)), np.arange(8.0)
    pipeline = make_pipeline(StandardScaler(), LSTMRegressor(4, max_iter=1, random_state=0)).fit(x, y)
    for fitted in (pipeline, pipeline[-1]):
        assert "hidden_size" in fitted._repr_mimebundle_()["text/html"]


def pixels(source):
    """Read a grey PNG without filters."""
    data, parts = base64.b64decode(source.partition(",")[2]), {}
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at = 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        name, part = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert int.from_bytes(data[at + 8 + size : at + 12 + size], "big") == zlib.crc32(name + part)
        parts[name] = part
        at += 12 + size
    width, height = (int.from_bytes(parts[b"IHDR"][k : k + 4], "big") for k in (0, 4))
    rows = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert (rows[:, 0] == 0).all()
    return rows[:, 1:]


def test_gates_are_pictures():
    lstm = fl.LSTM(2, 3, seed=0)
    gates = lstm.gates(np.random.default_rng(0).normal(size=(2, 5, 2)))
    root = parsed(gates._repr_html_())
    images = [*root.iter("img")]
    titles = [one.text.partition(",")[0] for one in root.iter("small")]
    assert titles == ["input", "forget", "output", "candidate", "cell", "hidden"]
    for image, name in zip(images[:3], titles, strict=False):
        shown = pixels(image.get("src"))
        assert shown.shape == (3, 5)
        assert np.abs(255 - shown.astype(float) - 255 * getattr(gates, name)[0].T).max() <= 0.51
    assert pixels(images[4].get("src")).min() == 0 or pixels(images[4].get("src")).max() == 255


def test_a_picture_of_equal_or_missing_numbers_is_one():
    found = pixels(parsed(html.picture(np.array([[1.0, np.nan]]), 1, 1, "")).find(".//img").get("src"))
    assert found.tolist() == [[255, 255]]


@pytest.fixture
def notebook(monkeypatch):
    """As in a notebook, whose shell has a kernel."""
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    return shell


def trained(**given):
    model = fl.Model([fl.LSTM(1, 2), fl.Last(), fl.Dense(2, 1)], seed=0)
    fl.Trainer(model, "mse").fit(np.ones((4, 3, 1)), np.ones(4), epochs=1, **given)


def test_a_notebook_has_a_bar(notebook, monkeypatch, capsys):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(bar, "find_spec", lambda name: None)
    trained()
    assert "epoch 1/1" in capsys.readouterr().err
    trained(progress=False)
    assert capsys.readouterr().err == ""


def test_a_notebook_with_widgets_has_a_bar_of_its_own(notebook, monkeypatch):
    tqdm = pytest.importorskip("tqdm")
    drawn = []

    class Bar(tqdm.tqdm):
        def __init__(self, *args, **options):
            drawn.append(options["total"])
            super().__init__(*args, **options)

    monkeypatch.setattr(bar, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "tqdm.notebook", types.SimpleNamespace(tqdm_notebook=Bar))
    trained()
    assert drawn == [4]


def test_a_shell_of_a_terminal_is_no_notebook(notebook, capsys):
    del notebook.kernel
    trained()
    assert capsys.readouterr().err == ""


def test_a_forecaster_and_estimators_have_a_bar_in_a_notebook(notebook, monkeypatch, capsys):
    pytest.importorskip("tqdm")
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from sklearn.base import clone

    from fastlstm.estimators import LSTMRegressor

    monkeypatch.setattr(bar, "find_spec", lambda name: None)
    forecaster, y = LSTMForecaster(1, epochs=2, window=5), np.sin(np.arange(60.0))
    forecaster.fit(y, fh=2)
    assert "epoch 2/2" in capsys.readouterr().err
    forecaster.fit(y, fh=2, progress=False)
    assert capsys.readouterr().err == ""
    x = np.random.default_rng(0).normal(size=(8, 3))
    plain = LSTMRegressor(4, max_iter=2, random_state=0).fit(x, x[:, 0])
    assert capsys.readouterr().err == ""  # as those of scikit-learn
    shown = clone(plain).set_params(callbacks=[fl.callbacks.ProgressBar()])
    for each in (shown, clone(shown)):  # each has a bar of its own
        each.fit(x, x[:, 0])
        assert "epoch 2/2" in capsys.readouterr().err
    assert pickle.loads(pickle.dumps(shown)).predict(x).tolist() == shown.predict(x).tolist()


def test_a_forecaster_of_an_earlier_version_shows_what_its_file_says():
    file = Path(__file__).parent / "earlier" / "plain.safetensors"
    forecaster = LSTMForecaster.load(file)
    before = parsed(forecaster._repr_html_())
    facts = dict(cells(before)[1:])
    assert sorted(facts) == ["horizon", "parameters of the network", "season", "window"] and not [*before.iter("svg")]
    known = forecaster.update(np.sin(np.arange(200.0)))
    facts = dict(cells(parsed(known._repr_html_()))[1:])
    assert facts["values"] == "200" and facts["horizon"] == str(len(known.predict()))
