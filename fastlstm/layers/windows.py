"""The windows of neighbouring steps that a convolution or a pool looks at: where they lie, and how many there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm._check import Shape, describe
from fastlstm._kernels.stage import Stage
from fastlstm._kernels.steps import take_steps
from fastlstm.layers.base import Array, Index, as_rows
from fastlstm.workspace import Workspace

Padding = str | int | tuple[int, int]
"""A padding as an argument: "valid", "same" or "causal", or numbers of steps at both ends, or at each."""

Sides = tuple[int, int] | None
"""Steps of padding before the first step and behind the last one; None for "same"."""

KEEP = -2
"""The place of a row that `take_steps` leaves as it is."""

MOST = 1 << 31
"""Above any size of a window, and any number of steps."""


@dataclass(frozen=True)
class Windows:
    """Windows of `size` steps, `dilation` apart, the first steps of which are `stride` apart.

    Each sequence of a ragged batch has the windows that it has alone. What they see of steps before its first and
    behind its last one is padding.
    """

    size: int
    stride: int
    dilation: int
    sides: Sides
    mode: str = "zeros"

    @property
    def reach(self) -> int:
        """The steps from the first to the last one of a window."""
        return (self.size - 1) * self.dilation

    @property
    def keeps_steps(self) -> bool:
        """Whether there are as many windows as steps."""
        return self.stride == 1 and (self.sides is None or sum(self.sides) == self.reach)

    @property
    def is_causal(self) -> bool:
        """Whether there is a window that ends at each step."""
        within = self.reach == 0 or (self.sides == (self.reach, 0) and self.mode == "zeros")
        return self.stride == 1 and within

    def counts(self, steps: Any) -> Any:
        """The number of windows of a sequence of so many steps, also of several; none of one without a step."""
        if self.sides is None:
            return -(-steps // self.stride)
        found = np.maximum((steps + sum(self.sides) - self.reach - 1) // self.stride + 1, 0)
        return np.where(steps > 0, found, 0)

    def before(self, steps: Any) -> Any:
        """The steps of padding before the first step. Of "same" an odd one stands behind the last step."""
        if self.sides is not None:
            return np.full_like(steps, self.sides[0])
        return np.maximum((self.counts(steps) - 1) * self.stride + self.reach + 1 - steps, 0) // 2

    def output_steps(self, steps: int | str) -> int | str:
        """What becomes of the axis of time. Of a name "T" that changes it is "T'"."""
        if isinstance(steps, str):
            return steps if self.keeps_steps else steps + "'"
        count = int(self.counts(steps))
        if count < 1:
            need = self.reach + 1 - sum(self.sides or (0, 0))
            raise ValueError(f"x: expected at least {need} steps, as many as a window sees, got {steps}")
        return count

    def output_shape(self, shape: Shape, features: int | str, name: str) -> Shape:
        """The shape of a layer's output; ValueError if it gets no sequences."""
        if len(shape) != 3:
            raise ValueError(f"{name} takes sequences (N, T, F), got {describe(shape)}")
        return (shape[0], self.output_steps(shape[1]), features)

    def output_lengths(self, lengths: Index) -> Index:
        """Those of the outputs; the same object if nothing changes."""
        return lengths if self.keeps_steps else np.asarray(self.counts(lengths), np.intp)

    def places(self, n: int, t: int, lengths: Index | None) -> Index:
        """The rows of a batch (N·T, F) that the windows see, (N, T', size). A row of padding is -1."""
        steps = np.full(n, t) if lengths is None else lengths
        # where sequences have lengths, all of them may be too short for a window
        count = self.output_steps(t) if lengths is None else max(int(self.counts(t)), 1)
        window = np.arange(count)
        first = window * self.stride - self.before(steps)[:, None]
        step = first[:, :, None] + np.arange(self.size) * self.dilation
        there = np.broadcast_to((window < self.counts(steps)[:, None])[:, :, None], step.shape)
        step = MODES[self.mode](step, steps[:, None, None])
        real = there & (step >= 0) & (step < steps[:, None, None])
        step = step + np.arange(n)[:, None, None] * t
        return np.where(real, step, -1)

    def kept(self, n: int, t: int, lengths: Index | None, tape: Workspace) -> Index:
        """`places`, those of full sequences from the last call over the tape where they are the same."""
        if lengths is not None:
            return self.places(n, t, lengths)
        key = (self, n, t)
        known: tuple[Any, Index] | None = tape.notes.get("places")
        if known is None or known[0] != key:
            known = tape.notes["places"] = (key, self.places(n, t, None))
        return known[1]


def _reflected(step: Index, steps: Index) -> Index:
    step = np.abs(step)
    return np.where(step < steps, step, 2 * (steps - 1) - step)


MODES: dict[str, Callable[[Index, Index], Index]] = {
    "zeros": lambda step, steps: step,
    "reflect": _reflected,
    "replicate": lambda step, steps: np.clip(step, 0, steps - 1),
    "circular": lambda step, steps: step % np.maximum(steps, 1),
}
"""What padding shows: the step of the sequence that stands for one before its first or behind its last one. Steps that
are still outside are zeros."""


def windows_of(kernel_size: Any, stride: Any, dilation: Any, padding: Any, mode: Any = "zeros") -> Windows:
    """The arguments of a layer of these names, checked."""
    size = _check.positive_int(kernel_size, "kernel_size", MOST)
    stride, dilation = _check.positive_int(stride, "stride", MOST), _check.positive_int(dilation, "dilation", MOST)
    if not isinstance(mode, str) or mode not in MODES:
        raise ValueError(f"padding_mode: expected {', '.join(map(repr, MODES))}, got {mode!r:.80}")
    return Windows(size, stride, dilation, sides_of(padding, (size - 1) * dilation), mode)


NAMED: dict[str, Callable[[int], Sides]] = {
    "valid": lambda reach: (0, 0),
    "same": lambda reach: None,
    "causal": lambda reach: (reach, 0),
}


def sides_of(padding: Any, reach: int) -> Sides:
    """The sides that an argument `padding` asks for."""
    if isinstance(padding, str) and padding in NAMED:
        return NAMED[padding](reach)
    both = padding if isinstance(padding, tuple | list) else (padding, padding)
    if isinstance(padding, str) or len(both) != 2:
        raise ValueError(f"padding: expected 'valid', 'same', 'causal', a number or two, got {padding!r:.80}")
    for side in both:
        if isinstance(side, bool) or not isinstance(side, int | np.integer):
            raise TypeError(f"padding: expected 'valid', 'same', 'causal', a number or two, got {padding!r:.80}")
        if not 0 <= side <= reach:  # else windows would see nothing but padding
            raise ValueError(
                f"padding: expected numbers from 0 to {reach}, the steps from the first to the last of a window, got "
                f"{padding!r:.80}"
            )
    return int(both[0]), int(both[1])


def told(padding: Padding) -> str | int | list[int]:
    """A padding, which `sides_of` has checked, for a layer's config."""
    if isinstance(padding, str):
        return padding
    return [int(side) for side in padding] if isinstance(padding, tuple | list) else int(padding)


def stages_of_stream(x: Array, places: Index, columns: Array, past: Array) -> list[Stage]:
    """Stages that write what windows see of the next steps x (N, T, I) of a stream, and of those before them.

    `past` (reach, N, I) is the latter, and then the last of both. None are needed where windows see one step.
    """
    reach, n, t, size = len(past), *x.shape
    if not reach:
        return []
    old, new, out = past.reshape(-1, size), as_rows(x), columns.reshape(-1, size)
    row, step = np.divmod(places.reshape(-1), reach + t)
    last, own = (array.reshape(-1) for array in np.meshgrid(np.arange(t, t + reach), np.arange(n), indexing="ij"))

    def takes(row: Index, step: Index, out: Array) -> list[Stage]:
        is_old = step < reach
        return [
            take_steps(old, np.where(is_old, step * n + row, KEEP), out, alone=True),
            take_steps(new, np.where(is_old, KEEP, row * t + step - reach), out),
        ]

    return takes(row, step, out) + takes(own, last, old)
