"""``fastlstm speech``: learn words from recordings, and read WAV files."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fastlstm.cli.options import Commands, add_max_megabytes, add_seed, count
from fastlstm.metrics import error_rate
from fastlstm.speech import LogMel, Recording, StringReader, Strings, read_recordings, read_wav
from fastlstm.speech.wav import LONGEST
from fastlstm.unpack import ARCHIVE

SPEECH = """Read the words of WAV files, such as the digits of a number, with a network that has learned them from
recordings of single words.

It has to learn first: from WAV files named label_anything.wav, or label_speaker_index.wav, in a folder or a tar
archive. A tenth of them is held out, to say how well it reads strings of them."""

SPEECH_EXAMPLES = """files may have any sample rate, 8 to 32 bits, and any number of channels.

examples:
  fastlstm speech train free-spoken-digits.tar.gz     learn the digits, in a minute or two
  fastlstm speech call.wav                            read a file
  fastlstm speech train my-words --output my-model    words of your own
  fastlstm speech read --model my-model a.wav b.wav
"""

USAGE = """fastlstm speech [read] [--model DIR] [--beam N] [--max-seconds N] FILE [FILE ...]
       fastlstm speech train [--output DIR] [--epochs N] [--hidden N] [--centred] [--max-megabytes N] [--seed N]
                             RECORDINGS"""

DEFAULT = Path("fastlstm-speech")
FILE = "speech.safetensors"
HELD_OUT = 0.1
TEST_STRINGS = 100


def add(commands: Commands) -> None:
    """The command ``speech``."""
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
    add("words", nargs="+", metavar="FILE", help='WAV files to read; or "train", and what to learn from')
    add(
        "--model",
        "--output",
        type=Path,
        default=DEFAULT,
        metavar="DIR",
        help="folder that the model is read from or written to (default: %(default)s)",
    )
    add(
        "--max-seconds",
        type=count,
        default=int(LONGEST),
        metavar="N",
        help="how long a file to read may be (default: %(default)s)",
    )
    add("--beam", type=count, default=8, metavar="N", help="strings to follow at a time (default: %(default)s)")
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


def speech(options: argparse.Namespace) -> int:
    """Read files, or learn to."""
    if options.model.exists() and not options.model.is_dir():
        raise ValueError(f"model: expected a folder, got the file {options.model}")
    # the verb "read" may be left out: that is why these are no commands of their own
    verb, words = options.words[0], options.words[1:]
    if verb not in ("train", "read"):
        verb, words = "read", options.words
    if verb == "train" and len(words) != 1:
        raise ValueError(f"train: expected a folder or an archive of recordings, got {len(words)} names")
    if not words:
        raise ValueError("read: expected WAV files, got none")
    if verb == "train":
        train(Path(words[0]), options)
    else:
        read([Path(word) for word in words], options)
    return 0


def read(files: Sequence[Path], options: argparse.Namespace) -> None:
    """Print the words of each file."""
    path = options.model / FILE
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no model yet; let it learn from recordings first: fastlstm speech train RECORDINGS"
            + ("" if options.model == DEFAULT else f" --output {options.model}")
        )
    reader = StringReader.load(path)
    for file in files:
        [words] = reader.read([read_wav(file, max_seconds=options.max_seconds)], beam=options.beam)
        print(" ".join(words) if len(files) == 1 else f"{file}: {' '.join(words)}", flush=True)
        if not words:
            print(f"fastlstm: {file}: no words found", file=sys.stderr)


def train(source: Path, options: argparse.Namespace) -> None:
    """Learn from recordings, say how well it went, and write the model."""
    began = time.perf_counter()
    recordings = read_recordings(source, max_bytes=options.max_bytes)
    rng = np.random.default_rng(options.seed)
    learned, held_out = split(recordings, rng)
    labels, speakers = {one.label for one in recordings}, {one.speaker for one in recordings}
    by = f" by {len(speakers)} speakers" if len(speakers) > 1 else ""
    print(f"{source}: {len(recordings)} recordings of {len(labels)} words{by}.")
    features = LogMel(centred=options.centred)
    reader = StringReader(hidden_size=options.hidden, epochs=options.epochs, features=features, seed=options.seed)
    reader.fit(learned)
    if held_out:
        print(
            f"Wrong words in {TEST_STRINGS} strings of the {len(held_out)} recordings held out: "
            f"{string_errors(reader, held_out, rng, options.beam):.1%}."
        )
    options.model.mkdir(parents=True, exist_ok=True)
    path = options.model / FILE
    reader.save(path)
    print(f"Wrote {path}. All in {time.perf_counter() - began:.1f} s.")


def split(recordings: Sequence[Recording], rng: np.random.Generator) -> tuple[list[Recording], list[Recording]]:
    """To learn from, and held out: a tenth of the recordings of each word, none of a word with fewer than ten."""
    learned, held_out = [], []
    for label in sorted({one.label for one in recordings}):
        same = [one for one in recordings if one.label == label]
        order, first = rng.permutation(len(same)), int(HELD_OUT * len(same))
        held_out += [same[k] for k in order[:first]]
        learned += [same[k] for k in order[first:]]
    return learned, held_out


def string_errors(reader: StringReader, recordings: Sequence[Recording], rng: np.random.Generator, beam: int) -> float:
    """Rate of wrong words in strings that are joined from recordings."""
    strings, signals, truths = Strings(), [], []
    for _ in range(TEST_STRINGS):
        chosen = [recordings[k] for k in strings.choose(recordings, rng)]
        signals.append(strings.join([one.signal for one in chosen], rng))
        truths.append([one.label for one in chosen])
    return error_rate(zip(reader.read(signals, beam=beam), truths, strict=True))
