"""The command line: one file for each application."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from fastlstm._version import __version__
from fastlstm.cli import classify, forecast, speech, text
from fastlstm.cli.options import UsageError

APPLICATIONS = (forecast, text, classify, speech)
"""Modules whose ``add`` gives the commands they know; a command sets ``run``, which returns the exit status."""

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
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its status.

    0 is success, 1 an error, and a demo that did not beat a naive forecast; 2 what cannot be meant as it was typed, 130
    Ctrl-C.
    """
    line = list(sys.argv[1:] if argv is None else argv)
    options = parser().parse_args(line)
    options.line = line
    try:
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        place = getattr(options, "place", None)
        on = f". To go on: {place.again}" if place is not None and place.resumable else ""
        return failed(f"stopped{on}", 130, before="\n")
    except OSError as error:
        known = error.strerror and error.filename is not None
        return failed(f"error: {f'{error.filename}: {error.strerror}' if known else error}", 1)
    except UsageError as error:
        return failed(f"error: {error}", 2)
    except MemoryError as error:
        return failed(f"error: out of memory: {str(error) or 'a smaller network, batch or window needs less'}", 1)
    except (ValueError, ImportError, FloatingPointError) as error:
        return failed(f"error: {error}", 1)


def failed(message: str, status: int, before: str = "") -> int:
    """Say a line on stderr; what stdout still holds goes nowhere if it cannot go out, or Python would complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    print(f"{before}fastlstm: {message}", file=sys.stderr)
    return status


def parser() -> argparse.ArgumentParser:
    """What the command line understands."""
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
