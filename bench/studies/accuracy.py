"""What fewer bits cost the trained models of docs/: the figure of each on held-out data, in float32, bfloat16 and int8.

    python -m bench.studies.accuracy                               all, trained by the recipes of their pages
    python -m bench.studies.accuracy text speech --folder models   takes trained models from there, or keeps them there
    python -m bench.studies.accuracy --epochs 1 --nets 1           a little training, for a first look

Data, recipes and figures are those of `bench.studies`; FASTLSTM_DATA names the folder of the data. All networks train
in float32. Then `fastlstm.quantize` changes how inference holds the weights, with no sample and no bound, and the same
data is measured again. Differences are shares of the figure in float32. Beside them stands how many answers of all
networks are others, in bfloat16 and in int8; where that is a handful, a difference of so many answers is chance.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

import fastlstm as fl
from bench.studies import data
from bench.studies.etth1 import __main__ as etth1
from bench.studies.reviews import archives
from bench.studies.speech import __main__ as digits
from bench.studies.text.task import BEST, SAME, Task
from fastlstm.application import Application
from fastlstm.classification import Classifier
from fastlstm.classification import Recipe as ReviewRecipe
from fastlstm.config import config
from fastlstm.forecasting import Forecaster
from fastlstm.metrics import error_rate
from fastlstm.speech import Recording, StringReader, WordClassifier, read_recordings
from fastlstm.text import LanguageModel, Recipe

App = TypeVar("App", bound=Application)
Array = NDArray[Any]

BOUNDS = {"bfloat16": 0.002, "int8": 0.01}
"""How far a figure may lie from that in float32, as a share of it."""

NETS = {"words": 5, "reviews": 3}
"""Networks of a page that differ in their seeds only. Those of a forecast stand in its setting."""


@dataclass(frozen=True)
class Measured:
    """Figures by name, and the answers that they come of if these can be counted."""

    figures: dict[str, float]
    answers: Sequence[Any] = ()


@dataclass(frozen=True)
class Trained:
    """Trained networks, the data that they have not seen, in words, and what is measured on it."""

    name: str
    models: list[fl.Model]
    held_out: str
    measure: Callable[[], Measured]


def kept(name: str, options: argparse.Namespace, kind: type[App], fit: Callable[[], App]) -> App:
    """The model of this name in the folder if it is there; else it is trained now, and kept if there is a folder."""
    if options.epochs:
        name = f"{name}, {options.epochs} epochs"
    path = options.folder and options.folder / f"{name}.safetensors"
    if path and path.exists():
        return kind.load(path)
    began = time.perf_counter()
    app = fit()
    print(f"{name}: trained in {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    if path:
        options.folder.mkdir(parents=True, exist_ok=True)
        app.save(path)
    return app


def shorter(options: argparse.Namespace) -> dict[str, Any]:
    """What the options change of a recipe."""
    return {"epochs": options.epochs} if options.epochs else {}


def cross_entropy(probabilities: Array, truth: Array) -> float:
    """The mean of -log p of the true class, in nats."""
    return float(-np.log(probabilities[np.arange(len(truth)), truth].astype(float)).mean())


def text(options: argparse.Namespace) -> Iterator[Trained]:
    yield writer(SAME, options)


def best_text(options: argparse.Namespace) -> Iterator[Trained]:
    yield writer(BEST, options)


def writer(recipe: Recipe, options: argparse.Namespace) -> Trained:
    """A character model; the state is carried through the held-out tenth from its beginning."""
    recipe = replace(recipe, **shorter(options))
    task = Task.of(recipe)

    def fit() -> LanguageModel:
        task.model.fit(task.train, progress=False)
        return task.model

    name = f"text, {recipe.num_layers} x {recipe.hidden_size} units"
    model = kept(name, options, LanguageModel, fit)
    held_out = f"{len(task.validation):,} characters"
    return Trained(name, [model.model], held_out, lambda: Measured({"loss": model.loss(task.validation)}))


def speech(options: argparse.Namespace) -> Iterator[Trained]:
    recordings = read_recordings(data.find(digits.ARCHIVE))
    learned = [one for one in recordings if one.index >= digits.TEST]
    tested = [one for one in recordings if one.index < digits.TEST]
    yield words(learned, tested, options)
    yield strings(learned, tested, True, options)
    yield strings(learned, tested, False, options)


def words(learned: Sequence[Recording], tested: Sequence[Recording], options: argparse.Namespace) -> Trained:
    """Single digits."""

    def trained(seed: int) -> WordClassifier:
        def fit() -> WordClassifier:
            classifier = WordClassifier(seed=seed, **shorter(options))
            classifier.fit(learned, progress=False)
            return classifier

        return kept(f"speech, single digits, seed {seed}", options, WordClassifier, fit)

    nets = [trained(seed) for seed in range(min(NETS["words"], options.nets))]
    signals = [one.signal for one in tested]
    truth = np.array([nets[0].words.index(one.label) for one in tested])

    def measure() -> Measured:
        return of_classes([fl.softmax(net.scores(signals)) for net in nets], truth)

    return Trained(
        "speech, single digits", [net.model for net in nets], f"{len(tested):,} digits{times(nets)}", measure
    )


def strings(
    learned: Sequence[Recording], tested: Sequence[Recording], both: bool, options: argparse.Namespace
) -> Trained:
    """Strings of digits, the best word of each step; an answer is what is read of a string.

    The page tells what is wrong, here it is what is right: of some 25 wrong digits, one alone is 4 %.
    """

    def fit() -> StringReader:
        reader = StringReader(bidirectional=both, **shorter(options))
        reader.fit(learned, progress=False)
        return reader

    name = f"speech, strings, {'both ways' if both else 'forward only'}"
    reader = kept(name, options, StringReader, fit)
    signals, truths = digits.joined(tested, digits.TESTS["strings"], options.strings)

    def measure() -> Measured:
        read = reader.read(signals)
        return Measured({"right": 1 - error_rate(zip(read, truths, strict=True))}, [" ".join(one) for one in read])

    held_out = f"{sum(map(len, truths)):,} digits in {len(signals):,} strings"
    return Trained(name, [reader.model], held_out, measure)


def classification(options: argparse.Namespace) -> Iterator[Trained]:
    """The page's better net for film reviews."""
    parts = archives.imdb()
    both, test = parts["train"] + parts["val"], parts["test"]

    def trained(seed: int) -> Classifier:
        def fit() -> Classifier:
            classifier = Classifier(ReviewRecipe(seed=seed, **shorter(options)))
            classifier.fit(both.texts, both.labels, progress=False)
            return classifier

        return kept(f"classification, seed {seed}", options, Classifier, fit)

    nets = [trained(seed) for seed in range(min(NETS["reviews"], options.nets))]
    truth = np.array([nets[0].classes.index(label) for label in test.labels])

    def measure() -> Measured:
        return of_classes([net.probabilities(test.texts) for net in nets], truth)

    held_out = f"{len(test):,} reviews{times(nets)}"
    yield Trained("classification, film reviews", [net.fitted.model for net in nets], held_out, measure)


def of_classes(probabilities: Sequence[Array], truth: Array) -> Measured:
    """The means of the networks' figures, and the answers of all of them."""
    answers = np.concatenate([each.argmax(-1) for each in probabilities])
    figures = {
        "right": float(np.mean(answers == np.tile(truth, len(probabilities)))),
        "loss": float(np.mean([cross_entropy(each, truth) for each in probabilities])),
    }
    return Measured(figures, answers.tolist())


def times(nets: Sequence[Application]) -> str:
    return f", {len(nets)} networks" if len(nets) > 1 else ""


def forecasting(options: argparse.Namespace) -> Iterator[Trained]:
    series = etth1.load()
    for task, columns in etth1.COLUMNS.items():
        for horizon in etth1.HORIZONS:
            yield forecast(series[:, columns], f"ETTh1, {task}, {horizon} hours", horizon, task, options)


def forecast(series: Array, name: str, horizon: int, task: str, options: argparse.Namespace) -> Trained:
    """The mean of some networks, from each hour of the test part."""
    setting = replace(etth1.SETTINGS[task], **shorter(options))

    def trained(seed: int) -> Forecaster:
        return kept(f"{name}, seed {seed}", options, Forecaster, lambda: etth1.fitted(series, horizon, setting, seed))

    nets = [trained(seed) for seed in range(min(setting.members, options.nets))]
    start = etth1.TRAIN + etth1.VALIDATION
    truth = etth1.futures(series, horizon, start)

    def measure() -> Measured:
        errors = etth1.errors(etth1.together(nets, series, setting, start), truth)
        return Measured({"MSE": errors["mse"], "MAE": errors["mae"]})

    return Trained(name, [net.fitted.model for net in nets], f"{len(truth):,} windows", measure)


PARTS = {
    "text": text,
    "best-text": best_text,
    "speech": speech,
    "classification": classification,
    "forecasting": forecasting,
}

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


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.studies.accuracy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument(
        "--folder", type=Path, help="where trained models are kept; those that are there are not trained"
    )
    parser.add_argument("--epochs", type=int, help="instead of the recipes'")
    parser.add_argument(
        "--nets", type=int, default=5, help="networks that differ in their seeds only, at most (default 5)"
    )
    parser.add_argument("--strings", type=int, default=300, help="of digits to read (default 300, as on the page)")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(argv)
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"PART: expected {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    return options


def main(argv: list[str]) -> int:
    options = parse(argv)
    fl.set_num_threads(options.threads)
    print(f"few bits: {config()['few bits']}\n")
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * 3}{'---:|' * (len(HEADS) - 3)}")
    compared = []
    for part in options.parts or PARTS:
        for trained in PARTS[part](options):
            compared.append(Compared.of(trained))
            for row in compared[-1].rows():
                print(f"| {' | '.join(row)} |", flush=True)
    print("", *verdict(compared), sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
