"""The training by fastlstm."""

from __future__ import annotations

import time
from typing import Any

import fastlstm as fl
from bench.studies.text.task import Task
from fastlstm.callbacks import Callback, Progress


class Clock(Callback):
    """Seconds of training until the end of each epoch, without those of the validation."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._validating = 0.0

    def on_fit_begin(self, progress: Progress) -> None:
        self._began = time.perf_counter()

    def on_validation_begin(self, progress: Progress) -> None:
        self._paused = time.perf_counter()
        self.seconds.append(self._paused - self._began - self._validating)

    def on_validation_end(self, progress: Progress) -> None:
        self._validating += time.perf_counter() - self._paused

    def on_epoch_end(self, progress: Progress) -> None:
        loss, held_out = progress.logs["loss"], progress.logs["val_loss"]
        print(f"fastlstm, epoch {progress.epoch}: {self.seconds[-1]:.0f} s, {loss:.4f}, {held_out:.4f}", flush=True)


def run(task: Task, threads: int) -> dict[str, Any]:
    """Train, and measure: losses in nats a character."""
    fl.set_num_threads(threads)
    clock, began = Clock(), time.perf_counter()
    history = task.model.fit(task.train, task.validation, callbacks=[clock], progress=False)
    wall = time.perf_counter() - began
    return {
        "seconds": clock.seconds,
        "wall": wall,
        "loss": history["loss"],
        "val_loss": history["val_loss"],
        "final": task.model.loss(task.validation),
        "parameters": task.model.model.num_parameters,
        "sample": "".join(task.model.generate("ROMEO:\n", 600, temperature=0.8, seed=0)),
    }
