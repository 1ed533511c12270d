"""Checkpoints: a training that is interrupted goes on where it was."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any, ClassVar

from fastlstm import _check, snapshot
from fastlstm.callbacks.base import Callback, Progress
from fastlstm.files import path_of, sweep


class Checkpoint(Callback):
    """Writes the whole state of a training into a folder, from which ``fit(..., resume=folder)`` goes on.

    Each file is written under another name and then renamed, so that the newest file is whole whenever the process is
    killed. The state is also written at the end of the training and after Ctrl-C.

    Parameters
    ----------
    folder : path
        It is made if it does not exist. Each training needs a folder of its own.
    every_steps : int, optional
        Steps of the optimizer from one file to the next.
    every_minutes : float, optional
        Minutes from one file to the next; 1 if neither is given.
    keep : int, default 2
        How many files are kept: the newest ones.

    Raises
    ------
    TypeError
        If folder is no path, every_steps or keep is not a whole number, or every_minutes is not a number.
    ValueError
        If every_steps or keep is below 1, or every_minutes is negative.
    NotADirectoryError
        At the beginning of a training, if there is a file in place of the folder.
    OSError
        In a training, if the folder cannot be made or written into.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np, tempfile
    >>> from fastlstm.callbacks import Checkpoint
    >>> x, y = np.ones((8, 5, 1)), np.ones((8, 1))
    >>> def trainer(folder):
    ...     model = fl.Model([fl.LSTM(1, 4), fl.Last(), fl.Dense(4, 1)], seed=0)
    ...     return fl.Trainer(model, "mse", callbacks=[Checkpoint(folder, every_steps=1)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first = trainer(folder).fit(x, y, epochs=2)
    ...     second = trainer(folder).fit(x, y, epochs=5, resume=folder)  # epochs 3 to 5
    >>> second["loss"][:2] == first["loss"], second.epochs
    (True, 5)
    """

    order: ClassVar[int] = 1

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        every_steps: int | None = None,
        every_minutes: float | None = None,
        keep: int = 2,
    ) -> None:
        self.folder = path_of(folder, "folder")
        self.every_steps = None if every_steps is None else _check.positive_int(every_steps, "every_steps")
        if every_minutes is None and every_steps is None:
            every_minutes = 1.0
        self.every_minutes = None if every_minutes is None else _check.number(every_minutes, "every_minutes", 0)
        self.keep = _check.positive_int(keep, "keep")

    def on_fit_begin(self, progress: Progress) -> None:
        self._time, self._step = time.monotonic(), progress.step
        if progress.rank:
            return
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(f"folder: expected a folder, got the file {self.folder}")
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep(self.folder)

    def on_batch_begin(self, progress: Progress) -> None:
        late = self.every_minutes is not None and time.monotonic() - self._time >= 60 * self.every_minutes
        progress.due = progress.due or late

    def on_batch_end(self, progress: Progress) -> None:
        many = self.every_steps is not None and progress.step - self._step >= self.every_steps
        if progress.stepped and progress.even and (many or progress.due):
            self._write(progress)

    def on_fit_end(self, progress: Progress) -> None:
        if not progress.failed:  # the last good state has been written
            self._write(progress)

    def _write(self, progress: Progress) -> None:
        """Write the present state, and remove the files that are too old to be kept. Of several ranks, rank 0 does.

        Parameters
        ----------
        progress : Progress

        Raises
        ------
        OSError
            If the folder cannot be written into.
        """
        self._time, self._step = time.monotonic(), progress.step
        state = progress.snapshot()  # all ranks take part in it
        if progress.rank:
            return
        snapshot.write(self.folder / f"step-{progress.step:09d}.safetensors", state)
        for old in checkpoints(self.folder)[: -self.keep]:
            if old.is_file():
                old.unlink(missing_ok=True)


NAME = re.compile(r"step-\d+\.safetensors")


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, from the oldest to the newest; none if there is no folder."""
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    return [folder / name for name in names if NAME.fullmatch(name)]


def newest(folder: Path) -> dict[str, Any] | None:
    """The newest state in a folder; None if there is none."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"resume: expected a folder, got the file {folder}")
    found = checkpoints(folder)
    return snapshot.read(found[-1]) if found else None
