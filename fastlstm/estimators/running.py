"""What a training of an estimator runs with: randomness, threads, a line for each epoch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm.callbacks import Callback, Progress
from fastlstm.threads import default_num_threads, get_num_threads, set_num_threads


class Lines(Callback):
    """Prints the figures of each epoch, if it is verbose; and that Ctrl-C has ended a training."""

    def __init__(self, verbose: bool) -> None:
        self._verbose = verbose

    def on_epoch_end(self, progress: Progress) -> None:
        if self._verbose:
            figures = ", ".join(f"{name} {value:.4g}" for name, value in progress.logs.items())
            print(f"epoch {progress.epoch} of {progress.epochs}: {figures}", flush=True)

    def on_fit_end(self, progress: Progress) -> None:
        if progress.interrupted and not progress.told:
            print(f"fastlstm: stopped {progress.where}; the estimator keeps what it has learned", file=sys.stderr)
            progress.told = True


@contextmanager
def threads(n: int | None) -> Iterator[None]:
    """Up to n threads within it, if n is not None."""
    if n is None:
        yield
        return
    before = get_num_threads()
    try:
        set_num_threads(_check.positive_int(n, "n_threads"))
        yield
    finally:
        set_num_threads(None if before == default_num_threads() else before)


def generator(random_state: Any) -> np.random.Generator:
    """Where all seeds of an estimator come from. Of a RandomState, one number is drawn."""
    if hasattr(random_state, "randint"):
        return np.random.default_rng(int(random_state.randint(1 << 31)))
    return np.random.default_rng(_check.seed_of(random_state, "random_state"))
