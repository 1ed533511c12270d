"""Memory of a model that predicts, and its file, by how its weights are held: each in a process of its own.

python -m bench.resident [units] [layers]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import fastlstm as fl

KINDS: list[tuple[str | None, bool]] = [
    (None, False),
    ("bfloat16", False),
    ("bfloat16", True),
    ("int8", False),
    ("int8", True),
]
"""The kind of the weights, and whether the file is narrow, too."""

MIB = 1 << 20


def resident() -> float:
    """MiB of this process that are in memory now. Linux only."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def measure(path: str) -> None:
    """Print MiB after the import, after a model is loaded, and after it has predicted one sequence of two steps."""
    found = [resident()]
    model = fl.load(path)
    found.append(resident())
    model.predict(np.zeros((1, 2, int(model.input_shape[-1])), np.float32))
    print(*(f"{one:.0f}" for one in [*found, resident()]))


def main(argv: list[str]) -> None:
    if argv[:1] == ["--child"]:
        measure(argv[1])
        return
    units, layers = [*map(int, argv), *(2048, 2)[len(argv) :]]
    print(
        f"LSTM, {layers} x {units} units\n| weights | file | import | loaded | after a prediction |\n|---|{'---:|' * 4}"
    )
    for kind, narrow in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model")
            model = fl.Model([fl.LSTM(units, units, num_layers=layers)], seed=0, weights=kind)
            fl.save(model, path, narrow=narrow)
            command = [sys.executable, "-m", "bench.resident", "--child", path]
            told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            name = f"{kind or 'float32'}{', narrow' if narrow else ''}"
            print(f"| {name} | {os.path.getsize(path) / MIB:.0f} | {' | '.join(told)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
