"""Writing files whole or not at all, and reading them with errors that name the file and the damage."""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

PathLike = str | os.PathLike[str]

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

LONGEST_REASON = 500
"""Characters of a reason in a message: a number in a damaged file may have thousands of digits."""


def write_atomically(path: PathLike, content: bytes) -> None:
    """Write a file under another name, then rename it, so that no reader ever sees half of it. A link stays a link.

    Raises
    ------
    FileExistsError, IsADirectoryError
        If the path is not a regular file, but a device or a folder; see `require_replaceable`.
    FileNotFoundError
        If the folder does not exist.
    """
    mode = require_replaceable(path)
    target = Path(os.path.realpath(path))
    try:
        os.stat(target.parent)
    except FileNotFoundError:
        raise FileNotFoundError(f"{target.parent}: no such folder") from None
    beside = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with open(beside, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(beside, mode & 0o777)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def require_replaceable(path: PathLike) -> int | None:
    """Raise an error if the path is a folder, a device, a FIFO or a socket, or a link to one.

    Returns
    -------
    int or None
        The mode of the file that exists there; None if there is none.
    """
    _require_path(path)
    if not os.fspath(path):
        raise FileNotFoundError("path: expected a file, got an empty path")
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    _require_file(path, mode, FileExistsError)
    return mode


def open_file(path: PathLike, what: str = "a file") -> BufferedReader:
    """Open a regular file for reading. Anything else is refused: a FIFO waits for a writer, a device may never end.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, PermissionError, OSError
        The message names the path.
    TypeError
        If it is no path.
    """
    _require_path(path)
    try:
        _require_file(path, os.stat(path).st_mode, OSError, what)
        file = open(path, "rb", opener=_open_at_once)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
    try:
        _require_file(path, os.fstat(file.fileno()).st_mode, OSError, what)  # it may have been replaced since
    except OSError:
        file.close()
        raise
    return file


def read_bytes(path: PathLike) -> bytes:
    """The content of a file. It raises the errors of `open_file`."""
    with open_file(path) as file:
        return file.read()


class Damaged(ValueError):
    """The error for a file that cannot be used. Its message begins with the path and says what is wrong."""


@contextmanager
def reading(path: PathLike, *more: type[Exception], what: str = "") -> Iterator[None]:
    """Turn errors that a damaged file causes within this context into a ValueError that names the file.

    Readers check what they read. This context catches what their checks miss.

    Parameters
    ----------
    path : path
    *more : exceptions
        More errors that count as damage, such as ``csv.Error``. Of OSError only those without an errno count, as the
        others come from the file system.
    what : str, optional
        What was expected, for the message.
    """
    _require_path(path)
    try:
        yield
    except Damaged:
        raise
    except MemoryError as error:
        raise Damaged(f"{path}: asks for more memory than there is") from error
    except (ArithmeticError, AttributeError, EOFError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise Damaged(f"{path}: {_damage(error, what)}") from error
    except more as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise Damaged(f"{path}: {_damage(error, what)}") from error


def sweep(folder: Path) -> None:
    """Remove the unfinished files of a process that was killed. No other process may be writing into the folder."""
    for entry in os.scandir(folder):
        if PART.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
            Path(entry.path).unlink(missing_ok=True)


PART = re.compile(r"\..+\.\d+\.\d+\.part", re.DOTALL)
"""Names that `write_atomically` gives to unfinished files: the number of the process, and that of the thread."""


def _require_path(path: PathLike, name: str = "path") -> None:
    """Refuse what the system would take for an open file: its number."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{name}: expected a str or a path, got {path!r}")


def path_of(path: PathLike, name: str) -> Path:
    """What a user gives as a path, checked."""
    _require_path(path, name)
    return Path(path)


def _require_file(path: PathLike, mode: int, refusal: type[OSError], what: str = "a file") -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{path}: expected {what}, got a folder")
    if not stat.S_ISREG(mode):
        raise refusal(f"{path}: expected {what}, got {KINDS.get(stat.S_IFMT(mode), 'something else')}")


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _damage(error: Exception, what: str) -> str:
    return f"expected {what} that is whole, got {error!r:.120}" if what else f"damaged: {_reason(error)}"


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deep"
    reason = f"there is no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
    return reason if len(reason) <= LONGEST_REASON else reason[:LONGEST_REASON] + " ..."
