"""Spoken digits, alone and in strings: python -m bench.studies.speech [--output docs] [--quick]

Reads the recordings of the Free Spoken Digit Dataset from the folder that FASTLSTM_DATA names, trains and tests, and
writes speech.json, speech.md and the pictures of that page."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import fastlstm as fl
from bench import machine
from bench.studies import DOCS, data
from bench.studies.speech import page
from fastlstm.metrics import error_rate
from fastlstm.speech import LogMel, Recording, StringReader, Strings, WordClassifier, read_recordings

ARCHIVE = "free-spoken-digits.tar.gz"
TEST = 5
"""The recordings of each digit and speaker below this index are the usual test set."""

MACHINE = {"processor", "system", "fastlstm", "numpy"}
SEEDS = range(5)
BEAM = 16
TEST_SEED = 2024

TESTS = {
    "strings": Strings(),
    "of one speaker": Strings(several=0.0),
    "of several speakers": Strings(several=1.0),
    "with pauses of 1 to 4 s": Strings(least=1.0, most=4.0),
    "with pauses below 0.05 s": Strings(least=0.0, most=0.05),
    "of 8 to 15 digits": Strings(shortest=8, longest=15),
    "single digits": Strings(shortest=1, longest=1),
}


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.studies.speech", description=__doc__)
    parser.add_argument("--output", type=Path, default=DOCS, help="folder to write to (default: docs)")
    parser.add_argument("--quick", action="store_true", help="a little of everything, to see that it runs")
    options = parser.parse_args(argv)
    began = time.perf_counter()
    recordings = read_recordings(data.find(ARCHIVE))
    short = {"epochs": 2, "variants": 1} if options.quick else {}
    seeds = SEEDS[:1] if options.quick else SEEDS
    about = {name: text for name, text in machine.describe().items() if name in MACHINE}
    about["kaldi-native-fbank"] = version("kaldi-native-fbank")
    result: dict[str, Any] = {"machine": about, "threads": fl.get_num_threads()}
    result["recordings"] = describe(recordings)
    result["words"] = words(recordings, seeds, short)
    result["speakers"] = unknown_speakers(recordings, short, centred=False)
    result["speakers_centred"] = unknown_speakers(recordings, short, centred=True)
    both, reader = strings(recordings, True, options.quick, short)
    forward, _ = strings(recordings, False, options.quick, short)
    result["strings"] = {"bidirectional": both, "unidirectional": forward}
    result["seconds"] = time.perf_counter() - began
    shown = example(reader, [one for one in recordings if one.index < TEST])
    page.write(result, shown, options.output)
    print(f"All in {result['seconds']:.0f} s; wrote {options.output / 'speech.md'}.")
    return 0


def describe(recordings: Sequence[Recording]) -> dict[str, Any]:
    seconds = [len(one.signal) / 8000 for one in recordings]
    return {
        "count": len(recordings),
        "test": sum(one.index < TEST for one in recordings),
        "speakers": sorted({one.speaker for one in recordings}),
        "seconds": [float(value) for value in np.percentile(seconds, [0, 50, 100])],
    }


def words(recordings: Sequence[Recording], seeds: Sequence[int], short: dict[str, int]) -> dict[str, Any]:
    """Single digits: accuracy on the usual test set for several seeds, and what is taken for what."""
    learned = [one for one in recordings if one.index >= TEST]
    tested = [one for one in recordings if one.index < TEST]
    found: dict[str, Any] = {"accuracy": [], "seconds": [], "confusion": np.zeros((10, 10), int)}
    for seed in seeds:
        classifier, seconds, confusion = classify(learned, tested, seed, short)
        found["accuracy"].append(float(np.trace(confusion) / confusion.sum()))
        found["seconds"].append(seconds)
        found["confusion"] += confusion
        print(f"digits, seed {seed}: {found['accuracy'][-1]:.2%} right, trained in {seconds:.1f} s", flush=True)
    found["confusion"] = found["confusion"].tolist()
    return {**found, "network": network(classifier), "epochs": classifier.epochs}


def unknown_speakers(recordings: Sequence[Recording], short: dict[str, int], centred: bool) -> dict[str, float]:
    """Single digits of each speaker, told by a network that has heard only the others."""
    found = {}
    options = {**short, "features": LogMel(centred=centred)}
    speakers = sorted({one.speaker for one in recordings})
    for speaker in speakers[:1] if short else speakers:
        learned = [one for one in recordings if one.speaker != speaker]
        tested = [one for one in recordings if one.speaker == speaker]
        _, _, confusion = classify(learned, tested, 0, options)
        found[speaker] = float(np.trace(confusion) / confusion.sum())
        print(f"digits of {speaker}, never heard before{', centred' * centred}: {found[speaker]:.2%} right", flush=True)
    return found


def classify(
    learned: Sequence[Recording], tested: Sequence[Recording], seed: int, options: dict[str, Any]
) -> tuple[WordClassifier, float, np.ndarray[Any, Any]]:
    """A trained network, the seconds it took, and how many of the digit of a row were taken for that of a column."""
    began = time.perf_counter()
    classifier = WordClassifier(seed=seed, **options)
    classifier.fit(learned, progress=False)
    seconds = time.perf_counter() - began
    confusion = np.zeros((10, 10), int)
    told = classifier.classify([one.signal for one in tested])
    np.add.at(confusion, ([int(one.label) for one in tested], [int(word) for word in told]), 1)
    return classifier, seconds, confusion


def strings(
    recordings: Sequence[Recording], both: bool, quick: bool, short: dict[str, int]
) -> tuple[dict[str, Any], StringReader]:
    """Strings of digits: error rates, by the best path and by beam search."""
    began = time.perf_counter()
    reader = StringReader(bidirectional=both, per_epoch=100 if quick else 1600, **short)
    reader.fit([one for one in recordings if one.index >= TEST], progress=False)
    found: dict[str, Any] = {"seconds": time.perf_counter() - began, "network": network(reader), "errors": {}}
    tested = [one for one in recordings if one.index < TEST]
    for name, kind in TESTS.items():
        signals, truths = joined(tested, kind, 20 if quick else 300)
        began = time.perf_counter()
        greedy = error_rate(zip(reader.read(signals), truths, strict=True))
        seconds = time.perf_counter() - began
        beam = error_rate(zip(reader.read(signals, beam=BEAM), truths, strict=True))
        sound = sum(map(len, signals)) / 8000
        found["errors"][name] = {
            "greedy": greedy,
            "beam": beam,
            "strings": len(signals),
            "digits": sum(map(len, truths)),
            "sound": sound,
            "read": seconds,
        }
        ways = "both ways" if both else "forward only"
        print(f"{name}, read {ways}: {greedy:.2%} of the digits wrong, by beam search {beam:.2%}", flush=True)
    found["epochs"], found["per_epoch"] = reader.epochs, reader.per_epoch
    return found, reader


def joined(
    recordings: Sequence[Recording], kind: Strings, count: int
) -> tuple[list[np.ndarray[Any, Any]], list[list[str]]]:
    """Test strings and what is said in them; the same ones each time."""
    rng = np.random.default_rng(TEST_SEED)
    signals, truths = [], []
    for _ in range(count):
        chosen = [recordings[k] for k in kind.choose(recordings, rng)]
        signals.append(kind.join([one.signal for one in chosen], rng))
        truths.append([one.label for one in chosen])
    return signals, truths


def network(recogniser: WordClassifier | StringReader) -> dict[str, Any]:
    return {"hidden": recogniser.hidden_size, "parameters": recogniser.model.num_parameters}


def example(reader: StringReader, recordings: Sequence[Recording]) -> page.Example:
    """One string: its sound as the network hears it, and what the network says at each step."""
    signals, truths = joined(recordings, TESTS["strings"], 1)
    scores = fl.softmax(reader.scores(signals[0]))
    return page.Example(
        reader.features.frames(signals[0]).T,
        reader.features.shift / 1000,
        scores.T,
        reader.features.seconds,
        ["blank", *reader.words],
        truths[0],
        reader.read(signals)[0],
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
