"""What a run says: for each case everyone's best time, the ratio to the best peer, and how near we are to the floor."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.cases import BACKWARD, MODES, RTNEURAL, SUITES, Case, StepCase
from bench.contenders import OURS

Result = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One case: the best median of each contender in microseconds, and its spread, the worst median over the best."""

    case: Case | StepCase
    flops: float
    best: dict[str, float]
    spread: dict[str, float]
    floor: float
    bound: str

    @property
    def best_peer(self) -> str | None:
        peers = [name for name in self.best if name not in OURS]
        return min(peers, key=self.best.__getitem__) if peers else None

    @property
    def gflops(self) -> float:
        return self.flops / self.best["fastlstm"] / 1e3

    @property
    def ratio(self) -> float | None:
        peer = self.best_peer
        return self.best[peer] / self.best["fastlstm"] if peer else None

    @property
    def share(self) -> float:
        """Of the FMA peak, or of the read bandwidth, whichever sets the floor of this case."""
        return self.floor / self.best["fastlstm"]

    @property
    def of_full(self) -> float | None:
        """Our time for ragged sequences over that for full ones."""
        full = self.best.get("fastlstm, full")
        return self.best["fastlstm"] / full if full else None


def load(path: str) -> Result:
    """A run from a file of `--json`, for argparse."""
    try:
        result: Result = json.loads(Path(path).read_text(encoding="utf-8"))
        if not {"suite", "dtype", "processes", "machine", "threads"} <= set(result):
            raise ValueError("it has not what a run has")
    except (OSError, ValueError, TypeError) as error:
        raise argparse.ArgumentTypeError(f"expected a file written by --json, got {path} ({error})") from None
    return result


def rows(result: Result, threads: str) -> list[Row]:
    found = []
    part = result["threads"][threads]
    for case in SUITES[result["suite"]]:
        medians = {
            name: [figure["median"] for figure in figures[str(case)]]
            for name, figures in part["figures"].items()
            if str(case) in figures
        }
        best = {name: min(values) for name, values in medians.items()}
        spread = {name: max(values) / min(values) for name, values in medians.items()}
        flops = case.forward_flops * (3 if MODES[result["suite"]] in BACKWARD else 1)
        floor, bound = floor_of(case, flops, result["dtype"], int(threads), part["machine"])
        found.append(Row(case, flops, best, spread, floor, bound))
    return found


def floor_of(
    case: Case | StepCase, flops: float, dtype: str, threads: int, machine: dict[str, Any]
) -> tuple[float, str]:
    """Microseconds below which a case cannot go, and what says so: arithmetic, or reading the recurrent weights once a
    step from the level that holds them, each core having its share of them in its own caches."""
    arithmetic = flops / machine["flops"] / 1e3
    size = case.recurrent_numbers * np.dtype(dtype).itemsize
    for level in [*machine["sizes"], "memory"]:
        room = machine["sizes"].get(level, np.inf) * (1 if level == "L3" else threads)
        if size <= room:
            break
    reading = size * case.t / machine["read"][level] / 1e3
    return (arithmetic, "FMA") if arithmetic >= reading else (reading, level)


def mean_ratio(found: list[Row]) -> float | None:
    ratios = [row.ratio for row in found if row.ratio]
    return float(np.exp(np.mean(np.log(ratios)))) if ratios else None


def header(result: Result, threads: str) -> list[str]:
    part = result["threads"][threads]
    read = ", ".join(f"{level} {value:.0f}" for level, value in part["machine"]["read"].items())
    return [
        f"suite {result['suite']}, {result['dtype']}, {threads} thread{'s' if threads != '1' else ''}; "
        f"best median of {result['processes']} processes each, in microseconds (spread of the medians)",
        f"this machine on as many: {part['machine']['flops']:.0f} GFLOP/s of multiply-adds; reads, GB/s: {read}",
    ]


def footer(result: Result, threads: str, found: list[Row]) -> list[str]:
    lines = []
    mean = mean_ratio(found)
    if mean:
        least = min((row for row in found if row.ratio), key=lambda row: row.ratio or 0)
        lines.append(f"geometric mean of the ratios: {mean:.2f}; the least is {least.ratio:.2f}, at {least.case}")
        largest = max(result["threads"][threads]["differences"].values())
        lines.append(f"largest difference between results: {largest:.1e}")
    for row in found:
        if row.of_full and isinstance(row.case, Case):
            real = row.case.steps / (row.case.n * row.case.t)
            lines.append(
                f"{row.case}: ragged batches take {row.of_full:.2f} of full ones; {real:.2f} of the steps are real"
            )
    if result["suite"] == "streaming":
        steps = ", ".join(f"{name} {value}" for name, value in RTNEURAL.items())
        lines.append(f"for comparison, RTNeural in C++, measured apart: {steps}")
    return lines


def table(result: Result, threads: str) -> str:
    found = rows(result, threads)
    names = list(result["threads"][threads]["figures"])
    lines = ["", *header(result, threads), ""]
    lines.append(f"{'':29}" + "".join(f"{name:>18}" for name in names) + f"{'GFLOP/s':>9}{'share of':>14}{'ratio':>7}")
    for row in found:
        line = f"{row.case!s:29}"
        for name in names:
            line += f"{row.best[name]:>11.4g} +{row.spread[name] - 1:4.0%} " if name in row.best else f"{'-':>18}"
        ratio = f"{row.ratio:>7.2f}" if row.ratio else ""
        lines.append(line + f"{row.gflops:>9.1f}{row.share:>7.0%} {row.bound:6}" + ratio)
    return "\n".join([*lines, *footer(result, threads, found)])
