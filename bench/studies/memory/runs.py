"""Tasks of memory, networks that learn them, and how far the gradient reaches in these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastlstm as fl
from bench.studies.memory import parity

Array = NDArray[Any]
Task = Callable[[np.random.Generator, int, int], tuple[Array, Array]]
SYMBOLS, COPIED = 8, 10
HELD_OUT = 1000
SIMPLE, PLAIN, CHRONO = "SimpleRNN", "LSTM", "LSTM, chrono=T"


@dataclass(frozen=True)
class Network:
    """What it is, its recurrent layer of so many features and units for T steps, and the learning rates that are tried.

    Each rate has a training of its own; the best on held-out sequences is shown. A task without rates is left out.
    """

    words: str
    layer: Callable[[int, int, int], fl.Layer]
    adding: tuple[float, ...]
    copying: tuple[float, ...] = ()


NETWORKS = {
    SIMPLE: Network(
        "tanh, an orthogonal recurrent matrix at first.",
        lambda inputs, units, t: fl.SimpleRNN(inputs, units),
        (0.0003, 0.001, 0.003),
        (0.0003, 0.001, 0.003),
    ),
    PLAIN: Network(
        "as it comes. A forget gate of bias 1 keeps 73 % at each step, 1/e over about 3 steps.",
        lambda inputs, units, t: fl.LSTM(inputs, units),
        (0.002, 0.005, 0.01),
    ),
    CHRONO: Network(
        "the forget gates' biases [start](lstm.md#starting-values) as log(u), u even from 1 to T - 1, and the input "
        "gates' as -log(u) (Tallec and Ollivier 2018), so that the units' memories start with times of 1 to T steps.",
        lambda inputs, units, t: fl.LSTM(inputs, units, chrono=t),
        (0.005,),
        (0.02,),
    ),
    "sLSTM": Network(
        "as it comes, with one head (Beck et al. 2024). Its input gate is an exponential: what is written now may "
        "outweigh all that was written before.",
        lambda inputs, units, t: fl.SLSTM(inputs, units),
        (0.005, 0.01),
        (0.005, 0.02),
    ),
}


def adding(rng: np.random.Generator, n: int, t: int) -> tuple[Array, Array]:
    """Numbers (N, T) from 0 to 1, one of each half marked; the target is the sum of the two (N, 1).

    Hochreiter and Schmidhuber 1997, in the form of Le et al. 2015. Without memory: the mean, 1, with a mean squared
    error of 1/6.
    """
    x = np.zeros((n, t, 2), np.float32)
    x[..., 0] = rng.random((n, t))
    rows, first, second = np.arange(n), rng.integers(0, t // 2, n), rng.integers(t // 2, t, n)
    x[rows, first, 1] = x[rows, second, 1] = 1
    return x, (x[rows, first, 0] + x[rows, second, 0])[:, None]


def copying(rng: np.random.Generator, n: int, t: int) -> tuple[Array, Array]:
    """Ten of eight symbols, T - 1 blanks, a mark and ten blanks, as ones (N, T + 20, 10); the targets are T + 10 blanks
    and then the symbols (N, T + 20).

    Arjovsky et al. 2016. Without memory: blanks, then each symbol alike, 10·log(8) / (T + 20) nats a step.
    """
    symbols = rng.integers(1, SYMBOLS + 1, (n, COPIED))
    read, wanted = np.zeros((2, n, t + 2 * COPIED), np.intp)
    read[:, :COPIED] = wanted[:, -COPIED:] = symbols
    read[:, -COPIED - 1] = SYMBOLS + 1
    return np.eye(SYMBOLS + 2, dtype=np.float32)[read], wanted


def chance(task: Task, t: int) -> float:
    """Loss of the best answer without memory."""
    return 1 / 6 if task is adding else COPIED * np.log(SYMBOLS) / (t + 2 * COPIED)


@dataclass
class Settings:
    """Steps, sizes and learning rates of a run."""

    lengths: tuple[int, ...] = (100, 400, 1000)
    steps: int = 1500
    copy_length: int = 50
    copy_steps: int = 4000
    hidden: int = 64
    batch: int = 32
    clip: float = 1.0
    lrs: dict[str, tuple[float, ...]] = field(default_factory=lambda: {n: one.adding for n, one in NETWORKS.items()})
    copy_lrs: dict[str, tuple[float, ...]] = field(
        default_factory=lambda: {n: one.copying for n, one in NETWORKS.items() if one.copying}
    )
    seeds: tuple[int, ...] = (1, 2)
    tracking: parity.Settings = field(default_factory=lambda: parity.FULL)
    every: int = 50


QUICK = Settings(
    (20,), 300, 3, 40, 24, lrs={name: (0.01,) for name in NETWORKS}, every=20, seeds=(1,), tracking=parity.QUICK
)


@dataclass
class Fit:
    """A training: the mean loss of every so many steps, that of held-out sequences after it, and the network."""

    lr: float
    losses: list[float]
    held_out: float
    model: fl.Model


def network(name: str, task: Task, t: int, hidden: int, seed: int = 0) -> fl.Model:
    """One layer of units and a dense one."""
    inputs, outputs = (2, 1) if task is adding else (SYMBOLS + 2,) * 2
    layer = NETWORKS[name].layer(inputs, hidden, t)
    return fl.Model([layer, *([fl.Last()] if task is adding else []), fl.Dense(hidden, outputs)], seed=seed)


def fit(name: str, task: Task, t: int, lr: float, settings: Settings, seed: int = 0) -> Fit:
    """Train on sequences that are drawn anew at every step: the same ones for every network of a seed."""
    model = network(name, task, t, settings.hidden, seed)
    loss = fl.mse if task is adding else fl.softmax_cross_entropy
    optimizer, tape, rng = fl.Adam(lr), model.tape(), np.random.default_rng([1, seed])
    seen, losses = [], []
    for step in range(1, (settings.steps if task is adding else settings.copy_steps) + 1):
        x, y = task(rng, settings.batch, t)
        value, dpred = loss(model.forward(x, tape, training=True), y)
        model.zero_grad()
        model.backward(dpred, tape, input_gradient=False)
        fl.clip_grad_norm(model.parameters(), settings.clip)
        optimizer.step(model.parameters())
        seen.append(value)
        if step % settings.every == 0:
            losses.append(float(np.mean(seen[-settings.every :])))
    held_out = fl.Trainer(model, loss).evaluate(*task(np.random.default_rng(2), HELD_OUT, t))["loss"]
    return Fit(lr, losses, held_out, model)


def best_fit(name: str, task: Task, t: int, settings: Settings) -> Fit:
    """The fit of the learning rate that does best on held-out sequences."""
    lrs = settings.lrs if task is adding else settings.copy_lrs
    return min((fit(name, task, t, lr, settings) for lr in lrs[name]), key=lambda one: one.held_out)


def gradient_by_distance(model: fl.Model, x: Array) -> dict[str, Array]:
    """Norm of the gradient of the output at the last step by the state at each step, from the last one back.

    By h, and for an LSTM also by c, through all later steps; the first is one step before the last. A mean over the
    sequences x (N, T, F). The gradient of a loss is that of the output times a number, whatever the distance.
    """
    layer, dense = model.layers[0], model.layers[-1]
    assert isinstance(layer, fl.LSTM | fl.SimpleRNN)
    tape, n = fl.Workspace(0), len(x)
    if isinstance(layer, fl.LSTM):
        gates = layer.gates(x)
        states = gates.hidden, gates.cell
    else:
        states = (layer(x)[0],)
    dh = np.repeat(dense.parameter("weight").value.sum(axis=0)[None, None], n, axis=1)
    dstate = (dh, np.zeros_like(dh))[: len(states)]
    dy = np.zeros((n, 1, layer.hidden_size), dh.dtype)
    norms: list[list[float]] = []
    for t in reversed(range(1, x.shape[1])):
        before = tuple(part[None, :, t - 1] for part in states)
        layer.forward_with_state(x[:, t : t + 1], before, tape, training=True, lengths=None)
        _, dbefore = layer.backward_with_state(dy, dstate, tape, input_gradient=False)
        norms.append([float(np.linalg.norm(part[0], axis=1).mean()) for part in dbefore])
        dstate = tuple(part.copy() for part in dbefore)
    columns = np.array(norms).T
    return dict(zip("hc", columns, strict=False))
