"""Published models beside the code that they came with: python -m bench.studies.published [--seconds 3600] [--rounds 3]

Each program runs in fresh processes, in turn, on one processor. Writes published.json and published-models.md to the
folder --output. Needs silero-vad, resemblyzer, g2pM, torch, onnx and onnxruntime, and the spoken digits in the folder
that FASTLSTM_DATA names."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench import machine
from bench.studies import DOCS
from bench.studies.published import page

PROGRAMS = {
    "silero": ["fastlstm", "fastlstm, streamed", "ONNX Runtime", "ONNX Runtime, sequence"],
    "resemblyzer": ["fastlstm", "PyTorch"],
    "g2pM": ["fastlstm", "g2pM"],
}

PEERS = {"silero": "ONNX Runtime", "resemblyzer": "PyTorch", "g2pM": "g2pM"}
"""What the others' results are held against."""


def main() -> int:
    parser = argparse.ArgumentParser("python -m bench.studies.published", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0, help="length of the sound (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each program (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=DOCS)
    options = parser.parse_args()
    found = {model: measured(model, options.seconds, options.rounds) for model in PROGRAMS}
    result = {"seconds": options.seconds, "machine": machine.describe(), "models": found, "code": page.code()}
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "published.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (options.output / "published-models.md").write_text(page.written(result), encoding="utf-8")
    return 0


def measured(model: str, seconds: float, rounds: int) -> dict[str, Any]:
    """The least times of each program, and how far its results are from those of the peer."""
    runs: dict[str, list[dict[str, float]]] = {program: [] for program in PROGRAMS[model]}
    arrays: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for program, times in runs.items():
                file = Path(folder, "result.npy")
                words = [
                    sys.executable,
                    "-m",
                    "bench.studies.published.worker",
                    model,
                    program,
                    str(seconds),
                    str(file),
                ]
                times.append(json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout))
                arrays[program] = np.load(file)
                print(model, program, times[-1], flush=True)
    peer = arrays[PEERS[model]]
    return {
        program: {
            **{name: min(one[name] for one in times) for name in ("seconds", "cpu")},
            "difference": difference(arrays[program], peer),
        }
        for program, times in runs.items()
    }


def difference(ours: Any, theirs: Any) -> float:
    """The largest difference of numbers; of sentences, how many are not the same."""
    return float((ours != theirs).sum() if ours.dtype.kind == "U" else np.abs(ours - theirs).max())


if __name__ == "__main__":
    sys.exit(main())
