"""Options that several commands have, and what their values may be."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

MODEL = "model.safetensors"
"""What a folder that was written to holds."""

MEGABYTE = 1_000_000
LARGEST = 10**9
"""Of a number of anything: what is larger fits no machine, and not every number of C."""

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


class UsageError(ValueError):
    """What was typed cannot be meant so: exit status 2, like an option that does not exist."""


@contextmanager
def usage() -> Iterator[None]:
    """Options that are checked within are at fault for a ValueError, not what they are used on."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error


def add_output(parser: argparse.ArgumentParser, folder: str) -> None:
    """--seed, --output with its default folder, and --force."""
    add_seed(parser)
    parser.add_argument(
        "--output", type=path, default=Path(folder), metavar="DIR", help="folder to write to (default: %(default)s)"
    )
    add_force(parser)


def add_parts(parser: argparse.ArgumentParser, test: float) -> None:
    """--validation and --test: what is not learned from, because a figure by which an epoch was chosen flatters."""
    for name, default, use in (
        ("validation", 0.1, "to choose the epoch by"),
        ("test", test, "to measure on at the end"),
    ):
        parser.add_argument(
            f"--{name}", type=float, default=default, metavar="SHARE", help=f"{use}, of 1 (default: %(default)s)"
        )


def check_parts(options: argparse.Namespace) -> None:
    """That both parts and what is left are something."""
    for name in ("validation", "test"):
        if not 0 < getattr(options, name) < 1:
            raise UsageError(f"{name}: expected above 0 and below 1, got {getattr(options, name)}")
    if options.validation + options.test >= 1:
        raise UsageError(f"test: expected below 1 together with validation={options.validation}, got {options.test}")


def add_force(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--force", action="store_true", help="replace what the folder holds of an earlier run")


def add_resume(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--resume", action="store_true", help="go on with an interrupted training of the output folder, as it was begun"
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
    return at_most(LARGEST)(text)


def at_most(largest: int) -> Callable[[str], int]:
    """Reads a whole number from 1 to this one."""

    def read(text: str) -> int:
        if not text.isdecimal() or not 1 <= whole(text) <= largest:
            end = f" to {largest}" if text.isdecimal() and whole(text) > largest else ""
            raise argparse.ArgumentTypeError(f"expected a whole number from 1{end}, got {shortened(text)}")
        return whole(text)

    return read


def seed(text: str) -> int:
    """A whole number from 0."""
    if not text.isdecimal() or whole(text) >= 2**64:
        most = " to 2**64 - 1" if text.isdecimal() else ""
        raise argparse.ArgumentTypeError(f"expected a whole number from 0{most}, got {shortened(text)}")
    return whole(text)


def whole(text: str) -> int:
    """The number that decimal digits say, or one that is too large for anything: Python reads no more than 4,300."""
    return int(text) if len(text) < 100 else 10**100


def path(text: str) -> Path:
    """A path: an empty one would be the current folder, and is what a shell's unset variable leaves."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got ''")
    return Path(text)


def source(text: str) -> Path:
    """A path to read from. A device may never end, or wait for ever; a pipe is as good as a file."""
    found = path(text)
    with suppress(OSError, ValueError):  # whoever opens it says what is wrong with it
        if found.is_char_device() or found.is_block_device() or found.is_socket():
            raise argparse.ArgumentTypeError(f"expected a file, got the device {text}")
    return found


def shortened(text: str, most: int = 40) -> str:
    """What was typed, in quotes, and not more of it than a line holds."""
    return repr(text if len(text) <= most else text[: most - 1] + "…")
