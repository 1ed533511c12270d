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
    for what in ("suite", "dtype"):
        if a[what] != b[what]:
            parser.error(f"the two runs differ in {what}: {a[what]} and {b[what]}")
    for threads in a["threads"]:
        if threads not in b["threads"]:
            continue
        print(f"\nsuite {a['suite']}, {a['dtype']}, threads: {threads}; microseconds, and ratio to the best peer")
        print(f"{'':29}{'A':>12}{'B':>12}{'A / B':>8}{'A ratio':>10}{'B ratio':>10}")
        gains = []
        for one, other in zip(report.rows(a, threads), report.rows(b, threads), strict=True):
            gains.append(one.best["fastlstm"] / other.best["fastlstm"])
            ratios = "".join(f"{row.ratio:>10.2f}" if row.ratio else f"{'-':>10}" for row in (one, other))
            print(
                f"{one.case!s:29}{one.best['fastlstm']:>12.4g}{other.best['fastlstm']:>12.4g}{gains[-1]:>8.2f}{ratios}"
            )
        print(f"geometric mean of A / B: {np.exp(np.mean(np.log(gains))):.3f}")
    return 0
