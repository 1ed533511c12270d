"""The ranks that train a model together, as the loop sees them. One process on its own is the simplest case."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.metrics import Accumulator
from fastlstm.model import Model, Tape
from fastlstm.model.tape_state import joined_states, state_of_rows
from fastlstm.snapshot import State
from fastlstm.training.batch import Batch
from fastlstm.training.buckets import Buckets
from fastlstm.training.checked import digest
from fastlstm.training.exchange import Exchange
from fastlstm.training.local import Local
from fastlstm.training.objective import Objective
from fastlstm.training.pieces import Pieces
from fastlstm.training.shares import Share, shares_of
from fastlstm.training.wire import Wire

Array = NDArray[Any]


class Ranks:
    """The parts that each batch is cut into, and what is put together from them.

    Parameters
    ----------
    exchange : Exchange, optional
        None if this process trains on its own.
    pieces : int, optional
        Parts of a batch whose sums have the same bits on any number of ranks; by default each rank has one part.
    wire : Wire, optional
        How gradients travel, if not as they are.
    local : Local, optional
        How parameters are averaged, if ranks take steps of their own.
    """

    def __init__(
        self,
        exchange: Exchange | None = None,
        pieces: int | None = None,
        wire: Wire | None = None,
        local: Local | None = None,
    ) -> None:
        self.exchange, self.pieces, self.wire, self.local = exchange, pieces, wire, local
        self.rank, self.size = (0, 1) if exchange is None else (exchange.rank, exchange.size)
        self.shares: Sequence[Share] = shares_of(self.rank, self.size, pieces)
        self._most = max(len(shares_of(rank, self.size, pieces)) for rank in range(self.size))

    def tapes(
        self, model: Model, seed: int | None = 0, *, carry: bool = False, precision: str | None = None
    ) -> list[Tape]:
        """A tape for each part of this rank. All have the same masks, of which each takes those of its rows."""
        tapes = [model.tape(seed, carry=carry, precision=precision) for _ in self.shares]
        if self.exchange is not None and self.pieces is None:
            for tape in tapes:
                tape.part.sum = self.exchange.sum
        return tapes

    @property
    def parted(self) -> bool:
        """Whether a batch is cut into parts."""
        return self.shares[0].of > 1

    def joining(self, model: Model) -> Buckets | Pieces | None:
        """How gradients of all parts are added up."""
        if self.pieces is not None:
            return Pieces(model.parameters(), self.shares, self.exchange)
        if self.exchange is None or self.local is not None:
            return None
        return Buckets(model.layers, self.exchange, self.wire)

    @contextmanager
    def together(self, what: str) -> Iterator[None]:
        """Raise on every rank if one rank has an error within this context, in which ranks tell each other nothing."""
        if self.exchange is None:
            yield
            return
        with self.exchange.together(what):
            yield

    def require_same(self, what: str, found: Callable[[], State]) -> None:
        """Raise on every rank if what is found on a rank is not what is found on rank 0."""
        if self.exchange is not None:
            self.exchange.require_same(what, found())

    def first(self, function: Callable[[], State | None], what: str) -> State | None:
        """What a function returns on rank 0, on every rank. Its error is raised on every rank."""
        if self.exchange is None:
            return function()
        found = None
        with self.exchange.together(what):
            if self.rank == 0:
                found = function()
        return self.exchange.share(found, what)

    def first_of(self, word: str) -> str:
        """The first word that is not empty, by rank."""
        if self.exchange is None:
            return word
        words = [state["word"] for state in self.exchange.gather_states({"word": word}, "an error")]
        return next(filter(None, words), "")

    def agreed(self, error: Exception) -> Exception:
        """An error that every rank raises now."""
        return error if self.exchange is None else self.exchange.agreed(error)

    @contextmanager
    def ending_at_errors(self) -> Iterator[None]:
        """End all ranks at an error in this context, unless all have it: the others wait for this one."""
        try:
            yield
        except BaseException as error:
            if self.exchange is not None:
                self.exchange.fail(error)
            raise

    def totals(self, numbers: Array, what: str = "the numbers of a batch") -> Array:
        """The sums over all parts of numbers (parts, n). Their order does not matter if there are `pieces`."""
        if self.exchange is not None and self.pieces is None:
            found: Array = numbers.sum(0)
            self.exchange.sum(found, what)
            return found
        if self.exchange is not None:
            padded = np.zeros((self._most, numbers.shape[1]))
            padded[: len(numbers)] = numbers
            numbers = self.exchange.gather(padded, what).reshape(-1, numbers.shape[1])
        return np.array([math.fsum(column) if np.isfinite(column).all() else column.sum() for column in numbers.T])

    def evaluate(self, objective: Objective, batches: Iterable[Sequence[Batch]], tapes: Sequence[Tape]) -> State:
        """The loss and the metrics over all parts of all batches, without training."""
        if not self.parted:
            return objective.evaluate((batch for (batch,) in batches), tapes[0])
        figures, losses = objective.figures(), []
        for parts in batches:
            for batch, tape in zip(parts, tapes, strict=True):
                pred = objective.forward(batch, tape, training=False)
                value = 0.0 if pred is None else objective.value(pred, batch, tape)[0]
                losses.append(objective.weighted(value, batch))
                objective.measure(figures, batch, pred)
        everywhere = [{"losses": losses}]
        if self.exchange is not None:
            everywhere = self.exchange.gather_states({"losses": losses}, "an evaluation")
        found = [pair for state in everywhere for pair in state["losses"]]
        finite = all(math.isfinite(total) for total, _ in found)
        add = math.fsum if finite else sum
        figures.count("loss", add(total for total, _ in found), add(of for _, of in found))
        return self.merged(figures, "an evaluation").means()

    def merged(self, figures: Accumulator, what: str) -> Accumulator:
        """The metrics of all ranks together. Figures that are no metrics are the same on all of them."""
        if self.exchange is not None and figures.measured:
            states = self.exchange.gather_states(figures.state(), what)
            figures = figures.merged(states)
        return figures

    def tape_state(self, tapes: Sequence[Tape]) -> State:
        """The state of the tapes of all parts as that of one tape for the whole batch."""
        states = [tape.state() for tape in tapes]
        if self.exchange is not None:
            gathered = self.exchange.gather_states({"tapes": states}, "a checkpoint")
            states = [state for each in gathered for state in each["tapes"]]
        return joined_states(states) if len(states) > 1 else states[0]

    def own_states(self, figures: Accumulator) -> State:
        """What each rank has for itself: its metrics so far, and what it has lost by rounding its gradients."""
        if self.exchange is None:
            return {}
        wire = {} if self.wire is None else self.wire.state()
        return {"ranks": self.exchange.gather_states({"figures": figures.state(), "wire": wire}, "a checkpoint")}

    def restore_own(self, figures: Accumulator, state: State) -> None:
        """Go on from what `own_states` has left in the state of a training, whose figures have been restored.

        If there were more or fewer ranks, rank 0 has the metrics of all of them.
        """
        states = state.get("ranks", [])
        if len(states) == self.size > 1:
            figures.restore({**states[self.rank]["figures"], "loss.sums": state["figures"]["loss.sums"]})
        elif self.rank:
            figures._forget_metrics()
        if self.wire is not None and states:
            self.wire.restore([each["wire"] for each in states])

    def restore_tapes(self, tapes: Sequence[Tape], state: State) -> None:
        """Give each tape its part of what `tape_state` has returned."""
        for tape, share in zip(tapes, self.shares, strict=True):
            tape.restore(state if share.of == 1 else state_of_rows(state, share.rows(state["rows"])))


def digest_of(model: Model) -> str:
    """A word that differs for models with other parameters or buffers."""
    arrays = (*model.named_parameters().values(), *model.named_buffers().values())
    return digest(*(array._glance() for array in arrays), most_bytes=1 << 62)
