"""Tables of scores: of each measure by frequency, of time, and of who was ahead how often."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from bench.forecasting.contenders import CONTENDERS, in_sample
from bench.forecasting.data import REPORT, TUNING, Case
from bench.forecasting.scores import Score, Scores

EPIDEMIC = "covid"
"""Its errors are up to a hundred times those within its quiet beginning, by which they are measured."""

ROWS: dict[str, Callable[[Case], bool]] = {
    "yearly": lambda case: case.frequency == "yearly",
    "quarterly": lambda case: case.frequency == "quarterly",
    "monthly": lambda case: case.frequency in ("monthly", "short monthly"),
    "weekly": lambda case: case.frequency == "weekly",
    "daily": lambda case: case.frequency in ("daily", "business") and case.group != EPIDEMIC,
    "daily, an epidemic": lambda case: case.group == EPIDEMIC,
    "hourly": lambda case: case.frequency == "hourly",
    "all but the epidemic": lambda case: case.group != EPIDEMIC,
    "all": lambda case: True,
}
"""Forecasts that are shown together. Series of working days are few."""

MEASURES = {"mase": ("MASE", ".2f", 1), "smape": ("sMAPE", ".1f", 1), "crps": ("scaled CRPS", ".3f", 1)}
MEASURES["coverage"] = ("coverage of the 90 % interval, in per cent", ".0f", 100)
"""The words, the format and the unit of each."""

SETS: dict[str, tuple[str, Callable[[Case], bool]]] = {
    "report": ("The half of the report", lambda case: case.half == REPORT),
    "sample": ("The last moments of the half of the report, with the neural peers", in_sample),
    "tuning": ("The half for tuning", lambda case: case.half == TUNING),
}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def by_frequency(measure: str, scores: Scores, cases: list[Case]) -> str:
    """Means over the forecasts of each row; the least of a row is bold where less is better."""
    _, form, unit = MEASURES[measure]
    rows = []
    for row, belongs in ROWS.items():
        chosen = [case for case in cases if belongs(case)]
        if chosen:
            means = [mean_of(measure, own, chosen) for own in scores.values()]
            least = min((mean for mean in means if mean is not None and measure != "coverage"), default=None)
            texts = ["" if mean is None else f"{unit * mean:{form}}" for mean in means]
            texts = [f"**{text}**" if text and mean == least else text for text, mean in zip(texts, means, strict=True)]
            rows.append([row, f"{len({case.name for case in chosen})}", f"{len(chosen)}", *texts])
    return table(["", "series", "forecasts", *titles(scores)], rows)


def mean_of(measure: str, own: dict[str, Score], cases: list[Case]) -> float | None:
    """None of a contender that has not forecast all of these, or whose forecasts have no such measure."""
    if any(case.key not in own for case in cases):
        return None
    values = [own[case.key].measures.get(measure) for case in cases]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def titles(names: Iterable[str]) -> list[str]:
    return [CONTENDERS[name].title for name in names]


def times(scores: Scores, cases: list[Case]) -> str:
    """Seconds of all forecasts of these cases together, also over those of ours for the same ones."""
    rows = []
    for name, own in scores.items():
        done = [case for case in cases if case.key in own]
        found = seconds_of(own, done)
        ratios = [
            f"{found.sum() / seconds_of(scores[other], done).sum():.2f}"
            if all(case.key in scores[other] for case in done)
            else ""
            for other in ours(scores)
        ]
        failed = sum(own[case.key].reason is not None for case in done)
        wall = float(np.sum([own[case.key].seconds["wall"] for case in done]))
        sums = [f"{one:,.1f}" for one in (*found, wall)]
        rows.append([CONTENDERS[name].title, f"{len(done)}", *sums, *ratios, f"{failed}"])
    over = [f"CPU s over those of {title}" for title in titles(ours(scores))]
    return table(["", "forecasts", "CPU s, fit", "CPU s, predict", "wall s", *over, "failed"], rows)


def seconds_of(own: dict[str, Score], cases: list[Case]) -> Any:
    """CPU seconds of the fits and of the predictions, (2,); a fit that fails has no prediction."""
    return np.array([[*own[case.key].seconds["cpu"], 0.0][:2] for case in cases]).sum(0)


def ours(scores: Scores) -> list[str]:
    return [name for name in scores if CONTENDERS[name].package == "fastlstm"]


def wins(scores: Scores, cases: list[Case]) -> str:
    """The share of forecasts in which ours had the smaller MASE than each other's; a tie counts for half."""
    others = [name for name in scores if name not in ours(scores)]

    def share(name: str, other: str) -> str:
        own, their = ({key: score.measures["mase"] for key, score in scores[one].items()} for one in (name, other))
        both = [case.key for case in cases if case.key in own and case.key in their]
        found = [(own[key] < their[key]) + (own[key] == their[key]) / 2 for key in both]
        return f"{100 * np.mean(found):.0f} %" if found else ""

    rows = [[CONTENDERS[name].title, *(share(name, other) for other in others)] for name in ours(scores)]
    return table(["ahead of", *titles(others)], rows)


def section(title: str, scores: Scores, cases: list[Case]) -> str:
    """All tables of these cases; of contenders that have not come to their end, how far they are."""
    parts = [f"## {title}"]
    for name, own in scores.items():
        done, asked = sum(case.key in own for case in cases), len(CONTENDERS[name].asked(cases))
        if done < asked:
            parts.append(f"{CONTENDERS[name].title} was ended after {done} of {asked} forecasts, for its time.")
    for measure, (words, *_) in MEASURES.items():
        parts += [f"Mean {words}:", by_frequency(measure, scores, cases)]
    parts += ["Time:", times(scores, cases), "Forecasts with a smaller MASE:", wins(scores, cases)]
    return "\n\n".join(parts)


def sections(scores: Scores, cases: list[Case]) -> str:
    """A section for each of `SETS`, of the contenders that have forecast something of it that fills a row."""
    found = []
    for title, belongs in SETS.values():
        chosen = [case for case in cases if belongs(case)]
        parts = [[case for case in chosen if fits(case)] for fits in ROWS.values()]
        there = {
            name: own
            for name, own in scores.items()
            if any(part and mean_of("mase", own, part) is not None for part in parts)
        }
        if there:
            found.append(section(title, there, chosen))
    return "\n\n".join(found)
