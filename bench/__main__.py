"""Measures fastlstm beside its peers: python -m bench --suite quick --threads 1 2

Each contender runs in fresh processes of its own, several of each, taken in turn so that drift hits all alike, and the
best of its processes' medians counts. Results are compared before any time is believed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.cases import SUITES, Case
from bench.contenders import CONTENDERS

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--suite", choices=SUITES, default="quick")
    parser.add_argument("--peers", nargs="*", help="default: all that are installed", choices=list(CONTENDERS)[1:])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--processes", type=int, default=3, help="of each contender (default 3)")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each case and process (default 0.5)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser.parse_args(argv)


def run_process(contender: str, threads: int, options: argparse.Namespace, path: Path) -> dict[str, Any]:
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
    command = [contender, options.suite, options.dtype, str(threads), str(options.seconds), str(path)]
    done = subprocess.run(
        [sys.executable, "-m", "bench.worker", *command], env=environment, stdout=subprocess.PIPE, check=True
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def run(contenders: list[str], threads: int, options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, float]]:
    """Figures of every process by contender and case, and each peer's largest difference from fastlstm by case."""
    figures: dict[str, Any] = {name: {} for name in contenders}
    differences = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.processes):
            for name in contenders:
                for case, figure in run_process(name, threads, options, Path(folder, f"{name}.npz")).items():
                    figures[name].setdefault(case, []).append(figure)
        ours = np.load(Path(folder, "fastlstm.npz"))
        for name in contenders[1:]:
            for key, array in np.load(Path(folder, f"{name}.npz")).items():
                worst = float(np.abs(array - ours[key]).max() / np.abs(ours[key]).max())
                case = f"{name}/{key.rpartition('/')[0]}"
                differences[case] = max(differences.get(case, 0), worst)
    return figures, differences


def report(cases: list[Case], figures: dict[str, Any], differences: dict[str, float], training: bool) -> None:
    names = list(figures)
    print(f"{'':34}" + "".join(f"{name:>22}" for name in names) + f"{'GFLOP/s':>10}{'ratio':>8}")
    ratios = []
    for case in cases:
        best = {n: min(f["median"] for f in figures[n][str(case)]) for n in names if str(case) in figures[n]}
        line = f"{case!s:34}"
        for name in names:
            if name not in best:
                line += f"{'-':>22}"
                continue
            spread = max(f["median"] for f in figures[name][str(case)]) / best[name] - 1
            line += f"{best[name]:>12.1f} us +{spread:4.0%} "
        line += f"{case.forward_flops * (3 if training else 1) / best['fastlstm'] / 1e3:>10.1f}"
        if len(best) > 1:
            ratios.append(min(best[n] for n in best if n != "fastlstm") / best["fastlstm"])
            line += f"{ratios[-1]:>8.2f}"
        print(line)
    if ratios:
        print(f"geometric mean of the ratios, best peer over fastlstm: {np.exp(np.mean(np.log(ratios))):.2f}")
        print(f"largest difference between results: {max(differences.values()):.1e}")


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    installed = [name for name in CONTENDERS if importlib.util.find_spec(name) is not None]
    contenders = [name for name in installed if name == "fastlstm" or options.peers is None or name in options.peers]
    everything = {}
    for threads in options.threads:
        print(f"\nsuite {options.suite}, {options.dtype}, threads: {threads}; best median of {options.processes}")
        figures, differences = run(contenders, threads, options)
        limit = 1e-3 if options.dtype == "float32" else 1e-8
        wrong = {case: value for case, value in differences.items() if not value < limit}
        if wrong:
            print(f"results differ, so that no time can be believed: {wrong}", file=sys.stderr)
            return 1
        report(SUITES[options.suite], figures, differences, options.suite == "training")
        everything[str(threads)] = {"figures": figures, "differences": differences}
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
