"""Two runs of one suite side by side, say before and after a change: python -m bench compare A.json B.json"""

from __future__ import annotations

import argparse

import numpy as np

from bench import report


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench compare", description=__doc__)
    parser.add_argument("a", type=report.load)
    parser.add_argument("b", type=report.load)
    options = parser.parse_args(argv)
    a, b = options.a, options.b
    for what, one, other in (
        ("suite", a["suite"], b["suite"]),
        ("cell", report.cell_of(a), report.cell_of(b)),
        ("dtype", a["dtype"], b["dtype"]),
    ):
        if one != other:
            parser.error(f"the two runs differ in {what}: {one} and {other}")
    for threads in a["threads"]:
        if threads not in b["threads"]:
            continue
        print(f"\nsuite {report.title(a)}, threads: {threads}; microseconds [CPU time], ratio to the best peer")
        for name, run in (("A", a), ("B", b)):
            print(f"{name}: {run['machine']['processor']}")
        if report.has_prepared(a, threads) != report.has_prepared(b, threads):
            print("fastlstm is the prepared pass in the older run, and predict in the newer one")
        print(f"{'':29}{'A':>22}{'B':>22}{'A / B':>8}{'A ratio':>10}{'B ratio':>10}")
        gains = []
        for one, other in zip(report.rows(a, threads), report.rows(b, threads), strict=True):
            gains.append(one.best["fastlstm"] / other.best["fastlstm"])
            times = "".join(f"{row.best['fastlstm']:>12.4g}{f'[{cpu_of(row)}]':>10}" for row in (one, other))
            ratios = "".join(f"{report.number(row.ratio, '.2f'):>10}" for row in (one, other))
            print(f"{one.case!s:29}{times}{gains[-1]:>8.2f}{ratios}")
        print(f"geometric mean of A / B: {np.exp(np.mean(np.log(gains))):.3f}")
    return 0


def cpu_of(row: report.Row) -> str:
    return report.number(row.cpu.get("fastlstm"))
