"""What a run of suite `low` says: times and errors of inference in low precision, ours beside those of the best peer
that computes in the same precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench import report
from bench.report import Result, Row, best_peer, over

PRECISIONS = ("bfloat16", "int8")
Cells = list[list[str]]
Figures = Mapping[str, float]
"""Of one case: the times or the errors of the contenders by name."""


@dataclass(frozen=True)
class Column:
    """A number for each case, None where it was not measured, and perhaps a word after it: whose it is."""

    head: str
    values: Sequence[float | None]
    form: str
    words: Sequence[str | None] = ()

    def cells(self) -> list[str]:
        """The head, the numbers, and their geometric mean."""
        measured = [value for value in self.values if value]
        mean = float(np.exp(np.mean(np.log(measured)))) if measured else None
        numbers = [report.number(value, self.form) for value in [*self.values, mean]]
        if self.words:
            known = zip(numbers, self.values, self.words, strict=False)  # the mean is nobody's
            numbers[:-1] = [number if value is None else f"{number} {word}" for number, value, word in known]
        return [self.head, *numbers]


def table(result: Result, threads: str) -> str:
    lines = ["", *report.header(result, threads)]
    for title, cells in tables(result, threads):
        lines += ["", title, *report.aligned(cells)]
    return "\n".join(lines)


def tables(result: Result, threads: str) -> list[tuple[str, Cells]]:
    """Each with its title: its heads, then the cells of each row, the case first."""
    found = report.rows(result, threads)
    part = result["threads"][threads]
    cases = [str(row.case) for row in found]
    names = list(part["figures"])
    errors = [{name: some[case] for name, some in part["errors"].items() if case in some} for case in cases]
    return [
        ("Times", [["case", *names], *([str(row.case), *(report.time_of(row, k) for k in names)] for row in found)]),
        ("Times of fastlstm in float32, and of the best peer, over ours", with_means(cases, gains(found))),
        ("Largest error as a share of the range of the float64 output", with_means(cases, about_errors(names, errors))),
    ]


def gains(found: Sequence[Row]) -> list[Column]:
    """How many times as fast ours is; more than 1 means that it is faster."""
    columns = []
    for precision in PRECISIONS:
        ours = f"fastlstm-{precision}"
        peers = [best_peer(row.best, precision) for row in found]
        columns += [
            Column(f"{precision}: float32", [over(row.best, "fastlstm", ours) for row in found], ".2f"),
            Column(f"{precision}: best peer", [row.ratio_of(ours) for row in found], ".2f", peers),
        ]
    return columns


def about_errors(names: Sequence[str], errors: Sequence[Figures]) -> list[Column]:
    """Those of all, and ours over that of the best peer; less than 1 means that ours is smaller."""
    columns = [Column(name, [of.get(name) for of in errors], ".1e") for name in names]
    for precision in PRECISIONS:
        peers = [best_peer(of, precision) for of in errors]
        shares = [over(of, f"fastlstm-{precision}", peer) for of, peer in zip(errors, peers, strict=True)]
        columns.append(Column(f"{precision}: over the best peer's", shares, ".2f", peers))
    return columns


def with_means(cases: Sequence[str], columns: Sequence[Column]) -> Cells:
    heads = ["case", *cases, "geometric mean"]
    return [list(row) for row in zip(heads, *(column.cells() for column in columns), strict=True)]
