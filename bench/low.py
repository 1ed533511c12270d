"""What a run of suite `low` or `low-steps` says: times and errors of inference and of training steps in low precision,
ours beside those of the best peer that computes in the same precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import report
from bench.contenders import CONTENDERS
from bench.report import LARGEST_DIFFERENCE, Result, Row, best_peer, over

LOW_SUITES = ("low", "low-steps")
PRECISIONS = ("bfloat16", "int8x16", "int8")
TITLES = {
    "errors": "Largest error as a share of the range of the float64 output",
    "losses": "Largest error of a loss as a share of the float64 loss",
    "gradients": "Largest error of a parameter's gradients, of their running mean, as a share of those in float64",
}
"""Of the errors of each kind, see `bench.exact`."""
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
    return "\n".join([*lines, *notes(result, threads)])


def tables(result: Result, threads: str) -> list[tuple[str, Cells]]:
    """Each with its title: its heads, then the cells of each row, the case first."""
    found = report.rows(result, threads)
    part = result["threads"][threads]
    cases = [str(row.case) for row in found]
    names = list(part["figures"])
    shown = [
        ("Times", [["case", *names], *([str(row.case), *(report.time_of(row, k) for k in names)] for row in found)]),
        ("Times of fastlstm in float32, and of the best peer, over ours", with_means(cases, gains(found, names))),
    ]
    for kind, title in TITLES.items():
        if kind in part:
            errors = [{name: some[case] for name, some in part[kind].items() if case in some} for case in cases]
            columns = [Column(name, [of.get(name) for of in errors], ".1e") for name in names]
            if kind != "losses":  # two numbers, whose errors are a matter of chance
                columns += beside_peers(names, errors)
            shown.append((title, with_means(cases, columns)))
    return shown


def gains(found: Sequence[Row], names: Sequence[str]) -> list[Column]:
    """How many times as fast ours is; more than 1 means that it is faster."""
    columns = []
    if any(row.best_peer for row in found):
        columns.append(Column("float32: best peer", [row.ratio for row in found], ".2f", [k.best_peer for k in found]))
    for precision in precisions(names):
        ours = f"fastlstm-{precision}"
        peers = [best_peer(row.best, CONTENDERS[ours].beside) for row in found]
        columns += [
            Column(f"{precision}: float32", [over(row.best, "fastlstm", ours) for row in found], ".2f"),
            Column(f"{precision}: best peer", [row.ratio_of(ours) for row in found], ".2f", peers),
        ]
    return columns


def beside_peers(names: Sequence[str], errors: Sequence[Figures]) -> list[Column]:
    """Our errors over those of the best peers; less than 1 means that ours is smaller."""
    columns = []
    for precision in precisions(names):
        ours = f"fastlstm-{precision}"
        peers = [best_peer(of, CONTENDERS[ours].beside) for of in errors]
        shares = [over(of, ours, peer) for of, peer in zip(errors, peers, strict=True)]
        columns.append(Column(f"{precision}: over the best peer's", shares, ".2f", peers))
    return columns


def precisions(names: Sequence[str]) -> list[str]:
    """Those that we are measured in."""
    return [precision for precision in PRECISIONS if f"fastlstm-{precision}" in names]


def with_means(cases: Sequence[str], columns: Sequence[Column]) -> Cells:
    heads = ["case", *cases, "geometric mean"]
    return [list(row) for row in zip(heads, *(column.cells() for column in columns), strict=True)]


def too_large(part: Mapping[str, Any], dtype: str) -> dict[str, float]:
    """Errors with which no time can be believed, by contender and case."""
    return {f"{name}/{case}": value for kind, name, case, value in beyond(part, dtype) if not only_told(kind, name)}


def notes(result: Result, threads: str) -> list[str]:
    """The errors that are too large, but do not end the run."""
    return [
        f"no time can be believed of {name} at {case}: error of the {kind} {value:.1e}"
        for kind, name, case, value in beyond(result["threads"][threads], result["dtype"])
        if only_told(kind, name)
    ]


def only_told(kind: str, name: str) -> bool:
    """Whether an error that is too large is told and no more: one of training steps in low precision."""
    return kind in ("losses", "gradients") and CONTENDERS[name].precision is not None


def beyond(part: Mapping[str, Any], dtype: str) -> Iterator[tuple[str, str, str, float]]:
    """Kind, contender, case and value of each error that is larger than those of its precision may be, or NaN."""
    for kind in TITLES:
        for name, errors in part.get(kind, {}).items():
            limit = LARGEST_DIFFERENCE[CONTENDERS[name].precision or dtype]
            yield from ((kind, name, case, value) for case, value in errors.items() if not value < limit)
