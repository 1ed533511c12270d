"""The lines that a training prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from fastlstm.callbacks import Callback, Progress


class Report(Callback):
    """Prints a line after each epoch, above the bar if there is one, and a line if Ctrl-C has ended the training.

    Parameters
    ----------
    say : function, optional
        Takes the figures of an epoch and returns the text of the line. Without it epochs print nothing.
    """

    alone: ClassVar[bool] = True

    def __init__(self, say: Callable[[Mapping[str, float]], str] | None = None) -> None:
        self._say = say

    def on_fit_end(self, progress: Progress) -> None:
        if progress.interrupted:
            print(f"\nStopped {progress.where}.", flush=True)
            progress.told = True

    def on_epoch_end(self, progress: Progress) -> None:
        if self._say is None:
            return
        line = f"epoch {progress.epoch} of {progress.epochs}: {self._say(progress.logs)}"
        try:
            from tqdm import tqdm
        except ImportError:
            print(line, flush=True)
        else:
            tqdm.write(line)
