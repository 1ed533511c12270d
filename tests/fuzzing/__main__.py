"""Read damaged files, and accept nothing but success, ValueError and OSError, soon and in little room: ``.ci/fuzz``.

Files are damaged at random, by seed and number, or by libFuzzer, which goes on from those that reached new lines of the
library (--coverage).
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from fuzzing import guided
from fuzzing.judging import SECONDS, attempt, damaged_file, kept, prepare
from fuzzing.kinds import KINDS
from fuzzing.seeded import damaged

MOST_HITS = 20
"""Of a kind, before its other files are left alone."""

EACH, MINUTE = 5000, 60
"""Files of each kind by default, or with --coverage seconds."""


def main():
    options = arguments()
    chosen = [kind for kind in KINDS if options.kind in (None, kind.name)]
    if options.only is not None:
        return alone(chosen[0], options)
    share = None if options.seconds is None else options.seconds / len(chosen)
    hits = sum(hits_of(kind, options, share) for kind in chosen)
    print(f"seed {options.seed}: {hits} hits")
    return 1 if hits else 0


def hits_of(kind, options, seconds):
    with tempfile.TemporaryDirectory() as folder:
        run = Run(kind, options, Path(folder), seconds)
        run.go()
        if options.grow:
            guided.grow(kind, Path(folder), run.merge)
    return run.hits


def arguments():
    parser = argparse.ArgumentParser(".ci/fuzz", description=__doc__)
    parser.add_argument("--kind", choices=[kind.name for kind in KINDS], help="only these files; by default all kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, help=f"files of each kind (default {EACH}, with --coverage any number)")
    parser.add_argument(
        "--seconds",
        type=float,
        help="read for so many seconds in all, beside preparations (default with --coverage: a minute for each kind)",
    )
    parser.add_argument("--start", type=int, default=0, help="the number of the first file (default %(default)s)")
    parser.add_argument("--only", metavar="NUMBER or FILE", help="read one file again, and show what comes out")
    parser.add_argument(
        "--keep",
        type=Path,
        default=Path("build", "fuzz"),
        metavar="FOLDER",
        help="where files that fail are written (default %(default)s)",
    )
    parser.add_argument("--coverage", action="store_true", help="libFuzzer chooses the files (needs atheris)")
    parser.add_argument(
        "--grow", action="store_true", help="with --coverage: put what has been found into tests/fuzzing/corpus"
    )
    options = parser.parse_args()
    if options.only is not None and options.kind is None:
        parser.error("--only: needs --kind")
    if options.grow and not options.coverage:
        parser.error("--grow: needs --coverage")
    if options.coverage and guided.missing():
        parser.error(guided.missing())
    if options.coverage and options.seconds is None and options.count is None:
        options.seconds = MINUTE * (len(KINDS) if options.kind is None else 1)
    return options


class Run:
    """The reading of files of one kind by children: one that died is a hit, and another one goes on behind it."""

    def __init__(self, kind, options, folder, seconds):
        self.kind, self.options, self.folder = kind, options, folder
        self.number, self.hits, self.taken_for_whole = options.start, 0, 0
        self._left, self._seconds = options.count or (sys.maxsize if options.coverage else EACH), seconds

    def go(self):
        began, last = time.monotonic(), None
        while self._left > 0 and self.hits < MOST_HITS and (self._seconds is None or self._seconds > 0):
            start = self.number
            died = self._child(guided.flags(self.kind, self._told()) if self.options.coverage else [])
            if died is None:
                break
            if self.number == start:
                print(f"{self.kind.name}: could not begin\n{self._log()[-2000:]}", flush=True)
                self.hits += 1
                break
            self._left -= self.number - start
            if self.hits < MOST_HITS:
                path = kept(self.kind, damaged_file(self.kind, self.folder).read_bytes(), self.options.keep)
                if path == last:  # one that libFuzzer begins with: no child gets past it
                    break
                self._report(died, path)
                last = path
        where = f", {guided.reached(self._log())} places reached" if self.options.coverage else ""
        print(
            f"{self.kind.name}: {self.number - self.options.start} damaged files, {self.taken_for_whole} of them taken "
            f"for whole, {self.hits} hits{where}, {time.monotonic() - began:.0f} s",
            flush=True,
        )

    def merge(self, flags):
        """Let libFuzzer merge folders of files."""
        died = self._child(flags)
        if died is not None:
            raise RuntimeError(f"{self.kind.name}: merging {died}\n{self._log()[-2000:]}")

    def _told(self):
        options = self.options
        told = {"kind": self.kind.name, "seed": options.seed, "start": self.number, "seconds": self._seconds}
        return {**told, "count": self._left, "folder": str(self.folder), "keep": str(options.keep)}

    def _child(self, flags):
        """What ended a child before its time, or None. Its time begins with the first file."""
        module = "fuzzing.guided" if self.options.coverage else "fuzzing.seeded"
        command = [sys.executable, "-P", "-m", module, json.dumps(self._told()), *flags]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        with (
            open(self.folder / "log", "w") as log,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment) as process,
        ):
            first = None
            for line in process.stdout:
                first = first or time.monotonic()
                if not line.startswith("{"):  # Atheris, of an error in what reads files here
                    log.write(line)
                    continue
                said = json.loads(line)
                self.number = said["number"] + 1
                self.taken_for_whole += said.get("whole", False)
                if said.get("hit"):
                    self._report(said["hit"], said["file"])
                if self.hits >= MOST_HITS:
                    process.kill()
        if self._seconds is not None and first is not None:
            self._seconds -= time.monotonic() - first
        if process.returncode == 0:
            return None
        if process.returncode > 0:
            return f"ended the process: status {process.returncode}"
        name = signal.Signals(-process.returncode).name
        return f"took more than {SECONDS} s" if name == "SIGALRM" else f"ended the process: {name}"

    def _log(self):
        return (self.folder / "log").read_text(errors="replace")

    def _report(self, what, file):
        self.hits += 1
        seed, number = self.options.seed, self.number - 1
        what = what.encode("ascii", "backslashreplace").decode()
        print(f"HIT {self.kind.name}, seed {seed}, number {number}: {what}")
        again = f"--only {file}" if self.options.coverage else f"--seed {seed} --only {number}"
        print(f"    .ci/fuzz --kind {self.kind.name} {again}", flush=True)


def alone(kind, options):
    """One file, with all that comes out."""
    with tempfile.TemporaryDirectory() as folder:
        whole, path = prepare(kind, folder)
        if options.only.isdecimal():
            content = damaged(kind, whole, options.seed, int(options.only))
            print(kept(kind, content, options.keep))
        else:
            content = Path(options.only).read_bytes()
        path.write_bytes(content)
        try:
            kind.read(path)
        except Exception:
            traceback.print_exc()
        else:
            print("read")
        return 1 if attempt(kind, content, path)[1] else 0


if __name__ == "__main__":
    sys.exit(main())
