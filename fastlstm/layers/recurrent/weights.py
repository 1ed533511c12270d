"""The parameters of one direction of one layer: what inference, training and the plain path read."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fastlstm.layers.base import Array
from fastlstm.layers.recurrent.cells import Cell, Phase
from fastlstm.parameter import Parameter

BIASES = ("bias", "bias_ih", "bias_hh")
SCALES = ("scale_ih", "scale_hh", "scale_c", "shift_c")
"""What a layer norm has for each unit."""


class Made:
    """An array that the kernels read, and that is made of several parameters."""

    def __init__(self, cell: Cell, parameters: tuple[Parameter, ...]) -> None:
        self._cell, self.parameters = cell, parameters
        self._sum: Array | None = None
        self._gradient: Array | None = None
        self._versions: tuple[int, ...] = ()

    def _make(self, values: list[Array]) -> Array:
        """A new array of the values of the parameters."""
        raise NotImplementedError

    def _share(self, gradient: Array) -> None:
        """Add the gradient by the array to those of the parameters."""
        raise NotImplementedError

    @property
    def value(self) -> Array:
        """What is made of the parameters, a new array."""
        return self._make([parameter.read() for parameter in self.parameters])

    def _glance(self) -> Array:
        """The same, as of a `Parameter`."""
        return self.value

    def refresh(self) -> None:
        """Bring what `read` has given up to date."""
        self.read()

    def read(self) -> Array:
        """The same in an array that stays where it is, for passes that are run again."""
        versions = tuple(parameter.version for parameter in self.parameters)
        dtype = self.parameters[0].read().dtype
        if self._sum is None or self._sum.dtype != dtype:
            self._sum = self.value
        elif versions != self._versions:
            self._sum[...] = self.value
        self._versions = versions
        return self._sum

    def accumulator(self) -> tuple[Array, bool]:
        """An array for the gradient of a pass, which is to be written; then call `pass_on`. See `Parameter`."""
        bias = self.read()
        if self._gradient is None or self._gradient.dtype != bias.dtype:
            self._gradient = np.empty_like(bias)
        return self._gradient, False

    @property
    def grad(self) -> Array:
        """The same array with zeros, for a pass that adds to it."""
        array, _ = self.accumulator()
        array.fill(0)
        return array

    def pass_on(self) -> None:
        """Add the gradient of a pass to those of the parameters."""
        if self._gradient is not None:  # otherwise no gradient was wanted
            self._share(self._gradient)


class TwoBiases(Made):
    """Two biases of each gate (G·H), as PyTorch has them, and as the kernels read them: one of each sum (S·H).

    Both get the gradient of the sum that they are added to, so that they train as in PyTorch.
    """

    def _make(self, values: list[Array]) -> Array:
        return self._cell.one_bias(*values)

    def _share(self, gradient: Array) -> None:
        blocks = gradient.reshape(self._cell.sums, -1)
        bias_ih, bias_hh = self.parameters
        bias_ih.grad[...] += blocks[: self._cell.gates].reshape(-1)
        bias_hh.grad[...] += blocks[list(self._cell.state_feeds)].reshape(-1)


class Norms(Made):
    """What each unit has for itself in a cell with layer norm (V·H), one after the other.

    The peepholes of i, f and o, or zeros, the bias (G·H) or zeros, the scales of W x and of U h (G·H each), and scale
    and shift of c (H each).
    """

    def __init__(self, cell: Cell, parameters: dict[str, Parameter], suffix: str) -> None:
        every = [name + suffix for name in ("peephole", "bias", *SCALES)]
        super().__init__(cell, tuple(parameters[name] for name in every if name in parameters))
        places = np.cumsum([0, cell.gates - 1, cell.gates, cell.gates, cell.gates, 1, 1])
        self._places = [(place, name in parameters) for place, name in zip(places, every, strict=False)]

    def _make(self, values: list[Array]) -> Array:
        made = np.zeros((self._cell.own, len(values[-1])), values[-1].dtype).reshape(-1)
        for own, value in zip(self._slices(made), values, strict=True):
            own[...] = value
        return made

    def _share(self, gradient: Array) -> None:
        for own, parameter in zip(self._slices(gradient), self.parameters, strict=True):
            parameter.grad[...] += own

    def _slices(self, whole: Array) -> list[Array]:
        """The parts of the whole that are those of the parameters."""
        units = len(whole) // self._cell.own
        sizes = [parameter.size for parameter in self.parameters]
        first = [place * units for place, there in self._places if there]
        return [whole[a : a + size] for a, size in zip(first, sizes, strict=True)]


class Arrays(NamedTuple):
    """The values of the parameters of a direction, or their gradients.

    (G·H, I), (G·H, K) for K numbers of h, (S·H), (V·H) and (P, H). The last three may be None.
    """

    w_ih: Array
    w_hh: Array
    bias: Array | None
    own: Array | None
    w_hr: Array | None


class PhaseOf:
    """A phase of a step of one direction, with its sizes.

    Attributes
    ----------
    phase : Phase
    inputs : int
        The numbers of x that it reads.
    units : int
        Those of its state.
    seen : int
        Those of the state that its U sees.
    c_parts : int
        The numbers of c for each unit, 0 without c.
    puts_out : bool
        Whether it has a state.
    """

    def __init__(self, phase: Phase, cell: Cell, inputs: int, hidden: int, seen: int) -> None:
        self.phase, self.hands_on = phase, cell.hands_on
        self.kernel, self.options = phase.kernel, phase.options
        self.puts_out = phase.part not in ("h", "x")
        self.inputs = 0 if phase.projects or phase.part in ("h", "rows") else inputs
        self.units, self.seen = (cell.projection or hidden) if phase.projects else hidden, seen
        self._rows = slice(phase.gates.start * hidden, phase.gates.stop * hidden)
        self._all = not phase.projects and phase.part is None and phase.gates == slice(0, cell.gates)
        self.gates = 1 if phase.projects or phase.part == "rows" else phase.gates.stop - phase.gates.start
        self.sums = cell.sums if self._all else self.gates
        self.own = cell.own if self._all else cell.own - 1 if phase.part == "rows" else 0
        has_c = not phase.projects and phase.part in (None, "rows")
        self.c_parts = max(cell.c_parts, int(cell.hands_on)) if has_c else 0

    def of(self, arrays: Arrays) -> tuple[Array, Array, Array | None, Array | None]:
        """Its W, U, bias and the weights of each unit for itself, parts of these arrays."""
        if self.phase.projects:
            assert arrays.w_hr is not None
            return np.empty((self.units, 0), arrays.w_hr.dtype), arrays.w_hr, None, None
        w_ih, w_hh, bias, own, _ = arrays
        if self._all:
            return w_ih, w_hh, bias, own
        if self.phase.part is not None:
            return self._of_part(w_ih, w_hh, own)
        rows = self._rows
        return w_ih[rows], w_hh[rows], None if bias is None else bias[rows], None

    def _of_part(self, w_ih: Array, w_hh: Array, own: Array | None) -> tuple[Array, Array, Array | None, Array | None]:
        """The same of a phase of a layer norm; the shift of c takes the place of a bias."""
        none = np.empty((self.gates * self.units, 0), w_ih.dtype)
        if self.phase.part == "h":
            return none, w_hh, None, None
        if self.phase.part == "x":
            return w_ih, none, None, None
        assert own is not None
        return none, none, own[-self.units :], own[: -self.units]


class Weights:
    """The parameters whose names end with a suffix, of all the parameters of a layer.

    Attributes
    ----------
    cell : Cell
    suffix : str
        Such as ``_l0`` for the first layer.
    reverse : bool
        Whether each sequence is read from its end.
    w_ih, w_hh : Parameter
        (G·H, I) and (G·H, K). The second is None for a cell without U.
    bias : Parameter, TwoBiases or None
        (S·H), if there is one.
    own : Parameter, Norms or None
        The weights that each unit has for itself, (V·H), if there are some.
    made : list of Made
        What is made of several parameters, which get its gradient.
    w_hr : Parameter or None
        The projection (P, H), if there is one.
    inputs, hidden, out : int
        I, H, and K, the numbers of h: P if it is projected, otherwise H.
    parameters : list of Parameter
        Those that there are.
    phases, plain_phases : list of PhaseOf
        On packed weights, and on the plain path.
    with_c : int
        Which of `phases` has the c of the state.
    """

    def __init__(self, cell: Cell, parameters: dict[str, Parameter], suffix: str, *, reverse: bool) -> None:
        self.cell, self.suffix, self.reverse = cell, suffix, reverse
        self.w_ih, self.w_hh = parameters["weight_ih" + suffix], parameters.get("weight_hh" + suffix)
        peephole, self.w_hr = parameters.get("peephole" + suffix), parameters.get("weight_hr" + suffix)
        biases = [parameters[name + suffix] for name in BIASES if name + suffix in parameters]
        scales = [parameters[name + suffix] for name in SCALES if name + suffix in parameters]
        two = TwoBiases(cell, (biases[0], biases[1])) if len(biases) == 2 else None
        norms = Norms(cell, parameters, suffix) if scales else None
        self.own: Parameter | Norms | None = norms or peephole
        self.bias: Parameter | TwoBiases | None = None if norms else two or next(iter(biases), None)
        self.made: list[Made] = [made for made in (two, norms) if made is not None]
        every = (self.w_ih, self.w_hh, *biases, peephole, *scales, self.w_hr)
        self.parameters = [parameter for parameter in every if parameter is not None]
        self.inputs, self.hidden = self.w_ih.shape[1], self.w_ih.shape[0] // cell.gates
        self.out = cell.projection or self.hidden
        sees = 0 if self.w_hh is None else self.out
        self.phases = self._sized(cell.phases, sees)
        self.plain_phases = self._sized(cell.plain_phases, sees) if cell.norms else self.phases
        self.with_c = next((i for i, of in enumerate(self.phases) if of.c_parts), 0)

    def _sized(self, phases: tuple[Phase, ...], sees: int) -> list[PhaseOf]:
        """Phases with their sizes. The U of the first one sees so many numbers."""
        found: list[PhaseOf] = []
        for phase in phases:
            seen = 0 if phase.part in ("x", "rows") else found[-1].units if found else sees
            found.append(PhaseOf(phase, self.cell, self.inputs, self.hidden, seen))
        return found

    def read(self) -> Arrays:
        """The values, for a kernel."""
        w_ih, w_hh, bias, own, w_hr = self.w_ih.read(), self.w_hh, self.bias, self.own, self.w_hr
        return Arrays(
            w_ih,
            np.empty((len(w_ih), 0), w_ih.dtype) if w_hh is None else w_hh.read(),
            None if bias is None else bias.read(),
            None if own is None else own.read(),
            None if w_hr is None else w_hr.read(),
        )

    def glance(self) -> Arrays:
        """The values, for somebody who does not keep them."""
        return self._each(lambda parameter: parameter._glance())

    def gradients(self) -> Arrays:
        """The gradients, to add to."""
        return self._each(lambda parameter: parameter.grad)

    def _each(self, of: Callable[[Parameter | Made], Array]) -> Arrays:
        bias, own, w_hr = (None if p is None else of(p) for p in (self.bias, self.own, self.w_hr))
        w_ih = of(self.w_ih)
        w_hh = np.empty((len(w_ih), 0), w_ih.dtype) if self.w_hh is None else of(self.w_hh)
        return Arrays(w_ih, w_hh, bias, own, w_hr)

    def accumulators(self, du: Array | None = None) -> tuple[Arrays, list[bool]]:
        """The arrays of the gradients, and whether to add to each; `du` takes the place of that of w_hh."""
        w_ih, add_ih = self.w_ih.accumulator()
        w_hh, add_hh = du, False
        if w_hh is None and self.w_hh is None:
            w_hh = np.empty((len(w_ih), 0), w_ih.dtype)
        elif w_hh is None:
            assert self.w_hh is not None
            w_hh, add_hh = self.w_hh.accumulator()
        rest = [(None, False) if p is None else p.accumulator() for p in (self.bias, self.own, self.w_hr)]
        arrays = Arrays(w_ih, w_hh, *(array for array, _ in rest))
        return arrays, [add_ih, add_hh, *(adds for _, adds in rest)]
