"""What training on several processes brings and costs: python -m bench.distributed [--loss TEXT] [--keep FILE]

Two models, that of `fastlstm text train` and that of `fastlstm classify train`, on made-up tokens. A measurement is a
run of its own: one process with one or two threads, or ranks under mpiexec with one thread each. It needs mpi4py and
mpiexec.
--loss trains the first model on the beginning of a text, with means of the parameters every few steps, and shows what
these do to the loss.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import fastlstm as fl
from fastlstm.training.buckets import Buckets

STEPS = 24
"""Steps of an epoch. The first epoch is not counted; of the others the fastest is."""

EPOCHS = 4

NETWORKS = {"10 Gb/s": (50e-6, 1.25e9), "25 Gb/s": (25e-6, 3.125e9)}
"""Seconds that a message takes at least, and bytes per second: what is usual for such networks over TCP."""


def problem(name: str, batch: int) -> tuple[fl.Model, dict[str, Any]]:
    """A model and the arguments of its fit, for batches of so many sequences."""
    rng = np.random.default_rng(0)
    if name == "characters":
        model = fl.text.Recipe().model(65)
        tokens = rng.integers(0, 65, 64 * batch * STEPS + 1)
        return model, {"x": tokens[:-1], "y": tokens[1:], "window": 64, "batch_size": batch}
    model = fl.classification.Recipe().model(10_000, 2)
    lengths = rng.integers(40, 121, batch * STEPS)
    x = rng.integers(0, 10_000, (batch * STEPS, 120))
    return model, {"x": x, "y": rng.integers(0, 2, len(x)), "lengths": lengths, "batch_size": batch}


class Timed:
    """A communicator that adds up the seconds that are spent in it."""

    def __init__(self, ranks: Any) -> None:
        self._ranks, self.seconds = ranks, 0.0
        self.rank, self.size, self.timeout = ranks.rank, ranks.size, ranks.timeout

    def timed(self, function: Any, *arguments: Any) -> Any:
        began = time.perf_counter()
        found = function(*arguments)
        self.seconds += time.perf_counter() - began
        return found

    def sum(self, array: Any) -> None:
        self.timed(self._ranks.sum, array)

    def begin_sum(self, array: Any) -> TimedSum:
        return TimedSum(self, self.timed(self._ranks.begin_sum, array))

    def gather(self, array: Any) -> Any:
        return self.timed(self._ranks.gather, array)

    def exchange(self, array: Any) -> Any:
        return self.timed(self._ranks.exchange, array)

    def broadcast(self, array: Any) -> None:
        self.timed(self._ranks.broadcast, array)

    def abort(self, message: str) -> None:
        self._ranks.abort(message)


class TimedSum:
    """A sum on its way, likewise."""

    def __init__(self, ranks: Timed, pending: Any) -> None:
        self._ranks, self._pending = ranks, pending

    def test(self) -> bool:
        return bool(self._ranks.timed(self._pending.test))

    def wait(self) -> None:
        self._ranks.timed(self._pending.wait)


class Watch(fl.Callback):
    """The times of epochs without their ends, what of each was spent in the communicator, and this rank's CPU time."""

    def __init__(self, ranks: Timed | None) -> None:
        self._ranks, self.times = ranks, []

    def on_batch_end(self, progress: Any) -> None:
        seconds = 0.0 if self._ranks is None else self._ranks.seconds
        if progress.batch == 1:
            self._began = time.perf_counter(), seconds, time.process_time()
        if progress.batch == STEPS:
            now = time.perf_counter(), seconds, time.process_time()
            self.times.append(tuple(one - other for one, other in zip(now, self._began, strict=True)))


def work(options: argparse.Namespace) -> None:
    """One rank of a measurement, or the only process."""
    fl.set_num_threads(options.threads)
    ranks = Timed(fl.distributed.mpi()) if options.ranks else None
    fl.set_num_threads(options.threads)
    model, fit = problem(options.work, options.batch)
    watch, trainer_options = Watch(ranks), json.loads(options.trainer)
    if not trainer_options.pop("overlap", True):
        Buckets.after = lambda self, layer: None  # type: ignore[method-assign]
    trainer = fl.Trainer(
        model,
        "softmax_cross_entropy",
        clip_norm=1.0,
        callbacks=[watch],
        communicator=ranks,
        **trainer_options,
    )
    call = trainer.fit_sequence if "window" in fit else trainer.fit
    call(**fit, epochs=EPOCHS, seed=0, progress=False)
    if ranks is None or ranks.rank == 0:
        seconds, waited, cpu = min(watch.times[1:])
        size = sum(parameter.value.nbytes for parameter in model.parameters())
        print(
            json.dumps(
                {"step": seconds / (STEPS - 1), "share": waited / seconds, "cpu": cpu / (STEPS - 1), "bytes": size}
            )
        )


def mpiexec() -> str:
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        raise SystemExit("bench.distributed needs mpiexec: pip install 'fastlstm[mpi]'")
    return found


def measure(name: str, batch: int, ranks: int = 0, threads: int = 1, **trainer: Any) -> dict[str, float]:
    """The medians of three runs."""
    command = [sys.executable, "-m", "bench.distributed", "--work", name, "--batch", str(batch)]
    command += ["--threads", str(threads), "--ranks", str(ranks), "--trainer", json.dumps(trainer)]
    if ranks:
        command = [mpiexec(), "-n", str(ranks), *command]
    runs = []
    for _ in range(3):
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    return {key: float(np.median([run[key] for run in runs])) for key in runs[0]}


def table(name: str, batch: int) -> dict[str, Any]:
    """All measurements of a model."""
    rows: dict[str, Any] = {}

    def row(title: str, sequences: int, **how: Any) -> None:
        found = measure(name, sequences, **how)
        rows[title] = {**found, "sequences": sequences, "speed": sequences / found["step"]}
        speed = rows[title]["speed"] / rows["1 process, 1 thread"]["speed"]
        step = f"{1e3 * found['step']:.1f} [{1e3 * found['cpu']:.1f}]"
        print(f"| {title} | {sequences} | {step} | {speed:.2f} | {found['share']:.1%} |", flush=True)

    print(f"\n{name}: {fl.__version__}, batches of {batch}\n")
    print("| | batch | ms a step [CPU, of a rank] | sequences a second, to 1 process | in communication |")
    print("|---|---|---|---|---|")
    row("1 process, 1 thread", batch)
    row("1 process, 2 threads", batch, threads=2)
    row("1 rank", batch, ranks=1)
    for ranks in (2, 4):
        row(f"{ranks} ranks, strong", batch, ranks=ranks)
    for ranks in (2, 4):
        row(f"{ranks} ranks, weak", batch * ranks, ranks=ranks)
    row("1 process, 1 thread, reproducible", batch, reproducible=True)
    row("2 ranks, reproducible", batch, ranks=2, reproducible=True)
    row("2 ranks, bfloat16 on the wire", batch, ranks=2, wire="bfloat16")
    row("2 ranks, nothing travels meanwhile", batch, ranks=2, overlap=False)
    row("2 ranks, means every 8 steps", batch, ranks=2, average_every=8)
    for part in (2, 4, 8):
        row(f"1 process, 2 threads, 1/{part} of a batch", batch // part, threads=2)
    return rows


class Cost:
    """Seconds of a step: fixed + each * sequences on one machine, by least squares of the measured steps of 2 threads.

    On n machines 2 log2(n) messages, one after the other, make a sum, and each machine sends and receives 2 (n - 1) / n
    of the bytes of an array. A step waits for two sums: that of the numbers of the batch and that of the gradients.
    """

    def __init__(self, rows: dict[str, Any]) -> None:
        parts = [rows["1 process, 2 threads"]]
        parts += [rows[f"1 process, 2 threads, 1/{k} of a batch"] for k in (2, 4, 8)]
        times = np.array([part["step"] for part in parts])
        sizes = np.array([[1, part["sequences"]] for part in parts]) / times[:, None]
        (self.fixed, self.each), *_ = np.linalg.lstsq(sizes, np.ones(len(times)))
        self.bytes, self.batch = parts[0]["bytes"], parts[0]["sequences"]

    def computed(self, sequences: float) -> float:
        return float(max(0.0, self.fixed) + self.each * sequences)

    def sent(self, machines: int, network: tuple[float, float], every: float = 1) -> float:
        """Seconds that communication takes in a step, if gradients or parameters travel every so many steps."""
        latency, bandwidth = network
        numbers = 2 * math.log2(machines) * latency
        return numbers + (numbers + 2 * (machines - 1) / machines * self.bytes / bandwidth) / every

    def speed(self, how: str, machines: int, network: tuple[float, float]) -> float | None:
        """How many times as many sequences a second as one machine; None if some machines would have none."""
        alone = self.batch / self.computed(self.batch)
        own, every = (self.batch / machines, 1) if how == "same batch" else (self.batch, 1 if "each" == how[-4:] else 8)
        if own < 1:
            return None
        return machines * own / (self.computed(own) + self.sent(machines, network, every)) / alone


def forecast(cost: Cost) -> None:
    """How many times as fast some machines are as one."""
    machines = [2, 4, 8, 16, 32, 64, 128, 256]
    print("\n| machines | " + " | ".join(map(str, machines)) + " |\n|---" + "|---" * len(machines) + "|")
    for name, network in NETWORKS.items():
        for how in ("same batch", "a batch for each", "a batch for each, sent every 8"):
            speeds = [cost.speed(how, n, network) for n in machines]
            shown = ["–" if speed is None else f"{speed:.1f}" for speed in speeds]
            print(f"| {name}, {how} | " + " | ".join(shown) + " |")


LOSS = """
import json, sys
import fastlstm as fl
path, every, epochs = sys.argv[1:4]
text = open(path, encoding="utf-8").read()[:250_000]
ranks = fl.distributed.mpi()
recipe = fl.text.Recipe(hidden_size=128, epochs=int(epochs), seed=0)
vocabulary = fl.text.Vocabulary.of(text)
codes, held = vocabulary.encode(text[:225_000]), vocabulary.encode(text[225_000:])
model = recipe.model(len(vocabulary))
options = {} if every == "0" else {"average_every": int(every)}
trainer = fl.Trainer(model, "softmax_cross_entropy", recipe.optimizer(), clip_norm=recipe.clip_norm,
                     callbacks=[recipe.schedule()], communicator=ranks, **options)
history = trainer.fit_sequence(codes[:-1], codes[1:], window=64, batch_size=32, epochs=int(epochs),
                               validation=(held[:-1], held[1:]), seed=0, progress=False)
if ranks.rank == 0:
    print(json.dumps(history["val_loss"][-1]))
"""


def losses(path: str, epochs: int = 6) -> dict[str, float]:
    """Validation losses after some epochs, by the ranks and the steps from one mean to the next (0: none)."""
    found: dict[str, float] = {}
    print(
        "\n| ranks | sums of gradients | "
        + " | ".join(f"means every {k}" for k in (4, 16, 64))
        + " |\n|---|---|---|---|---|"
    )
    for ranks in (2, 4):
        for every in (0, 4, 16, 64):
            command = [mpiexec(), "-n", str(ranks), sys.executable, "-c", LOSS, path, str(every), str(epochs)]
            environment = {**os.environ, "FASTLSTM_NUM_THREADS": "1"}
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
            found[f"{ranks} {every}"] = json.loads(done.stdout.splitlines()[-1])
        print(f"| {ranks} | " + " | ".join(f"{found[f'{ranks} {k}']:.3f}" for k in (0, 4, 16, 64)) + " |", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.distributed", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--loss", metavar="TEXT", help="a text in UTF-8")
    add("--keep", metavar="FILE", help="write the figures as JSON, too")
    for name, kind, default in (("work", str, ""), ("batch", int, 32), ("ranks", int, 0), ("threads", int, 1)):
        add(f"--{name}", type=kind, default=default, help=argparse.SUPPRESS)
    add("--trainer", default="{}", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options)
        return
    found: dict[str, Any] = {}
    for name, batch in (("characters", 32), ("classifier", 32)):
        found[name] = table(name, batch)
        cost = Cost(found[name])
        print(
            f"\nA step of n sequences: {1e3 * cost.fixed:.2f} + {1e3 * cost.each:.3f} n ms; {cost.bytes / 1e6:.1f} MB"
        )
        forecast(cost)
    if options.loss:
        found["losses"] = losses(options.loss)
    if options.keep:
        with tempfile.NamedTemporaryFile("w", delete=False) as file:
            json.dump(found, file, indent=1)
        shutil.move(file.name, options.keep)


if __name__ == "__main__":
    main()
