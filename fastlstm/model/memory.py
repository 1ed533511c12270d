"""An estimate of the memory that a training needs, made before it starts."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastlstm._check import Shape
from fastlstm.layers import Layer
from fastlstm.layers.conv import Conv1d
from fastlstm.layers.each_step import EachStep
from fastlstm.layers.holder import Holder
from fastlstm.layers.recurrent import Recurrent

COPIES = 4
"""Number of arrays for each parameter: the value, its gradient, and the two running means of Adam."""

GIGABYTE = 1e9


def check_memory(layers: Sequence[Layer], sequences: int = 1, steps: int = 1, precision: str | None = None) -> None:
    """Raise an error if the training of a network would not fit into the free memory.

    Parameters
    ----------
    layers : list of Layer
        Layers that are not built yet.
    sequences, steps : int, default 1
        Number of sequences in a mini-batch, and of steps in a sequence.
    precision : "bfloat16" or None, default None
        As in `fastlstm.Trainer`.

    Raises
    ------
    MemoryError
        If it would not fit. The message says how much is needed, and how much is free.

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
    needed = 4 * (COPIES * parameters + activations(layers, sequences, steps, precision))
    there = free()
    if needed > there:
        batches = f" on batches of {sequences:,} x {steps:,} steps" if sequences * steps > 1 else ""
        raise MemoryError(
            f"training this network of {parameters:,} parameters{batches} needs about {needed / GIGABYTE:,.1f} GB, and "
            f"{there / GIGABYTE:,.1f} GB are free; a smaller network or batch needs less"
        )


def activations(layers: Sequence[Layer], sequences: int, steps: int, precision: str | None = None) -> int:
    """About how many numbers the layers keep for the backward pass, including outputs and their gradients."""
    return kept_from(("N", "T") if layers[0].takes_tokens else ("N", "T", "F"), layers, sequences, steps, precision)


def kept_from(shape: Shape, layers: Sequence[Layer], sequences: int, steps: int, precision: str | None) -> int:
    """The same, for an input of this shape."""
    total = 0
    for layer in layers:
        if isinstance(layer, Holder):
            own = (sequences * steps, layer.steps) if isinstance(layer, EachStep) else (sequences, steps)
            total += sum(kept_from(layer._inner_shape(shape), chain.layers, *own, precision) for chain in layer.chains)
        if isinstance(layer, Recurrent):
            total += kept(layer, sequences, steps, precision)
        if isinstance(layer, Conv1d):  # what its windows see, and the gradient of that
            total += 2 * sequences * steps * layer.windows.size * layer.input_size // layer.windows.stride
        shape = layer.output_shape(shape)
        width = shape[-1] if isinstance(shape[-1], int) else 1
        total += 2 * sequences * (steps if len(shape) == 3 else 1) * width
    return total


def kept(layer: Recurrent[Any], sequences: int, steps: int, precision: str | None) -> int:
    """How many numbers a recurrent layer keeps besides its output.

    These are the sums of the cell and c at each step, what lies between the layers, with its gradients, and what says
    which numbers are left out at random. With checkpoints, the layer keeps the sums and c of at most
    ``checkpoint_every`` steps, and a state for each such block. A cell whose steps have two phases also keeps what the
    first one puts out. In bfloat16, rounded gradients of the sums lie beside them, in half their memory.
    """
    every = min(layer.checkpoint_every or steps, steps)
    states = math.ceil(steps / every) * len(layer.cell.parts)
    cell = layer.cell
    sums = cell.sums + cell.norms + (cell.projection or 0) / layer.hidden_size
    if precision:
        sums *= 1.5
    between = steps if len(cell.plain_phases) > 1 else 0  # what the first phase puts out
    of_a_unit = math.ceil(every * (sums + max(cell.c_parts, int(cell.hands_on)))) + states + between
    units, count = layer.directions * layer.hidden_size, layer.num_layers
    beside = sum(layer._joint.kept(k, count, layer.input_size) for k in range(count))
    beside += sum(dropped(layer, k) for k in range(count))
    return sequences * (units * count * of_a_unit + steps * beside)


def dropped(layer: Recurrent[Any], k: int) -> int:
    """How many numbers layer k of a recurrent layer keeps at each step for what it leaves out at random.

    These are the inputs without those left out, and below the first layer their gradients; and a byte for each number
    of h, c or the candidate that may be left out.
    """
    numbers, options = 0, layer.cell.options
    if layer._rates.of_layer(k):
        width = layer._joint.input_width(k, layer.input_size)
        numbers += width * (2 if k and not layer._rates.variational else 1)
    if options is not None:
        bytes_of = {"zone_h": layer.state_size, "zone_c": layer.hidden_size, "candidate_rate": layer.hidden_size}
        numbers += layer.directions * sum(size for rate, size in bytes_of.items() if getattr(options, rate)) // 4
    return numbers


def free() -> int:
    """The free memory in bytes, within the limit of a container. A very large number if nothing is known."""
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
    """The numbers by name, from a file with a name and a number in each line."""
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1}
