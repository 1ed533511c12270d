"""Files that are there whole, or not at all."""

from __future__ import annotations

import itertools
import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside and rename: at no moment is there half a file under this name. A link stays a link."""
    path = path.resolve()
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder")
    beside = path.with_name(f".{path.name}.{os.getpid()}.{next(_counter)}.part")
    mode = path.stat().st_mode & 0o777 if path.exists() else None
    try:
        with open(beside, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(beside, mode)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


_counter = itertools.count()
"""Tells the files apart that threads of this process write at once."""


def sweep(folder: Path) -> None:
    """Remove what a process that was killed had written beside; no other may be writing into the folder."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)
