"""Published models beside the code that they came with: python -m bench.studies.published [--seconds 3600] [--rounds 3]

Each program runs in fresh processes, in turn, on one processor. Writes published.json and published-models.md to the
folder --output. Needs silero-vad, resemblyzer, textgenrnn, g2pM, torch, onnx and onnxruntime, and the spoken digits in
the folder that FASTLSTM_DATA names. Keras is measured where it is installed, or in the environment of --keras."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bench import machine
from bench.studies import DOCS, data
from bench.studies.published import page, silero

PROGRAMS = {
    "silero": [
        *("fastlstm", "fastlstm, streamed", "fastlstm, float64", "fastlstm, float64, streamed"),
        *("ONNX Runtime", "ONNX Runtime, sequence", "PyTorch, float64"),
    ],
    "resemblyzer": ["fastlstm", "PyTorch"],
    "textgenrnn": ["fastlstm", "Keras", "fastlstm, one by one", "Keras, one by one"],
    "g2pM": ["fastlstm", "g2pM"],
}

PEERS = {
    "silero": ["ONNX Runtime", "PyTorch, float64"],
    "resemblyzer": ["PyTorch"],
    "textgenrnn": ["Keras"],
    "g2pM": ["g2pM"],
}
"""What the others' results are held against."""


def main() -> int:
    parser = argparse.ArgumentParser("python -m bench.studies.published", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0, help="length of the sound (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each program (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=DOCS)
    parser.add_argument("--keras", help="the Python of an environment with Keras, textgenrnn, NumPy and SciPy")
    parser.add_argument("--models", nargs="+", choices=PROGRAMS, default=[*PROGRAMS], help="by default all")
    options = parser.parse_args()
    keras = options.keras or (sys.executable if find_spec("keras") else None)
    found = {model: measured(model, options.seconds, options.rounds, keras) for model in options.models}
    result = {"seconds": options.seconds, "machine": machine.describe(), "models": found, "code": page.code(keras)}
    if "silero" in found:
        result["rounding"] = silero.rounding(silero.sound(data.find(silero.DIGITS), options.seconds))
    if len(found) < len(PROGRAMS):
        print(*page.tables(result).values(), sep="\n\n")
        return 0
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "published.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (options.output / "published-models.md").write_text(page.written(result), encoding="utf-8")
    return 0


def measured(model: str, seconds: float, rounds: int, keras: str | None) -> dict[str, Any]:
    """The least times of each program, and how far its results are from those of the peer; None if it is not there."""
    there = [program for program in PROGRAMS[model] if keras or not program.startswith("Keras")]
    runs: dict[str, list[dict[str, float]]] = {program: [] for program in there}
    arrays: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for program, times in runs.items():
                file = Path(folder, "result.npy")
                python = keras if program.startswith("Keras") else sys.executable
                words = [python, "-m", "bench.studies.published.worker", model, program, str(seconds), str(file)]
                times.append(json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout))
                arrays[program] = np.load(file)
                print(model, program, times[-1], flush=True)
    found: dict[str, Any] = dict.fromkeys(PROGRAMS[model])
    for program, times in runs.items():
        found[program] = {name: min(one[name] for one in times) for name in ("seconds", "cpu")}
        found[program]["differences"] = {
            peer: difference(arrays[program], arrays[peer]) if peer in arrays else None for peer in PEERS[model]
        }
    return found


def difference(ours: Any, theirs: Any) -> float:
    """The largest difference of numbers, as many as there are of ours; of sentences, how many are not the same."""
    theirs = theirs[: len(ours)]
    return float((ours != theirs).sum() if ours.dtype.kind == "U" else np.abs(ours - theirs).max())


if __name__ == "__main__":
    sys.exit(main())
