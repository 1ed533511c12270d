"""Callbacks that record the figures of a training."""

from __future__ import annotations

import csv
import io
import os
from typing import Any, ClassVar

from fastlstm import _check
from fastlstm.callbacks.base import Callback, Progress
from fastlstm.files import path_of, require_replaceable, write_atomically


class CSVLog(Callback):
    """Writes the figures of all epochs to a CSV file: epoch, step, learning rate, loss, validation loss and metrics.

    Parameters
    ----------
    path : path
        The file is written anew after each epoch, whole or not at all. Its folder must exist.

    Raises
    ------
    TypeError
        If path is no path.
    IsADirectoryError, FileExistsError
        At the beginning of a training, if the path is a folder, a device, a FIFO or a socket.
    OSError
        At the end of an epoch, if the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path_of(path, "path")

    def on_fit_begin(self, progress: Progress) -> None:
        if not progress.rank:
            require_replaceable(self.path)
        self._rows: list[dict[str, float]] = []

    def on_epoch_end(self, progress: Progress) -> None:
        assert progress.optimizer is not None
        head = {"epoch": progress.epoch, "step": progress.step, "lr": progress.optimizer.lr}
        self._rows.append({**head, **progress.logs})
        if progress.rank:
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(name for row in self._rows for name in row)))
        writer.writeheader()
        writer.writerows(self._rows)
        write_atomically(self.path, text.getvalue().encode())

    def state(self) -> dict[str, Any]:
        return {"rows": self._rows}

    def restore(self, state: dict[str, Any]) -> None:
        rows = _check.items(state["rows"], "rows", "dicts")
        for row in rows:
            if not isinstance(row, dict):
                raise TypeError(f"rows: expected dicts, got {row!r:.80}")
        self._rows = rows


class TensorBoard(Callback):
    """Writes figures for TensorBoard: loss, norm of the gradient and learning rate of steps, and figures of epochs.

    Parameters
    ----------
    folder : path
        The folder that ``tensorboard --logdir`` reads.
    every : int, default 10
        Steps from one point of a curve to the next.

    Raises
    ------
    TypeError
        If folder is no path, or every is not a whole number.
    ValueError
        If every is below 1.
    ImportError
        At the beginning of a training, if tensorboardX is not installed.
    """

    alone: ClassVar[bool] = True

    def __init__(self, folder: str | os.PathLike[str], every: int = 10) -> None:
        self.folder, self.every = path_of(folder, "folder"), _check.positive_int(every, "every")
        self._writer: Any = None

    def on_fit_begin(self, progress: Progress) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise ImportError("TensorBoard needs tensorboardX: pip install 'fastlstm[tensorboard]'") from None
        self._writer = SummaryWriter(str(self.folder), purge_step=progress.step or None)

    def on_batch_end(self, progress: Progress) -> None:
        assert progress.optimizer is not None
        if progress.stepped and progress.step % self.every == 0:
            self._writer.add_scalar("step/loss", progress.loss, progress.step)
            self._writer.add_scalar("step/gradient norm", progress.norm, progress.step)
            self._writer.add_scalar("step/learning rate", progress.optimizer.lr, progress.step)

    def on_epoch_end(self, progress: Progress) -> None:
        for name, value in progress.logs.items():
            self._writer.add_scalar(f"epoch/{name}", value, progress.epoch)

    def on_fit_end(self, progress: Progress) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class GradientNorms(Callback):
    """Keeps the norm of the gradient of every step.

    Attributes
    ----------
    norms : list of float
        Norm of the gradient of all parameters before clipping, one for each step. It exists once a training has begun.
    """

    def on_fit_begin(self, progress: Progress) -> None:
        self.norms: list[float] = []

    def on_batch_end(self, progress: Progress) -> None:
        if progress.stepped:
            self.norms.append(progress.norm)

    def state(self) -> dict[str, Any]:
        return {"norms": self.norms}

    def restore(self, state: dict[str, Any]) -> None:
        norms = _check.items(state["norms"], "norms", "numbers")
        for norm in norms:
            if not isinstance(norm, int | float):
                raise TypeError(f"norms: expected numbers, got {norm!r:.80}")
        self.norms = norms
