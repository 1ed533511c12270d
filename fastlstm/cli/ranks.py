"""A command that mpiexec has started several times, to train on several processes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from fastlstm import distributed
from fastlstm.training.exchange import Exchange
from fastlstm.training.ranks import Ranks


@contextmanager
def joined(options: argparse.Namespace) -> Iterator[None]:
    """Let a command that trains do so with the other processes that mpiexec has started. Only rank 0 prints.

    An error outside the training is one of all ranks.
    """
    options.ranks, options.communicator, options.left = Ranks(), None, False
    if not trains(options) or distributed.launched() == 1:
        yield
        return
    options.communicator = distributed.mpi()
    with Exchange(options.communicator) as exchange, open(os.devnull, "w", encoding="utf-8") as nothing:
        options.ranks = Ranks(exchange)
        with redirect_stdout(nothing if exchange.rank else sys.stdout):
            try:
                yield
            except Exception as error:
                if hasattr(error, "told_elsewhere") or options.left:
                    raise
                with options.ranks.together("the command"):
                    raise


def trains(options: argparse.Namespace) -> bool:
    """Whether the command trains."""
    found: bool = getattr(options, "trains", False) or (options.command == "speech" and options.words[0] == "train")
    return found
