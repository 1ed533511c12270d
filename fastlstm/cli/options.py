"""Options that several commands have."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeAlias

MODEL = "model.safetensors"
"""What a folder that was written to holds."""

MEGABYTE = 1_000_000

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_output(parser: argparse.ArgumentParser, folder: str) -> None:
    """--seed and --output, with its default folder."""
    add_seed(parser)
    parser.add_argument(
        "--output", type=Path, default=Path(folder), metavar="DIR", help="folder to write to (default: %(default)s)"
    )


def add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="same seed, same result (default: 0)")


def add_max_megabytes(parser: argparse._ActionsContainer, what: str, default: int) -> None:
    """--max-megabytes, kept in bytes."""
    parser.add_argument(
        "--max-megabytes",
        type=megabytes,
        default=default,
        dest="max_bytes",
        metavar="N",
        help=f"{what} may take unpacked (default: {default // MEGABYTE})",
    )


def megabytes(text: str) -> int:
    """So many, in bytes."""
    return count(text) * MEGABYTE


def count(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


def seed(text: str) -> int:
    """A whole number from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text!r}")
    return int(text)
