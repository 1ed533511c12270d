"""Measures fastlstm beside its peers.

    python -m bench --suite inference --threads 1 2 --json run.json
    python -m bench --suite training --cell gru --json gru.json
    python -m bench --suite low --threads 1 2 --json low.json   low precision, with each one's error against float64
    python -m bench --suite low-steps --threads 1 2 --json low-steps.json   training in low precision, likewise
    python -m bench --suite torch --threads 1 2 --json torch.json   models in PyTorch, as they are and accelerated
    python -m bench compare old.json new.json
    python -m bench docs [--keep] run.json [more.json ...]      writes docs/benchmarks.md and its pictures
    python -m bench history [run.json ...]                      adds runs to those of earlier versions, and draws all

Each contender runs in fresh processes of its own, several of each, taken in turn so that drift hits all alike, and the
best of its processes' medians counts. CPU time, that of all threads, is measured beside it. Results are compared before
any time is believed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench import THREAD_VARIABLES, compare, exact, history, low, machine, page, report
from bench.cases import SUITES, takes_any_cell
from bench.cells import CELLS
from bench.contenders import CONTENDERS, OURS, Array, installed


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    peers = [name for name in CONTENDERS if name not in OURS]
    parser.add_argument("--suite", choices=SUITES, default="quick")
    parser.add_argument(
        "--cell", choices=CELLS, default="lstm", help="tanh and relu: the simple network (default lstm)"
    )
    parser.add_argument("--peers", nargs="*", help="default: all that are installed", choices=peers)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--processes", type=int, default=3, help="of each contender (default 3)")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each case and process (default 0.5)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--pictures", type=Path, help="draw the ratios and the roofline into this folder")
    options = parser.parse_args(argv)
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not all(1 <= threads <= available for threads in options.threads):
        parser.error(f"--threads: expected 1 to {available}, the processors there are, got {options.threads}")
    if options.cell != "lstm" and not takes_any_cell(options.suite):
        expected = f"lstm with --suite {options.suite}, which trains whole models of LSTMs"
        parser.error(f"--cell: expected {expected}, got {options.cell}")
    if options.suite in low.LOW_SUITES and (options.dtype != "float32" or options.pictures):
        expected = "--dtype float32, which it is lower than, and no --pictures, as it has none"
        parser.error(f"--suite {options.suite}: expected {expected}")
    if options.processes < 1:
        parser.error(f"--processes: expected at least 1, got {options.processes}")
    return options


def run_process(name: str, threads: int, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Figures of one process, by case; none where it fails, which is said."""
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
    figures = folder / "figures.json"
    figures.unlink(missing_ok=True)
    command = [name, options.suite, options.cell, options.dtype, str(threads), str(options.seconds)]
    command += [str(folder / f"{name}.npz"), str(figures)]
    done = subprocess.run(
        [sys.executable, "-m", "bench.worker", *command],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode or not figures.exists():
        if name in ("fastlstm", "machine"):
            raise SystemExit(f"{name} failed:\n{done.stderr}")
        print(f"{name} failed and is left out of this round:\n{done.stderr.strip()[-800:]}", file=sys.stderr)
        return {}
    found: dict[str, Any] = json.loads(figures.read_text(encoding="utf-8"))
    return found


def taking_part(suite: str, peers: list[str] | None) -> list[str]:
    """Who is measured in this suite and installed: all, or ours and these peers; says which of these cannot be."""
    found = []
    for name, contender in CONTENDERS.items():
        if name not in OURS and peers is not None and name not in peers:
            continue
        measured = not set(contender.modes).isdisjoint(SUITES[suite])
        if measured and installed(name):
            found.append(name)
        elif peers is not None and name in peers:
            print(f"{name} {'is not installed' if measured else f'is not measured in suite {suite}'}", file=sys.stderr)
    return found


def run(contenders: list[str], threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """Figures of every process by contender and case, each one's largest difference from ours, the machine's speed; in
    suites of low precision errors against float64 instead of differences."""
    figures: dict[str, Any] = {name: {} for name in contenders}
    speeds: list[dict[str, Any]] = []
    compared: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = Path(name_of_folder)
        for round_ in range(options.processes):
            speeds.append(run_process("machine", threads, options, folder))
            for name in contenders:
                print(f"\rround {round_ + 1} of {options.processes}: {name:20}", end="", file=sys.stderr, flush=True)
                for case, figure in run_process(name, threads, options, folder).items():
                    figures[name].setdefault(case, []).append(figure)
        print("\r" + " " * 50 + "\r", end="", file=sys.stderr)
        measured = [name for name in contenders if figures[name]]
        if options.suite in low.LOW_SUITES:
            errors = exact.errors(measured, options.suite, options.cell, threads, folder)
            compared |= {"differences": {}, **errors}
        else:
            compared["differences"] = differences(measured, CELLS[options.cell].smooth, folder)
    return {"figures": figures, **compared, "machine": machine.fastest(speeds)}


def differences(names: list[str], smooth: bool, folder: Path) -> dict[str, float]:
    """The largest one from ours, which come first, by contender and case."""
    found: dict[str, float] = {}
    ours = np.load(folder / "fastlstm.npz")
    for name in names[1:]:
        for key, array in np.load(folder / f"{name}.npz").items():
            case, _, number = key.rpartition("/")
            case, gradient = f"{name}/{case}", number != "0"
            worst = difference(array, ours[key], np.max if smooth or not gradient else np.mean)
            found[case] = float(np.maximum(found.get(case, 0), worst))  # NaN, if one is
    return found


def too_large(found: dict[str, Any], dtype: str) -> dict[str, float]:
    """Differences and errors with which no time can be believed; those of low precision may be larger."""
    limit = report.LARGEST_DIFFERENCE[dtype]
    large = {case: value for case, value in found["differences"].items() if not value < limit}
    return large | low.too_large(found, dtype)


def difference(found: Array, ours: Array, size: Callable[[Array], float]) -> float:
    """How large the difference is beside our result: the largest number of each, or the mean of absolute numbers."""
    beside = size(np.abs(ours))  # 0: the recurrent weights' gradient of a single step
    return float(size(np.abs(found - ours)) / (beside or 1))


def main(argv: list[str]) -> int:
    if argv[:1] == ["compare"]:
        return compare.main(argv[1:])
    if argv[:1] == ["docs"]:
        return page.main(argv[1:])
    if argv[:1] == ["history"]:
        return history.main(argv[1:])
    options = parse(argv)
    contenders = taking_part(options.suite, options.peers)
    result: dict[str, Any] = {
        "suite": options.suite,
        "cell": options.cell,
        "dtype": options.dtype,
        "processes": options.processes,
        "machine": machine.describe(),
        "threads": {},
    }
    for threads in options.threads:
        found = run(contenders, threads, options)
        wrong = too_large(found, options.dtype)
        if wrong:
            print(f"results differ, so that no time can be believed: {wrong}", file=sys.stderr)
            return 1
        result["threads"][str(threads)] = found
        print((low if options.suite in low.LOW_SUITES else report).table(result, str(threads)))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")
    if options.pictures:
        from bench import pictures

        pictures.draw(result, options.pictures)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
