"""docs/long-memory.md and its pictures: python -m bench.studies.memory [--quick] [--folder docs]"""

from __future__ import annotations

import argparse
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastlstm as fl
from bench import machine
from bench.studies import DOCS
from bench.studies.memory import parity, runs
from bench.studies.memory.runs import CHRONO, HELD_OUT, NETWORKS, PLAIN, SIMPLE, Fit, Settings
from fastlstm import plot

Array = NDArray[Any]
Fits = dict[str, dict[str, Fit]]
REACH = 0.01
"""Share of the gradient one step back at which it counts as gone."""

HEAD = """# Long memory

This page measures over how many steps an LSTM, a simple RNN and others remember, and how to start an LSTM so that it
remembers over hundreds of steps.

A simple RNN (Elman 1990, `fastlstm.SimpleRNN`) passes what it knows through a matrix and a squashing function at every
step. So does the gradient on its way back: over long times it vanishes, or explodes (Hochreiter 1991; Bengio et al.
1994). The cell of an LSTM is a sum: c = f c + i g. Where the forget gate f is near 1, what was written stays, and the
gradient comes back as it went in. Whether f is near 1 is learned; where it starts is set by `forget_bias`.

This page is made by `python -m bench.studies.memory{quick}`: {seconds:.0f} seconds on {processor}, with
{threads}. All numbers and pictures come from that run. The networks, each of {hidden} units and a dense layer:

{networks}

All see the same new sequences at every step, {batch} at a time, with Adam and gradients clipped to a norm of {clip:g}.
Where several learning rates were tried, each in a training of its own, the best on {held_out} held-out sequences is
shown:

{lrs}

The rates of the LSTM with `chrono`, one for each task, were found in trainings before this run: 0.002 and 0.005 for
adding (0.002 had learned nothing at T = 400 after 800 steps), 0.005, 0.01 and 0.02 for copying, with 64 or 100 units.
"""

ADDING = """## Adding two numbers

The network reads a sequence of T random numbers from 0 to 1, two of which are marked, one in each half. At the end it
gives their sum (Hochreiter and Schmidhuber 1997, in the form of Le et al. 2015). A network that always answers 1 has a
mean squared error of 0.167. {steps:,} steps of training; errors on {held_out} held-out sequences:
"""

AGAIN = """From other starting values and on other sequences, by the seeds {seeds}, the LSTM with `chrono` comes at
T = {length} to {held_out}.
"""

COPYING = """## Copying ten symbols

The network reads ten symbols out of eight, then {length} blanks (the last one a mark). Over ten more steps the symbols
must come out again, in order (Arjovsky et al. 2016). The measure is the cross-entropy in nats a step; without memory it
is 10·log(8) / (T + 20) = {chance:.3f}. {steps:,} steps of training; on {held_out} held-out sequences:
"""

GRADIENT = """## The gradient on its way back

The picture shows how much of the gradient is left so many steps before the end, on the adding task of T = {length}: the
norm of the gradient of the last output by the state, as a share of that one step back. The state is h for the simple
RNN; for an LSTM it has two parts, h and c. {floor}

![Gradient by distance in time](pictures/{picture})

Steps back at which less than {reach:.0%} is left:
"""

RECIPE = """## What to take from it

For dependencies over T steps, start an LSTM's gates with memories of that length, clip the gradient, and do not be shy
with the learning rate:

```python
import fastlstm as fl

T = 1000
lstm = fl.LSTM(2, 64, chrono=T)
```

`lstm.gates(x)` shows what the gates do then, and `fastlstm.plot.gates_figure` draws it. Here the LSTM that has learned
to add over {length} steps reads a sequence:

![Gates of an LSTM that adds]({gates})
"""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.studies.memory", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--folder", type=Path, default=DOCS, help="where to write (default: docs)")
    options = parser.parse_args(argv)
    settings = runs.QUICK if options.quick else Settings()
    start = time.perf_counter()
    text, pictures = page(run(settings), settings)
    folder = options.folder / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in pictures.items():
        plot.save_figure(figure, folder / name)
    facts = machine.describe()
    count = fl.get_num_threads()
    head = HEAD.format(
        quick=" --quick" * options.quick,
        seconds=time.perf_counter() - start,
        processor=facts["processor"].partition(";")[0],
        threads=f"{count} thread{'s' * (count > 1)}, fastlstm {facts['fastlstm']}",
        hidden=settings.hidden,
        batch=settings.batch,
        clip=settings.clip,
        lrs=rates(settings),
        held_out=f"{HELD_OUT:,}",
        networks="\n".join(
            textwrap.fill(f"- **{name}**: {one.words}", 120, subsequent_indent="  ") for name, one in NETWORKS.items()
        ),
    )
    (options.folder / "long-memory.md").write_text(head + "\n" + text, encoding="utf-8")
    return 0


@dataclass
class Found:
    """Fits of all tasks: by title and network, of other seeds of the longest sequences to add, and of parity."""

    added: Fits
    again: list[Fit]
    copied: Fits
    tracked: dict[str, list[parity.Fit]]


def run(settings: Settings) -> Found:
    """Train all networks on all tasks."""
    added: Fits = {}
    for t in settings.lengths:
        added[f"adding, T = {t}"] = {name: runs.best_fit(name, runs.adding, t, settings) for name in settings.lrs}
    lr = added[f"adding, T = {t}"][CHRONO].lr
    again = [runs.fit(CHRONO, runs.adding, t, lr, settings, seed) for seed in settings.seeds]
    t = settings.copy_length
    fits = {name: runs.best_fit(name, runs.copying, t, settings) for name in settings.copy_lrs}
    return Found(added, again, {f"copying, T = {t}": fits}, parity.run(settings.tracking))


def page(found: Found, settings: Settings) -> tuple[str, dict[str, Any]]:
    """The page below its head, and its pictures by name."""
    added, copied, norms = found.added, found.copied, gradients(found.added, settings)
    length = settings.lengths[-1]
    gates = "pictures/long-memory-gates.png"
    short = settings.lengths[0]  # can be read
    x, _ = runs.adding(np.random.default_rng(4), 1, short)
    lstm = added[f"adding, T = {short}"][CHRONO].model.layers[0]
    assert isinstance(lstm, fl.LSTM)
    pictures = {
        "long-memory-adding.png": learning(added, runs.adding, settings, "mean squared error"),
        "long-memory-copying.png": learning(copied, runs.copying, settings, "cross-entropy, nats a step"),
        "long-memory-parity.png": parity.figure(found.tracked, settings.tracking),
        "long-memory-gradient.png": plot.gradient_distance_figure(norms),
        "long-memory-gates.png": plot.gates_figure(
            lstm.gates(x),
            values=x[0],
            names=("number", "mark"),
            title=f"An LSTM adds the two marked numbers of {short}",
        ),
    }
    held_out = f"{HELD_OUT:,}"
    copy_length = settings.copy_length
    parts = [
        ADDING.format(steps=settings.steps, held_out=held_out),
        losses(added, runs.adding, settings.lengths),
        AGAIN.format(
            length=length,
            seeds=", ".join(map(str, settings.seeds)),
            held_out=", ".join(f"{one.held_out:.5f}" for one in found.again),
        ),
        "![Losses over the steps of training](pictures/long-memory-adding.png)\n",
        COPYING.format(
            length=copy_length,
            chance=runs.chance(runs.copying, copy_length),
            steps=settings.copy_steps,
            held_out=held_out,
        ),
        losses(copied, runs.copying, (copy_length,)),
        "![Losses over the steps of training](pictures/long-memory-copying.png)\n",
        parity.section(found.tracked, settings.tracking, "long-memory-parity.png"),
        GRADIENT.format(
            length=length,
            floor=f"Below {plot.memory.FLOOR:g} it is drawn there.",
            picture="long-memory-gradient.png",
            reach=REACH,
        ),
        reaches(norms),
        RECIPE.format(length=short, gates=gates),
    ]
    return "\n".join(parts), pictures


def gradients(added: Fits, settings: Settings) -> dict[str, dict[str, Array]]:
    """Norms by distance before and after training, on the longest sequences."""
    t = settings.lengths[-1]
    x, _ = runs.adding(np.random.default_rng(3), 100, t)
    found: dict[str, dict[str, Array]] = {}
    for when in ("before training", "after training"):
        found[when] = {}
        for name in (SIMPLE, PLAIN, CHRONO):
            trained = added[f"adding, T = {t}"][name].model
            model = runs.network(name, runs.adding, t, settings.hidden) if when.startswith("before") else trained
            for part, norms in runs.gradient_by_distance(model, x).items():
                found[when][f"{name}: {part}"] = norms
    return found


def rates(settings: Settings) -> str:
    """A table: the learning rates that were tried."""
    lines = ["| | adding | copying |", "|---|---|---|"]
    for name in NETWORKS:
        tried = [", ".join(f"{lr:g}" for lr in lrs.get(name, ())) for lrs in (settings.lrs, settings.copy_lrs)]
        lines.append(f"| {name} | " + " | ".join(part or "–" for part in tried) + " |")
    return "\n".join(lines)


def learning(fits: Fits, task: runs.Task, settings: Settings, label: str) -> Any:
    curves = {title: {name: one.losses for name, one in panel.items()} for title, panel in fits.items()}
    chance = {title: runs.chance(task, int(title.rpartition(" ")[2])) for title in fits}
    return plot.learning_figure(curves, every=settings.every, chance=chance, label=label)


def losses(fits: Fits, task: runs.Task, lengths: tuple[int, ...]) -> str:
    """A table: without memory, and each network with its learning rate."""
    names = list(next(iter(fits.values())))
    lines = ["| T | without memory | " + " | ".join(names) + " |", "|---:|" + "---:|" * (len(names) + 1)]
    for t, panel in zip(lengths, fits.values(), strict=True):
        figures = [f"{one.held_out:.5f} (lr {one.lr:g})" for one in panel.values()]
        lines.append(f"| {t} | {runs.chance(task, t):.5f} | " + " | ".join(figures) + " |")
    return "\n".join(lines) + "\n"


def reaches(norms: dict[str, dict[str, Array]]) -> str:
    """A table: where the gradient falls below REACH for the first time."""
    lines = ["| | " + " | ".join(norms) + " |", "|---|" + "---:|" * len(norms)]
    for name in next(iter(norms.values())):
        cells = []
        for panel in norms.values():
            below = np.flatnonzero(panel[name] < REACH * panel[name][0])
            cells.append(f"{below[0] + 1}" if len(below) else f"never in {len(panel[name])}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
