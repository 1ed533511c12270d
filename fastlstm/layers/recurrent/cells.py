"""What the recurrent layers and their machinery must know of a cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import init

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Cell:
    """A recurrent cell: how many gates it has, what they add up to, and what its state is.

    The sums of a cell are the pre-activations that its step starts from. The weights of each gate feed one of them with
    W x, and one with U h. An LSTM adds both to the same sum. A GRU whose reset gate comes after the product keeps W x
    and U h of its candidate apart.

    Attributes
    ----------
    name : str
        Of its kernels.
    gates : int
        G: blocks of H rows of weight_ih and of weight_hh.
    sums : int
        Blocks of H numbers of the bias.
    state_feeds : tuple of int
        The sum that U h of each gate is added to. W x is added to the sums 0 to G - 1.
    parts : tuple of str
        Of the state; the first is h, the output.
    bounded : bool
        Whether huge inputs and states saturate, so that they may be clipped.
    recurrent : function, default `init.orthogonal`
        Starting values of weight_hh, which takes the number of its ``blocks``.
    """

    name: str
    gates: int
    sums: int
    state_feeds: tuple[int, ...]
    parts: tuple[str, ...]
    bounded: bool
    recurrent: Callable[..., NDArray[np.float64]] = init.orthogonal

    @property
    def packed(self) -> bool:
        """Whether there are kernels for it on packed weights; otherwise the plain path serves it."""
        return self.name == "lstm"

    def shapes(self, inputs: int, hidden: int) -> dict[str, Shape]:
        """Of the parameters of one direction of one layer."""
        rows = self.gates * hidden
        return {"weight_ih": (rows, inputs), "weight_hh": (rows, hidden), "bias": (self.sums * hidden,)}

    def saturated(self, values: NDArray[Any]) -> NDArray[Any]:
        """The same within what sums of products can hold, so that none is infinite less infinite.

        Numbers that large saturate the activations, however much larger they are. A cell that is not bounded takes them
        as they are.
        """
        limit = np.finfo(values.dtype).max / 2**32
        if not self.bounded or (-limit <= values.min() and values.max() <= limit):
            return values
        return values.clip(-limit, limit)


LSTM = Cell("lstm", gates=4, sums=4, state_feeds=(0, 1, 2, 3), parts=("h", "c"), bounded=True)
"""Gates i, f, g, o."""

GRU = Cell("gru", gates=3, sums=4, state_feeds=(0, 1, 3), parts=("h",), bounded=True)
"""Gates r, z, n; the sums are those of r, z, of W x of n and of U h of n."""

TANH = Cell("tanh", gates=1, sums=1, state_feeds=(0,), parts=("h",), bounded=True)
"""The simple recurrent network with tanh."""

RELU = Cell("relu", gates=1, sums=1, state_feeds=(0,), parts=("h",), bounded=False, recurrent=init.identity)
"""The simple recurrent network with max(0, ·)."""
