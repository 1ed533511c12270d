"""Forecasts for a dataset of Ray.

    pip install 'fastlstm[ray]'
    python examples/ray_inference.py

On a cluster say `ray.init("auto")`; the rest stays as it is.
"""

import numpy as np
import ray

import fastlstm as fl


def waves(n):
    """Waves of any phase with some noise, 24 steps each, and their next step."""
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 24, size=(n, 1))
    wave = np.sin((start + np.arange(25)) * np.pi / 12) + 0.1 * rng.normal(size=(n, 25))
    return wave[:, :24, None].astype("f4"), wave[:, 24:].astype("f4")


def main(rows=4000):
    x, y = waves(rows)
    model = fl.Model([fl.LSTM(1, 16), fl.Last(), fl.Dense(16, 1)], seed=0)
    fl.Trainer(model, fl.mse, fl.Adam(lr=0.01)).fit(x, y, epochs=2, progress=False)

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    table = ray.data.from_items([{"wave": k, "x": x[k]} for k in range(rows)], override_num_blocks=8)
    predictor = fl.Predictor(model, columns="x", output="next")
    done = table.map_batches(predictor, batch_size=500).select_columns(["wave", "next"]).sort("wave").to_pandas()
    print(f"{rows} waves went through the workers of Ray in batches of 500")
    ray.shutdown()

    found = done["next"].to_numpy("f4")
    assert np.array_equal(found, model.predict(x)[:, 0])
    print(f"all forecasts have the bits of one process; their mean error is {np.abs(found - y[:, 0]).mean():.2f}")


if __name__ == "__main__":
    main()
