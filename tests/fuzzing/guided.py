"""Reads files that libFuzzer makes of those which reached new lines of the library: a child of ``.ci/fuzz --coverage``.

Atheris counts lines in modules as they are imported, so this module imports ours only when it runs.
"""

import math
import re
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
"""A folder for each kind: what libFuzzer has found, named by its hash, and files that once failed, named by hand."""

FOUND = re.compile(r"[0-9a-f]{40}")
LARGEST, MOST = 16 << 10, 32 << 10
"""Bytes that a file of the corpus may have, and all of a kind that are named by their hash."""

OWN = 0.75
"""Share of the files that are damaged as the other driver damages them; libFuzzer does what it knows with the rest."""


def missing():
    """What to say where Atheris is not installed."""
    return None if find_spec("atheris") else "--coverage: needs the package atheris; install it by: pip install atheris"


def flags(kind, told):
    """What libFuzzer is told: limits, and folders of files to begin with, the first of which takes what it finds."""
    seconds = [] if told["seconds"] is None else [f"-max_total_time={math.ceil(told['seconds'])}"]
    seed = f"-seed={told['seed'] + told['start'] + 1}"  # of 0 it would make one of the time
    folders = [Path(told["folder"], name) for name in ("found", "seeds")]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    corpus = CORPUS / kind.name
    return [f"-runs={told['count']}", seed, *seconds, *map(str, [*folders, *([corpus] if corpus.exists() else [])])]


def reached(log):
    """How many places in the library's code were reached in the end."""
    found = re.findall(r"cov: (\d+)", log)
    return int(found[-1]) if found else 0


def grow(kind, folder, merge):
    """Put the fewest files that reach all that was reached into the corpus, in place of those that were there.

    Parameters
    ----------
    kind : Kind
    folder : Path
        Where the fuzzer has left what it has found.
    merge : function
        Runs libFuzzer with these flags.
    """
    corpus, few, all_files = CORPUS / kind.name, folder / "few", folder / "all"
    for there in (corpus, few, all_files):
        there.mkdir(parents=True, exist_ok=True)
    for there in (corpus, folder / "found", folder / "seeds"):
        for path in there.iterdir():
            if path.stat().st_size <= LARGEST:
                shutil.copy(path, all_files)
    merge(["-merge=1", "-set_cover_merge=1", "-use_counters=0", str(few), str(all_files)])
    left = MOST
    for path in corpus.iterdir():
        if FOUND.fullmatch(path.name):
            path.unlink()
    for path in sorted(few.iterdir(), key=lambda path: (path.stat().st_size, path.name)):
        left -= path.stat().st_size
        if left >= 0:
            shutil.copy(path, corpus)


def main():
    """Read files until the time is over. This ends the process."""
    import atheris

    # libFuzzer merges in children of its own, so that it outlives them: they are this command, with more flags
    again = shlex.join([sys.executable, "-P", "-m", "fuzzing.guided", sys.argv[1]])
    if "-merge=1" in sys.argv:
        atheris.Setup([again, *sys.argv[2:]], lambda content: None)
        atheris.Fuzz()
    with atheris.instrument_imports(include=["fastlstm"]):
        from fuzzing.judging import begun, kept

        judge, told = begun()
        for content in judge.whole:
            kept(judge.kind, content, Path(told["folder"], "seeds"))
        limits = [
            "-timeout=0",
            "-rss_limit_mb=0",
            "-mutate_depth=2",
            f"-max_len={2 * max(map(len, judge.whole)) + 4096}",
        ]
        limits += [f"-handle_{name}=0" for name in ("segv", "bus", "abrt", "fpe", "ill")]
        atheris.Setup([again, *limits, *sys.argv[2:]], judge.read, custom_mutator=mutator(atheris, judge.whole))
        atheris.Fuzz()


def mutator(atheris, whole):
    """A function that damages a file for libFuzzer. Half get a right checksum, without which none is read further."""
    import numpy as np

    from fuzzing.mutations import mended, mutate

    def damage(content, most, seed):
        rng = np.random.default_rng(seed)
        if rng.random() < OWN:
            return mutate(content, whole, rng)[:most]
        content = atheris.Mutate(content, most)
        return (mended(content) if rng.random() < 0.5 else content)[:most]

    return damage


if __name__ == "__main__":
    main()
