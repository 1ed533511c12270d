"""``fastlstm speech``: learn words from recordings, and read WAV files."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fastlstm._check import number
from fastlstm.cli.options import (
    Commands,
    UsageError,
    add_force,
    add_max_megabytes,
    add_resume,
    add_seed,
    at_most,
    count,
    path,
    source,
    usage,
)
from fastlstm.cli.output import Output
from fastlstm.cli.report import Report
from fastlstm.metrics import error_rate
from fastlstm.speech import LogMel, Recording, StringReader, Strings, VoiceActivity, read_recordings, read_wav
from fastlstm.speech.vad import RATE as VAD_RATE
from fastlstm.speech.wav import LONGEST
from fastlstm.unpack import ARCHIVE

SPEECH = """Read the words of WAV files, such as the digits of a number, with a network that has learned them from
recordings of single words.

It has to learn first: from WAV files named label_anything.wav, or label_speaker_index.wav, in a folder or a tar
archive, at least three of each word. A tenth of each word's is held out, to say how well it reads strings of them. A
model that is there already is replaced only with --force; Ctrl-C ends the training and leaves it as it was, and with
--resume the training goes on later to the same end as without a pause."""

SPEECH_EXAMPLES = """files may have any sample rate, 8 to 32 bits, and any number of channels.

examples:
  fastlstm speech train free-spoken-digits.tar.gz     learn the digits, in a minute or two
  fastlstm speech call.wav                            read a file
  fastlstm speech train my-words --output my-model    words of your own
  fastlstm speech read --model my-model a.wav b.wav
  fastlstm speech vad meeting.wav                     where somebody speaks, in seconds (pip install silero-vad onnx)
"""

USAGE = """fastlstm speech [read] [--model DIR] [--beam N] [--max-seconds N] FILE [FILE ...]
       fastlstm speech train [--output DIR] [--epochs N] [--hidden N] [--centred] [--max-megabytes N] [--seed N]
                             [--force] [--resume]
                             RECORDINGS
       fastlstm speech vad FILE [FILE ...] [--threshold P] [--max-seconds N]"""

DEFAULT = Path("fastlstm-speech")
FILE = "speech.safetensors"
HELD_OUT = 0.1
TEST_STRINGS = 100

LEAST = 3
"""Recordings of a word at least: two for the training, and one that is held out."""


def add(commands: Commands) -> None:
    """Add the command ``speech``."""
    parser = commands.add_parser(
        "speech",
        help="read the words of WAV files, learned from your recordings",
        usage=USAGE,
        description=SPEECH,
        epilog=SPEECH_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=speech)
    add = parser.add_argument
    add(
        "words",
        nargs="+",
        metavar="FILE",
        help='WAV files to read; after "vad", to find speech in; or "train", and what to learn from',
    )
    add(
        "--model",
        "--output",
        dest="output",
        type=path,
        default=DEFAULT,
        metavar="DIR",
        help="folder that the model is read from (or a file) or written to (default: %(default)s)",
    )
    add(
        "--max-seconds",
        type=count,
        default=int(LONGEST),
        metavar="N",
        help="how long a file to read may be (default: %(default)s)",
    )
    add("--beam", type=at_most(1000), default=8, metavar="N", help="strings to follow at a time (default: %(default)s)")
    add(
        "--threshold",
        type=float,
        default=0.5,
        metavar="P",
        help="vad: the probability from which a sound is speech (default: %(default)s)",
    )
    training = parser.add_argument_group("training")
    training.add_argument("--epochs", type=count, default=20, metavar="N", help="how many (default: %(default)s)")
    training.add_argument(
        "--hidden", type=count, default=128, metavar="N", help="LSTM units of a direction (default: %(default)s)"
    )
    training.add_argument(
        "--centred", action="store_true", help="for voices and microphones that are not in the recordings"
    )
    add_max_megabytes(training, "what the recordings", ARCHIVE)
    add_seed(parser)
    add_force(training)
    add_resume(training)


def speech(options: argparse.Namespace) -> int:
    """Read files, find speech in them, or learn from recordings."""
    verb, words = options.words[0], options.words[1:]
    if verb not in ("train", "read", "vad"):
        verb, words = "read", options.words
    if verb == "train" and len(words) != 1:
        raise UsageError(f"train: expected a folder or an archive of recordings, got {len(words)} names")
    if not words:
        raise UsageError(f"{verb}: expected WAV files, got none")
    try:
        files = [source(word) for word in words]
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"{verb}: {error}") from None
    if verb == "train":
        return train(files[0], options)
    (find if verb == "vad" else read)(files, options)
    return 0


def find(files: Sequence[Path], options: argparse.Namespace) -> None:
    """Print where there is speech in each file: begin and end in seconds, a line for each stretch."""
    activity = VoiceActivity.from_silero()
    with usage():
        threshold = number(options.threshold, "threshold", 0, 1)
    for file in files:
        sound = read_wav(file, VAD_RATE, max_seconds=options.max_seconds)
        found = activity.segments(sound, threshold=threshold)
        for begin, end in found:
            print("" if len(files) == 1 else f"{file}: ", f"{begin:.3f} {end:.3f}", sep="", flush=True)
        if not found:
            print(f"fastlstm: {file}: no speech found", file=sys.stderr)


def read(files: Sequence[Path], options: argparse.Namespace) -> None:
    """Print the words in each file."""
    model = options.output if options.output.is_file() else options.output / FILE
    if not model.exists():
        raise FileNotFoundError(
            f"{model}: no model yet; let it learn from recordings first: fastlstm speech train RECORDINGS"
            + ("" if options.output == DEFAULT else f" --output {options.output}")
        )
    reader = StringReader.load(model)
    for file in files:
        [words] = reader.read([read_wav(file, max_seconds=options.max_seconds)], beam=options.beam)
        print(" ".join(words) if len(files) == 1 else f"{file}: {' '.join(words)}", flush=True)
        if not words:
            print(f"fastlstm: {file}: no words found", file=sys.stderr)


def train(folder: Path, options: argparse.Namespace) -> int:
    """Train on recordings, print the errors on the held-out ones, and write the model."""
    output = Output(options, [FILE])
    began = time.perf_counter()
    recordings = read_recordings(folder, max_bytes=options.max_bytes)
    check_words(recordings, folder)
    rng = np.random.default_rng(options.seed)
    learned, held_out = split(recordings, rng)
    labels, speakers = {one.label for one in recordings}, {one.speaker for one in recordings}
    by = f" by {len(speakers)} speakers" if len(speakers) > 1 else ""
    print(
        f"{folder}: {len(recordings)} recordings of {len(labels)} words{by}; {len(held_out)} are held out.", flush=True
    )
    features = LogMel(centred=options.centred)
    reader = StringReader(hidden_size=options.hidden, epochs=options.epochs, features=features, seed=options.seed)
    output.begin()
    callbacks = [Report(said), output.checkpoint()]
    reader.fit(learned, callbacks=callbacks, resume=output.state, communicator=options.communicator)
    if reader.interrupted:
        return output.stopped(reader.save, "fastlstm speech FILE.wav --model {}")
    if output.done_here():
        return 0
    wrong = string_errors(reader, held_out, rng, options.beam)
    print(f"Wrong words in {TEST_STRINGS} strings of the {len(held_out)} recordings held out: {wrong:.1%}.")
    if wrong > 0.5:
        print("That is no use: do the names of the files say what is said in them?")
    options.output.mkdir(parents=True, exist_ok=True)
    reader.save(output.model)
    output.clear()
    print(f"Wrote {output.model}. All in {time.perf_counter() - began:.1f} s.")
    return 0


def said(logs: Mapping[str, float]) -> str:
    """The figures of an epoch in words."""
    return f"loss {logs['loss']:.3f}"


def check_words(recordings: Sequence[Recording], folder: Path) -> None:
    """Require names of files that look like repeated words, so that a folder of other sounds is refused at once."""
    counts = Counter(one.label for one in recordings)
    expected = f"{folder}: expected recordings of at least two words, {LEAST} or more of each, named label_anything.wav"
    if len(counts) < 2:
        raise ValueError(f"{expected}; got the label {next(iter(counts))!r} alone")
    few = sorted(label for label, count in counts.items() if count < LEAST)
    if few:
        names = ", ".join(map(repr, few[:5])) + (", ..." if len(few) > 5 else "")
        raise ValueError(f"{expected}; got fewer of {len(few)} of the {len(counts)} labels: {names}")


def split(recordings: Sequence[Recording], rng: np.random.Generator) -> tuple[list[Recording], list[Recording]]:
    """The recordings for the training, and those held out: a tenth of each word, at least one."""
    learned, held_out = [], []
    for label in sorted({one.label for one in recordings}):
        same = [one for one in recordings if one.label == label]
        order, first = rng.permutation(len(same)), max(1, int(HELD_OUT * len(same)))
        held_out += [same[k] for k in order[:first]]
        learned += [same[k] for k in order[first:]]
    return learned, held_out


def string_errors(reader: StringReader, recordings: Sequence[Recording], rng: np.random.Generator, beam: int) -> float:
    """The word error rate in strings that are joined from recordings."""
    strings, signals, truths = Strings(), [], []
    for _ in range(TEST_STRINGS):
        chosen = [recordings[k] for k in strings.choose(recordings, rng)]
        signals.append(strings.join([one.signal for one in chosen], rng))
        truths.append([one.label for one in chosen])
    return error_rate(zip(reader.read(signals, beam=beam), truths, strict=True))
