"""Tables of scores: of each measure by frequency, of time, and of who was ahead how often."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from bench.forecasting.contenders import CONTENDERS, in_sample
from bench.forecasting.data import REPORT, TUNING, Case
from bench.forecasting.scores import Score, Scores, complete

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
    """Means over the cases of each frequency, and over all; the least of a row is bold where less is better."""
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
    return table(["", "series", "forecasts", *(CONTENDERS[name].title for name in scores)], rows)


def mean_of(measure: str, own: dict[str, Score], cases: list[Case]) -> float | None:
    """None if a forecast has no such measure."""
    values = [own[case.key].measures.get(measure) for case in cases]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def times(scores: Scores, cases: list[Case]) -> str:
    """Seconds of all forecasts of these cases together."""
    rows = []
    for name, own in scores.items():
        found = np.array([own[case.key].seconds["cpu"] for case in cases]).sum(0)
        wall = np.sum([own[case.key].seconds["wall"] for case in cases])
        failed = sum(own[case.key].reason is not None for case in cases)
        rows.append([CONTENDERS[name].title, *(f"{one:,.1f}" for one in (*found, found.sum(), wall)), f"{failed}"])
    return table(["", "CPU s, fit", "CPU s, predict", "CPU s", "wall s", "failed"], rows)


def wins(scores: Scores, cases: list[Case]) -> str:
    """The share of forecasts in which ours had the smaller MASE than each other's; a tie counts for half."""
    ours = [name for name in scores if CONTENDERS[name].package == "fastlstm"]
    others = [name for name in scores if name not in ours]

    def share(name: str, other: str) -> str:
        pairs = [[scores[one][case.key].measures["mase"] for one in (name, other)] for case in cases]
        return f"{100 * np.mean([(own < their) + (own == their) / 2 for own, their in pairs]):.0f} %"

    rows = [[CONTENDERS[name].title, *(share(name, other) for other in others)] for name in ours]
    return table(["ahead of", *(CONTENDERS[name].title for name in others)], rows)


def section(title: str, scores: Scores, cases: list[Case], heading: str = "##") -> str:
    """All tables of these cases; of contenders that have forecast a part of them, how many."""
    whole = complete(scores, cases)
    parts = [f"{heading} {title}"]
    for name in [name for name in scores if name not in whole]:
        count = sum(case.key in scores[name] for case in cases)
        if count and not CONTENDERS[name].sampled:
            parts.append(f"{CONTENDERS[name].title} has forecast {count} of {len(cases)}, and is left out.")
    for measure, (words, *_) in MEASURES.items():
        parts += [f"Mean {words}:", by_frequency(measure, whole, cases)]
    parts += ["Time:", times(whole, cases), "Forecasts with a smaller MASE:", wins(whole, cases)]
    return "\n\n".join(parts)


def sections(scores: Scores, cases: list[Case]) -> str:
    found = []
    for title, belongs in SETS.values():
        chosen = [case for case in cases if belongs(case)]
        if chosen and complete(scores, chosen):
            found.append(section(title, scores, chosen))
    return "\n\n".join(found)
