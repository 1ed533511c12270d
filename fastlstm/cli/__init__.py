"""The command line: one file for each application."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from fastlstm._version import __version__
from fastlstm.cli import classify, convert, forecast, speech, text
from fastlstm.cli.options import UsageError
from fastlstm.cli.ranks import joined
from fastlstm.training.exchange import RankError

APPLICATIONS = (forecast, text, classify, speech, convert)
"""Modules of commands. ``add`` of each adds its commands. A command sets ``run``, which returns the exit status."""

EXAMPLES = """examples:
  fastlstm demo
  fastlstm forecast sales.csv --target sales --horizon 12
  fastlstm forecast load.csv --target OT --horizon 24 --date date --output load
  fastlstm text train shakespeare.txt --minutes 5 --output shakespeare
  fastlstm text generate shakespeare --prompt "ROMEO:"
  fastlstm classify train reviews --output reviews-model
  fastlstm classify predict reviews-model "What a waste of two hours."
  fastlstm speech train recordings
  fastlstm speech call.wav
  fastlstm convert sentiment.keras sentiment.onnx
  mpiexec -n 4 fastlstm text train shakespeare.txt

exit status: 0 done, 1 an error or a demo that did not beat a naive forecast, 2 wrong usage, 130 Ctrl-C
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : list of str, optional
        The words after ``fastlstm``; by default those of the command line.

    Returns
    -------
    int
        The exit status: 0 for success, 1 for an error or a demo that did not beat a naive forecast, 2 for wrong usage,
        130 for Ctrl-C.
    """
    line = list(sys.argv[1:] if argv is None else argv)
    options = parsed(line)
    options.line, options.place = line, None
    try:
        with joined(options):
            status: int = options.run(options)
            sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        again = options.place.again if options.place is not None and options.place.resumable else ""
        message, status, before = f"stopped{again and f'. To go on: {again}'}", 130, "\n"
    except (OSError, ValueError, ImportError, FloatingPointError, MemoryError, RankError) as error:
        message, status, before = f"error: {words_of(error)}", 2 if isinstance(error, UsageError) else 1, ""
        if isinstance(error, BlockingIOError):  # the folder belongs to another training
            options.place = None
        if getattr(error, "told_elsewhere", False):
            if options.place is not None:
                options.place.tidy()
            return status
    if options.place is not None:
        options.place.tidy()
    return failed(before + "fastlstm: " + message, status)


def parsed(line: list[str]) -> argparse.Namespace:
    """The options of a line. Words may also follow options that follow words, as in ``read --beam 4 FILE``."""
    reader = parser()
    options, others = reader.parse_known_args(line)
    if others:
        if not hasattr(options, "words") or any(other.startswith("-") for other in others):
            reader.error(f"unrecognized arguments: {' '.join(others)}")
        options.words += others
    return options


def words_of(error: Exception) -> str:
    """The message of an error in one line."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"out of memory: {str(error) or 'a smaller network, batch or window needs less'}"
    return str(error)


def failed(message: str, status: int) -> int:
    """Print a line to stderr. Output that stdout cannot take any more is dropped, or Python would report an error."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    print(message, file=sys.stderr)
    return status


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    main = argparse.ArgumentParser(
        "fastlstm",
        description="LSTM networks on a CPU.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    main.add_argument("--version", action="version", version=f"fastlstm {__version__}")
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for application in APPLICATIONS:
        application.add(commands)
    return main
