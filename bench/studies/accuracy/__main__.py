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
from pathlib import Path

import fastlstm as fl
from bench.studies.accuracy.compared import HEADS, Compared, verdict
from bench.studies.accuracy.trained import PARTS
from fastlstm.config import config


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
