"""What set_batch_invariant(True) costs a training step: python -m bench.invariance

One thread; microseconds of a forward and a backward pass after the parameters have changed, the first quartile of many.
"""

from __future__ import annotations

import time

import numpy as np

import fastlstm as fl


def step_time(layer: fl.Layer, features: int, rows: int, invariant: bool, repeats: int = 1000) -> float:
    """Microseconds of a training step of some rows of one time step."""
    fl.set_batch_invariant(invariant)
    model = fl.Model([layer], seed=0)
    tape, x = model.tape(), np.random.default_rng(0).normal(size=(rows, 1, features)).astype("f4")
    dy = np.ones(model.forward(x, tape, training=True).shape, "f4")
    times = []
    for _ in range(repeats):
        for parameter in model.parameters():
            parameter.touch()
        begin = time.perf_counter()
        model.forward(x, tape, training=True)
        model.backward(dy, tape)
        times.append(time.perf_counter() - begin)
    return 1e6 * float(np.quantile(times, 0.25))


def main() -> None:
    fl.set_num_threads(1)
    print(f"{'':26}{'False':>8}{'True':>8}{'ratio':>8}")
    for name, make, features, rows in (
        ("LSTM 256, 1 row", lambda: fl.LSTM(256, 256), 256, 1),
        ("LSTM 256, 4 rows", lambda: fl.LSTM(256, 256), 256, 4),
        ("GRU 256, 1 row", lambda: fl.GRU(256, 256), 256, 1),
        ("Dense 1024 to 1024, 1 row", lambda: fl.Dense(1024, 1024), 1024, 1),
    ):
        usual, invariant = (step_time(make(), features, rows, on) for on in (False, True))
        print(f"{name:26}{usual:8.0f}{invariant:8.0f}{invariant / usual:8.2f}")
    fl.set_batch_invariant(False)


if __name__ == "__main__":
    main()
