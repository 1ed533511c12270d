"""Read damaged files: ``.ci/fuzz``, ``.ci/fuzz --help``."""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from pathlib import Path

import numpy as np

import fastlstm as fl
from fuzzing.kinds import KINDS, whole_files
from fuzzing.mutations import mutate

SECONDS, ROOM = 5, 1 << 30
"""What the reading of one file may take, in seconds and in bytes beyond what the library itself takes."""

MOST_HITS = 20
"""Of a kind, before its other files are left alone."""


def main():
    options = arguments()
    chosen = [kind for kind in KINDS if options.kind in (None, kind.name)]
    if options.only is not None:
        return alone(chosen[0], options)
    if options.child:
        return child(chosen[0], options)
    share = None if options.seconds is None else options.seconds / len(chosen)
    hits = [parent(kind, options, share) for kind in chosen]
    print(f"seed {options.seed}: {sum(hits)} hits")
    return 1 if sum(hits) else 0


def arguments():
    parser = argparse.ArgumentParser(".ci/fuzz", description=__doc__)
    parser.add_argument("--kind", choices=[kind.name for kind in KINDS], help="only these files; by default all kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=5000, help="files of each kind (default %(default)s)")
    parser.add_argument("--seconds", type=float, help="read for so many seconds in all, beside the preparations")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="read one file again, and show what comes out")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="with --only: write the damaged file there")
    parser.add_argument("--start", type=int, default=0, help="the number of the first file (default %(default)s)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only is not None and options.kind is None:
        parser.error("--only: needs --kind")
    return options


def damaged(kind, whole, seed, number):
    """The damaged file of this number."""
    rng = np.random.default_rng([seed, zlib.crc32(kind.name.encode()), number])
    return mutate(whole[rng.integers(len(whole))], whole, rng)


def attempt(kind, content, path):
    """Whether a file was taken for whole; and None, or a word about what should not have come out of it."""
    path.write_bytes(content)
    try:
        kind.read(path)
    except (ValueError, OSError) as error:
        cause = error
        while cause is not None:
            if isinstance(cause, MemoryError):
                return False, f"took more than {ROOM >> 20} MB"
            cause = cause.__cause__ or cause.__context__
        return False, None
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return False, f"{type(error).__name__}: {error!s:.200} ({Path(where.filename).name}, line {where.lineno})"
    return True, None


def parent(kind, options, share):
    """Let children read the files of a kind; a child that died is a hit, and another one goes on behind."""
    start, hits, taken_for_whole, began = options.start, 0, 0, time.monotonic()
    end = options.start + options.count
    while start < end and hits < MOST_HITS:
        command = [sys.executable, "-P", "-m", "fuzzing", "--child", "--kind", kind.name, "--seed", str(options.seed)]
        command += ["--start", str(start), "--count", str(end - start)]
        if share is not None:
            command += ["--seconds", str(share)]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            last = None
            for line in process.stdout:
                said = json.loads(line)
                last = said["number"]
                taken_for_whole += said.get("whole", False)
                if said.get("hit"):
                    hits += report(kind, options.seed, last, said["hit"])
                if hits >= MOST_HITS:
                    process.kill()
        start = start if last is None else last + 1
        if process.returncode == 0 or hits >= MOST_HITS:
            break
        if last is None:
            print(f"{kind.name}: could not begin", flush=True)
            return hits + 1
        died = signal.Signals(-process.returncode).name if process.returncode < 0 else f"status {process.returncode}"
        what = f"took more than {SECONDS} s" if died == "SIGALRM" else f"ended the process: {died}"
        hits += report(kind, options.seed, last, what)
    print(
        f"{kind.name}: {start - options.start} damaged files, {taken_for_whole} of them taken for whole, {hits} hits, "
        f"{time.monotonic() - began:.0f} s",
        flush=True,
    )
    return hits


def report(kind, seed, number, what):
    what = what.encode("ascii", "backslashreplace").decode()
    print(f"HIT {kind.name}, seed {seed}, number {number}: {what}")
    print(f"    .ci/fuzz --kind {kind.name} --seed {seed} --only {number}", flush=True)
    return 1


def child(kind, options):
    """Read files one after the other, and say the number of each before it is read."""
    with tempfile.TemporaryDirectory() as folder:
        whole, path = prepare(kind, folder)
        began = time.monotonic()
        limit_room()
        for number in range(options.start, options.start + options.count):
            if options.seconds is not None and time.monotonic() - began > options.seconds:
                break
            content = damaged(kind, whole, options.seed, number)
            print(json.dumps({"number": number}), flush=True)
            signal.setitimer(signal.ITIMER_REAL, SECONDS)  # nobody handles its signal: it ends the process
            read, hit = attempt(kind, content, path)
            signal.setitimer(signal.ITIMER_REAL, 0)
            if read or hit:
                print(json.dumps({"number": number, "whole": read, "hit": hit}), flush=True)
    return 0


def alone(kind, options):
    """One file, with all that comes out."""
    with tempfile.TemporaryDirectory() as folder:
        whole, path = prepare(kind, folder)
        content = damaged(kind, whole, options.seed, options.only)
        if options.keep is not None:
            options.keep.write_bytes(content)
        path.write_bytes(content)
        try:
            kind.read(path)
        except Exception:
            traceback.print_exc()
        else:
            print("read")
        return 1 if attempt(kind, content, path)[1] else 0


def prepare(kind, folder):
    """Whole files of a kind, each read once, and where damaged ones go."""
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    fl.set_num_threads(1)
    whole, path = whole_files(kind, Path(folder, "whole")), Path(folder, "damaged" + kind.suffix)
    for content in whole:
        path.write_bytes(content)
        if kind.name != "csv":
            kind.read(path)
        attempt(kind, content, path)
    return whole, path


def limit_room():
    """Let this process take so much more than it has now; only Linux says how much that is."""
    told = Path("/proc/self/statm")
    if told.exists():
        taken = int(told.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    sys.exit(main())
