"""How `predict` of one model scales with the threads that call it: python -m bench.threads [threads ...]

The number of calls that so many threads make in a while, over that of one thread, in turn; the kernels themselves have
one thread. Where Python is free-threaded the ratio is that of the cores. With a GIL small calls wait for each other.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time

import numpy as np

import fastlstm as fl

CASES = ((1, 1, 8, 16), (1, 50, 32, 64), (32, 50, 32, 128))
"""Rows, steps, inputs and hidden units."""

ROUNDS, SECONDS = 5, 0.4


def calls(model: fl.Model, x: np.ndarray, count: int, seconds: float = SECONDS) -> float:
    """Calls a second of so many threads together."""
    barrier, made, times = threading.Barrier(count), [0] * count, [0.0] * count

    def work(k: int) -> None:
        own, done = x.copy(), 0
        model.predict(own)
        barrier.wait()
        begin = now = time.perf_counter()
        while not done or now - begin < seconds:
            for _ in range(10):
                model.predict(own)
            done, now = done + 10, time.perf_counter()
        made[k], times[k] = done, now - begin

    workers = [threading.Thread(target=work, args=(k,)) for k in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(number / elapsed for number, elapsed in zip(made, times, strict=True))


def ratios(case: tuple[int, int, int, int], counts: list[int]) -> tuple[float, list[float]]:
    """Microseconds of a call in one thread, and for each number of threads the median of the ratios."""
    rows, steps, inputs, hidden = case
    model = fl.Model([fl.LSTM(inputs, hidden), fl.Last(), fl.Dense(hidden, 1)], seed=0)
    x = np.random.default_rng(0).standard_normal((rows, steps, inputs)).astype("f4")
    alone, found = [], [[] for _ in counts]
    for _ in range(ROUNDS):
        alone.append(calls(model, x, 1))
        for k, count in enumerate(counts):
            found[k].append(calls(model, x, count) / alone[-1])
    return 1e6 / statistics.median(alone), [statistics.median(each) for each in found]


def main() -> None:
    counts = [int(word) for word in sys.argv[1:]] or [2, 4, 8]
    fl.set_num_threads(1)
    free = not getattr(sys, "_is_gil_enabled", lambda: True)()
    kind = "free-threaded" if free else "with a GIL"
    print(f"Python {sys.version.split()[0]}, {kind}; calls a second over those of one thread")
    print(f"{'':26}{'µs, 1 thread':>14}" + "".join(f"{f'{count} threads':>12}" for count in counts))
    for case in CASES:
        alone, found = ratios(case, counts)
        name = "N{} T{} I{} H{}".format(*case)
        print(f"{name:26}{alone:14.1f}" + "".join(f"{ratio:12.2f}" for ratio in found))


if __name__ == "__main__":
    main()
