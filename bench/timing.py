"""How long a call takes: in seconds, and in CPU time of all threads of the process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

SLOW = 1.0
"""Seconds; a call that takes longer is timed three times and no more."""
TOGETHER = 5e-5
"""Seconds; calls that take less are timed so many at once that they take as long, beside which reading the clock is
little."""


@dataclass(frozen=True)
class Times:
    """Microseconds of each call; the CPU time of one on average, with what threads do between the calls."""

    calls: list[float]
    cpu: float

    @property
    def median(self) -> float:
        return float(np.median(self.calls))


def measure(call: Callable[[], Any], seconds: float, pause: float = 0) -> Times:
    """Calls after a warm-up, for so many seconds and at least five times, three if slow; with a pause before each."""
    call()  # compiles, allocates
    first = timed(call)
    together = 1 if pause else together_of(first)
    if first > SLOW:
        return repeat(call, 0, 3, together, pause)
    repeat(call, seconds / 3, 1, together, pause)
    return repeat(call, seconds, 5, together, pause)


def repeat(call: Callable[[], Any], seconds: float, least: int, together: int, pause: float) -> Times:
    times: list[float] = []
    cpu, until = time.process_time(), time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < until:
        if pause:
            time.sleep(pause)
        times.append(1e6 * timed(call, together) / together)
    cpu = time.process_time() - cpu
    return Times(times, 1e6 * cpu / (len(times) * together))


def beyond(call: Callable[[], Any], core: Callable[[int], float], seconds: float) -> float:
    """Microseconds that a call takes beyond its core: the median where the two are measured in turn."""
    together = together_of(timed(call))
    core(together)
    differences: list[float] = []
    until = time.perf_counter() + seconds
    while len(differences) < 5 or time.perf_counter() < until:
        differences.append((1e6 * timed(call, together) - core(together)) / together)
    return float(np.median(differences))


def together_of(seconds: float) -> int:
    return max(1, int(TOGETHER / max(seconds, 1e-9)))


def timed(call: Callable[[], Any], together: int = 1) -> float:
    """Seconds of so many calls."""
    start = time.perf_counter()
    for _ in range(together):
        call()
    return time.perf_counter() - start
