"""Gradients that travel between ranks in 16 bits. What is lost by rounding is added to the next ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.narrow import rounded
from fastlstm.snapshot import State
from fastlstm.training.exchange import Exchange

Array = NDArray[Any]

KINDS = ("bfloat16", "float16")


class Wire:
    """The sum of an array over all ranks, of means of gradients that are rounded to 16 bits.

    Each rank sends the parts of its array to the ranks that add them up, and each of these sends its sums to all,
    rounded as well. The error of each rounding is kept, and added before the next one (error feedback, Seide et al.
    2014), so that nothing is lost for good.

    Parameters
    ----------
    kind : "bfloat16" or "float16"
    exchange : Exchange
    """

    def __init__(self, kind: str, exchange: Exchange) -> None:
        self._kind, self._exchange = kind, exchange
        self._size = 0
        self._sent = self._summed = np.zeros(0)  # what was lost of this rank's gradients, and of the sums that it makes

    def sum(self, array: Array, counted: float) -> None:
        """Replace a contiguous array by its sum over all ranks, divided by `counted`."""
        ranks, what = self._exchange.size, "the gradients of a step"
        width = -(-array.size // ranks)
        if self._size != array.size:
            self._size = array.size
            self._sent, self._summed = np.zeros(width * ranks, array.dtype), np.zeros(width, array.dtype)
        mean = self._sent
        mean[: array.size] += array * (1 / counted if counted else 0)
        parts, widened = self._rounded(mean)
        mean -= widened
        total = self._summed
        for part in self._exchange.exchange(parts.reshape(ranks, -1), what):
            total += self._widened(part)
        numbers, widened = self._rounded(total)
        total -= widened
        array[...] = self._widened(self._exchange.gather(numbers, what).reshape(-1))[: array.size]

    def _rounded(self, values: Array) -> tuple[Array, Array]:
        """The numbers in 16 bits, as bytes, and what they are now."""
        with np.errstate(over="ignore"):
            short = (
                rounded("bfloat16", values.astype(np.float32))[0] if self._is_bfloat16 else values.astype(np.float16)
            )
        numbers = short.view(np.uint8)
        return numbers, self._widened(numbers)

    def _widened(self, numbers: Array) -> Array:
        short = np.ascontiguousarray(numbers).view(np.uint16 if self._is_bfloat16 else np.float16)
        wide = (short.astype(np.uint32) << 16).view(np.float32) if self._is_bfloat16 else short
        return wide.astype(self._sent.dtype)

    @property
    def _is_bfloat16(self) -> bool:
        return self._kind == "bfloat16"

    def state(self) -> State:
        """What this rank has lost and not added yet."""
        return {"size": self._size, "sent": self._sent, "summed": self._summed}

    def restore(self, states: list[State]) -> None:
        """Go on from the states of all ranks. If these were more or fewer, rank 0 adds all that was lost."""
        rank, size = self._exchange.rank, self._exchange.size
        n = states[0]["size"]
        self._size = n
        if len(states) == size:
            self._sent, self._summed = states[rank]["sent"].copy(), states[rank]["summed"].copy()
            return
        lost = np.sum([state["sent"][:n] for state in states], axis=0)
        lost += np.concatenate([state["summed"] for state in states])[:n]
        width = -(-n // size)
        self._sent, self._summed = np.zeros(width * size, lost.dtype), np.zeros(width, lost.dtype)
        if rank == 0:
            self._sent[:n] = lost
