"""What notebooks show: tables and pictures that need nothing from elsewhere, with words escaped."""

import base64
import re
import sys
import types
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest

import fastlstm as fl
from fastlstm import html
from fastlstm.callbacks import bar
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
