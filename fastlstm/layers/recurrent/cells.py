"""What the recurrent layers and their machinery must know of a cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlstm import init
from fastlstm._kernels.options import Options

Shape = tuple[int, ...]

LIMITS = {np.dtype(dtype): np.finfo(dtype).max / 2**32 for dtype in ("float32", "float64")}
"""The largest number of each dtype that a bounded cell reads."""

SMALL = 1 << 12
"""Numbers up to which NumPy's BLAS starts no threads."""


class Phase(NamedTuple):
    """One phase of a step. A unit that needs what others have made of the same step takes another phase.

    Attributes
    ----------
    kernel : str
        The name of its kernels.
    gates : slice
        Which of the cell's gates, and of their sums, are its own.
    options : Options or None
        What its kernels are told.
    draws : tuple of str
        Which of the masks of `masks.LayerMasks` it reads.
    projects : bool, default False
        Whether its weights are those of the projection, weight_hr, and its units the numbers of h.
    part : "h", "x" or "rows", optional
        Of a layer norm: whether it has but the sums U h, those W x, or takes whole rows of both.
    """

    kernel: str
    gates: slice
    options: Options | None
    draws: tuple[str, ...]
    projects: bool = False
    part: str | None = None


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
    two_biases : bool, default False
        Whether each gate has a bias beside W and one beside U, as in PyTorch, instead of each sum having one.
    options : Options, optional
        What a cell with options is told.
    recurs : bool, default True
        Whether there is a U, which sees h.
    starts : tuple of float, default ()
        What each number of the parts of a state begins with; empty for zeros.
    projection : int, optional
        P: h is the product of a matrix (P, H) with what the units put out (Sak et al. 2014).
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
    two_biases: bool = False
    recurs: bool = True
    starts: tuple[float, ...] = ()
    projection: int | None = None

    @property
    def norms(self) -> bool:
        """Whether it has a layer norm."""
        return self.options is not None and self.options.norm > 0

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of a step on packed weights, the first one first."""
        whole, *last = self.plain_phases
        if not self.norms:
            return self.plain_phases
        sums = "lstm_coupled_sums" if self.gates == 3 else "lstm_sums"
        draws = tuple(name for name in whole.draws if name != "state")
        return (
            Phase(sums, whole.gates, whole.options, ("state",), part="h"),
            Phase(sums, whole.gates, whole.options, (), part="x"),
            whole._replace(draws=draws, part="rows"),
            *last,
        )

    @cached_property
    def plain_phases(self) -> tuple[Phase, ...]:
        """Those on the plain path."""
        every, o = ("zone_h", "zone_c", "candidate", "state"), self.options
        if self.name == GRU_BEFORE.name:
            assert o is not None
            reset = changed(o, zone_h=0.0, candidate_rate=0.0)
            return (
                Phase("gru_reset", slice(0, 2), reset, ("state",)),
                Phase("gru_candidate", slice(2, 3), changed(o, state_rate=0.0), ("zone_h", "candidate")),
            )
        whole = Phase(self.name, slice(0, self.gates), o, every)
        if self.projection is None:
            return (whole,)
        last = Phase("identity", slice(0, 0), None, (), projects=True)
        if o is not None and o.zone_h:
            shown = Options(candidate=("affine", 1.0, 0.0), zone_h=o.zone_h)
            last = Phase("simple_options", slice(0, 0), shown, ("zone_h",), projects=True)
        if o is not None:
            whole = whole._replace(options=changed(o, zone_h=0.0), draws=every[1:])
        return whole, last

    @property
    def hands_on(self) -> bool:
        """Whether the c of the first phase is for the second one, and no part of the state."""
        return len(self.phases) > 1 and not self.c_parts

    def widths(self, hidden: int) -> tuple[int, ...]:
        """The numbers of each part of the state."""
        return tuple(self.projection or hidden if part == "h" else hidden for part in self.parts)

    @property
    def c_parts(self) -> int:
        """The parts of its state beside h, which its kernels hold side by side as their c."""
        return len(self.parts) - 1

    def shapes(self, inputs: int, hidden: int) -> dict[str, Shape]:
        """The shapes of the parameters of one direction of one layer."""
        rows, seen = self.gates * hidden, self.projection or hidden
        shapes: dict[str, Shape] = {"weight_ih": (rows, inputs)}
        if self.recurs:
            shapes["weight_hh"] = (rows, seen)
        if self.two_biases:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        else:
            shapes["bias"] = (rows if self.norms else self.sums * hidden,)
        if self.peephole:
            shapes["peephole"] = ((self.gates - 1 if self.norms else self.own) * hidden,)
        if self.norms:
            shapes |= {"scale_ih": (rows,), "scale_hh": (rows,), "scale_c": (hidden,), "shift_c": (hidden,)}
        if self.projection is not None:
            shapes["weight_hr"] = (self.projection, hidden)
        return shapes

    def one_bias(self, bias_ih: NDArray[Any], bias_hh: NDArray[Any]) -> NDArray[Any]:
        """The bias of each sum (S·H), from the two of each gate (G·H)."""
        bias = np.zeros((self.sums, len(bias_ih) // self.gates), bias_ih.dtype)
        bias[: self.gates] = bias_ih.reshape(self.gates, -1)
        for gate, block in zip(self.state_feeds, bias_hh.reshape(self.gates, -1), strict=True):
            bias[gate] += block
        return bias.reshape(-1)

    def saturated(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values clipped to what sums of products can hold, so that no sum is infinite minus infinite.

        Larger numbers would saturate the activations, too. A cell that is not bounded takes values as they are.
        """
        limit = LIMITS[values.dtype]
        if not self.bounded or (values.size <= SMALL and np.vdot(values, values) <= limit):
            return values  # no number is beyond the root of that sum
        if -limit <= values.min() and values.max() <= limit:
            return values
        return values.clip(-limit, limit)


def changed(options: Options, **numbers: float) -> Options:
    """The same options, but for some rates."""
    names = ("clip", "cell_clip", "zone_h", "zone_c", "candidate_rate", "state_rate", "norm")
    kept = {name: numbers.get(name, getattr(options, name)) for name in names}
    return Options(options.gate, options.candidate, options.output, **kept)


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

LSTM_NORM = Cell(*("lstm_norm", 4, 8, (4, 5, 6, 7), ("h", "c")), bounded=True, own=17, options=Options(norm=1e-5))
"""Gates i, f, g, o; the sums are those of W x and of U h. The own weights of a unit are the peepholes of i, f and o,
bias, scale of W x and scale of U h of each gate, and scale and shift of c."""

LSTM_NORM_COUPLED = Cell(
    *("lstm_norm_coupled", 3, 6, (3, 4, 5), ("h", "c")), bounded=True, own=13, options=Options(norm=1e-5)
)
"""The same without f."""

GRU_OPTIONS = Cell("gru_options", gates=3, sums=4, state_feeds=(0, 1, 3), parts=("h",), bounded=True, options=Options())
"""As GRU."""

GRU_BEFORE = Cell("gru_before", gates=3, sums=3, state_feeds=(0, 1, 2), parts=("h",), bounded=True, options=Options())
"""Gates r, z, n; the reset gate scales h before the product of U for n."""

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

MIN_LSTM = Cell(
    "min_lstm", gates=3, sums=3, state_feeds=(0, 1, 2), parts=("h",), bounded=False, options=Options(), recurs=False
)
"""Gates f, i, g; there is no U."""

MIN_LSTM_POSITIVE = replace(MIN_LSTM, name="min_lstm_positive")
"""The same with a positive g."""

EMPTY = -1e30
"""The logarithm of a weight that is as good as zero: that of what an sLSTM has written before its first step."""

SLSTM = Cell(*("slstm", 4, 4, (0, 1, 2, 3), ("h", "c", "n")), bounded=True, options=Options(), starts=(0.0, 0.0, EMPTY))
"""Gates i, f, z, o."""

SLSTM_EXP = replace(SLSTM, name="slstm_exp")
"""The same with an exponential forget gate."""
