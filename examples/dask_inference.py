"""Forecasts for a table in Parquet that may be larger than memory, with Dask.

    pip install 'fastlstm[dask]'
    python examples/dask_inference.py

For a cluster that exists, give `Client` its address; the rest stays as it is.
"""

import tempfile
from pathlib import Path

import dask.dataframe as dd
import numpy as np
import pandas as pd
from dask.distributed import Client, LocalCluster

import fastlstm as fl

HOURS = [f"hour_{k}" for k in range(24)]


def days(n, seed):
    """A day in each row: so many hours of a load, and how much of it is wanted next."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 24, size=(n, 1))
    load = np.sin((start + np.arange(25)) * np.pi / 12) + 0.1 * rng.normal(size=(n, 25))
    return load[:, :24].astype("f4"), load[:, 24:].astype("f4")


def main(folder, parts=8, rows=2000):
    model = fl.Model([fl.LSTM(1, 16), fl.Last(), fl.Dense(16, 1)], seed=0)
    x, y = days(2000, seed=0)
    fl.Trainer(model, fl.mse, fl.Adam(lr=0.01)).fit(x[:, :, None], y, epochs=3, progress=False)

    (folder / "days").mkdir()
    for k in range(parts):  # a file at a time: there is never more than one in memory
        table = pd.DataFrame(days(rows, seed=k + 1)[0], columns=HOURS).assign(part=k, row=range(rows))
        table.to_parquet(folder / "days" / f"{k:03d}.parquet")

    predictor = fl.Predictor(model, columns=HOURS, output="next_hour")
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        table = dd.read_parquet(folder / "days")
        table.map_partitions(predictor)[["part", "row", "next_hour"]].to_parquet(folder / "forecasts")
    print(f"{parts} files with {rows} rows each went through 2 workers, a file at a time")

    found = pd.read_parquet(folder / "forecasts").sort_values(["part", "row"])["next_hour"].to_numpy()
    expected = np.concatenate([model.predict(days(rows, seed=k + 1)[0][:, :, None])[:, 0] for k in range(parts)])
    assert np.array_equal(found, expected)
    print(f"all {len(found)} forecasts have the bits of one process; the first are {found[:3].round(3)}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
