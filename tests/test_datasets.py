"""The data that ships with the package."""

import re
from importlib import resources

import numpy as np
import pytest

from fastlstm import datasets


def test_co2_is_every_month_of_the_record():
    months, ppm = datasets.co2()
    assert months.dtype == "datetime64[M]" and ppm.dtype == "float64"
    assert str(months[0]) == "1958-03" and str(months[-1]) == "2001-12"
    assert (np.diff(months).astype(int) == 1).all()


def test_co2_has_five_months_without_a_measurement_and_else_plausible_values():
    months, ppm = datasets.co2()
    missing = months[np.isnan(ppm)].astype(str).tolist()
    assert missing == ["1958-06", "1958-10", "1964-02", "1964-03", "1964-04"]
    assert np.nanmin(ppm) > 310 and np.nanmax(ppm) < 375


def test_co2_is_that_of_its_source():
    source = pytest.importorskip(
        "statsmodels.datasets.co2", reason="statsmodels, the source of the data, is not installed"
    )
    weekly = source.load_pandas().data["co2"]
    monthly = weekly.resample("MS").mean()
    months, ppm = datasets.co2()
    assert np.array_equal(monthly.index.to_numpy().astype("M8[M]"), months)
    np.testing.assert_allclose(ppm, monthly.to_numpy(), rtol=0, atol=0.0051)


def test_every_file_of_data_is_credited():
    folder = resources.files(datasets)
    credits = folder.joinpath("CREDITS.md").read_text(encoding="utf-8")
    for file in folder.iterdir():
        if file.name.endswith(".csv"):
            assert re.search(rf"^## {re.escape(file.name)}$", credits, re.MULTILINE)
    assert "Public domain" in credits
