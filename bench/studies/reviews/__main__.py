"""Measures the classification of film reviews, beside Keras and beside a bag of words.

    python -m bench.studies.reviews --json imdb.json
    python -m bench.studies.reviews docs imdb.json         writes docs/classification.md and its picture
    python -m bench.studies.reviews try hidden_size=128    what other numbers do on the validation part, without a test

The reviews are found in the folder that FASTLSTM_DATA names. Each net is trained in a fresh process of its own, on as
many processors as it has threads; contenders take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench import THREAD_VARIABLES, machine
from bench.studies.reviews import archives, page
from bench.studies.reviews.worker import LENGTH, WORDS

TEXTBOOK = ("ours", "keras", "ours_lengths")
PARTS = ("textbook", "words", "better", "polarity")

Result = dict[str, Any]


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.studies.reviews",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seeds", type=int, default=3, help="nets of each kind (default 3)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--contenders", nargs="+", choices=TEXTBOOK, default=list(TEXTBOOK), help="of the textbook")
    parser.add_argument("--reviews", type=int, metavar="N", help="of each class of a part at most, for a quick look")
    parser.add_argument("--json", type=Path, help="where the figures go; a part that is not run keeps those it has")
    options = parser.parse_args(argv)
    if options.seeds < 1:
        parser.error(f"--seeds: expected at least 1, got {options.seeds}")
    return options


def main(argv: list[str]) -> int:
    if argv[:1] == ["docs"]:
        return page.main(argv[1:])
    if argv[:1] == ["try"]:
        return attempt(argv[1:])
    options = parse(argv)
    result: Result = {}
    if options.json and options.json.exists():
        result = json.loads(options.json.read_text(encoding="utf-8"))
    result |= {"machine": machine.describe(), "threads": options.threads, "reviews": options.reviews}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result["reading"] = result.get("reading", {}) | prepare(options, folder)
        for part in options.parts:
            result[part] = MEASURE[part](options, folder)
            if options.json:
                options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")
    return 0


def attempt(argv: list[str]) -> int:
    """Learn from the training part by a changed recipe, and say how much of the validation part is right."""
    from fastlstm.classification import Classifier, Recipe

    changes = {name: json.loads(value) for name, _, value in (word.partition("=") for word in argv)}
    parts = archives.imdb()
    train, val = parts["train"], parts["val"]
    classifier, began = Classifier(Recipe(**changes)), time.perf_counter()
    history = classifier.fit(train.texts, train.labels, (val.texts, val.labels))
    figures = ", ".join(f"{value:.4f}" for value in history["val_accuracy"])
    print(f"{changes}: {figures} after each epoch; {time.perf_counter() - began:.0f} s")
    return 0


def prepare(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Read what the parts need, and leave it to the processes in this folder; seconds of each kind of reading."""
    took, began = {}, time.perf_counter()
    if {"textbook", "words", "better"} & set(options.parts):
        parts = archives.imdb(most=options.reviews)
        took["archive"] = time.perf_counter() - began
        for name, some in parts.items():
            write(folder / f"{name}.json", some)
        began = time.perf_counter()
        if "textbook" in options.parts:
            arrays = {}
            for name, (x, lengths) in archives.textbook_arrays(parts, WORDS, LENGTH).items():
                arrays |= {f"{name}_x": x, f"{name}_lengths": lengths, f"{name}_y": parts[name].positive}
            np.savez(folder / "textbook.npz", **arrays)
            took["textbook"] = time.perf_counter() - began
    if "polarity" in options.parts:
        small, fold = archives.polarity()
        write(folder / "polarity.json", small)
        np.save(folder / "folds.npy", fold)
    return took


def write(path: Path, some: archives.Reviews) -> None:
    path.write_text(json.dumps({"texts": some.texts, "positive": some.positive.tolist()}), encoding="utf-8")


def run(task: str, seed: int, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Figures of one process."""
    threads = str(options.threads)
    environment = {**os.environ, **dict.fromkeys((*THREAD_VARIABLES, "FASTLSTM_NUM_THREADS"), threads)}
    path = folder / "figures.json"
    path.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "bench.studies.reviews.worker", task, str(seed), threads, str(folder), str(path)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode or not path.exists():
        raise SystemExit(f"{task} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    shown = {name: round(value, 4) for name, value in found.items() if isinstance(value, float)}
    print(f"{task}, seed {seed}: {shown}", flush=True)
    return found


def textbook(options: argparse.Namespace, folder: Path) -> Result:
    found: Result = {name: [] for name in options.contenders}
    for seed in range(options.seeds):
        for name in options.contenders:
            found[name].append(run(name, seed, options, folder))
    return found


def better(options: argparse.Namespace, folder: Path) -> Result:
    """Each net, and the mean of their probabilities."""
    nets = [run("better", seed, options, folder) for seed in range(options.seeds)]
    truth = {part: np.array(json.loads((folder / f"{part}.json").read_text())["positive"]) for part in ("val", "test")}
    val = np.mean([net.pop("val_probabilities") for net in nets], axis=0) > 0.5
    test = np.mean([net.pop("probabilities") for net in nets], axis=0) > 0.5
    together = {
        "val_accuracy": float(np.mean(val == truth["val"])),
        "accuracy": float(np.mean(test == truth["test"])),
        "confusion": [[int(np.sum((truth["test"] == is_) & (test == said))) for said in (0, 1)] for is_ in (0, 1)],
    }
    found = {"nets": nets, "together": together, "explained": explained(folder / "better-0.safetensors")}
    print(f"together: {together}")
    return found


def explained(path: Path) -> Result:
    """What each word of a review of our own says for its class."""
    from fastlstm.classification import Classifier

    classifier = Classifier.load(path)
    text = page.REVIEW
    words, effects = classifier.explain(text)
    _, gates = classifier.gates(text)
    row = classifier.probabilities([text])[0]
    best = int(row.argmax())
    return {
        "words": words,
        "effects": effects.round(4).tolist(),
        "gates": {name: np.round(array, 3).tolist() for name, array in vars(gates).items()},
        "class": classifier.classes[best],
        "probability": float(row[best]),
    }


MEASURE = {
    "textbook": textbook,
    "words": lambda options, folder: run("words", 0, options, folder),
    "better": better,
    "polarity": lambda options, folder: {
        "ours": run("polarity", 0, options, folder),
        "words": run("polarity_words", 0, options, folder),
    },
}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
