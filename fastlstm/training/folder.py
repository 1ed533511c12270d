"""Locks folders, so that only one training at a time writes into a folder."""

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
"""Name of the file that is locked. Its owner removes it at the end. If the owner was killed, the next one locks it."""

HELD = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
"""Error numbers if another process holds the lock. Other errors are ignored: some file systems have no locks."""


def require_writable(folder: Path) -> None:
    """Make the folder if it does not exist, and check that files can be written into it.

    Raises
    ------
    NotADirectoryError
        If it exists and is not a folder.
    PermissionError
        If it cannot be made or written into.
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
    """Lock these folders until the context or the process ends.

    Raises
    ------
    BlockingIOError
        If another training, in this process or in another one, has locked one of them.
    NotADirectoryError, PermissionError
        As in `require_writable`.
    FileExistsError
        If the lock file exists and is not a regular file.
    """
    with ExitStack() as locks:
        for folder in sorted({folder.resolve() for folder in folders}):
            require_writable(folder)
            locks.enter_context(_lock(folder))
        yield


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    with _changing:  # the system lets a process lock the same file twice
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
                with suppress(OSError):  # Windows cannot remove an open file
                    (folder / NAME).unlink()
    finally:
        with _changing:
            _own.discard(folder)


def _locked_file(folder: Path) -> BinaryIO:
    """The lock file, open and locked. Tries again if the last owner has removed the file in between."""
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
    """Open a regular file of the folder. A link is not followed.

    Raises
    ------
    FileExistsError
        If it is a link, a folder, a FIFO or a device.
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
    """Lock the file for this process. Child processes do not inherit the lock: it ends with this process."""
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(file, 1 << 30, os.SEEK_SET)  # beyond the text, which others may read
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
    """Forget all locks in a forked child, because it does not hold those of its parent."""
    global _changing
    _changing = threading.Lock()
    _own.clear()


_own: set[Path] = set()
"""Folders that trainings in this process have locked."""

_changing = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
