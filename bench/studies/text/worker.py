"""One process of one training: python -m bench.studies.text.worker NAME RECIPE THREADS CHARACTERS RESULT.json

The process sees as many processors as it may use threads. CHARACTERS is how many of the text are used, 0 for all.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys
from pathlib import Path

from bench.studies.text.task import Task
from fastlstm.text import Recipe


def main(name: str, recipe: str, threads: int, characters: int, path: str) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    task = Task.of(Recipe(**json.loads(recipe)), characters or None)
    found = importlib.import_module(f"bench.studies.text.{name}").run(task, threads)
    found["recipe"] = dataclasses.asdict(task.model.recipe)
    Path(path).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    name, recipe, threads, characters, path = sys.argv[1:]
    main(name, recipe, int(threads), int(characters), path)
