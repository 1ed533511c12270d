"""docs/forecasting-benchmark.md from what is kept."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from bench import machine
from bench.forecasting import cold, panel, report
from bench.forecasting.contenders import CONTENDERS
from bench.forecasting.data import REPORT, TUNING, Case
from bench.forecasting.scores import Scores

HALVES = {REPORT: "of the report", TUNING: "for tuning"}


def written(cases: list[Case], scores: Scores, found: dict[str, Any], described: dict[str, str]) -> str:
    """The page; ValueError if a case has not been measured."""
    missing = [name for name in ("panel", "cold") if name not in found]
    if missing:
        raise ValueError(f"the page takes all cases: {', '.join(missing)} is not kept yet")
    parts = {
        "counts": counts(cases),
        "machine": "\n".join([machine.machine_list(described), *versions(scores, described)]),
        "sections": report.sections(scores, cases),
        "panel": panel_part(found["panel"]),
        "cold counts": " and ".join(
            f"{own['1']['series']} {frequency} series" for frequency, own in found["cold"].items()
        ),
        "cold": cold.table(found["cold"]),
    }
    text = Path(__file__).with_name("page.md").read_text(encoding="utf-8")
    for name, part in parts.items():
        text = text.replace(f"<!-- {name} -->", part)
    return text


def counts(cases: list[Case]) -> str:
    halves = Counter(half for half, _ in {(case.half, case.name) for case in cases})
    told = " and ".join(f"{halves[half]} in the half {words}" for half, words in HALVES.items() if half in halves)
    return f"{sum(halves.values())} series, {len(cases)} forecasts: {told}."


def versions(scores: Scores, described: dict[str, str]) -> list[str]:
    packages = {CONTENDERS[name].package for name in scores} - {"fastlstm"}
    return [f"- {package}: {described[package]}" for package in sorted(packages) if package in described]


def panel_part(found: dict[str, Any]) -> str:
    told = (
        f"Memory grew by {found['memory']:,.0f} MiB. The mean MASE is {found['mase']:.2f}, that of the last season\n"
        f"again {found['naive']:.2f}; the intervals of 90 % held {100 * found['coverage']:.0f} %; the share of the\n"
        f"network was {found['share']:.2f}."
    )
    return f"{panel.table(found)}\n\n{told}"
