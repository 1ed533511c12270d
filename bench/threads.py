"""How `predict` of one model scales with the threads that call it: python -m bench.threads [threads ...]

The number of calls that so many threads make in a while, over that of one thread, in turn; the kernels themselves have
one thread. Where Python is free-threaded it is as many times as there are cores. With a GIL small calls wait for each
other. In square brackets stands the CPU time of a call over that of one thread's: what locks cost, which other work on
the machine does not hide.
"""

from __future__ import annotations

import sys
import threading
import time

import numpy as np

import fastlstm as fl
from bench.contenders import Array

CASES = ((1, 1, 8, 16), (1, 50, 32, 64), (32, 50, 32, 128))
"""Rows, steps, inputs and hidden units."""

ROUNDS, SECONDS = 5, 0.4


def calls(model: fl.Model, x: Array, count: int, seconds: float = SECONDS) -> tuple[float, float]:
    """Calls a second of so many threads together, and the microseconds of CPU time of a call."""
    barrier, rates, busy = threading.Barrier(count), [0.0] * count, [0.0] * count

    def work(k: int) -> None:
        own, done = x.copy(), 0
        model.predict(own)
        barrier.wait()
        begin = now = time.perf_counter()
        cpu = time.thread_time()
        while not done or now - begin < seconds:
            for _ in range(10):
                model.predict(own)
            done, now = done + 10, time.perf_counter()
        rates[k], busy[k] = done / (now - begin), (time.thread_time() - cpu) / done

    workers = [threading.Thread(target=work, args=(k,)) for k in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(rates), 1e6 * float(np.mean(busy))


def ratios(case: tuple[int, int, int, int], counts: list[int]) -> tuple[float, list[tuple[float, float]]]:
    """Microseconds of CPU time of a call in one thread; for each number of threads both figures over those of one."""
    rows, steps, inputs, hidden = case
    model = fl.Model([fl.LSTM(inputs, hidden), fl.Last(), fl.Dense(hidden, 1)], seed=0)
    x = np.random.default_rng(0).standard_normal((rows, steps, inputs)).astype("f4")
    rounds = np.array([[calls(model, x, count) for count in (1, *counts)] for _ in range(ROUNDS)])
    over = np.median(rounds[:, 1:] / rounds[:, :1], axis=0)
    return float(np.median(rounds[:, 0, 1])), [(float(rate), float(busy)) for rate, busy in over]


def main() -> None:
    counts = [int(word) for word in sys.argv[1:]] or [2, 4, 8]
    fl.set_num_threads(1)
    free = not getattr(sys, "_is_gil_enabled", lambda: True)()
    kind = "free-threaded" if free else "with a GIL"
    print(f"Python {sys.version.split()[0]}, {kind}; calls a second over those of one thread [CPU time of a call]")
    print(f"{'':20}{'µs, 1 thread':>14}" + "".join(f"{f'{count} threads':>16}" for count in counts))
    for case in CASES:
        alone, found = ratios(case, counts)
        name = "N{} T{} I{} H{}".format(*case)
        print(f"{name:20}{alone:14.1f}" + "".join(f"{f'{rate:.2f} [{busy:.2f}]':>16}" for rate, busy in found))


if __name__ == "__main__":
    main()
