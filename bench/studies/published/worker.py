"""One process: a model by one program. python -m bench.studies.published.worker MODEL PROGRAM SECONDS RESULT.npy

Prints seconds and CPU-seconds of a run, the least of three after one that warms up (a long one once), as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from bench.studies import data
from bench.studies.published import g2pm, resemblyzer, silero, textgenrnn

Run = Callable[[], Any]


def silero_run(program: str, seconds: float) -> Run:
    made = {
        "fastlstm": silero.ours,
        "fastlstm, streamed": silero.ours_streamed,
        "fastlstm, float64": partial(silero.ours, "float64"),
        "fastlstm, float64, streamed": partial(silero.ours_streamed, "float64"),
        "PyTorch, float64": silero.exact,
        "ONNX Runtime": silero.runtime,
        "ONNX Runtime, sequence": silero.runtime_sequence,
    }[program]()
    signal = silero.sound(data.find(silero.DIGITS), seconds)
    made(signal[: 10 * silero.RATE])
    return lambda: made(signal)


def resemblyzer_run(program: str, seconds: float) -> Run:
    mels = resemblyzer.mels_of(max(1, int(seconds / 1.6)))
    if program == "fastlstm":
        import fastlstm as fl

        fl.set_num_threads(1)
        made = resemblyzer.Encoder(resemblyzer.folder() / "pretrained.pt")
        return lambda: np.concatenate([made(mels[at : at + 32]) for at in range(0, len(mels), 32)])
    import torch

    torch.set_num_threads(1)
    theirs = resemblyzer.theirs(None)

    def run() -> Any:
        with torch.no_grad():
            return np.concatenate(
                [theirs(torch.from_numpy(mels[at : at + 32])).numpy() for at in range(0, len(mels), 32)]
            )

    return run


def g2pm_run(program: str, seconds: float) -> Run:
    from g2pM import G2pM

    made = g2pm.on_ours(G2pM()) if program == "fastlstm" else G2pM()
    return lambda: ["".join(made(sentence)) for sentence in g2pm.SENTENCES * 20]


def textgenrnn_run(program: str, seconds: float) -> Run:
    return textgenrnn.run_of(program)


RUNS = {"silero": silero_run, "resemblyzer": resemblyzer_run, "textgenrnn": textgenrnn_run, "g2pM": g2pm_run}


def main(model: str, program: str, seconds: str, result: str) -> None:
    run = RUNS[model](program, float(seconds))
    if model != "silero":
        run()
    times = []
    for _ in range(1 if model == "silero" else 3):
        wall, cpu = time.perf_counter(), time.process_time()
        found = run()
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    np.save(result, np.asarray(found))
    print(json.dumps({"seconds": min(one[0] for one in times), "cpu": min(one[1] for one in times)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
