"""``fastlstm text``: learn how a text continues, and write more of it."""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from fastlstm import plot, text
from fastlstm.callbacks import Callback, EarlyStopping, Progress
from fastlstm.cli.options import (
    MODEL,
    Commands,
    UsageError,
    add_output,
    add_parts,
    add_resume,
    at_most,
    check_parts,
    count,
    seed,
    source,
    usage,
)
from fastlstm.cli.output import Output
from fastlstm.cli.report import Report
from fastlstm.text.recipe import Recipe

CURVE = "curve.png"

TRAIN = """Learn from a text how it goes on: character by character, or word by word.

Two parts at the end of the text are not learned from. The loss on the first, the validation part, is shown after each
epoch, and kept is the network of the epoch with the lowest one; the loss on the other, the test part, is measured once,
at the end. Written to the output folder: model.safetensors, with the vocabulary in it, and curve.png. What is there
already is replaced only with --force. Ctrl-C ends the training and leaves it as it was; with --resume the training goes
on later to the same end as without a pause."""

GENERATE = "Go on after a prompt, by a network that `fastlstm text train` has written."

EXAMPLES = """examples:
  fastlstm text train shakespeare.txt --minutes 5 --output shakespeare
  fastlstm text train shakespeare.txt --words --hidden 384 --dropout 0.5
  fastlstm text generate shakespeare --prompt "ROMEO:" --length 1000
  fastlstm text generate shakespeare --temperature 0.5 --top-p 0.9 --seed 7
"""

MOST_MINUTES = 1_000_000
"""Minutes that a training may take: two years."""

WRITTEN = 400
"""Characters of the sample at the end of a training; words are a sixth as many."""


def add(commands: Commands) -> None:
    """Add the commands ``text train`` and ``text generate``."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "text", help="learn from a text, and write more of it", epilog=EXAMPLES, formatter_class=raw
    )
    two = parser.add_subparsers(dest="text_command", required=True, metavar="COMMAND")
    add_train(two.add_parser("train", help="learn from a file", description=TRAIN, formatter_class=raw))
    add_generate(two.add_parser("generate", help="write", description=GENERATE))


def add_train(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=train, trains=True)
    add, default = parser.add_argument, Recipe()
    add("file", type=source, metavar="FILE", help="a text in UTF-8")
    add("--words", action="store_true", help="learn words and signs instead of characters")
    add("--vocabulary", type=count, metavar="N", help="most frequent words to know (default: 10000)")
    add_parts(parser, 0.05)
    add_output(parser, "fastlstm-text")
    add_resume(parser)
    network = parser.add_argument_group("network and training")
    add = network.add_argument
    add("--hidden", type=count, default=default.hidden_size, metavar="N", help="LSTM units (default: %(default)s)")
    add(
        "--layers", type=at_most(64), default=default.num_layers, metavar="N", help="of the LSTM (default: %(default)s)"
    )
    add("--dropout", type=float, default=default.dropout, metavar="RATE", help="from 0 to 1 (default: %(default)s)")
    add("--window", type=count, default=default.window, metavar="N", help="steps a gradient flows (default: 64)")
    add("--batch", type=count, default=default.batch_size, metavar="N", help="streams side by side (default: 32)")
    add("--lr", type=float, default=default.learning_rate, metavar="RATE", help="learning rate (default: %(default)s)")
    add(
        "--bfloat16",
        action="store_true",
        help="take products in bfloat16: faster for 256 units and more, on some processors",
    )
    length = network.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=count, metavar="N", help="passes over the text (default: 10, more if short)")
    length.add_argument("--minutes", type=float, metavar="M", help="as many epochs as take about so long")


def add_generate(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=generate)
    add = parser.add_argument
    add("model", type=source, metavar="MODEL_DIR", help="the output folder of a training, or the file of a model")
    add("--prompt", default="", metavar="TEXT", help="what to go on from (default: the start of a line)")
    add("--length", type=count, default=500, metavar="N", help="characters or words to write (default: %(default)s)")
    add("--temperature", type=float, default=0.8, metavar="T", help="0: the likeliest each time (default: %(default)s)")
    add("--top-k", type=count, metavar="K", help="only from the K likeliest")
    add("--top-p", type=float, metavar="P", help="only from the likeliest that add up to P, from 0 to 1")
    add("--seed", type=seed, metavar="N", help="same seed, same text (default: another each time)")


def train(options: argparse.Namespace) -> int:
    """Train on a file, and write the model and its learning curve."""
    plot.new_figure()  # fail now, not after the training, if matplotlib is missing
    recipe = recipe_of(options)
    output = Output(options, [MODEL, CURVE])
    whole = text.read_text(options.file)
    learned, validation, test = parts(whole, options)
    writer = started_model(output.state) if options.resume else new_model(options, recipe, whole, learned)
    recipe, unit = writer.recipe, "word" if writer.vocabulary.words else "character"
    tokens = len(writer.vocabulary.encode(learned))
    print(f"{options.file}: {len(whole)} characters. Vocabulary: {len(writer.vocabulary)} {unit}s.")
    print(f"Training on the first {tokens} {unit}s, {recipe.epochs_of(tokens)} epochs of {recipe.steps(tokens)} steps.")
    if not options.resume:
        output.clear(over=False)
    best = EarlyStopping(patience=recipe.epochs_of(tokens))  # never stops the training, but restores the best epoch
    began = time.perf_counter()
    callbacks = [Start(writer, output.state), Report(partial(said, unit)), best, output.checkpoint()]
    history = writer.fit(
        learned, validation, callbacks=callbacks, resume=output.state, communicator=options.communicator
    )
    if writer.interrupted:
        return output.stopped(writer.save, "fastlstm text generate {}")
    if output.done_here():
        return 0
    print(f"{time.perf_counter() - began:.0f} s. Kept is the network of epoch {best.best_epoch}.")
    usual = figures(writer.frequency_loss(learned, test), unit)
    print(f"Test: {figures(writer.loss(test), unit)}; by how often each {unit} comes alone: {usual}.")
    title = f"{options.file.name}: LSTM {recipe.num_layers} x {recipe.hidden_size}"
    figure = plot.learning_curves_figure(history, title=title, units={"loss": f"nats a {unit}"}, best="min")
    plot.save_figure(figure, output.folder / CURVE)
    writer.save(output.model)
    output.clear()
    sample = writer.generate(length=WRITTEN // 6 if writer.vocabulary.words else WRITTEN, temperature=0.8, seed=0)
    print(f"\n{''.join(sample)}\n\nWrote {output.model}. To write more: fastlstm text generate {options.output}")
    return 0


def parts(whole: str, options: argparse.Namespace) -> tuple[str, str, str]:
    """The parts for training, validation and test, in the order of the text."""
    rest, test = text.split(whole, options.test)
    learned, validation = text.split(rest, options.validation * len(whole) / len(rest))
    for name, part in (("validation", validation), ("test", test)):
        if len(part) < 2:
            raise ValueError(f"{name}: expected a share of at least 2 characters, got {len(part)}")
    return learned, validation, test


def started_model(state: Path) -> text.LanguageModel:
    """The untrained model of an interrupted training."""
    if not (state / MODEL).exists():
        raise FileNotFoundError(f"{state}: there is no interrupted training to resume")
    return text.LanguageModel.load(state / MODEL)


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The recipe that the options ask for. Minutes are converted to epochs later, by `new_model`."""
    check_parts(options)
    if options.vocabulary and not options.words:
        raise UsageError("vocabulary: expected with --words only, as all characters are known")
    if options.minutes is not None and not 0 < options.minutes <= MOST_MINUTES:
        raise UsageError(f"minutes: expected above 0 and at most {MOST_MINUTES}, got {options.minutes}")
    with usage():
        return Recipe(
            hidden_size=options.hidden,
            num_layers=options.layers,
            dropout=options.dropout,
            window=options.window,
            batch_size=options.batch,
            learning_rate=options.lr,
            epochs=options.epochs,
            seed=options.seed,
            precision="bfloat16" if options.bfloat16 else None,
        )


def new_model(options: argparse.Namespace, recipe: Recipe, whole: str, learned: str) -> text.LanguageModel:
    """The untrained model that the options ask for. If minutes are given, they are converted to epochs."""
    if options.words:
        vocabulary = text.Vocabulary.of(learned, words=True, most=options.vocabulary or 10_000)
    else:
        vocabulary = text.Vocabulary.of(whole)
    if options.minutes is not None:
        seconds = epoch_seconds(text.LanguageModel(vocabulary, recipe), learned, options)
        recipe = dataclasses.replace(recipe, epochs=max(1, int(60 * options.minutes / seconds)))
    return text.LanguageModel(vocabulary, recipe)


def epoch_seconds(writer: text.LanguageModel, learned: str, options: argparse.Namespace) -> float:
    """Seconds that an epoch and its validation will take, estimated from some steps; the same on every rank."""
    watch = Stopwatch()
    writer.fit(learned, callbacks=[watch], progress=False, communicator=options.communicator)
    if writer.interrupted:
        raise KeyboardInterrupt
    seconds = 1.05 * watch.step * writer.recipe.steps(len(writer.vocabulary.encode(learned)))
    found: float = options.ranks.first(lambda: {"seconds": seconds}, "measuring a step")["seconds"]
    return found


def generate(options: argparse.Namespace) -> int:
    """Print a text, each token as it is drawn."""
    path = options.model / MODEL if options.model.is_dir() else options.model
    writer = text.LanguageModel.load(path)
    with usage():
        pieces = writer.generate(
            options.prompt,
            options.length,
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
            seed=options.seed,
        )
    try:
        sys.stdout.write(options.prompt)
        for piece in pieces:
            sys.stdout.write(piece)
            sys.stdout.flush()
        print()
    except BrokenPipeError:  # the reader has closed the pipe, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def said(unit: str, logs: Mapping[str, float]) -> str:
    """The figures of an epoch in words."""
    return f"training {logs['loss']:.3f}, validation {figures(logs['val_loss'], unit)}"


def figures(loss: float, unit: str) -> str:
    """A loss in the usual units: bits for characters, perplexity for words."""
    if unit == "word":
        return f"{loss:.3f} nats a word (perplexity {math.exp(loss):.1f})"
    return f"{loss:.3f} nats a character ({loss / math.log(2):.3f} bits)"


class Start(Callback):
    """Saves the untrained model with its vocabulary and recipe, so that a resumed training needs no options."""

    def __init__(self, writer: text.LanguageModel, state: Path) -> None:
        self._writer, self._state = writer, state

    def on_fit_begin(self, progress: Progress) -> None:
        if not progress.rank and not (self._state / MODEL).exists():
            self._state.mkdir(parents=True, exist_ok=True)
            self._writer.save(self._state / MODEL)


class Stopwatch(Callback):
    """Measures some steps and ends the training.

    Parameters
    ----------
    steps : int, default 10
        Number of steps to measure.
    """

    def __init__(self, steps: int = 10) -> None:
        self._steps, self._times = steps, [time.perf_counter()]

    def on_fit_end(self, progress: Progress) -> None:
        progress.told = True  # after Ctrl-C the command reports it itself

    def on_batch_end(self, progress: Progress) -> None:
        self._times.append(time.perf_counter())
        progress.stop = len(self._times) > self._steps

    @property
    def step(self) -> float:
        """Seconds of a step: the mean without the first step, which also allocates."""
        times = self._times[1:] if len(self._times) > 2 else self._times
        return (times[-1] - times[0]) / (len(times) - 1)
