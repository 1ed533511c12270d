"""Series in the containers of NumPy and pandas as a panel, and forecasts in the same container."""

import numpy as np
import pytest

from fastlstm.forecasting.covariates import Covariates, columns_of, future_of, held
from fastlstm.forecasting.data import Data
from fastlstm.forecasting.grid import grid_of
from fastlstm.forecasting.panel import panel_of
from fastlstm.forecasting.seasons import season_of
from fastlstm.forecasting.static import Static

pd = pytest.importorskip("pandas")


def months(count, start="2020-01-31", freq="ME"):
    return pd.date_range(start, periods=count, freq=freq)


def long(ids=("b", "a"), counts=(3, 2), start="2024-01-01"):
    parts = [pd.DataFrame({"unique_id": i, "ds": pd.date_range(start, periods=n), "y": np.arange(n) + 1.0})
             for i, n in zip(ids, counts, strict=True)]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(
    "freq, season, following",
    [
        ("ME", 12, "2020-06-30"), ("MS", 12, "2020-07-01"), ("QE", 4, "2021-06-30"), ("YE", 1, "2025-12-31"),
        ("W-SUN", 52, "2020-03-08"), ("D", 7, "2020-02-05"), ("D", 7, "2020-02-05"),
        ("h", 24, "2020-01-31T05"), ("30min", 48, "2020-01-31T02:30"), ("min", 60, "2020-01-31T00:05"),
    ],
)  # fmt: skip
def test_dates_go_on_at_their_frequency(freq, season, following):
    series = pd.Series(np.arange(5.0), months(5, freq=freq))
    series.index.freq = None
    panel = panel_of(series)
    assert panel.grid.season == season
    found = panel.given_back(np.ones((1, 2)))
    assert found.index[0] == pd.Timestamp(following) and len(found) == 2


@pytest.mark.parametrize("freq", ["MS", "ME", "QS", "YE", "B", "D", "h", "15min", "W-WED"])
def test_gaps_are_missing_values(freq):
    index = months(20, freq=freq)
    kept = np.delete(np.arange(20), [3, 11, 12])
    values = np.where(np.isin(np.arange(20), kept), np.arange(20.0), np.nan)
    panel = panel_of(pd.Series(np.arange(20.0)[kept], index[kept]))
    np.testing.assert_array_equal(panel.values[0], values)
    assert panel.grid.index(0, 20).equals(index)


def test_the_zone_of_dates_is_kept_over_a_change_of_the_clock():
    index = pd.date_range("2024-03-30 20:00", periods=12, freq="h", tz="Europe/Berlin")
    found = panel_of(pd.Series(np.arange(12.0), index)).given_back(np.ones((1, 2)))
    assert str(found.index[0]) == "2024-03-31 09:00:00+02:00"


@pytest.mark.parametrize(
    "index", [pd.period_range("2024Q1", periods=4, freq="Q"), pd.RangeIndex(10, 18, 2), pd.Index([3, 4, 6, 7])]
)
def test_periods_and_numbers_go_on(index):
    panel = panel_of(pd.Series(np.ones(4), index))
    found = panel.given_back(np.ones((1, 2))).index
    step = index[1] - index[0]
    assert list(found) == [index[-1] + step, index[-1] + 2 * step]


def test_containers_come_back():
    array = panel_of(np.arange(5))
    assert array.given_back(np.ones((1, 2))).shape == (2,)
    assert array.given_back(np.ones((1, 2, 3)), (1, 2, 3)).shape == (2, 3)
    arrays = panel_of(np.ones((5, 3)))
    assert arrays.given_back(np.ones((3, 2))).shape == (2, 3)
    assert arrays.given_back(np.ones((3, 2, 4)), range(4)).shape == (2, 3, 4)
    wide = panel_of(pd.DataFrame({"u": [np.nan, 2.0, 3.0], "v": [1.0, 2.0, 3.0]}, months(3)))
    assert wide.starts == [1, 0] and [len(own) for own in wide.values] == [2, 3]
    assert list(wide.given_back(np.ones((2, 1))).columns) == ["u", "v"]
    both = wide.given_back(np.arange(4.0).reshape(2, 1, 2), ("lower", "upper"))
    assert both[("v", "lower")].item() == 2.0 and both[("u", "upper")].item() == 1.0


def test_long_panels():
    panel = panel_of(long())
    assert panel.ids == ["a", "b"]
    assert [own.tolist() for own in panel.values] == [[1, 2], [1, 2, 3]]
    found = panel.given_back(np.arange(4.0).reshape(2, 2))
    assert found.columns.tolist() == ["unique_id", "ds", "y"] and found.y.tolist() == [0, 1, 2, 3]
    assert found.ds.tolist() == list(pd.to_datetime(["2024-01-03", "2024-01-04", "2024-01-04", "2024-01-05"]))
    shuffled = panel_of(long().sample(frac=1, random_state=0))
    assert [own.tolist() for own in shuffled.values] == [own.tolist() for own in panel.values]


def test_polars_comes_back():
    pl = pytest.importorskip("polars")
    frame = long()
    table = pl.DataFrame(
        {"unique_id": frame.unique_id.tolist(), "ds": frame.ds.dt.to_pydatetime().tolist(), "y": frame.y.tolist()}
    )
    found = panel_of(table).given_back(np.ones((2, 2)))
    assert isinstance(found, pl.DataFrame) and found.columns == ["unique_id", "ds", "y"] and len(found) == 4
    series = panel_of(pl.Series("x", [1.0, None, 3.0]))
    assert np.isnan(series.values[0][1])
    assert series.given_back(np.ones((1, 2))).to_list() == [1.0, 1.0]


@pytest.mark.parametrize(
    "y, kind, message",
    [
        (np.ones((2, 2, 2)), ValueError, r"y: expected shape \(T,\) or \(T, C\), got \(2, 2, 2\)"),
        (np.array([]), ValueError, "y: expected shape"),
        (["a", "b"], TypeError, "y: expected real numbers"),
        ([1.0, np.inf], ValueError, r"y: expected numbers up to 1e\+100, or NaN, got inf at \[1\]"),
        ([np.nan, np.nan], ValueError, "y: expected at least one value of each series, got none of 0"),
        (pd.Series([1.0, 2.0], ["a", "b"]), TypeError, "y: expected dates, periods or whole numbers as index"),
        (pd.Series([1.0, 2.0, 3.0], pd.to_datetime(["2024-01-01", "2024-01-01", "2024-01-02"])), ValueError,
         "y: expected each moment once, got 2024-01-01"),
        (pd.Series(np.ones(4), pd.to_datetime(["2024-01-01", "2024-01-02", "2024-03-19", "2025-01-01"])), ValueError,
         "y: expected evenly spaced dates"),
        (pd.Series([1.0], pd.to_datetime(["2024-01-01"])), ValueError, "at least 3 to find their frequency, got 2024"),
        (pd.DataFrame(np.ones((3, 2)), months(3), ["a", "a"]), ValueError, "y: expected columns of different names"),
        (pd.Series([], dtype=float), ValueError, "y: expected at least one value"),
        (pd.DataFrame({"u": ["x", "y"]}, months(2)), TypeError, "y, 'u': expected real numbers"),
        (long().assign(unique_id=[None, "a", "a", "a", "a"]), ValueError, "y: expected no missing unique_id"),
        (pd.concat([long(), long()]), ValueError, "y: expected each moment once for 'a', got 2024-01-01"),
        (long().assign(ds="2024-01-01"), TypeError, "y: expected dates or whole numbers in ds, got "),
    ],
)  # fmt: skip
def test_what_is_no_series_is_refused(y, kind, message):
    with pytest.raises(kind, match=message):
        panel_of(y)


def test_a_moment_off_the_grid_is_refused():
    grid = grid_of(months(5), "y")
    with pytest.raises(ValueError, match="X: expected steps of 'ME' from 2020-01-31 00:00:00 on, got 2020-02-03"):
        grid.positions(pd.to_datetime(["2020-02-03"]), "X")


def test_series_far_apart_have_the_frequency_of_the_longest():
    far = pd.concat([long(("a",), (30,)), long(("b",), (20,), "2035-01-01")])
    panel = panel_of(far)
    assert panel.grid.step == pd.offsets.Day() and [len(own) for own in panel.values] == [30, 20]
    with pytest.raises(ValueError, match="freq: expected a frequency of pandas, such as 'MS' or 'h', got 'banana'"):
        panel_of(far, freq="banana")


def test_the_season_of_numbers_is_found():
    rng = np.random.default_rng(0)
    t = np.arange(120)
    waves = [np.sin(2 * np.pi * t / 12) + 0.05 * t + 0.2 * rng.normal(size=120) for _ in range(3)]
    assert season_of(waves) == 12
    assert season_of([rng.normal(size=120)]) == 1
    assert season_of([np.ones(50)]) == season_of([np.arange(5.0)]) == season_of([np.full(30, np.nan)]) == 1
    waves[0][10:20] = np.nan
    assert season_of(waves[:1]) == 12


def test_columns_beside_a_series():
    index = months(6)
    panel = panel_of(pd.Series(np.arange(4.0), index[:4]))
    X = pd.DataFrame({"p": np.arange(6.0), "q": np.arange(6.0) * 2}, index)
    names, (rows,) = columns_of(X, panel)
    assert names == ["p", "q"] and rows.tolist() == [[0, 0], [1, 2], [2, 4], [3, 6]]
    covariates = Covariates.of(names, [rows], ["q"])
    (future,) = future_of(X.iloc[4:], panel, covariates, 2)
    scaled = covariates.scaled(rows, future, 2)
    np.testing.assert_allclose(scaled[:, 0], (np.arange(6) - 1.5) / np.std(np.arange(4)))
    assert (scaled[4:, 1] == 0).all()  # not known at the origin
    assert future_of(None, panel, Covariates.of(names, [rows], ["p", "q"]), 2) is None
    with pytest.raises(ValueError, match=r"X: expected the columns \['p'\] of the next 2 steps"):
        future_of(None, panel, covariates, 2)
    with pytest.raises(ValueError, match="X: expected rows from 2020-05-31"):
        future_of(X.iloc[:5], panel, covariates, 2)
    with pytest.raises(ValueError, match="got none called 'p'"):
        future_of(X[["q"]].iloc[4:], panel, covariates, 2)
    with pytest.raises(ValueError, match="past_covariates: expected columns of X"):
        Covariates.of(names, [rows], ["r"])


def test_columns_of_arrays_and_long_panels():
    panel = panel_of(np.arange(4.0))
    names, (rows,) = columns_of(np.arange(8).reshape(4, 2), panel)
    assert names == [0, 1] and rows.shape == (4, 2)
    with pytest.raises(ValueError, match=r"X: expected shape \(4, 2\), got \(3, 2\)"):
        columns_of(np.ones((3, 2)), panel)
    frame = long().assign(price=np.arange(5.0))
    panel = panel_of(frame)
    names, parts = columns_of(None, panel)
    assert names == ["price"] and [part[:, 0].tolist() for part in parts] == [[3, 4], [0, 1, 2]]
    covariates = Covariates.of(names, parts, [])
    future = long(counts=(5, 5)).drop(columns="y").assign(price=np.arange(10.0))
    found = future_of(future, panel, covariates, 2)
    assert [part[:, 0].tolist() for part in found] == [[7, 8], [3, 4]]
    with pytest.raises(ValueError, match="X: expected rows of 'b' from 2024-01-04 00:00:00 to 2024-01-06"):
        future_of(future, panel, covariates, 3)
    with pytest.raises(ValueError, match="X: expected rows of each series, got none of 'a'"):
        future_of(future[future.unique_id == "b"], panel, covariates, 2)
    with pytest.raises(TypeError, match="X: expected a DataFrame with unique_id, ds, price, got ndarray"):
        future_of(np.ones((2, 1)), panel, covariates, 2)


def test_missing_columns_hold_the_value_before():
    values = np.array([[np.nan, 1.0], [2.0, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(held(values), [[np.nan, 1], [2, 1], [2, 1]])


def test_static_columns():
    table = pd.DataFrame({"size": [1.0, 3.0], "kind": ["x", "y"]}, ["a", "b"])
    static = Static.of(table, ["b", "a"])
    np.testing.assert_allclose(static.features(table, ["b", "a"]), [[1, 0, 1], [-1, 1, 0]])
    for wrong, message in (
        (table.iloc[:1], "got none of 'b'"),
        (pd.concat([table, table]), "got several"),
        (table.assign(size=[1.0, np.nan]), "expected no missing value, got one in 'size'"),
    ):
        with pytest.raises(ValueError, match=f"static: .*{message}"):
            Static.of(wrong, ["b", "a"])
    with pytest.raises(TypeError, match="static: expected a DataFrame"):
        Static.of([1, 2], ["a"])
    with pytest.raises(ValueError, match=r"static: expected the columns \['size', 'kind'\], got none called 'kind'"):
        static.features(table[["size"]], ["b", "a"])


def test_new_values_follow_or_replace():
    old = pd.Series([1.0, 2.0, 3.0], months(3))
    new = pd.Series([9.0, 5.0], months(6)[[2, 5]])
    data = Data(panel_of(old), [], [np.zeros((3, 0))])
    other = panel_of(new, freq="ME")
    joined = data.followed_by(Data(other, [], [np.zeros((len(other.values[0]), 0))]))
    np.testing.assert_array_equal(joined.panel.values[0], [1, 2, 9, np.nan, np.nan, 5])
    arrays = Data(panel_of(np.array([1.0, 2.0])), [], [np.zeros((2, 0))])
    assert arrays.followed_by(arrays).panel.values[0].tolist() == [1, 2, 1, 2]
    with pytest.raises(ValueError, match="y: expected the container of fit, 'array'"):
        arrays.followed_by(data)
    frames = [Data(panel_of(frame), [], [np.zeros((n, 0)) for n in (2, 3)]) for frame in (long(), long(("b", "c")))]
    with pytest.raises(ValueError, match="y: expected series that fit has seen, got 'c'"):
        frames[0].followed_by(frames[1])


@pytest.mark.parametrize("freq", ["YS", "QS", "W-SUN"])
def test_dates_may_span_centuries(freq):
    index = pd.date_range("1700-01-01", "2009-01-01", freq=freq)
    panel = panel_of(pd.Series(np.arange(len(index), dtype=float), index))
    assert len(panel.values[0]) == len(index) and panel.grid.index(len(index), 1)[0] > index[-1]
