"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

MODEL = "model.safetensors"
"""The name of the model in an output folder."""

MEGABYTE = 1_000_000
LARGEST = 10**9
"""The largest number for an option: more fits on no machine, nor into every number of C."""

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


class UsageError(ValueError):
    """The error for wrong usage. The exit status is 2, as for an option that does not exist."""


@contextmanager
def usage() -> Iterator[None]:
    """Turn a ValueError within this context into a `UsageError`: the options are wrong, not the data."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error


def add_output(parser: argparse.ArgumentParser, folder: str) -> None:
    """Add --seed, --output with its default folder, and --force."""
    add_seed(parser)
    parser.add_argument(
        "--output", type=path, default=Path(folder), metavar="DIR", help="folder to write to (default: %(default)s)"
    )
    add_force(parser)


def add_parts(parser: argparse.ArgumentParser, test: float) -> None:
    """Add --validation and --test, two parts that are not learned from: one to choose the epoch by, one to test on."""
    for name, default, use in (
        ("validation", 0.1, "to choose the epoch by"),
        ("test", test, "to measure on at the end"),
    ):
        parser.add_argument(
            f"--{name}", type=float, default=default, metavar="SHARE", help=f"{use}, of 1 (default: %(default)s)"
        )


def check_parts(options: argparse.Namespace) -> None:
    """Require that the training, validation and test parts are not empty."""
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
    """Add --max-megabytes, whose value is kept in bytes."""
    parser.add_argument(
        "--max-megabytes",
        type=megabytes,
        default=default,
        dest="max_bytes",
        metavar="N",
        help=f"{what} may take unpacked (default: {default // MEGABYTE})",
    )


def megabytes(text: str) -> int:
    """A number of megabytes, in bytes."""
    return count(text) * MEGABYTE


def count(text: str) -> int:
    """A whole number from 1."""
    return at_most(LARGEST)(text)


def at_most(largest: int) -> Callable[[str], int]:
    """A function that reads a whole number from 1 to this one."""

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
    """The number of some decimal digits; a huge one for 100 digits or more, as Python reads at most 4,300."""
    return int(text) if len(text) < 100 else 10**100


def path(text: str) -> Path:
    """A path. An empty one is refused: it may come from an unset variable, and would mean the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got ''")
    return Path(text)


def source(text: str) -> Path:
    """A path to read from. A device is refused: it may never end, or wait for ever. A pipe is allowed."""
    found = path(text)
    with suppress(OSError, ValueError):  # opening it will report what is wrong
        if found.is_char_device() or found.is_block_device() or found.is_socket():
            raise argparse.ArgumentTypeError(f"expected a file, got the device {text}")
    return found


def shortened(text: str, most: int = 40) -> str:
    """The text in quotes, shortened to fit into a line."""
    return repr(text if len(text) <= most else text[: most - 1] + "…")
