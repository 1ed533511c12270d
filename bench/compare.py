"""Two runs of one suite side by side, say before and after a change: python -m bench compare A.json B.json"""

from __future__ import annotations

import argparse

import numpy as np

from bench import report
from bench.contenders import CONTENDERS, OURS


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
        in_low = [name for name in OURS if CONTENDERS[name].precision]
        for name in ["fastlstm", *in_low]:
            rows = list(zip(report.rows(a, threads), report.rows(b, threads), strict=True))
            if all(name in row.best for pair in rows for row in pair):
                show(name, rows)
    return 0


def show(name: str, rows: list[tuple[report.Row, report.Row]]) -> None:
    """One of ours in both runs."""
    what = "" if name == "fastlstm" else name
    print(f"{what:29}{'A':>22}{'B':>22}{'A / B':>8}{'A ratio':>10}{'B ratio':>10}")
    gains = []
    for pair in rows:
        one, other = pair
        gains.append(one.best[name] / other.best[name])
        times = "".join(f"{row.best[name]:>12.4g}{f'[{report.number(row.cpu.get(name))}]':>10}" for row in pair)
        ratios = "".join(f"{report.number(row.ratio_of(name), '.2f'):>10}" for row in pair)
        print(f"{one.case!s:29}{times}{gains[-1]:>8.2f}{ratios}")
    print(f"geometric mean of A / B: {np.exp(np.mean(np.log(gains))):.3f}")
