"""Figures of trained networks in float32 and with weights in fewer bits, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import fastlstm as fl
from bench.studies.accuracy.trained import Measured, Trained

BOUNDS = {"bfloat16": 0.002, "int8": 0.01}
"""How far a figure may lie from that in float32, as a share of it."""

HEADS = ["", "held out", "figure", "float32", "bfloat16", "", "int8", "", "other answers", "matrices narrowed"]


@dataclass(frozen=True)
class Compared:
    """What is measured of some trained networks in float32, and with weights of each other kind."""

    trained: Trained
    exact: Measured
    found: dict[str, Measured]
    narrowed: dict[str, int]
    """Matrices of a network that have fewer bits; the others are used as they are, being too small to gain."""
    matrices: int

    @classmethod
    def of(cls, trained: Trained) -> Compared:
        exact, found, narrowed, matrices = trained.measure(), {}, {}, 0
        for kind in BOUNDS:
            for model in trained.models:
                used = fl.quantize(model, kind).in_use.values()
            narrowed[kind], matrices = sum(each is not None for each in used), len(used)
            found[kind] = trained.measure()
        return cls(trained, exact, found, narrowed, matrices)

    def difference(self, kind: str, figure: str) -> float:
        """As a share of the figure in float32."""
        return self.found[kind].figures[figure] / self.exact.figures[figure] - 1

    def rows(self) -> Iterator[list[str]]:
        """A row of the table for each figure."""
        for figure, value in self.exact.figures.items():
            form = ".2%" if figure == "right" else ".5f"
            cells = [self.trained.name, self.trained.held_out, figure, f"{value:{form}}"]
            for kind, measured in self.found.items():
                cells += [f"{measured.figures[figure]:{form}}", f"{self.difference(kind, figure):+.3%}"]
            cells += [self.others(), f"{of_kinds(self.narrowed)} of {self.matrices}"]
            yield cells

    def others(self) -> str:
        """How many answers are not those in float32."""
        own = self.exact.answers
        apart = {kind: sum(a != b for a, b in zip(own, one.answers, strict=True)) for kind, one in self.found.items()}
        return f"{of_kinds(apart)} of {len(own):,}" if own else ""


def of_kinds(numbers: dict[str, int]) -> str:
    return " and ".join(f"{number:,}" for number in numbers.values())


def verdict(compared: Sequence[Compared]) -> Iterator[str]:
    """Which figures lie farther from those in float32 than is allowed."""
    for kind, bound in BOUNDS.items():
        apart = {
            f"{one.trained.name}, {figure}": one.difference(kind, figure)
            for one in compared
            for figure in one.exact.figures
        }
        over = [f"{name} ({value:+.2%})" for name, value in apart.items() if abs(value) > bound]
        found = f"not within {bound:.1%}: {'; '.join(over)}" if over else f"all {len(apart)} within {bound:.1%}"
        yield f"{kind}: {found}"
