"""Where a command writes: nothing is replaced unasked, and what cannot be written is told at the start."""

from __future__ import annotations

import argparse
import json
import os
import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from fastlstm.callbacks import Checkpoint
from fastlstm.callbacks.checkpoint import checkpoints
from fastlstm.cli.options import MODEL, UsageError
from fastlstm.files import write_atomically

UNFINISHED = "unfinished"
"""Folder in the output folder, of all that an interrupted training leaves."""

STOPPED = "stopped.safetensors"
"""What it had learned, there."""

SETTINGS = "settings.json"
"""The options that it was begun with, there."""

OWN = (MODEL, STOPPED, SETTINGS)
"""What this program writes there besides its checkpoints; the model is the untrained one of a text."""

LOCK = ".lock"
"""What a training may hold there while it runs; see `clear`."""

NO_SETTINGS = frozenset(
    {"run", "output", "force", "resume", "line", "place", "file", "texts", "words", "beam", "max_bytes", "max_seconds"}
)
"""Attributes of the parsed command line that say where and on what to train, not how."""


def reserve(folder: Path, names: Sequence[str], *, force: bool) -> None:
    """Refuse now what could not be written at the end, or would replace something that nobody said may be replaced.

    Raises
    ------
    OSError
        If the folder cannot be written to, or holds one of the names; the message says what to do.
    """
    for path in (folder / name for name in names):
        if os.path.lexists(path) and not path.is_file():
            kind = "a folder" if path.is_dir() else "something else"
            raise FileExistsError(f"{path}: expected a file to write to, got {kind}")
        if path.exists() and not force:
            raise FileExistsError(f"{path}: is there already; --force replaces it, another --output keeps it")
    check_writable(folder)


def check_writable(folder: Path) -> None:
    """Write a file that has no name, and leave nothing behind."""
    made: list[Path] = []
    try:
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"output: expected a folder, got the file {folder}")
        made = [each for each in (folder, *folder.parents) if not each.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
    except OSError as error:
        raise type(error)(f"output: cannot write to {folder}: {error.strerror}" if error.strerror else error) from None
    finally:
        for each in made:
            with suppress(OSError):
                each.rmdir()


class Output:
    """The folder of a training: checked before it, written to after it, and left as it was by one that is interrupted.

    All that an interrupted training leaves lies in the subfolder ``unfinished``: the state to go on from, and the
    network as it was.

    Parameters
    ----------
    options : Namespace
        With the folder, ``force``, ``resume``, and as ``line`` the words of the command line.
    names : list of str
        What is written at the end, the model first.
    """

    def __init__(self, options: argparse.Namespace, names: Sequence[str]) -> None:
        self.folder: Path = options.output
        self.state = self.folder / UNFINISHED
        self.model = self.folder / names[0]
        self._options, self._new = options, not os.path.lexists(self.folder)
        options.place = self
        if options.resume and not self.resumable:
            raise FileNotFoundError(f"{self.state}: there is no interrupted training to resume")
        if self.resumable and not options.resume and not options.force:
            raise FileExistsError(
                f"{self.state}: holds an interrupted training; --resume goes on with it, --force begins anew"
            )
        reserve(self.folder, names, force=options.force or options.resume)  # its own, if that was being written

    @property
    def resumable(self) -> bool:
        """Whether there is something to go on from."""
        return self.state.is_dir() and bool(checkpoints(self.state))

    def checkpoint(self) -> Checkpoint:
        """What writes down where the training stands."""
        return Checkpoint(self.state, keep=1)

    def begin(self) -> None:
        """Remove what an earlier training has left, or see that the one to go on with was begun with these options."""
        path = self.state / SETTINGS
        settings = {name: value for name, value in vars(self._options).items() if name not in NO_SETTINGS}
        if not self._options.resume:
            self.clear(over=False)
            self.state.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(settings).encode())
            return
        for name, begun in read_settings(path).items():
            if settings.get(name, begun) != begun:
                raise UsageError(f"{name}: expected {begun!r}, as the training was begun with, got {settings[name]!r}")

    def clear(self, *, over: bool = True) -> None:
        """Remove what an interrupted training has left; but for a lock, as long as this one is not over."""
        if not self.state.is_dir():
            return
        for path in (*checkpoints(self.state), *(self.state / name for name in (*OWN, *[LOCK] * over))):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # somebody keeps a file of his own there
            self.state.rmdir()

    def tidy(self) -> None:
        """After an error: leave nothing behind that nobody can go on from."""
        with suppress(OSError):  # it is not there, or holds something
            if not self.resumable:
                self.clear()
                if self._new:
                    self.folder.rmdir()

    def stopped(self, save: Callable[[Path], None], use: str) -> int:
        """Keep what an interrupted training has learned, beside what was there, and say how it is used and gone on."""
        path = self.state / STOPPED
        save(path)
        print(f"\nWhat it had learned by then: {path}")
        if self.model.exists():
            print(f"{self.model} is still the earlier one.")
        print(f"To use it: {use.format(shlex.quote(str(path)))}")
        print(f"To go on: {self.again}")
        return 130

    @property
    def again(self) -> str:
        """The command that goes on with what was interrupted."""
        line = list(self._options.line)
        if not self._options.resume:
            line.insert(line.index("--") if "--" in line else len(line), "--resume")
        return shlex.join(["fastlstm", *line])


def read_settings(path: Path) -> dict[str, Any]:
    """The options that a training was begun with."""
    if not path.exists():
        return {}
    try:
        settings = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        settings = None
    if not isinstance(settings, dict):
        raise ValueError(f"{path}: damaged: expected the options of a training as JSON")
    return settings
