"""A forecaster for each of many series, side by side in processes.

pip install 'fastlstm[parallel]'
python examples/many_forecasters.py
"""

import time

import numpy as np

import fastlstm as fl
from fastlstm.distributed import map_models
from fastlstm.forecasting import LSTMForecaster


def sales(shop):
    """Two years of a shop's sales by week."""
    rng = np.random.default_rng(shop)
    weeks = np.arange(104)
    return 50 + shop + 10 * np.sin(2 * np.pi * weeks / 52 + shop) + rng.normal(size=104)


def fit(shop):
    return LSTMForecaster(52, hidden_size=8, epochs=10).fit(sales(shop), fh=4, progress=False)


def main(shops=12):
    began = time.perf_counter()
    forecasters = list(map_models(fit, range(shops)))
    took = time.perf_counter() - began
    print(f"{shops} forecasters were fitted in {took:.1f} s by up to {fl.get_num_threads()} processes")

    for shop in (0, shops - 1):
        alone, found = (one.predict() for one in (fit(shop), forecasters[shop]))
        assert np.array_equal(found, alone)
        print(f"shop {shop} will sell {found.round(1)}: the bits of a forecaster that was fitted alone")


if __name__ == "__main__":
    main()
