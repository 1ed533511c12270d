"""A real series that comes with the package. Where it is from: ``CREDITS.md`` beside this file."""

from __future__ import annotations

import csv
from importlib import resources

import numpy as np
from numpy.typing import NDArray


def co2() -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    """Carbon dioxide in the air at Mauna Loa, Hawaii: monthly means, March 1958 to December 2001.

    A rising trend with a season of twelve months; public domain (Keeling and Whorf 2004).

    Returns
    -------
    months : (526,) datetime64[M]
        Every month, without a gap.
    ppm : (526,) float64
        Parts per million by volume; NaN in the five months without a measurement.

    Examples
    --------
    >>> import fastlstm.datasets
    >>> months, ppm = fastlstm.datasets.co2()
    >>> str(months[0]), float(ppm[0]), str(months[-1]), float(ppm[-1])
    ('1958-03', 316.1, '2001-12', 371.02)
    """
    text = resources.files(__name__).joinpath("co2.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    months = np.array([row["month"] for row in rows], "datetime64[M]")
    return months, np.array([float(row["ppm"] or "nan") for row in rows])
