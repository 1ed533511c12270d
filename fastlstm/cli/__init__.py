"""The command line: one file for each application."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from fastlstm._version import __version__
from fastlstm.cli import classify, forecast, speech, text

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
    """Run a command; returns its status: 0, 1 (the demo did not beat a naive forecast), 2 (error) or 130 (Ctrl-C)."""
    options = parser().parse_args(argv)
    try:
        output = getattr(options, "output", None)
        if output is not None and output.exists() and not output.is_dir():
            raise ValueError(f"output: expected a folder, got the file {output}")
        status: int = options.run(options)
        return status
    except KeyboardInterrupt:
        print("\nfastlstm: stopped", file=sys.stderr)
        return 130
    except OSError as error:
        known = error.strerror and error.filename is not None
        print(f"fastlstm: error: {f'{error.filename}: {error.strerror}' if known else error}", file=sys.stderr)
        return 2
    except (ValueError, ImportError, FloatingPointError) as error:
        print(f"fastlstm: error: {error}", file=sys.stderr)
        return 2


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
