"""The folder of a training that can be resumed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from fastlstm.callbacks import Callback, Checkpoint, Progress
from fastlstm.callbacks.checkpoint import checkpoints, newest
from fastlstm.snapshot import State
from fastlstm.training.folder import held, require_writable
from fastlstm.training.ranks import Ranks

PathLike = str | os.PathLike[str]


class Run:
    """The folder that a training writes its state to and is resumed from, or no folder.

    Attributes
    ----------
    state : dict or None
        The last state in the folder; None if there is none.

    Raises
    ------
    TypeError
        If folder is not a path.
    ValueError
        If folder is an empty path, or the last state in it is damaged.
    NotADirectoryError, PermissionError
        As in `require_writable`.
    """

    def __init__(self, folder: PathLike | None, ranks: Ranks | None = None) -> None:
        if folder is not None and not isinstance(folder, str | os.PathLike):
            raise TypeError(f"resume: expected a folder, got {folder!r}")
        if folder is not None and not os.fspath(folder):
            raise ValueError("resume: expected a folder, got an empty path")
        self._ranks = Ranks() if ranks is None else ranks
        self.folder = None if folder is None else Path(folder)
        self._found: list[Path] = []
        self.state = None
        if self.folder is not None:
            self.state = self._ranks.first(partial(self._read, self.folder), "reading the state of the training")

    def _read(self, folder: Path) -> State | None:
        """The last state in the folder."""
        require_writable(folder)
        self._found = checkpoints(folder)
        return newest(folder)

    def callbacks(self, given: Iterable[Callback]) -> list[Callback]:
        """A `Checkpoint` for the folder, unless one is given, or there is no folder."""
        if self.folder is None or self.folder.resolve() in [folder.resolve() for folder in folders(given)]:
            return []
        return [Checkpoint(self.folder)]

    @contextmanager
    def alone(self, callbacks: Iterable[Callback]) -> Iterator[None]:
        """Lock the folders of these callbacks, so that no other training writes into them. Only rank 0 does.

        Raises
        ------
        BlockingIOError
            If another training is using one of them, or has written into this folder since its state was read.
        NotADirectoryError, PermissionError, FileExistsError
            As in `held`.
        """
        with ExitStack() as locks:
            with self._ranks.together("locking the folder of the training"):
                if self._ranks.rank == 0:
                    locks.enter_context(held(folders(callbacks)))
                    self._require_unchanged()
            yield

    def _require_unchanged(self) -> None:
        if self.folder is not None and checkpoints(self.folder) != self._found:
            raise BlockingIOError(
                f"resume: another training has just written into the folder {self.folder}; call again to go on "
                "from there"
            )

    @staticmethod
    def word(progress: Progress, callbacks: Iterable[Callback]) -> str:
        """The message after Ctrl-C."""
        there = [str(folder) for folder in folders(callbacks)]
        how = (
            f"The same call with resume={there[0]!r} goes on from here."
            if there
            else "A training with resume='some/folder' could be gone on with from here."
        )
        return f"\nfastlstm: stopped {progress.where}; the model keeps what it has learned. {how}"


def folders(callbacks: Iterable[Callback]) -> list[Path]:
    """The folders of all checkpoints among these callbacks."""
    return [callback.folder for callback in callbacks if isinstance(callback, Checkpoint)]
