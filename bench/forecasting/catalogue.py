"""Where the series lie: in the folder that FASTLSTM_DATA names, and in wheels of packages. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from bench.studies import data

Columns = dict[str, Any]
"""Values by the name of a series, each (T,), with NaN where nothing was measured."""

NOWCAST = "tsa/statespace/tests/results/frbny_nowcast/Nowcasting/data/US/2016-07-29.csv"


@dataclass(frozen=True)
class Source:
    """Series of one frequency that belong together.

    Parameters
    ----------
    group : str
        What they belong to. A group as a whole is for tuning, or for the report: its series resemble each other.
    frequency : str
        A key of `data.FREQUENCIES`.
    start : str
        The first moment.
    read : callable
        Gives the values; ImportError or FileNotFoundError if they are not here.
    """

    group: str
    frequency: str
    start: str
    read: Callable[[], Columns]


def table(name: str, **how: Any) -> Any:
    """A DataFrame of a file, "PACKAGE/PATH", or of one in the folder of the data."""
    import pandas as pd

    package, _, path = name.partition("/")
    if not path:
        return pd.read_csv(data.find(name), **how)
    with (files(package) / path).open("rb") as file:
        return pd.read_stata(file) if name.endswith(".dta") else pd.read_csv(file, **how)


def columns(name: str, *wanted: Any, every: int = 1, **how: Any) -> Callable[[], Columns]:
    """Reads these columns, by their name or place; the means of each `every` values, those of a rest left out."""

    def read() -> Columns:
        found = table(name, **how)
        if not wanted:
            chosen = found.select_dtypes("number")
        else:
            chosen = found[[found.columns[one] if isinstance(one, int) else one for one in wanted]]
        return {str(column): means(numbers(chosen[column]), every) for column in chosen}

    return read


def numbers(values: Any) -> Any:
    import pandas as pd

    return np.asarray(pd.to_numeric(values, errors="coerce"), np.float64)


def means(values: Any, every: int) -> Any:
    if every == 1:
        return values
    with np.errstate(invalid="ignore"):
        return values[: len(values) // every * every].reshape(-1, every).mean(axis=1)


def rows(name: str, label: str, first: str) -> Callable[[], Columns]:
    """Reads a series from each row, its values from the column `first` on."""

    def read() -> Columns:
        found = table(name)
        values = found.loc[:, first:].to_numpy(np.float64)
        return dict(zip(found[label], values, strict=True))

    return read


def end_to_end(name: str, first: str) -> Callable[[], Columns]:
    """Reads one series from all rows one after the other, such as years of months."""
    return lambda: {"": table(name).loc[:, first:].to_numpy(np.float64).ravel()}


def by_firm() -> Columns:
    found = table("statsmodels/datasets/grunfeld/grunfeld.csv")
    return {
        f"{firm}, {name}": own[name].to_numpy() for firm, own in found.groupby("firm") for name in ("invest", "value")
    }


def countries() -> Columns:
    """Daily cases of COVID-19 of countries that had some in the first half."""
    path = files("sktime") / "datasets/data/Covid3Month/Covid3Month_TRAIN.ts"
    lines = path.read_text(encoding="utf-8").partition("@data")[2].split()
    series = [np.array(line.partition(":")[0].split(","), np.float64) for line in lines]
    return {str(at): values for at, values in enumerate(series) if values[: len(values) // 2].any()}


def loaded(name: str, *columns: str, every: int = 1) -> Callable[[], Columns]:
    """Reads by the loader `load_NAME` of pmdarima, whose series are lists in its code or archives beside it."""

    def read() -> Columns:
        import pmdarima.datasets

        found = getattr(pmdarima.datasets, f"load_{name}")()
        if columns:
            return {column: numbers(found[column]) for column in columns}
        return {"": means(np.asarray(found, np.float64), every)}

    return read


ETTH1 = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
WEATHER = ("pm2.5", "DEWP", "TEMP", "PRES", "Iws")
SKTIME = "sktime/datasets/data"
STATSMODELS = "statsmodels/datasets"
RESULTS = "statsmodels/tsa/tests/results"
QUARTERS = ("GDPC1", "ULCNFB", "A261RX1Q020SBEA")
NOT_MONTHS = ("Date", "PPIFIS", *QUARTERS)


def nowcast() -> Columns:
    return {name: numbers(found) for name, found in table(f"statsmodels/{NOWCAST}").items() if name not in NOT_MONTHS}


def nowcast_quarters() -> Columns:
    """The last month of a quarter has its value."""
    found = table(f"statsmodels/{NOWCAST}")
    return {name: numbers(found[name])[2::3] for name in QUARTERS}


SOURCES = [
    Source("ETTh1", "hourly", "2016-07-01", columns("ETTh1.csv", *ETTH1)),
    Source("ETTh1", "daily", "2016-07-01", columns("ETTh1.csv", *ETTH1, every=24)),
    Source("pollution", "hourly", "2010-01-01", columns("pollution.csv", *WEATHER)),
    Source("pollution", "daily", "2010-01-01", columns("pollution.csv", *WEATHER, every=24)),
    Source("pollution", "weekly", "2010-01-01", columns("pollution.csv", *WEATHER, every=168)),
    Source("airline", "monthly", "1949-01-01", columns("airline-passengers.csv", 1)),
    Source("sunspots", "monthly", "1749-01-01", columns("monthly-sunspots.csv", 1)),
    Source("sunspots", "yearly", "1700-01-01", columns(f"{STATSMODELS}/sunspots/sunspots.csv", "SUNACTIVITY")),
    Source("temperatures", "daily", "1981-01-01", columns("daily-min-temperatures.csv", 1)),
    Source("temperatures", "weekly", "1981-01-01", columns("daily-min-temperatures.csv", 1, every=7)),
    Source("co2", "weekly", "1958-03-29", columns(f"{STATSMODELS}/co2/co2.csv", "co2")),
    Source("co2", "monthly", "1959-01-01", columns("statsmodels/tsa/stl/tests/results/stl_co2.csv", 0, header=None)),
    Source("copper", "yearly", "1951-01-01", columns(f"{STATSMODELS}/copper/copper.csv", 1, 2, 3, 4, 5)),
    Source("money", "quarterly", "1974-01-01", columns(f"{STATSMODELS}/danish_data/data.csv")),
    Source("elec_equip", "monthly", "1995-01-01", columns(f"{STATSMODELS}/elec_equip/elec_equip.csv", 1)),
    Source("elnino", "monthly", "1950-01-01", end_to_end(f"{STATSMODELS}/elnino/elnino.csv", "JAN")),
    Source("fertility", "yearly", "1960-01-01", rows(f"{STATSMODELS}/fertility/fertility.csv", "Country Name", "1960")),
    Source("grunfeld", "yearly", "1935-01-01", by_firm),
    Source("E6", "quarterly", "1972-04-01", columns(f"{STATSMODELS}/interest_inflation/E6.csv", "Dp", "R")),
    Source("macrodata", "quarterly", "1959-01-01", columns(f"{STATSMODELS}/macrodata/macrodata.csv", *range(2, 14))),
    Source("nile", "yearly", "1871-01-01", columns(f"{STATSMODELS}/nile/nile.csv", "volume")),
    Source(
        "housing", "monthly", "1959-01-01", columns("statsmodels/tsa/holtwinters/tests/results/housing-data.csv", 1)
    ),
    Source("nowcast", "monthly", "1985-01-01", nowcast),
    Source("nowcast", "quarterly", "1985-01-01", nowcast_quarters),
    *(
        Source("Schwert", "monthly", "1949-01-01", columns(f"{RESULTS}/{name}.csv", 0))
        for name in ("BAA", "SP500", "UN")
    ),
    Source("Nelson-Plosser", "yearly", "1889-01-01", columns(f"{RESULTS}/gnpdef.csv", 0)),
    Source("Nelson-Plosser", "yearly", "1909-01-01", columns(f"{RESULTS}/rgnp.csv", 0)),
    Source("Nelson-Plosser", "yearly", "1871-01-01", columns(f"{RESULTS}/stkprc.csv", 0)),
    Source("rgnpq", "quarterly", "1947-01-01", columns(f"{RESULTS}/rgnpq.csv", 0)),
    Source("lutkepohl", "quarterly", "1960-01-01", columns(f"{RESULTS}/lutkepohl2.dta", "inv", "inc", "consump")),
    Source("elec_vic", "hourly", "2012-01-01", columns("statsmodels/tsa/stl/tests/results/mstl_elec_vic.csv", "y")),
    Source("lynx", "yearly", "1821-01-01", columns(f"{SKTIME}/Lynx/Lynx.csv", 1)),
    Source("scripts", "monthly", "1991-07-01", columns(f"{SKTIME}/PBS_dataset/PBS_dataset.csv", "Scripts")),
    Source("shampoo", "monthly", "1991-01-01", columns(f"{SKTIME}/ShampooSales/ShampooSales.csv", "Sales")),
    Source("uschange", "quarterly", "1970-01-01", columns(f"{SKTIME}/Uschange/Uschange.csv", *range(2, 7))),
    Source("seatbelts", "monthly", "1969-01-01", columns(f"{SKTIME}/seatbelts/seatbelts.csv", "KSI")),
    Source("solar", "hourly", "2021-05-01", columns(f"{SKTIME}/solar/solar.csv", "solar_gen", every=2)),
    Source("yahoo", "hourly", "2014-11-23", columns(f"{SKTIME}/yahoo/yahoo.csv", "data")),
    Source("covid", "daily", "2020-01-01", countries),
    Source("ausbeer", "quarterly", "1956-01-01", loaded("ausbeer")),
    Source("austres", "quarterly", "1971-04-01", loaded("austres")),
    Source("taylor", "hourly", "2000-06-05", loaded("taylor", every=2)),
    Source("wineind", "monthly", "1980-01-01", loaded("wineind")),
    Source("woolyrnq", "quarterly", "1965-01-01", loaded("woolyrnq")),
    Source("msft", "business", "1986-03-13", loaded("msft", "Close", "Volume")),
]
"""Not here: what is no series in time, has fewer than 20 values, or is another one's copy, difference or logarithm."""
