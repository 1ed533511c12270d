"""Compiled kernels. They import nothing else of the package; each has a storey on pointers and one on memoryviews."""

import importlib
from pathlib import Path

try:
    importlib.import_module("fastlstm._kernels.rows")
except ModuleNotFoundError as error:
    raise ImportError(
        f"the kernels of fastlstm are not compiled in {Path(__file__).parent}, which looks like its source folder. "
        "Start Python in another folder, so that the installed package is found, or compile here: pip install -e ."
    ) from error
