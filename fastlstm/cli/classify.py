"""``fastlstm classify``: learn from labelled texts, and classify other texts."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from fastlstm import plot
from fastlstm.callbacks import EarlyStopping
from fastlstm.classification import Classifier, Recipe, Texts, read_text, read_texts, report
from fastlstm.cli.options import (
    MODEL,
    Commands,
    UsageError,
    add_force,
    add_max_megabytes,
    add_output,
    add_parts,
    add_resume,
    check_parts,
    count,
    path,
    source,
    usage,
)
from fastlstm.cli.output import Output, reserve
from fastlstm.cli.report import Report
from fastlstm.separated import MOST

TRAIN = """Learn from labelled texts which of some classes a text belongs to.

The texts are a folder with a subfolder of files *.txt for each class, or a CSV file with the columns text and label;
other names are given by --text and --label, or found. Two parts of each class are not learned from: the validation part
is classified after each epoch, and kept is the network of the epoch that did best there; the test part is classified
once, at the end, to say how often the network is right. Written to the output folder: model.safetensors, with the words
and the classes in it. A model that is there already is replaced only with --force. Ctrl-C ends the training and leaves
it as it was; with --resume the training goes on later to the same end as without a pause."""

PREDICT = """Say which class texts belong to, by a network that `fastlstm classify train` has written.

For each text a line: the probability, the class, and what was classified. With --explain also a picture of which
words counted: each word is replaced by an unknown one in turn, to see what the odds lose by it. For up to 120 words a
second picture shows what the gates of the LSTM do at each. Pictures that are there already are replaced only with
--force."""

EXAMPLES = """examples:
  fastlstm classify train reviews --output reviews-model
  fastlstm classify train mails.csv --epochs 5 --test 0.2
  fastlstm classify predict reviews-model "What a waste of two hours."
  fastlstm classify predict reviews-model review.txt --explain
"""

SHOWN = 60
"""Characters of a text in a line of the output."""


def add(commands: Commands) -> None:
    """Add the commands ``classify train`` and ``classify predict``."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "classify", help="learn from labelled texts, and classify others", epilog=EXAMPLES, formatter_class=raw
    )
    two = parser.add_subparsers(dest="classify_command", required=True, metavar="COMMAND")
    add_train(two.add_parser("train", help="learn from a folder or file", description=TRAIN, formatter_class=raw))
    add_predict(two.add_parser("predict", help="classify", description=PREDICT, formatter_class=raw))


def add_train(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=train, trains=True)
    add, default = parser.add_argument, Recipe()
    add(
        "texts",
        type=source,
        metavar="FOLDER_OR_CSV",
        help="a subfolder of *.txt for each class, or a column of texts and one of labels",
    )
    add("--text", metavar="NAME", help="name of the column of texts (default: text, or found)")
    add("--label", metavar="NAME", help="name of the column of labels (default: label, or found)")
    add_parts(parser, 0.1)
    add_max_megabytes(parser, "what a CSV file", MOST)
    add_output(parser, "fastlstm-classify")
    add_resume(parser)
    network = parser.add_argument_group("network and training")
    add = network.add_argument
    add("--vocabulary", type=count, default=default.vocabulary, metavar="N", help="most frequent words to know")
    add("--length", type=count, default=default.length, metavar="N", help="last words of a text to read (%(default)s)")
    add("--hidden", type=count, default=default.hidden_size, metavar="N", help="LSTM units (default: %(default)s)")
    add("--dropout", type=float, default=default.dropout, metavar="RATE", help="from 0 to 1 (default: %(default)s)")
    add("--lr", type=float, default=default.learning_rate, metavar="RATE", help="learning rate (default: %(default)s)")
    add("--epochs", type=count, metavar="N", help="passes over the texts (default: 4, more if there are few)")


def add_predict(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=predict)
    add = parser.add_argument
    add("model", type=source, metavar="DIR", help="the output folder of a training, or the file of a model")
    add("texts", nargs="+", metavar="TEXT|FILE", help="a text, or a file that holds one")
    add("--explain", action="store_true", help="draw which words counted, a picture for each text")
    add("--output", type=path, default=Path("."), metavar="DIR", help="folder for the pictures (default: here)")
    add_force(parser)


def train(options: argparse.Namespace) -> int:
    """Train a classifier, test it on the held-out texts, and write the model."""
    began = time.perf_counter()
    recipe = recipe_of(options)
    output = Output(options, [MODEL])
    texts = read_texts(options.texts, max_bytes=options.max_bytes, text=options.text, label=options.label)
    print(f"{options.texts}: {report.summary(texts.counts)}.", *texts.notes, sep="\n")
    learned, validation, test = parts(texts, options)
    epochs = recipe.epochs_of(len(learned))
    print(f"Training on {len(learned)} of them, {epochs} epochs, the best of which {len(validation)} others choose.")
    print(f"Held out to the end: {len(test)}.", flush=True)
    classifier = Classifier(recipe)
    best = EarlyStopping(
        patience=epochs, monitor="val_accuracy"
    )  # never stops the training, but restores the best epoch
    callbacks = [Report(said), best, output.checkpoint()]
    output.begin()
    classifier.fit(
        learned.texts,
        learned.labels,
        (validation.texts, validation.labels),
        callbacks=callbacks,
        resume=output.state,
        communicator=options.communicator,
    )
    if classifier.interrupted:
        return output.stopped(classifier.save, 'fastlstm classify predict {} "some text"')
    if output.done_here():
        return 0
    print(f"Kept is the network of epoch {best.best_epoch}.\n\n{measured(classifier, test)}")
    options.output.mkdir(parents=True, exist_ok=True)
    classifier.save(output.model)
    output.clear()
    print(
        f"\nWrote {output.model}. All in {time.perf_counter() - began:.1f} s.\n"
        f'To classify: fastlstm classify predict {options.output} "some text"'
    )
    return 0


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The recipe that the options ask for."""
    check_parts(options)
    with usage():
        return Recipe(
            vocabulary=options.vocabulary,
            length=options.length,
            hidden_size=options.hidden,
            dropout=options.dropout,
            learning_rate=options.lr,
            epochs=options.epochs,
            seed=options.seed,
        )


def parts(texts: Texts, options: argparse.Namespace) -> tuple[Texts, Texts, Texts]:
    """The parts for training, validation and test. Each has texts of each class."""
    name, least = min(texts.counts.items(), key=lambda item: item[1])
    if least < 3:
        raise ValueError(
            f"{options.texts}: expected at least 3 texts of each class, to learn from, to choose the epoch by and to "
            f"test on, got {least} of {name!r}"
        )
    rest, test = texts.split(options.test, options.seed)
    learned, validation = rest.split(options.validation / (1 - options.test), options.seed)
    return learned, validation, test


def said(logs: Mapping[str, float]) -> str:
    """The figures of an epoch in words."""
    return f"loss {logs['loss']:.3f}, validation {logs['val_loss']:.3f}, right {logs['val_accuracy']:.1%}"


def measured(classifier: Classifier, test: Texts) -> str:
    """The result on the test part in words, compared with always choosing the most frequent class."""
    found = classifier.predict(test.texts)
    table = report.confusion(test.labels, found, classifier.classes)
    name, most = Counter(test.labels).most_common(1)[0]
    return (
        f"Right of the {len(test)} held-out texts: {table.trace() / len(test):.1%} "
        f"(always saying {name}: {most / len(test):.1%}). In rows what they are, in columns what was said:\n\n"
        + report.confusion_table(table, classifier.classes)
    )


def predict(options: argparse.Namespace) -> int:
    """Print a line for each text, and draw pictures if asked for."""
    if options.explain:
        plot.new_figure()  # fail now if matplotlib is missing
        names = [name for k in range(1, len(options.texts) + 1) for name in (f"words-{k}.png", f"gates-{k}.png")]
        reserve(options.output, names, force=options.force)
    path = options.model / MODEL if options.model.is_dir() else options.model
    texts = [text_of(argument) for argument in options.texts]
    classifier = Classifier.load(path)
    for argument, text, (name, probability) in zip(options.texts, texts, classifier.best(texts), strict=True):
        shown = argument if text is not argument else " ".join(text.split())
        print(f"{probability:7.1%}  {name}  {shown if len(shown) <= SHOWN else shown[:SHOWN] + '…'}")
    if options.explain:
        explain(classifier, texts, options.output)
    return 0


def explain(classifier: Classifier, texts: list[str], folder: Path) -> None:
    """Draw a picture of the effects of the words of each text that has words."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for k, text in enumerate(texts, start=1):
        words, effects = classifier.explain(text)
        if not words:
            print(f"Text {k} has no word to explain.")
            continue
        name, probability = classifier.best([text])[0]
        figure = plot.tokens_figure(
            words,
            effects,
            title=f"{name}, {probability:.1%}: what each word says for it",
            label="log-odds lost without the word",
            signed=True,
        )
        paths.append(folder / f"words-{k}.png")
        plot.save_figure(figure, paths[-1])
        if len(words) <= plot.MOST_TOKENS:
            _, gates = classifier.gates(text)
            figure = plot.gates_figure(gates, tokens=words, title=f"{name}, {probability:.1%}: the gates at each word")
            paths.append(folder / f"gates-{k}.png")
            plot.save_figure(figure, paths[-1])
    if paths:
        print("Wrote " + ", ".join(map(str, paths)) + ".")


def text_of(argument: str) -> str:
    """The text of a file if the argument is the path of one; otherwise the argument itself."""
    if not argument.strip():
        raise UsageError(f"texts: expected a text or a file, got {argument!r}")
    path = Path(argument)
    try:
        there = path.exists()
    except (OSError, ValueError):  # too long for a path, or no path at all
        there = False
    if there and not (path.is_file() or path.is_fifo()):
        raise ValueError(f"{argument}: expected a text or a file, got a {'folder' if path.is_dir() else 'device'}")
    if not there:
        if argument.endswith(".txt") and not any(map(str.isspace, argument)):
            raise FileNotFoundError(f"{argument}: no such file")
        return argument
    text, usual = read_text(path)
    if not usual:
        print(f"{argument}: not UTF-8, read as Windows-1252.", file=sys.stderr)
    return text
