"""The output folder of a command. It is checked at the start, and nothing in it is replaced unless asked for."""

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
from fastlstm.communicator import Communicator
from fastlstm.files import write_atomically

UNFINISHED = "unfinished"
"""The subfolder of the output folder for the files of an interrupted training."""

STOPPED = "stopped.safetensors"
"""The file in it with what the interrupted training had learned."""

SETTINGS = "settings.json"
"""The file in it with the options of the training."""

OWN = (MODEL, STOPPED, SETTINGS)
"""The files that this program writes there beside the checkpoints. The model is the untrained one of ``text train``."""

LOCK = ".lock"
"""The file in it that a training locks while it runs; see `clear`."""

NO_SETTINGS = frozenset(
    {
        "run",
        "output",
        "force",
        "resume",
        "line",
        "place",
        "ranks",
        "communicator",
        "left",
        "trains",
        "file",
        "texts",
        "words",
        "beam",
        "threshold",
        "max_bytes",
        "max_seconds",
    }
)
"""Attributes of the parsed command line that do not say how to train, only where and on what."""


def reserve(folder: Path, names: Sequence[str], *, force: bool) -> None:
    """Check at the start that the files can be written at the end, and replace none without ``force``.

    Raises
    ------
    OSError
        If the folder cannot be written to, or one of the files exists; the message says what to do.
    """
    for path in (folder / name for name in names):
        if os.path.lexists(path) and not path.is_file():
            kind = "a folder" if path.is_dir() else "something else"
            raise FileExistsError(f"{path}: expected a file to write to, got {kind}")
        if path.exists() and not force:
            raise FileExistsError(f"{path}: is there already; --force replaces it, another --output keeps it")
    check_writable(folder)


def check_writable(folder: Path) -> None:
    """Check that a folder can be written to by a temporary file, and leave nothing behind."""
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
    """The output folder of a training. It is checked before the training, and written to after it.

    An interrupted training leaves the files in it as they were. Its own files are in the subfolder ``unfinished``: the
    state to go on from, and the network as it was. Of several ranks, all check the folder, and rank 0 writes to it.

    Parameters
    ----------
    options : Namespace
        The parsed command line: the folder ``output``, ``force``, ``resume``, and ``line``, the words themselves.
    names : list of str
        The files that are written at the end, the model first.

    Attributes
    ----------
    written : bool
        Whether this process writes to the folder: rank 0 does.
    """

    def __init__(self, options: argparse.Namespace, names: Sequence[str]) -> None:
        self.folder: Path = options.output
        self.state = self.folder / UNFINISHED
        self.model = self.folder / names[0]
        self._options, self._new = options, not os.path.lexists(self.folder)
        options.place = self
        self.communicator: Communicator | None = options.communicator
        self.written = options.ranks.rank == 0
        with options.ranks.together("checking the output folder"):
            if self.written:  # two that try at once whether they may write would be in each other's way
                self._check(names)

    def _check(self, names: Sequence[str]) -> None:
        options = self._options
        if options.resume and not self.resumable:
            raise FileNotFoundError(f"{self.state}: there is no interrupted training to resume")
        if self.resumable and not options.resume and not options.force:
            raise FileExistsError(
                f"{self.state}: holds an interrupted training; --resume goes on with it, --force begins anew"
            )
        reserve(
            self.folder, names, force=options.force or options.resume
        )  # a resumed training may replace its own files

    @property
    def resumable(self) -> bool:
        """Whether there is an interrupted training to go on with."""
        return self.state.is_dir() and bool(checkpoints(self.state))

    def checkpoint(self) -> Checkpoint:
        """The callback that keeps the state of the training."""
        return Checkpoint(self.state, keep=1)

    def begin(self) -> None:
        """Remove the files of an earlier training; to resume one, check that it was begun with the same options."""
        path = self.state / SETTINGS
        settings = {name: value for name, value in vars(self._options).items() if name not in NO_SETTINGS}
        if not self._options.resume:
            self.clear(over=False)
            if self.written:
                self.state.mkdir(parents=True, exist_ok=True)
                write_atomically(path, json.dumps(settings).encode())
            return
        for name, begun in read_settings(path).items():
            if settings.get(name, begun) != begun:
                raise UsageError(f"{name}: expected {begun!r}, as the training was begun with, got {settings[name]!r}")

    def clear(self, *, over: bool = True) -> None:
        """Remove the files of an interrupted training. The lock stays until this training is over."""
        if not self.written or not self.state.is_dir():
            return
        for path in (*checkpoints(self.state), *(self.state / name for name in (*OWN, *[LOCK] * over))):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # somebody keeps other files there
            self.state.rmdir()

    def tidy(self) -> None:
        """After an error, remove the files of a training that cannot be resumed."""
        with suppress(OSError):  # the folder does not exist, or is not empty
            if self.written and not self.resumable:
                self.clear()
                if self._new:
                    self.folder.rmdir()

    def stopped(self, save: Callable[[Path], None], use: str) -> int:
        """Save what an interrupted training has learned, and print how to use it and how to go on."""
        self._options.left = True
        if not self.written:
            return 130
        path = self.state / STOPPED
        save(path)
        print(f"\nWhat it had learned by then: {path}")
        if self.model.exists():
            print(f"{self.model} is still the earlier one.")
        print(f"To use it: {use.format(shlex.quote(str(path)))}")
        print(f"To go on: {self.again}")
        return 130

    def done_here(self) -> bool:
        """Whether this process has nothing more to do after the training: rank 0 measures and writes alone."""
        self._options.left = True
        return not self.written

    @property
    def again(self) -> str:
        """The command that resumes the training."""
        line = list(self._options.line)
        if not self._options.resume:
            line.insert(line.index("--") if "--" in line else len(line), "--resume")
        ranks = self._options.ranks.size
        return shlex.join([*(["mpiexec", "-n", str(ranks)] if ranks > 1 else []), "fastlstm", *line])


def read_settings(path: Path) -> dict[str, Any]:
    """The options with which a training was begun; empty if there is no such file."""
    if not path.exists():
        return {}
    try:
        settings = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        settings = None
    if not isinstance(settings, dict):
        raise ValueError(f"{path}: damaged: expected the options of a training as JSON")
    return settings
