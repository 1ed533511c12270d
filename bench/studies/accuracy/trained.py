"""The models of docs/: how each is trained, the data that it has not seen, and what is measured on these."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

import fastlstm as fl
from bench.studies import data
from bench.studies.etth1 import __main__ as etth1
from bench.studies.reviews import archives
from bench.studies.speech import __main__ as digits
from bench.studies.text.task import BEST, SAME, Task
from bench.studies.windowed import Windowed
from fastlstm.application import Application
from fastlstm.classification import Classifier
from fastlstm.classification import Recipe as ReviewRecipe
from fastlstm.metrics import error_rate
from fastlstm.speech import Recording, StringReader, WordClassifier, read_recordings
from fastlstm.text import LanguageModel, Recipe

App = TypeVar("App", bound=Application)
Array = NDArray[Any]

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
    yield Trained("classification, film reviews", [net.model for net in nets if net.model], held_out, measure)


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

    def trained(seed: int) -> Windowed:
        return kept(f"{name}, seed {seed}", options, Windowed, lambda: etth1.fitted(series, horizon, setting, seed))

    nets = [trained(seed) for seed in range(min(setting.members, options.nets))]
    start = etth1.TRAIN + etth1.VALIDATION
    truth = etth1.futures(series, horizon, start)

    def measure() -> Measured:
        errors = etth1.errors(etth1.together(nets, series, setting, start), truth)
        return Measured({"MSE": errors["mse"], "MAE": errors["mae"]})

    return Trained(name, [net.model for net in nets if net.model], f"{len(truth):,} windows", measure)


PARTS = {
    "text": text,
    "best-text": best_text,
    "speech": speech,
    "classification": classification,
    "forecasting": forecasting,
}
