"""What set_batch_invariant(True) costs a training step: python -m bench.invariance

One thread; microseconds of a forward and a backward pass after the parameters have changed, the first quartile of many;
in square brackets the same of CPU time.
"""

from __future__ import annotations

import time

import numpy as np

import fastlstm as fl


def step_time(layer: fl.Layer, features: int, rows: int, invariant: bool, repeats: int = 1000) -> tuple[float, float]:
    """Microseconds of a training step of some rows of one time step, and of its CPU time."""
    fl.set_batch_invariant(invariant)
    model = fl.Model([layer], seed=0)
    tape, x = model.tape(), np.random.default_rng(0).normal(size=(rows, 1, features)).astype("f4")
    dy = np.ones(model.forward(x, tape, training=True).shape, "f4")
    times, cpu = [], []
    for _ in range(repeats):
        for parameter in model.parameters():
            parameter.touch()
        begin, busy = time.perf_counter(), time.process_time()
        model.forward(x, tape, training=True)
        model.backward(dy, tape)
        times.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - busy)
    return 1e6 * float(np.quantile(times, 0.25)), 1e6 * float(np.quantile(cpu, 0.25))


def main() -> None:
    fl.set_num_threads(1)
    print(f"{'':26}{'False [CPU]':>16}{'True [CPU]':>16}{'ratio':>8}")
    for name, make, features, rows in (
        ("LSTM 256, 1 row", lambda: fl.LSTM(256, 256), 256, 1),
        ("LSTM 256, 4 rows", lambda: fl.LSTM(256, 256), 256, 4),
        ("GRU 256, 1 row", lambda: fl.GRU(256, 256), 256, 1),
        ("Dense 1024 to 1024, 1 row", lambda: fl.Dense(1024, 1024), 1024, 1),
    ):
        usual, invariant = (step_time(make(), features, rows, on) for on in (False, True))
        cells = (f"{elapsed:.0f} [{cpu:.0f}]" for elapsed, cpu in (usual, invariant))
        print(f"{name:26}" + "".join(f"{cell:>16}" for cell in cells) + f"{invariant[0] / usual[0]:8.2f}")
    fl.set_batch_invariant(False)


if __name__ == "__main__":
    main()
