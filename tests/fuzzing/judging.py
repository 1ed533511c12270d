"""What is read and how it is judged, whoever chooses the files: one at random (`seeded`), or libFuzzer (`guided`)."""

import hashlib
import json
import signal
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np

import fastlstm as fl
from fuzzing.kinds import KINDS, whole_files

SECONDS, ROOM = 5, 1 << 30
"""What the reading of one file may take, in seconds and in bytes beyond what the library itself takes."""


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


class Judge:
    """Reads files within the limits, one after the other, and says on lines of JSON what comes of each.

    A file lies in the folder before its number is said: whoever listens finds there what ended this process.

    Parameters
    ----------
    kind : Kind
    folder : path
    keep : path
        A folder for files that fail.
    number : int
        That of the first file.
    """

    def __init__(self, kind, folder, keep, number):
        self.kind, self.number = kind, number
        self.whole, self._path = prepare(kind, folder)
        self._keep, self._seen = Path(keep), set()
        limit_room()

    def read(self, content):
        self._path.write_bytes(content)
        say(number=self.number)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process; Atheris has come with a handler of its own
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        read, hit = attempt(self.kind, content, self._path)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if read:
            say(number=self.number, whole=True)
        where = hit and hit.rpartition(" (")[2]
        if hit and where not in self._seen:  # each place once: others of these files lead there, too
            self._seen.add(where)
            say(number=self.number, hit=hit, file=str(kept(self.kind, content, self._keep)))
        self.number += 1


def say(**what):
    print(json.dumps(what), flush=True)


def prepare(kind, folder):
    """Whole files of a kind, each read once, and where damaged ones go."""
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    fl.set_num_threads(1)
    whole, path = whole_files(kind, Path(folder, "whole")), damaged_file(kind, folder)
    for content in whole:
        path.write_bytes(content)
        if kind.name != "csv":
            kind.read(path)
        attempt(kind, content, path)
    return whole, path


def damaged_file(kind, folder):
    return Path(folder, "damaged" + kind.suffix)


def kept(kind, content, folder):
    """The path of a file that is kept there, by a name that follows from its content."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind.name}-{hashlib.sha256(content).hexdigest()[:12]}{kind.suffix}"
    path.write_bytes(content)
    return path


def limit_room():
    """Let this process take so much more than it has now; only Linux says how much that is."""
    told = Path("/proc/self/statm")
    if told.exists():
        import resource  # not there on Windows

        taken = int(told.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, resource.getrlimit(resource.RLIMIT_AS)[1]))


def begun():
    """The judge of a child, and what its parent has told it."""
    told = json.loads(sys.argv[1])
    kind = next(kind for kind in KINDS if kind.name == told["kind"])
    return Judge(kind, told["folder"], told["keep"], told["start"]), told
