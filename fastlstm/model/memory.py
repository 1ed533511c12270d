"""How much memory a training will take, before it takes it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fastlstm._check import Shape
from fastlstm.layers import Layer

COPIES = 4
"""Of each parameter: the value, its gradient, and the two averages of Adam."""

GIGABYTE = 1e9


def check_memory(layers: Sequence[Layer], sequences: int = 1, steps: int = 1) -> None:
    """Refuse to build a network whose training would not fit into the memory that is free.

    Parameters
    ----------
    layers : list of Layer
        Not built yet.
    sequences, steps : int
        Of a batch.

    Raises
    ------
    MemoryError
        With what would be needed and what there is.

    Examples
    --------
    >>> import fastlstm as fl
    >>> from fastlstm.model.memory import check_memory
    >>> check_memory([fl.LSTM(1, 8), fl.Dense(8, 1)], sequences=32, steps=100)
    >>> check_memory([fl.LSTM(1, 10_000_000)])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    MemoryError: training this network of 400,000,080,000,000 parameters needs about ...
    """
    parameters = sum(math.prod(shape) for layer in layers for shape in layer.parameter_shapes().values())
    needed = 4 * (COPIES * parameters + activations(layers, sequences, steps))
    there = free()
    if needed > there:
        batches = f" on batches of {sequences:,} x {steps:,} steps" if sequences * steps > 1 else ""
        raise MemoryError(
            f"training this network of {parameters:,} parameters{batches} needs about {needed / GIGABYTE:,.1f} GB, and "
            f"{there / GIGABYTE:,.1f} GB are free; a smaller network or batch needs less"
        )


def activations(layers: Sequence[Layer], sequences: int, steps: int) -> int:
    """About how many numbers the layers leave for the backward pass: outputs with gradients, gates and cells."""
    shape: Shape = ("N", "T", "F") if not layers[0].takes_tokens else ("N", "T")
    total = 0
    for layer in layers:
        shape = layer.output_shape(shape)
        width = shape[-1] if isinstance(shape[-1], int) else 1
        kept = 2 + 5 * getattr(layer, "num_layers", 0)
        total += sequences * (steps if len(shape) == 3 else 1) * width * kept
    return total


def free() -> int:
    """Bytes that can still be taken, by the system and the limit of a container; very many where nobody says."""
    found = [2**62]
    with suppress(OSError, ValueError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(OSError, ValueError, KeyError):
        found.append(1024 * table(Path("/proc/meminfo"))["MemAvailable:"])
    with suppress(OSError, ValueError, KeyError):
        group = Path("/sys/fs/cgroup")
        found.append(int((group / "memory.max").read_text()) - table(group / "memory.stat")["anon"])
    return max(0, min(found))


def table(path: Path) -> dict[str, int]:
    """A file of lines with a name and a number."""
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1}
