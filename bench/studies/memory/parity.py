"""Parity: which networks keep track of a state, on sequences of bits up to those they learn from and far beyond."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastlstm as fl
from fastlstm.plot.figure import COLORS, INK, finish, new_figure

Array = NDArray[Any]
HELD_OUT = 2000
MARKERS = "osD^vP"


@dataclass(frozen=True)
class Network:
    """Recurrent layers, of so many features and units; the learning rates that are tried; the steps of a training."""

    layer: Callable[[int, int], fl.Layer]
    rates: tuple[float, ...] = (0.003, 0.01)
    steps: int = 2000


def two_min_lstms(inputs: int, units: int) -> fl.Layer:
    return fl.MinLSTM(inputs, units, num_layers=2)


MORE = (0.003, 0.01, 0.03), 4000  # chances for what guesses
NETWORKS = {
    "SimpleRNN": Network(fl.SimpleRNN),
    "LSTM": Network(fl.LSTM),
    "GRU": Network(fl.GRU),
    "sLSTM": Network(fl.SLSTM),
    "MinLSTM": Network(fl.MinLSTM, *MORE),
    "MinLSTM, 2 layers": Network(two_min_lstms, *MORE),
}


@dataclass
class Settings:
    """Lengths, sizes and seeds of a run, and the networks in it."""

    networks: dict[str, Network]
    trained: int = 40
    lengths: tuple[int, ...] = (10, 40, 100, 250, 1000)
    hidden: int = 32
    batch: int = 64
    clip: float = 1.0
    seeds: tuple[int, ...] = (0, 1, 2)


FULL = Settings(NETWORKS)
QUICK = Settings({name: Network(one.layer, (0.01,), 150) for name, one in NETWORKS.items()}, 3, (2, 9), 16, seeds=(0,))

SECTION = """## Keeping track of a state: parity

Bits come one after the other, and at each step the network says whether the number of ones so far is odd. One bit of
memory is enough, but a one turns it over: what becomes of the state depends on the state. An LSTM and a GRU have gates
that see the state through U, and a SimpleRNN is little else than U. They can learn this.

The gates of a [MinLSTM](layers.md#minlstm-gates-that-see-the-input-alone) see the input alone, and its h is a mean of
earlier h and new candidates, with weights that are never negative. No number of such layers gets parity right at every
length, in finite precision (Grazzi et al. 2024). Networks that are linear in their state have other limits, too
(Merrill et al. 2024, by permutations of five things). Of the two cells of an xLSTM it is the sLSTM, the one with a U,
that learns parity (Beck et al. 2024).

Each network has {hidden} units and a dense layer. It learns from sequences of 1 to {trained} bits, all new, {batch} at
a time and of another length at each step, with an answer at every bit, by Adam with gradients clipped to a norm of
{clip:g}. Each learning rate is tried with the seeds {seeds}. The rate that is shown is the one with the most right
answers in the first {trained} bits of held-out sequences, by the median of its seeds:

{tried}

Right answers after so many bits, in % of {held_out:,} held-out sequences; the median of the seeds, and in brackets the
best of them. 50 % is guessing.

{right}

![Right answers by the number of bits](pictures/{picture})
"""


def bits(rng: np.random.Generator, n: int, t: int) -> tuple[Array, Array]:
    """Bits (N, T, 2), one of the two features 1, and whether the number of ones so far is odd (N, T)."""
    drawn = rng.integers(0, 2, (n, t))
    return np.eye(2, dtype=np.float32)[drawn], drawn.cumsum(axis=1) % 2


@dataclass
class Fit:
    """A training: its learning rate, and the share of right answers at each step of held-out sequences (T,)."""

    lr: float
    right: Array


def fit(network: Network, lr: float, seed: int, settings: Settings) -> Fit:
    """Train on sequences that are drawn anew at every step: the same ones for every network of a seed."""
    model = fl.Model([network.layer(2, settings.hidden), fl.Dense(settings.hidden, 2)], seed=seed)
    optimizer, tape, rng = fl.Adam(lr), model.tape(), np.random.default_rng([1, seed])
    for _ in range(network.steps):
        x, y = bits(rng, settings.batch, int(rng.integers(1, settings.trained + 1)))
        _, dpred = fl.softmax_cross_entropy(model.forward(x, tape, training=True), y)
        model.zero_grad()
        model.backward(dpred, tape, input_gradient=False)
        fl.clip_grad_norm(model.parameters(), settings.clip)
        optimizer.step(model.parameters())
    x, y = bits(np.random.default_rng(2), HELD_OUT, settings.lengths[-1])
    return Fit(lr, (model.predict(x).argmax(axis=-1) == y).mean(axis=0))


def run(settings: Settings) -> dict[str, list[Fit]]:
    """By network, the trainings of all seeds at the learning rate that does best on the trained lengths."""

    def median(fits: list[Fit]) -> float:
        return float(np.median([one.right[: settings.trained].mean() for one in fits]))

    return {
        name: max(([fit(one, lr, seed, settings) for seed in settings.seeds] for lr in one.rates), key=median)
        for name, one in settings.networks.items()
    }


def section(found: dict[str, list[Fit]], settings: Settings, picture: str) -> str:
    """The part of the page."""
    return SECTION.format(
        hidden=settings.hidden,
        trained=settings.trained,
        batch=settings.batch,
        clip=settings.clip,
        seeds=", ".join(map(str, settings.seeds)),
        held_out=HELD_OUT,
        tried=tried(found, settings),
        right=right(found, settings),
        picture=picture,
    )


def tried(found: dict[str, list[Fit]], settings: Settings) -> str:
    """A table: steps and learning rates of each network."""
    lines = ["| | steps | learning rates | shown |", "|---|---:|---|---:|"]
    for name, one in settings.networks.items():
        lines.append(f"| {name} | {one.steps:,} | {', '.join(f'{lr:g}' for lr in one.rates)} | {found[name][0].lr:g} |")
    return "\n".join(lines)


def right(found: dict[str, list[Fit]], settings: Settings) -> str:
    """A table: right answers after so many bits, the median of the seeds and the best."""
    lines = ["| bits | " + " | ".join(found) + " |", "|---:|" + "---:|" * len(found)]
    for t in settings.lengths:
        shares = [[100 * one.right[t - 1] for one in fits] for fits in found.values()]
        cells = [f"{np.median(seeds):.1f} ({max(seeds):.1f})" for seeds in shares]
        lines.append(f"| {t:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def figure(found: dict[str, list[Fit]], settings: Settings) -> Any:
    """A picture: right answers after so many bits, the median of the seeds."""
    drawn = new_figure()
    axes = drawn.add_subplot()
    steps = np.unique(np.geomspace(1, settings.lengths[-1], 80).round().astype(int))
    for k, (name, fits) in enumerate(found.items()):
        shares = 100 * np.median([one.right[steps - 1] for one in fits], axis=0)
        marks = {"marker": MARKERS[k], "ms": 7, "markevery": (k, len(found))}  # in turn, where lines lie on each other
        axes.semilogx(steps, shares, color=COLORS[k], lw=1.8, label=name, **marks)
    axes.axhline(50, color=INK, lw=1, ls=":", label="guessing")
    axes.axvline(settings.trained, color=INK, lw=1, ls="--", label="longest in training")
    axes.xaxis.set_major_formatter("{x:g}")
    finish(axes, "Parity", "right answers, %", "bits read")
    return drawn
