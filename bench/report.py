"""What a run says: for each case everyone's best time, the ratio to the best peer, and how near we are to the floor."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.cases import BACKWARD, RTNEURAL, SUITES, Case, StepCase, cases_of
from bench.cells import CELLS
from bench.contenders import CONTENDERS, OURS

Result = dict[str, Any]
NONE = "–"
LARGEST_DIFFERENCE = {"float32": 1e-3, "float64": 1e-8, "bfloat16": 0.1, "int8x16": 0.1, "int8": 0.1}
"""Of a difference or an error in each precision; beyond it results say that something is wrong."""


@dataclass(frozen=True)
class Row:
    """One case: of each contender the best median in microseconds, and its spread, the worst median over the best.

    Older runs lack the CPU time of the process that was the best, its load, which is that over threads × time where
    calls come back to back, and what a call takes beyond its core.
    """

    case: Case | StepCase
    flops: float
    best: dict[str, float]
    spread: dict[str, float]
    cpu: dict[str, float]
    load: dict[str, float]
    beyond: dict[str, float]
    floor: float
    bound: str
    mode: str

    @property
    def best_peer(self) -> str | None:
        return best_peer(self.best)

    @property
    def gflops(self) -> float:
        return self.flops / self.best["fastlstm"] / 1e3

    @property
    def ratio(self) -> float | None:
        return self.ratio_of("fastlstm")

    def ratio_of(self, ours: str) -> float | None:
        """The time of the best peer in the same precision over this one of ours."""
        return over(self.best, best_peer(self.best, CONTENDERS[ours].beside), ours)

    @property
    def share(self) -> float:
        """Of the FMA peak, or of the read bandwidth, whichever sets the floor of this case."""
        return self.floor / self.best["fastlstm"]

    @property
    def of_full(self) -> float | None:
        """Our time for ragged sequences over that for full ones."""
        full = self.best.get("fastlstm, full")
        return self.best["fastlstm"] / full if full else None


def best_peer(figures: Mapping[str, float], precision: str | None = None) -> str | None:
    """Who has the smallest figure of the peers that compute in this precision, by default that of the problem."""
    peers = [name for name in figures if name not in OURS and CONTENDERS[name].precision == precision]
    return min(peers, key=figures.__getitem__, default=None)


def over(figures: Mapping[str, float], one: str | None, other: str | None) -> float | None:
    """The figure of one over that of another, where both were measured."""
    return figures[one] / figures[other] if one and other and {one, other} <= set(figures) else None


def load(path: str) -> Result:
    """A run from a file of `--json`, for argparse."""
    try:
        result: Result = json.loads(Path(path).read_text(encoding="utf-8"))
        if not {"suite", "dtype", "processes", "machine", "threads"} <= set(result):
            raise ValueError("it has not what a run has")
    except (OSError, ValueError, TypeError) as error:
        raise argparse.ArgumentTypeError(f"expected a file written by --json, got {path} ({error})") from None
    return result


def cell_of(result: Result) -> str:
    """The cell that was measured; older runs do not tell it."""
    cell: str = result.get("cell", "lstm")
    return cell


def title(result: Result) -> str:
    """Suite, cell unless it is an LSTM, and dtype."""
    cell = cell_of(result)
    return ", ".join([result["suite"], *([CELLS[cell].title] if cell != "lstm" else []), result["dtype"]])


def rows(result: Result, threads: str) -> list[Row]:
    found = []
    part = result["threads"][threads]
    for mode, case in cases_of(result["suite"], cell_of(result)):
        figures = {name: some[str(case)] for name, some in part["figures"].items() if str(case) in some}
        best = {name: min(some, key=median_of) for name, some in figures.items()}
        medians = {name: median_of(figure) for name, figure in best.items()}
        spread = {name: max(map(median_of, some)) / medians[name] for name, some in figures.items()}
        cpu = {name: figure["cpu"] for name, figure in best.items() if "cpu" in figure}
        load = {name: time / (int(threads) * medians[name]) for name, time in cpu.items() if not case.pause}
        beyond = {
            name: float(np.median([figure["beyond"] for figure in some]))
            for name, some in figures.items()
            if "beyond" in some[0]
        }
        flops = case.forward_flops * (3 if mode in BACKWARD else 1)
        floor, bound = floor_of(case, flops, result["dtype"], int(threads), part["machine"])
        found.append(Row(case, flops, medians, spread, cpu, load, beyond, floor, bound, mode))
    return found


def median_of(figure: dict[str, float]) -> float:
    return figure["median"]


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


def has_prepared(result: Result, threads: str) -> bool:
    return "fastlstm, prepared" in result["threads"][threads]["figures"]


def mean_ratio(found: list[Row]) -> float | None:
    ratios = [row.ratio for row in found if row.ratio]
    return float(np.exp(np.mean(np.log(ratios)))) if ratios else None


def header(result: Result, threads: str) -> list[str]:
    part = result["threads"][threads]
    read = ", ".join(f"{level} {value:.0f}" for level, value in part["machine"]["read"].items())
    older = "inference" in SUITES[result["suite"]] and not has_prepared(result, threads)
    return [
        f"suite {title(result)}, {in_words(threads)}; "
        f"best median of {result['processes']} processes each, in microseconds (spread of the medians) [CPU time]",
        f"processor: {result['machine']['processor']}",
        f"this machine on as many: {part['machine']['flops']:.0f} GFLOP/s of multiply-adds; reads, GB/s: {read}",
        *(["a run of an earlier version: fastlstm's time is that of its prepared pass"] if older else []),
    ]


def in_words(threads: str) -> str:
    return f"{threads} thread{'s' if threads != '1' else ''}"


def columns(result: Result, threads: str, found: list[Row]) -> list[list[str]]:
    """The table: its heads, then the cells of each row, the case first."""
    names = list(result["threads"][threads]["figures"])
    more = ["load", "beyond"] if any(row.cpu for row in found) else []
    lines = [["case", *names, "GFLOP/s", "share", *more, "ratio"]]
    for row in found:
        cells = [str(row.case), *(time_of(row, name) for name in names)]
        cells += [f"{row.gflops:.1f}", f"{row.share:.0%} {row.bound}"]
        if more:
            cells += [number(row.load.get("fastlstm"), ".2f"), number(next(iter(row.beyond.values()), None), ".1f")]
        lines.append([*cells, number(row.ratio, ".2f")])
    return lines


def time_of(row: Row, name: str) -> str:
    if name not in row.best:
        return NONE
    return f"{row.best[name]:.4g} (+{row.spread[name] - 1:.0%}) [{number(row.cpu.get(name))}]"


def number(value: float | None, form: str = ".4g") -> str:
    return NONE if value is None else f"{value:{form}}"


def footer(result: Result, threads: str, found: list[Row]) -> list[str]:
    lines = []
    mean = mean_ratio(found)
    if mean:
        least = min((row for row in found if row.ratio), key=lambda row: row.ratio or 0)
        lines.append(f"geometric mean of the ratios: {mean:.2f}; the least is {least.ratio:.2f}, at {least.case}")
    if result["suite"] == "torch":
        modes = {mode: [row for row in found if row.mode == mode] for mode in SUITES["torch"]}
        means = [f"{mode} {number(mean_ratio(of), '.2f')}" for mode, of in modes.items()]
        lines.append(f"of each kind: {', '.join(means)}")
    differences = result["threads"][threads]["differences"]
    if differences:
        lines.append(f"largest difference between results: {max(differences.values()):.1e}")
    loads = [(value, name, row.case) for row in found for name, value in row.load.items() if name in OURS]
    if loads:
        most, name, case = max(loads, key=lambda load: load[0])
        lines.append(f"largest load of ours, CPU time over threads × time: {most:.2f}, {name} at {case}")
    lines += [*about_calls(result, threads, found), *about_lengths(found)]
    if result["suite"] == "streaming" and cell_of(result) == "lstm":
        steps = ", ".join(f"{name} {value}" for name, value in RTNEURAL.items())
        lines.append(f"for comparison, RTNeural in C++, measured apart: {steps}")
    return lines


def about_calls(result: Result, threads: str, found: list[Row]) -> list[str]:
    """What a call takes beyond its core, at most; and what a second thread is to one that comes now and then."""
    lines, largest = [], dict[str, tuple[float, str]]()
    for row in found:
        for name, value in row.beyond.items():
            kind = f"{name}, beyond {core_of(row.case)}"
            largest[kind] = max(largest.get(kind, (-np.inf, "")), (value, str(row.case)))
    lines += [f"{kind}: at most {value:.1f} microseconds, at {case}" for kind, (value, case) in largest.items()]
    if threads != "1" and "1" in result["threads"]:
        for row, one in zip(found, rows(result, "1"), strict=True):
            if row.case.pause:
                share = row.best["fastlstm"] / one.best["fastlstm"]
                lines.append(f"{row.case}: on {in_words(threads)} fastlstm takes {share:.2f} of the time on one")
    return lines


def core_of(case: Case | StepCase) -> str:
    if isinstance(case, StepCase):
        return "the kernels"
    return "the prepared pass" + (", lengths that change" if case.orders > 1 else ", with a head" if case.head else "")


def about_lengths(found: list[Row]) -> list[str]:
    lines = []
    for row in found:
        if row.of_full and isinstance(row.case, Case):
            real = row.case.steps / (row.case.n * row.case.t)
            lines.append(
                f"{row.case}: ragged batches take {row.of_full:.2f} of full ones; {real:.2f} of the steps are real"
            )
    return lines


def table(result: Result, threads: str) -> str:
    found = rows(result, threads)
    lines = ["", *header(result, threads), "", *aligned(columns(result, threads, found))]
    return "\n".join([*lines, *footer(result, threads, found)])


def aligned(cells: list[list[str]]) -> list[str]:
    """A line for each row, the columns below each other."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for first, *others in cells:
        right = (f"{text:>{width}}" for text, width in zip(others, widths[1:], strict=True))
        lines.append("  ".join([f"{first:{widths[0]}}", *right]))
    return lines
