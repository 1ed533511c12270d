"""The largest of neighbouring steps."""

from __future__ import annotations

import numpy as np

from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.stage import Stage
from fastlstm._kernels.steps import largest_stage
from fastlstm.layers.base import Array, Index, as_rows
from fastlstm.layers.window_pool import WindowPool
from fastlstm.workspace import Workspace


class MaxPool1d(WindowPool):
    """(N, T, F) to (N, T', F): of each feature the largest value of some neighbouring steps.

    Each sequence of a batch with lengths is that sequence alone; padding is never the largest. What lies beyond the
    outputs of a sequence (see `Model.output_lengths`) is zeros. If several steps of a window have the largest value,
    the gradient goes to the first of them. `MaxPool` takes the largest of all steps.

    Parameters
    ----------
    kernel_size : int
        K, the number of steps in a window, up to 16,384.
    stride : int, optional
        Steps from one window to the next; by default K.
    padding : "valid", "same", "causal", int or pair of ints, default "valid"
        Steps around each sequence that are never the largest, as in `Conv1d`.
    dtype : "float32", "float64" or None
        None takes the model's.
    seed : int, optional
        Not used.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of the right kind or out of range. From a call, if a window has more steps than there are.

    Examples
    --------
    >>> import fastlstm as fl
    >>> fl.MaxPool1d(2)([[[1], [4], [3], [2], [9]]])
    array([[[4.],
            [3.]]], dtype=float32)
    """

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        places = self.windows.kept(len(x), x.shape[1], lengths, tape)
        at = tape.array("at", (places[..., 0].size if training else 0, x.shape[2]), np.intp)
        tape.notes["shape"], tape.notes["seen"] = x.shape, places
        stages, y = self._stages(np.ascontiguousarray(x), places, at, tape)
        for stage in stages:
            stage.go()
        return y

    def _stages(self, x: Array, places: Index, at: Index, tape: Workspace) -> tuple[list[Stage], Array]:
        """What finds the largest, and the output. `at` is the step of each within its window, for the backward pass."""
        n, count, size = places.shape
        y = tape.array("y", (n, count, x.shape[2]), x.dtype)
        return [largest_stage(as_rows(x), places.reshape(-1, size), as_rows(y), at)] if y.size else [], y

    def _prepare(
        self, x: Array, tape: Workspace, *, streaming: bool = False, order: RaggedOrder | None = None
    ) -> tuple[list[Stage], Array] | None:
        if order is not None or not x.flags.c_contiguous:
            return None
        places = self.windows.places(len(x), x.shape[1], None)
        return self._stages(x, places, np.empty((0, x.shape[2]), np.intp), tape)

    def _share(self, dy: Array, k: int, out: Array, tape: Workspace) -> None:
        np.multiply(dy, tape.array("at", dy.shape, np.intp) == k, out=out)
