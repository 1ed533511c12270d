"""What the options of a recurrent layer cost beside the plain one: python -m bench.variants [--threads 2] [--rounds 5]

100 steps (`--steps`) of 32 sequences of 64 features, 128 units. Each layer, or those that `--only` names, is measured
in fresh processes, in turn with the plain one of its kind. A figure is the time of a call in inference, and of a
forward and a backward pass in training after the parameters have changed: the median of a process, then the median of
the ratios of the rounds. In square brackets stands the same of the CPU time of all threads.

With `--peers`, the same layers of PyTorch and Keras are measured instead, where these are installed, and a figure is
their time over ours.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastlstm as fl
from bench import timing

T, N, FEATURES, UNITS = 100, 32, 64, 128

Figures = dict[str, float]
"""Of a layer, by the way it is called, and with ", CPU" behind that."""

LAYERS: dict[str, tuple[str, dict[str, Any]]] = {
    "peephole": ("LSTM", {"peephole": True}),
    "coupled": ("LSTM", {"coupled": True}),
    "clip": ("LSTM", {"clip": 3.0}),
    "cell_clip": ("LSTM", {"cell_clip": 3.0}),
    "activation softsign": ("LSTM", {"activation": "softsign"}),
    "recurrent_activation hard_sigmoid": ("LSTM", {"recurrent_activation": "hard_sigmoid"}),
    "zoneout": ("LSTM", {"zoneout": 0.1}),
    "recurrent_dropout": ("LSTM", {"recurrent_dropout": 0.2}),
    "recurrent_dropout on candidate": ("LSTM", {"recurrent_dropout": 0.2, "recurrent_dropout_on": "candidate"}),
    "input_dropout": ("LSTM", {"input_dropout": 0.2}),
    "variational input_dropout": ("LSTM", {"input_dropout": 0.2, "variational": True}),
    "weight_dropout": ("LSTM", {"weight_dropout": 0.3}),
    "layer_norm": ("LSTM", {"layer_norm": True}),
    "proj_size 64": ("LSTM", {"proj_size": 64}),
    "proj_size 32": ("LSTM", {"proj_size": 32}),
    "learn_initial_state": ("LSTM", {"learn_initial_state": True}),
    "two_biases": ("LSTM", {"two_biases": True}),
    "mask with a hole in each row": ("LSTM", {"mask": "hole"}),
    "mask without a tenth of the steps": ("LSTM", {"mask": "tenth"}),
    'GRU, reset="before"': ("GRU", {"reset": "before"}),
    "MinLSTM": ("MinLSTM", {}),
    "SLSTM": ("SLSTM", {}),
    "SLSTM, heads 4": ("SLSTM", {"heads": 4}),
    "GRU, clip": ("GRU", {"clip": 3.0}),
    "GRU, zoneout": ("GRU", {"zoneout": 0.1}),
    "SimpleRNN, zoneout": ("SimpleRNN", {"zoneout": 0.1}),
    "SimpleRNN, softsign": ("SimpleRNN", {"activation": "softsign"}),
}
"""The classes and options that are measured."""


WAYS = ("inference", "training")


def figures(infer: Callable[[], Any], train: Callable[[], Any], seconds: float) -> Figures:
    """Microseconds of a call of each, and of CPU time of all threads."""
    found: Figures = {}
    for way, call in zip(WAYS, (infer, train), strict=True):
        times = timing.measure(call, seconds)
        found |= {way: times.median, f"{way}, CPU": times.cpu}
    return found


def measure(kind: str, options: dict[str, Any], threads: int, steps: int = T, seconds: float = 0.5) -> Figures:
    """The figures of a call in inference, and of a training pass."""
    fl.set_num_threads(threads)
    mask = mask_of(options.pop("mask", None), steps)
    model = fl.Model([getattr(fl, kind)(FEATURES, UNITS, **options)], seed=0)
    x = sequences(steps)
    tape = model.tape()
    dy = np.ones((N, steps, model.output_shape[-1]), np.float32)

    def train() -> None:
        for parameter in model.parameters():
            parameter.touch()
            parameter.zero_grad()
        model.forward(x, tape, training=True, mask=mask)
        model.backward(dy, tape, input_gradient=True)

    return figures(lambda: model.predict(x, mask=mask), train, seconds)


def sequences(steps: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(N, steps, FEATURES)).astype(np.float32)


def mask_of(kind: str | None, steps: int) -> NDArray[np.bool_] | None:
    """Which steps are real: all but one, or all but a tenth, of each sequence."""
    if kind is None:
        return None
    rng = np.random.default_rng(1)
    holes = 1 if kind == "hole" else steps // 10
    return np.argsort(rng.random((N, steps)), axis=1) >= holes


def torch_layer(options: dict[str, Any], threads: int, steps: int = T, seconds: float = 1.0) -> Figures:
    """The same of a torch.nn.LSTM."""
    import torch

    torch.set_num_threads(threads)
    layer = torch.nn.LSTM(FEATURES, UNITS, batch_first=True, **options)
    x, wanted = torch.from_numpy(sequences(steps)), torch.from_numpy(sequences(steps)).requires_grad_()

    def infer() -> None:
        with torch.inference_mode():
            layer(x)

    def train() -> None:
        layer.zero_grad()
        y, _ = layer(wanted)
        y.backward(torch.ones_like(y))

    return figures(infer, train, seconds)


def torch_slstm(options: dict[str, Any], threads: int, steps: int = T, seconds: float = 3.0) -> Figures:
    """A loop of PyTorch over the paper's equations of the sLSTM, W x of all steps ahead of it."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(threads)
    heads = options["heads"]
    size = UNITS // heads
    w, b = torch.randn(4 * UNITS, FEATURES) * 0.1, torch.zeros(4 * UNITS)
    u = torch.randn(heads, size, 4 * size) * 0.1
    parameters = [parameter.requires_grad_() for parameter in (w, u, b)]
    x = torch.from_numpy(sequences(steps)).requires_grad_()

    def run() -> Any:
        sums = (x @ w.T + b).view(N, steps, heads, 4 * size)
        h = c = n = m = torch.zeros(N, heads, size)
        outputs = []
        for t in range(steps):
            i, f, z, o = (sums[:, t] + torch.einsum("nhk,hkg->nhg", h, u)).chunk(4, dim=-1)
            log_f = functional.logsigmoid(f) + m
            m = torch.maximum(log_f, i) if t else i
            write, keep = torch.exp(i - m), torch.exp(log_f - m)
            c, n = keep * c + write * torch.tanh(z), keep * n + write
            h = torch.sigmoid(o) * c / n
            outputs.append(h)
        return torch.stack(outputs, 1).flatten(2)

    def infer() -> None:
        with torch.inference_mode():
            run()

    def train() -> None:
        for parameter in (x, *parameters):
            parameter.grad = None
        run().sum().backward()

    return figures(infer, train, seconds)


def keras_layer(options: dict[str, Any], threads: int, steps: int = T, seconds: float = 3.0) -> Figures:
    """The same of a keras.layers.LSTM on TensorFlow, compiled."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    layer = keras.layers.LSTM(UNITS, return_sequences=True, **options)
    x = tf.constant(sequences(steps))

    @tf.function
    def infer() -> Any:
        return layer(x)

    @tf.function
    def train() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        return tape.gradient(y, [x, *layer.trainable_variables])

    layer(x)
    return figures(lambda: infer().numpy(), lambda: train()[0].numpy(), seconds)


PEERS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "PyTorch, proj_size 64": ("torch", "LSTM", {"proj_size": 64}, {"proj_size": 64}),
    "PyTorch, proj_size 32": ("torch", "LSTM", {"proj_size": 32}, {"proj_size": 32}),
    "PyTorch, a loop, SLSTM": ("torch loop", "SLSTM", {}, {"heads": 1}),
    "PyTorch, a loop, SLSTM with 4 heads": ("torch loop", "SLSTM", {"heads": 4}, {"heads": 4}),
    "Keras, recurrent_dropout": ("keras", "LSTM", {"recurrent_dropout": 0.2}, {"recurrent_dropout": 0.2}),
}
"""What measures theirs, our class and options, and theirs."""


def in_a_process(kind: str, options: dict[str, Any], threads: int, steps: int) -> Figures:
    command = [
        sys.executable,
        "-m",
        "bench.variants",
        "--measure",
        json.dumps([kind, options]),
        "--threads",
        str(threads),
        "--steps",
        str(steps),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ})
    found: Figures = json.loads(done.stdout)
    return found


def row(name: str, rounds: list[tuple[Figures, Figures]], form: str) -> str:
    """The medians of the second's figures over the first's."""
    ratios = {key: float(np.median([other[key] / own[key] for own, other in rounds])) for key in rounds[0][0]}
    cells = (f"{ratios[way]:{form}} [{ratios[f'{way}, CPU']:{form}}]" for way in WAYS)
    return f"{name:36}" + "".join(f"{cell:>16}" for cell in cells)


def heads(title: str) -> str:
    return f"{title:36}" + "".join(f"{way + ' [CPU]':>16}" for way in WAYS)


def compare_peers(rounds: int, threads: int, steps: int) -> None:
    print(heads("their time over ours"))
    for name, (module, kind, ours, theirs) in PEERS.items():
        if find_spec(module.split()[0]) is None:
            print(f"{name:36} {module.split()[0]} is not installed")
            continue
        found = [
            (in_a_process(kind, ours, threads, steps), in_a_process(module, theirs, threads, steps))
            for _ in range(rounds)
        ]
        print(row(name, found, ".1f"), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.variants", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=T)
    parser.add_argument("--only", nargs="+", choices=LAYERS, default=list(LAYERS), metavar="NAME")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        kind, arguments = json.loads(options.measure)
        by = {"torch": torch_layer, "torch loop": torch_slstm, "keras": keras_layer}.get(kind, partial(measure, kind))
        print(json.dumps(by(arguments, options.threads, options.steps)))
        return
    if options.peers:
        compare_peers(options.rounds, options.threads, options.steps)
        return
    usual = {"MinLSTM": "LSTM", "SLSTM": "LSTM"}
    print(heads("time of the plain layer x"))
    for name in options.only:
        kind, arguments = LAYERS[name]
        both = (usual.get(kind, kind), {}), (kind, arguments)
        found = []
        for _ in range(options.rounds):
            plain, ours = (in_a_process(of, given, options.threads, options.steps) for of, given in both)
            found.append((plain, ours))
        print(row(name, found, ".2f"), flush=True)


if __name__ == "__main__":
    main()
