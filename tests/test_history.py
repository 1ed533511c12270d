"""What a training has measured, as plain lists, as JSON and as a table."""

import json
import sys

import pytest

from fastlstm import History

FIGURES = {"loss": [0.5, 0.25, 0.1], "val_loss": [0.75, 0.5, 0.3]}


def test_a_history_goes_through_json():
    history = History.from_dict(FIGURES)
    again = History.from_dict(json.loads(json.dumps(history.to_dict())))
    assert again == history and again.epochs == 3 and repr(again) == "History(3 epochs: loss=0.1, val_loss=0.3)"


def test_what_it_gives_away_is_a_copy():
    history = History.from_dict(FIGURES)
    history.to_dict()["loss"].append(0.0)
    history.add({"loss": 0.05})
    assert history["loss"] == [0.5, 0.25, 0.1, 0.05] and FIGURES["loss"] == [0.5, 0.25, 0.1]


def test_lists_by_name_are_wanted():
    with pytest.raises(TypeError, match="figures: expected lists of numbers by name, got 'loss': 'low'"):
        History.from_dict({"loss": "low"})
    with pytest.raises(TypeError, match="figures: expected lists of numbers by name, got 'loss': 1"):
        History.from_dict({"loss": 1})


def test_a_table_has_a_row_for_each_epoch():
    pytest.importorskip("pandas")
    history = History.from_dict(FIGURES)
    history.add({"loss": 0.05})
    table = history.to_frame()
    assert table.index.tolist() == [1, 2, 3, 4] and table.index.name == "epoch"
    assert table.loc[2].to_dict() == {"loss": 0.25, "val_loss": 0.5}
    assert table.val_loss.isna().tolist() == [False, False, False, True]
    assert History().to_frame().empty


def test_without_pandas_that_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="to_frame needs pandas: pip install pandas"):
        History().to_frame()
