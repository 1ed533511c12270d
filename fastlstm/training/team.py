"""With whom a trainer trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastlstm import _check
from fastlstm.communicator import Communicator
from fastlstm.model import Model
from fastlstm.training.exchange import Exchange
from fastlstm.training.local import Local
from fastlstm.training.ranks import Ranks
from fastlstm.training.shares import PIECES
from fastlstm.training.wire import KINDS, Wire


class Team:
    """The arguments of a trainer that are about other processes, checked.

    Parameters
    ----------
    model : Model
    communicator : Communicator or None
    reproducible : bool or int
    wire : "bfloat16", "float16" or None
    average_every : int or None
    """

    def __init__(self, model: Model, communicator: Any, reproducible: Any, wire: Any, average_every: Any) -> None:
        if communicator is not None and not isinstance(communicator, Communicator):
            raise TypeError(
                "communicator: expected one such as fastlstm.distributed.mpi() or fastlstm.distributed.torch(), got "
                f"{type(communicator).__name__}"
            )
        self.communicator: Communicator | None = communicator
        self.size = 1 if communicator is None else communicator.size
        self.pieces = pieces_of(reproducible, self.size, model)
        if wire is not None and wire not in KINDS:
            raise ValueError(f"wire: expected one of {KINDS} or None, got {wire!r}")
        if wire is not None and self.pieces is not None:
            raise ValueError("wire: expected None with reproducible, whose sums must not depend on the ranks")
        self.wire: str | None = wire
        self.average_every = None if average_every is None else _check.positive_int(average_every, "average_every")
        if average_every is not None and (wire is not None or self.pieces is not None):
            raise ValueError("average_every: expected None with reproducible or wire, which are about gradients")

    @contextmanager
    def meet(self) -> Iterator[Ranks]:
        """The ranks of a training or an evaluation, within which the time that one waits for the others is limited."""
        if self.communicator is None or self.size == 1:
            yield Ranks(None, self.pieces)
            return
        with Exchange(self.communicator) as exchange:
            wire = None if self.wire is None else Wire(self.wire, exchange)
            local = None if self.average_every is None else Local(exchange, self.average_every)
            yield Ranks(exchange, self.pieces, wire, local)


def pieces_of(reproducible: Any, size: int, model: Model) -> int | None:
    """The pieces of a batch that `reproducible` asks for, or None."""
    if isinstance(reproducible, bool):
        pieces = PIECES if reproducible else None
    else:
        pieces = _check.positive_int(reproducible, "reproducible")
    if pieces is None:
        return None
    if pieces < size:
        raise ValueError(
            f"reproducible: expected at least {size}, a piece of each batch for each rank, got {pieces}: give a number"
        )
    for i, layer in enumerate(model.layers):
        if layer.mixes_rows:
            raise ValueError(
                f"reproducible: expected layers that compute each sequence by itself, got {type(layer).__name__} at {i}"
            )
    return pieces
