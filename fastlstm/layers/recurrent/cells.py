"""What the recurrent layers and their machinery must know of a cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm import init
from fastlstm._kernels.options import Options

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Cell:
    """A recurrent cell: its gates, the sums that they add up to, and its state.

    The sums of a cell are the pre-activations that its step starts from. The weights of each gate feed one of them with
    W x, and one with U h. An LSTM adds both to the same sum. A GRU whose reset gate comes after the product keeps W x
    and U h of its candidate apart.

    Attributes
    ----------
    name : str
        The name of its kernels.
    gates : int
        G: blocks of H rows of weight_ih and of weight_hh.
    sums : int
        Blocks of H numbers of the bias.
    state_feeds : tuple of int
        The sum that U h of each gate is added to. W x is added to the sums 0 to G - 1.
    parts : tuple of str
        The parts of the state. The first is h, the output.
    bounded : bool
        Whether huge inputs and states saturate the activations, so that they may be clipped.
    recurrent : function, default `init.orthogonal`
        Makes the starting values of weight_hh. It takes the number of ``blocks`` of rows.
    own : int, default 0
        Weights that each unit has for itself: blocks of H numbers.
    peephole : bool, default False
        Whether these are a parameter; otherwise they are zeros.
    options : Options, optional
        What a cell with options is told.
    """

    name: str
    gates: int
    sums: int
    state_feeds: tuple[int, ...]
    parts: tuple[str, ...]
    bounded: bool
    recurrent: Callable[..., NDArray[np.float64]] = init.orthogonal
    own: int = 0
    peephole: bool = False
    options: Options | None = None

    @property
    def keeps_c(self) -> bool:
        """Whether its state has a part c beside h."""
        return "c" in self.parts

    def shapes(self, inputs: int, hidden: int) -> dict[str, Shape]:
        """The shapes of the parameters of one direction of one layer."""
        rows = self.gates * hidden
        shapes: dict[str, Shape] = {"weight_ih": (rows, inputs), "weight_hh": (rows, hidden)}
        shapes["bias"] = (self.sums * hidden,)
        return {**shapes, "peephole": (self.own * hidden,)} if self.peephole else shapes

    def saturated(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values clipped to what sums of products can hold, so that no sum is infinite minus infinite.

        Larger numbers would saturate the activations, too. A cell that is not bounded takes values as they are.
        """
        limit = np.finfo(values.dtype).max / 2**32
        if not self.bounded or (-limit <= values.min() and values.max() <= limit):
            return values
        return values.clip(-limit, limit)


LSTM = Cell("lstm", gates=4, sums=4, state_feeds=(0, 1, 2, 3), parts=("h", "c"), bounded=True)
"""Gates i, f, g, o."""

LSTM_OPTIONS = Cell(
    "lstm_options", gates=4, sums=4, state_feeds=(0, 1, 2, 3), parts=("h", "c"), bounded=True, own=3, options=Options()
)
"""Gates i, f, g, o; the own weights of a unit are those of i, f and o."""

LSTM_COUPLED = Cell(
    "lstm_coupled", gates=3, sums=3, state_feeds=(0, 1, 2), parts=("h", "c"), bounded=True, own=2, options=Options()
)
"""Gates i, g, o; the own weights of a unit are those of i and o."""

GRU_OPTIONS = Cell("gru_options", gates=3, sums=4, state_feeds=(0, 1, 3), parts=("h",), bounded=True, options=Options())
"""As GRU."""

SIMPLE_OPTIONS = Cell(
    "simple_options", gates=1, sums=1, state_feeds=(0,), parts=("h",), bounded=True, options=Options()
)
"""The simple recurrent network with any function."""

GRU = Cell("gru", gates=3, sums=4, state_feeds=(0, 1, 3), parts=("h",), bounded=True)
"""Gates r, z, n; the sums are those of r, z, of W x of n and of U h of n."""

TANH = Cell("tanh", gates=1, sums=1, state_feeds=(0,), parts=("h",), bounded=True)
"""The simple recurrent network with tanh."""

RELU = Cell("relu", gates=1, sums=1, state_feeds=(0,), parts=("h",), bounded=False, recurrent=init.identity)
"""The simple recurrent network with max(0, ·)."""
