"""Forecasts that are kept: a file of lines for each contender, so that a run goes on where it was ended.

A line holds one forecast, as JSON, with what tells whether it still stands: the values that it was made from, and the
version of the contender.
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.forecasting.contenders import CONTENDERS
from bench.forecasting.data import Case

CASES = "cases.json"
Line = dict[str, Any]
Kept = dict[str, Line]
"""Lines by the key of their case."""


def version_of(contender: str) -> str:
    """The version of its package; of ours the bits of its files, since they change between versions."""
    package = CONTENDERS[contender].package
    if package != "fastlstm":
        return version(package)
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None
    files = sorted(Path(spec.origin).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def save_cases(folder: Path, cases: list[Case]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CASES).write_text(json.dumps([case.as_dict() for case in cases]), encoding="utf-8")


def load_cases(folder: Path) -> list[Case]:
    return [Case.from_dict(told) for told in json.loads((folder / CASES).read_text(encoding="utf-8"))]


def lines_of(folder: Path, contender: str, cases: list[Case], current: str | None = None) -> Kept:
    """Lines whose case is as it was when they were made, and whose contender is of the version `current` if given."""
    path, found = folder / f"{contender}.jsonl", {}
    prints = {case.key: case.fingerprint() for case in cases}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        told = json.loads(line)
        if told["values"] == prints.get(told["case"]) and current in (None, told["version"]):
            found[told["case"]] = told
    return found


def add_line(folder: Path, contender: str, told: Line) -> None:
    with (folder / f"{contender}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(told) + "\n")
