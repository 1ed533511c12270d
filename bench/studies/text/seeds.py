"""Whether two trainings differ by more than chance: validation losses of several seeds of each."""

from __future__ import annotations

import math
import statistics
from typing import Any

from bench.studies.text.page import NAMES


def table(runs: dict[str, list[dict[str, Any]]]) -> str:
    """Mean, standard deviation and each seed's loss on the held-out text, for every contender."""
    lines = ["| | mean | standard deviation | by seed |", "|---|---:|---:|---|"]
    for name, each in runs.items():
        losses = [run["final"] for run in each]
        spread = f"{statistics.stdev(losses):.4f}" if len(losses) > 1 else ""
        by_seed = " ".join(f"{loss:.4f}" for loss in losses)
        lines.append(f"| {NAMES[name]} | {statistics.mean(losses):.4f} | {spread} | {by_seed} |")
    return "\n".join(lines)


def difference(runs: dict[str, list[dict[str, Any]]]) -> str:
    """The mean difference of the two contenders, a seed at a time, and how many of its standard errors that is."""
    ours, theirs = runs.values()
    apart = [a["final"] - b["final"] for a, b in zip(ours, theirs, strict=True)]
    if len(apart) < 2:
        return ""
    error = statistics.stdev(apart) / math.sqrt(len(apart))
    mean = statistics.mean(apart)
    first, second = (NAMES[name] for name in runs)
    return f"{first} less {second}: {mean:+.4f}, with a standard error of {error:.4f} over {len(apart)} seeds."


def report(runs: dict[str, list[dict[str, Any]]]) -> str:
    """What several seeds of each have come to."""
    return "\n\n".join(part for part in (table(runs), difference(runs) if len(runs) == 2 else "") if part)
