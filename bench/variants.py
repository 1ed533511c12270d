"""What the options of a recurrent layer cost beside the plain one: python -m bench.variants [--threads 2] [--rounds 5]

100 steps of 32 sequences of 64 features, 128 units. Each layer is measured in fresh processes, in turn with the plain
one of its kind; a figure is the time of a call in inference, and of a forward and a backward pass in training after the
parameters have changed, each the median of a process, then the median of the ratios of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import fastlstm as fl

T, N, FEATURES, UNITS = 100, 32, 64, 128

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
    "GRU, clip": ("GRU", {"clip": 3.0}),
    "GRU, zoneout": ("GRU", {"zoneout": 0.1}),
    "SimpleRNN, zoneout": ("SimpleRNN", {"zoneout": 0.1}),
    "SimpleRNN, softsign": ("SimpleRNN", {"activation": "softsign"}),
}
"""The classes and options that are measured."""


def median_time(call: Callable[[], Any], seconds: float) -> float:
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 10 or time.perf_counter() < end:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def measure(kind: str, options: dict[str, Any], threads: int, seconds: float = 0.5) -> dict[str, float]:
    """Seconds of a call in inference, and of a training pass."""
    fl.set_num_threads(threads)
    layer = getattr(fl, kind)(FEATURES, UNITS, seed=0, **options)
    x = np.random.default_rng(0).normal(size=(N, T, FEATURES)).astype(np.float32)
    tape = fl.Workspace(0)
    dy = np.ones((N, T, UNITS), np.float32)

    def train() -> None:
        for parameter in layer.parameters():
            parameter.touch()
            parameter.zero_grad()
        layer.forward(x, tape, training=True, lengths=None)
        layer.backward(dy, tape)

    return {"inference": median_time(lambda: layer(x), seconds), "training": median_time(train, seconds)}


def in_a_process(kind: str, options: dict[str, Any], threads: int) -> dict[str, float]:
    command = [
        sys.executable,
        "-m",
        "bench.variants",
        "--measure",
        json.dumps([kind, options]),
        "--threads",
        str(threads),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ})
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.variants", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        kind, arguments = json.loads(options.measure)
        print(json.dumps(measure(kind, arguments, options.threads)))
        return
    print(f"{'time of the plain layer x':36}{'inference':>11}{'training':>11}")
    for name, (kind, arguments) in LAYERS.items():
        ratios: dict[str, list[float]] = {"inference": [], "training": []}
        for _ in range(options.rounds):
            plain, ours = (in_a_process(kind, given, options.threads) for given in ({}, arguments))
            for way, values in ratios.items():
                values.append(ours[way] / plain[way])
        print(f"{name:36}" + "".join(f"{np.median(values):11.2f}" for values in ratios.values()), flush=True)


if __name__ == "__main__":
    main()
