"""Pictures of a run: the ratio to the best peer on each case, and the roofline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from bench import report


def draw(result: report.Result, folder: Path) -> list[Path]:
    """Writes the pictures of this run into a folder and says where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    cell = report.cell_of(result)
    stem = "-".join([result["suite"], *([cell] if cell != "lstm" else []), result["dtype"]])
    drawn = [(f"{stem}-ratios.png", ratios(result))]
    if result["suite"] not in ("streaming", "steps", "calls"):
        drawn += [(f"{stem}-roofline-{threads}.png", roofline(result, threads)) for threads in result["threads"]]
    paths = []
    for name, figure in drawn:
        figure.savefig(folder / name, dpi=110)
        plt.close(figure)
        paths.append(folder / name)
    return paths


def ratios(result: report.Result) -> Any:
    """Of the cases that a peer has been measured on, or of all if there is none."""
    found = {threads: report.rows(result, threads) for threads in result["threads"]}
    measured = {str(row.case) for rows in found.values() for row in rows if row.ratio}
    if measured:
        found = {threads: [row for row in rows if str(row.case) in measured] for threads, rows in found.items()}
    cases = [row.case for row in next(iter(found.values()))]
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.3 * len(cases)), layout="constrained")
    height = 0.8 / len(found)
    for k, (threads, rows) in enumerate(found.items()):
        at = np.arange(len(cases)) + (k - (len(found) - 1) / 2) * height
        values = [row.ratio or np.nan for row in rows]
        axes.barh(at, values, height, label=f"{threads} thread{'s' if threads != '1' else ''}", color=f"C{k}")
        for y, row in zip(at, rows, strict=True):
            if row.ratio:
                axes.annotate(
                    f"{row.ratio:.2f}  {row.best_peer}",
                    (row.ratio, y),
                    (3, 0),
                    textcoords="offset points",
                    fontsize=6,
                    va="center",
                )
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(cases)), [str(case) for case in cases], fontsize=7)
    axes.invert_yaxis()
    axes.margins(x=0.3, y=0.01)
    axes.set_xscale("log")
    ticks = [
        t
        for t in (0.5, 1, 2, 4, 8, 16, 32)
        if t <= 1.2 * max(row.ratio or 1 for rows in found.values() for row in rows)
    ]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set_xlabel("time of the best peer over that of fastlstm (more than 1: fastlstm is faster)")
    axes.set_title(report.title(result), loc="left")  # the legend stands beside it, above the bars
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    return figure


def roofline(result: report.Result, threads: str) -> Any:
    machine = result["threads"][threads]["machine"]
    rows = report.rows(result, threads)
    itemsize = np.dtype(result["dtype"]).itemsize
    # floating point operations for each byte of the recurrent weights that a step reads
    intensity = np.array([row.flops / (row.case.recurrent_numbers * itemsize * row.case.t) for row in rows])
    figure, axes = plt.subplots(figsize=(8, 5.5), layout="constrained")
    x = np.geomspace(intensity.min() / 2, intensity.max() * 2, 200)
    for k, (level, bandwidth) in enumerate(machine["read"].items()):
        axes.plot(x, np.minimum(x * bandwidth, machine["flops"]), color=f"C{k + 1}", linewidth=1)
        axes.annotate(
            f"{level}: {bandwidth:.0f} GB/s", (x[0], x[0] * bandwidth), (2, 4), textcoords="offset points", fontsize=8
        )
    axes.axhline(machine["flops"], color="black", linewidth=1)
    axes.annotate(
        f"multiply-adds: {machine['flops']:.0f} GFLOP/s",
        (x[-1], machine["flops"]),
        (-2, 4),
        textcoords="offset points",
        fontsize=8,
        ha="right",
    )
    peers = [row.flops / row.best[row.best_peer] / 1e3 if row.best_peer else np.nan for row in rows]
    axes.scatter(intensity, peers, marker="x", color="gray", label="best peer", linewidths=1)
    axes.scatter(intensity, [row.gflops for row in rows], color="C0", label="fastlstm")
    axes.set(xscale="log", yscale="log", xlabel="operations for each byte of recurrent weights read", ylabel="GFLOP/s")
    axes.set_title(f"roofline: {report.title(result)}, threads: {threads}")
    axes.legend(loc="lower right")
    return figure
