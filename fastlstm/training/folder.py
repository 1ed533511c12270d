"""A folder that one training at a time writes into."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

NAME = ".lock"
"""Of the file that is locked. Whoever has it removes it at the end; that of a killed process is locked again."""

HELD = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
"""What a system answers if another process has the lock. Some file systems know no locks: those trainings go on."""


def require_writable(folder: Path) -> None:
    """Make the folder if it is not there, and see that files can be written into it.

    Raises
    ------
    NotADirectoryError
        If it is something else.
    PermissionError
        If nothing can be written into it.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"resume: expected a folder, got the file {folder}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"may be written")
    except OSError as error:
        raise PermissionError(f"resume: cannot write into the folder {folder}: {error.strerror}") from error


@contextmanager
def held(folders: Iterable[Path]) -> Iterator[None]:
    """Have these folders for this training alone, until its end or that of the process, however it ends.

    Raises
    ------
    BlockingIOError
        If another training, of this process or another one, has one of them.
    """
    with ExitStack() as locks:
        for folder in sorted({folder.resolve() for folder in folders}):
            require_writable(folder)
            locks.enter_context(_lock(folder))
        yield


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    with _changing:  # a process may lock again what it has locked
        if folder in _own:
            raise _taken(folder, os.getpid())
        _own.add(folder)
    try:
        with _locked_file(folder) as file:
            file.truncate(0)
            file.write(str(os.getpid()).encode())
            file.flush()
            try:
                yield
            finally:
                with suppress(OSError):  # Windows removes no file that is open
                    (folder / NAME).unlink()
    finally:
        with _changing:
            _own.discard(folder)


def _locked_file(folder: Path) -> BinaryIO:
    """The file, open and locked, and not one that its last owner has removed in between."""
    while True:
        file = open(folder / NAME, "a+b", opener=_open_beside)
        try:
            _lock_file(folder, file.fileno())
            if os.path.samestat(os.fstat(file.fileno()), os.stat(folder / NAME)):
                return file
        except FileNotFoundError:
            pass
        except BaseException:
            file.close()
            raise
        file.close()


def _open_beside(path: str, flags: int) -> int:
    """A file of the folder itself: a link is not followed, and a FIFO or a device is none.

    Raises
    ------
    FileExistsError
    """
    try:
        found = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise FileExistsError(f"resume: expected a file or nothing at {path}, got something else") from None
        raise
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise FileExistsError(f"resume: expected a file or nothing at {path}, got something else")
    return found


def _lock_file(folder: Path, file: int) -> None:
    """Lock it for this process: no child inherits the lock, so that none keeps it when this process is gone."""
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(file, 1 << 30, os.SEEK_SET)  # beyond what is written, which others may read
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
        else:
            import fcntl

            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in HELD:
            os.lseek(file, 0, os.SEEK_SET)
            raise _taken(folder, os.read(file, 20).decode("ascii", "replace")) from error


def _taken(folder: Path, process: int | str) -> BlockingIOError:
    return BlockingIOError(
        f"resume: another training is using the folder {folder} (process {process or 'unknown'}): wait for its end, or "
        "give this training a folder of its own"
    )


def _forget() -> None:
    """A forked child holds no lock of its parent's."""
    global _changing
    _changing = threading.Lock()
    _own.clear()


_own: set[Path] = set()
"""Folders that trainings of this process have."""

_changing = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
