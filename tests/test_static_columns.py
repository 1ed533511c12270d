"""Columns of a file with one value for each group of rows: reading them, and the command that learns from them."""

import numpy as np
import pytest

from fastlstm import cli
from fastlstm.forecasting import LSTMForecaster
from fastlstm.forecasting.frames import Frames
from fastlstm.forecasting.read_series import read_groups

pytest.importorskip("pandas")


@pytest.fixture
def shops(tmp_path):
    """Two shops of 36 days; the size and the kind of shop stand in each row, or in one of them."""
    lines = []
    for k, day in enumerate(np.datetime64("2024-01-01") + np.arange(36)):
        first = k == 0
        lines.append(f"{day},north,1200,corner,{100 + k % 7},{k}")
        lines.append(f"{day},south,{'3500.5' if first else ''},mall,{300 + k % 7},{k}")
    path = tmp_path / "shops.csv"
    path.write_text("\n".join(["day,shop,area,kind,sales,visits", *lines]) + "\n")
    return path


def test_numbers_and_words_of_each_group_are_read(shops):
    found, _ = read_groups(shops, ["sales"], ["shop"], static=["area", "kind", "shop"])
    assert [dict(one.static) for one in found] == [
        {"area": 1200.0, "kind": "corner", "shop": "north"},
        {"area": 3500.5, "kind": "mall", "shop": "south"},
    ]
    frames = Frames.of(found, 1)
    assert frames.static.index.tolist() == ["north", "south"] and frames.static["area"].dtype == float
    assert Frames.of(read_groups(shops, ["sales"], ["shop"])[0], 1).static is None


def test_each_target_of_a_group_has_its_values(shops):
    found, _ = read_groups(shops, ["sales", "visits"], ["shop"], static=["kind"])
    static = Frames.of(found, 2).static
    assert static["kind"].to_dict() == {
        "north / sales": "corner", "north / visits": "corner", "south / sales": "mall", "south / visits": "mall",
    }  # fmt: skip


def test_a_column_may_be_called_like_that_of_the_series(shops):
    shops.write_text(shops.read_text().replace("shop", "unique_id", 1))
    found, _ = read_groups(shops, ["sales"], ["unique_id"], static=["unique_id", "kind"])
    frames = Frames.of(found, 1)
    assert list(frames.static) == ["unique_id'", "kind"]
    LSTMForecaster(epochs=1, hidden_size=4).fit(frames.y, fh=2, static=frames.static)


@pytest.mark.parametrize(
    ("edit", "groups", "static", "message"),
    [
        (None, [], ["kind"], "static: expected groups, each of which has one value, got one series"),
        (None, ["shop"], ["color"], "static: expected one of the columns of"),
        (None, ["shop"], ["sales"], "static: expected columns that are not read otherwise, each once, got 'sales'"),
        (None, ["shop"], ["kind", "4"], "static: expected columns that are not read otherwise, each once, got 'kind'"),
        (
            ("2024-01-03,north,1200,corner", "2024-01-03,north,1200,kiosk"),
            ["shop"],
            ["kind"],
            "line 6, column 'kind': expected one value for each group, got 'kiosk' after 'corner' in 'north'",
        ),
        (("3500.5", "inf"), ["shop"], ["area"], "column 'area': expected finite numbers, got 'inf'"),
        (("3500.5", ""), ["shop"], ["area"], "column 'area': expected a value for each group, got only missing ones"),
    ],
)
def test_what_is_not_one_value_for_each_group_is_refused(shops, edit, groups, static, message):
    text = shops.read_text() if groups else "day,kind,sales\n2024-01-01,a,1\n2024-01-02,a,2\n"
    shops.write_text(text.replace(*edit) if edit else text)
    with pytest.raises(ValueError) as error:
        read_groups(shops, ["sales"], groups, static=static)
    assert message in str(error.value)


def test_numbers_that_can_be_read_in_two_ways_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    rows = [f"{shop};{area};{k}\n" for shop, area in (("a", "1,200"), ("b", "3,500")) for k in range(9)]
    path.write_text("".join(["shop;area;x\n", *rows]))
    with pytest.raises(ValueError, match="column 'area': expected numbers that can be read in one way only"):
        read_groups(path, ["x"], ["shop"], "none", static=["area"])
    found, _ = read_groups(path, ["x"], ["shop"], "none", static=["area"], decimal=".")
    assert [one.static["area"] for one in found] == [1200.0, 3500.0]


def test_the_command_learns_from_them(shops, tmp_path):
    pytest.importorskip("matplotlib")
    words = ["--target", "sales", "--group", "shop", "--static", "area", "kind", "--horizon", "3"]
    words += ["--epochs", "2", "--hidden", "4", "--output", str(tmp_path)]
    assert cli.main(["forecast", str(shops), *words]) == 0
    static = LSTMForecaster.load(tmp_path / "model.safetensors")._known[0].static
    assert static.names == ["area", "kind"] and static.words == [None, ["corner", "mall"]]
