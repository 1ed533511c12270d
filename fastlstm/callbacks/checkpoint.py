"""A training that is interrupted goes on where it was."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any, ClassVar

from fastlstm import _check, snapshot
from fastlstm.callbacks.base import Callback, Progress
from fastlstm.files import sweep


class Checkpoint(Callback):
    """Writes the whole state of the training into a folder, for ``fit(..., resume=folder)`` to go on from.

    A file is written beside its place, then renamed: whenever the process is killed, the newest file is whole. One is
    written at the end and after Ctrl-C, too.

    Parameters
    ----------
    folder : path
        Made if it is not there; a training has one of its own.
    every_steps : int, optional
        Steps of the optimizer from one to the next.
    every_minutes : float, optional
        Minutes from one to the next; 1 if neither is given.
    keep : int, default 2
        How many are kept, the newest ones.

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
        self.folder = Path(folder)
        self.every_steps = None if every_steps is None else _check.positive_int(every_steps, "every_steps")
        if every_minutes is None and every_steps is None:
            every_minutes = 1.0
        self.every_minutes = None if every_minutes is None else _check.number(every_minutes, "every_minutes", 0)
        self.keep = _check.positive_int(keep, "keep")

    def on_fit_begin(self, progress: Progress) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(f"folder: expected a folder, got the file {self.folder}")
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep(self.folder)
        self._time, self._step = time.monotonic(), progress.step

    def on_batch_end(self, progress: Progress) -> None:
        if not progress.stepped:
            return
        many = self.every_steps is not None and progress.step - self._step >= self.every_steps
        late = self.every_minutes is not None and time.monotonic() - self._time >= 60 * self.every_minutes
        if many or late:
            self.write(progress)

    def on_fit_end(self, progress: Progress) -> None:
        if not progress.failed:  # what was last good is there already
            self.write(progress)

    def write(self, progress: Progress) -> None:
        """Write the state as it is now, and remove what is older than the last ones."""
        snapshot.write(self.folder / f"step-{progress.step:09d}.safetensors", progress.snapshot())
        for old in checkpoints(self.folder)[: -self.keep]:
            if old.is_file():
                old.unlink(missing_ok=True)
        self._time, self._step = time.monotonic(), progress.step


NAME = re.compile(r"step-\d+\.safetensors")


def checkpoints(folder: Path) -> list[Path]:
    """The files of a folder, from the oldest to the newest."""
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    return [folder / name for name in names if NAME.fullmatch(name)]


def newest(folder: Path) -> dict[str, Any] | None:
    """The state that was last written there, None where there is none."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"resume: expected a folder, got the file {folder}")
    found = checkpoints(folder)
    return snapshot.read(found[-1]) if found else None
