"""Where the data of the applications lies: in the folder that the environment variable FASTLSTM_DATA names."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "FASTLSTM_DATA"


def find(name: str) -> Path:
    """The file of this name in the folder of the data.

    Raises
    ------
    FileNotFoundError
        If the variable is not set, or the file is not there.
    """
    folder = os.environ.get(VARIABLE)
    if not folder:
        raise FileNotFoundError(f"{VARIABLE} is not set: let it name the folder that holds {name}")
    path = Path(folder) / name
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: {VARIABLE} names the folder that should hold it")
    return path
