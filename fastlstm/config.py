"""What the kernels run on."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

from fastlstm._kernels import cpu
from fastlstm._version import __version__
from fastlstm.threads import get_num_threads


def config() -> dict[str, str]:
    """Versions, instruction set, BLAS and number of threads, as words.

    "few bits" says of each kind of `fastlstm.quantize` whether the processor multiplies such numbers itself.
    """
    import scipy

    blas: dict[str, Any] = scipy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "fastlstm": __version__,
        "python": platform.python_version(),
        "numpy, scipy": f"{np.__version__}, {scipy.__version__}",
        "machine": f"{platform.machine()}, {platform.system()}",
        "kernels": f"packed, {cpu.isa()}" if cpu.isa() != "plain" else "plain, on BLAS",
        "few bits": ", ".join(
            f"{kind} {'multiplied' if cpu.multiplies(kind) else 'widened to float32'}" for kind in cpu.NARROW
        )
        if cpu.isa() != "plain"
        else "none",
        "BLAS": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        "threads": str(get_num_threads()),
    }


def show_config() -> None:
    """Print what the kernels run on: versions, instruction set (see FASTLSTM_ISA), BLAS, number of threads.

    Examples
    --------
    >>> import fastlstm as fl
    >>> fl.show_config()  # doctest: +ELLIPSIS
    fastlstm      ...
    """
    for name, value in config().items():
        print(f"{name:13} {value}")
