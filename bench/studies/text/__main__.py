"""Text, character by character: the same training by fastlstm and by PyTorch, and the best recipe that was found.

    python -m bench.studies.text               both trainings, in fresh processes in turn
    python -m bench.studies.text --best        the best recipe
    python -m bench.studies.text --seeds 5     five seeds each: do the losses differ by more than chance?
    python -m bench.studies.text --seeds 3 --contenders fastlstm bfloat16      what training in bfloat16 costs
    python -m bench.studies.text --page        only writes the page, from what was measured before

Figures go to the file of --json, which keeps those of the other command; the page docs/text.md is made from it. The
environment variable FASTLSTM_DATA names the folder of tinyshakespeare.txt.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import THREAD_VARIABLES, machine
from bench.studies import DOCS, data
from bench.studies.text import page, seeds
from bench.studies.text.task import BEST, SAME
from fastlstm.text import Recipe

CONTENDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "fastlstm": ("ours", {}),
    "torch": ("pytorch", {}),
    "bfloat16": ("ours", {"precision": "bfloat16"}),
}
"""The module that trains, and what it changes in the recipe."""


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.studies.text", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--best", action="store_true", help="train by the best recipe instead")
    parser.add_argument("--page", action="store_true", help="measure nothing, and write the page")
    parser.add_argument("--threads", type=int, default=2, help="of each training (default 2)")
    parser.add_argument(
        "--rounds", type=int, default=1, help="trainings of each, in turn; the fastest counts (default 1)"
    )
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="train with the seeds 0 to N - 1, and print the losses; no page"
    )
    parser.add_argument(
        "--contenders",
        nargs="+",
        choices=CONTENDERS,
        default=["fastlstm", "torch"],
        help="with --seeds (default: fastlstm torch)",
    )
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="of the recipe: hidden_size=384 ...")
    parser.add_argument("--characters", type=int, default=0, help="of the text, to try it out (default: all)")
    parser.add_argument("--json", type=Path, default=Path("text.json"), help="default: text.json")
    parser.add_argument("--folder", type=Path, default=DOCS, help="of the page (default: docs)")
    options = parser.parse_args(argv)
    if (options.best or not options.seeds) and options.contenders != ["fastlstm", "torch"]:
        parser.error("--contenders: expected with --seeds only, as the page compares fastlstm and torch")
    return options


def recipe_of(options: argparse.Namespace) -> Recipe:
    changes = {name: json.loads(value) for name, _, value in (each.partition("=") for each in options.set)}
    if options.epochs:
        changes["epochs"] = options.epochs
    return dataclasses.replace(BEST if options.best else SAME, **changes)


def run_process(module: str, recipe: Recipe, options: argparse.Namespace) -> dict[str, Any]:
    """What one process has found."""
    variables = (*THREAD_VARIABLES, "FASTLSTM_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(variables, str(options.threads))}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found.json"
        words = [module, json.dumps(recipe.config()), str(options.threads), str(options.characters), str(path)]
        subprocess.run([sys.executable, "-m", "bench.studies.text.worker", *words], env=environment, check=True)
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def measure(options: argparse.Namespace, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """All runs by contender, and how they were made; kept after each, for it may be hours until the last."""
    data.find("tinyshakespeare.txt")  # rather fail now
    recipe, names = recipe_of(options), ["fastlstm"] if options.best else options.contenders
    measured = {
        "machine": machine.describe(),
        "threads": options.threads,
        "characters": options.characters,
        "command": " ".join(["python -m bench.studies.text", *sys.argv[1:]]),
        "runs": {name: [] for name in names},
    }
    for seed in range(options.seeds) if options.seeds else [recipe.seed] * options.rounds:
        for name in names:
            module, changes = CONTENDERS[name]
            run = run_process(module, dataclasses.replace(recipe, seed=seed, **changes), options)
            measured["runs"][name].append(run)
            keep(measured)
    return measured


def main(argv: list[str]) -> int:
    options = parse(argv)
    results = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else {}
    part = "seeds" if options.seeds else "best" if options.best else "same"

    def keep(measured: dict[str, Any]) -> None:
        results[part] = measured
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")

    if not options.page:
        measure(options, keep)
    print(seeds.report(results["seeds"]["runs"]) if options.seeds else page.write(results, options.folder))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
