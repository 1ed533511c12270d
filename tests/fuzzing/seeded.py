"""Reads files that are damaged at random, each by its seed and number: a child of ``.ci/fuzz``."""

import time
import zlib

import numpy as np

from fuzzing.judging import begun
from fuzzing.mutations import mutate


def damaged(kind, whole, seed, number):
    """The damaged file of this number."""
    rng = np.random.default_rng([seed, zlib.crc32(kind.name.encode()), number])
    return mutate(whole[rng.integers(len(whole))], whole, rng)


def main():
    judge, told = begun()
    began = time.monotonic()
    for number in range(told["start"], told["start"] + told["count"]):
        if told["seconds"] is not None and time.monotonic() - began > told["seconds"]:
            break
        judge.read(damaged(judge.kind, judge.whole, told["seed"], number))


if __name__ == "__main__":
    main()
