"""Forecasters beside each other, on series that packages carry.

    FASTLSTM_DATA=data python -m bench.forecasting                      all, and the tables
    FASTLSTM_DATA=data python -m bench.forecasting --keep kept --page   goes on where it was ended; writes the page
    python -m bench.forecasting --case panel                            ten thousand series at once

Each contender runs in a process of its own with one thread, one after the other. One that is not installed is left
out. Series come from the folder that FASTLSTM_DATA names, and from statsmodels, sktime and pmdarima, as far as they are
installed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench import THREAD_VARIABLES, machine
from bench.forecasting import data, kept, page, report
from bench.forecasting.cold import table as cold_table
from bench.forecasting.contenders import CONTENDERS
from bench.forecasting.panel import table as panel_table
from bench.forecasting.scores import scores_of
from bench.studies import DOCS

CASES = ("accuracy", "panel", "cold")


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        if not options.report:
            kept.save_cases(folder, data.cases())
            run(options, folder)
        cases = [case for case in kept.load_cases(folder) if options.half in (None, case.half)]
        scores = scores_of(folder, cases)
        found = {name: json.loads(path.read_text()) for name in CASES[1:] if (path := folder / f"{name}.json").exists()}
        print(shown(options.case, report.sections(scores, cases), found))
        if options.page:
            described = json.loads((folder / "machine.json").read_text())
            text = page.written(cases, scores, found, described)
            (options.output / "forecasting-benchmark.md").write_text(text, encoding="utf-8")
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m bench.forecasting", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--contenders", nargs="+", choices=CONTENDERS, default=[*CONTENDERS], metavar="NAME",
        help=f"which of {', '.join(CONTENDERS)} run (default: all); those that are kept are shown, too")  # fmt: skip
    add("--half", choices=(data.TUNING, data.REPORT), help="series of this half alone (default: both)")
    add("--case", nargs="+", choices=CASES, default=[*CASES], help="what is measured (default: all)")
    add("--keep", type=Path, metavar="FOLDER", help="keep the forecasts there, and go on from those that it holds")
    add("--report", action="store_true", help="run nothing: tables of what is kept")
    add(
        "--page",
        action="store_true",
        help="write forecasting-benchmark.md; takes a --keep, and all cases of both halves",
    )
    add("--output", type=Path, default=DOCS, metavar="FOLDER", help="where the page goes (default: docs)")
    options = parser.parse_args(argv)
    if (options.report or options.page) and options.keep is None:
        parser.error("--report and --page: expected --keep FOLDER beside them")
    if options.report and not (options.keep / kept.CASES).exists():
        parser.error(f"--keep: expected a folder with {kept.CASES}, as an earlier run leaves one, got {options.keep}")
    if options.page and (options.half or len(options.case) < len(CASES)):
        parser.error("--page: expected all cases of both halves, got --half or --case")
    return options


def run(options: argparse.Namespace, folder: Path) -> None:
    """Whatever is not kept yet."""
    packages = {one.package for one in CONTENDERS.values() if one.package != "fastlstm" and find_spec(one.package)}
    described = {**machine.describe(), **{package: version(package) for package in packages}}
    (folder / "machine.json").write_text(json.dumps(described), encoding="utf-8")
    for name in options.contenders if "accuracy" in options.case else ():
        package = CONTENDERS[name].package
        if find_spec(package) is None:
            print(f"{CONTENDERS[name].title} is left out: pip install {package}", file=sys.stderr)
            continue
        process("worker", name, str(folder), *([options.half] if options.half else []))
    others: dict[str, tuple[int, list[str]]] = {"panel": (2, []), "cold": (1, [str(folder)])}
    for name, (threads, arguments) in others.items():
        if name in options.case:
            done = process(name, *arguments, threads=threads, stdout=subprocess.PIPE)
            (folder / f"{name}.json").write_text(done.stdout.splitlines()[-1], encoding="utf-8")


def process(name: str, *arguments: str, threads: int = 1, **how: Any) -> subprocess.CompletedProcess[str]:
    """A process of a module; with one thread it takes about as much CPU time beside other work as alone."""
    environment = {**os.environ, **dict.fromkeys((*THREAD_VARIABLES, "FASTLSTM_NUM_THREADS"), str(threads))}
    words = [sys.executable, "-m", f"bench.forecasting.{name}", *arguments]
    return subprocess.run(words, check=True, text=True, env=environment, **how)


def shown(wanted: list[str], sections: str, found: dict[str, Any]) -> str:
    tables = {"accuracy": sections}
    tables |= {
        name: make(found[name]) for name, make in (("panel", panel_table), ("cold", cold_table)) if name in found
    }
    return "\n\n".join(tables[name] for name in wanted if name in tables)


if __name__ == "__main__":
    sys.exit(main())
