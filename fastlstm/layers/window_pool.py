"""What pools of neighbouring steps share."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm._check import Shape
from fastlstm._kernels.rows import scatter_add
from fastlstm.layers.base import Array, Index, Layer, as_rows
from fastlstm.layers.windows import Padding, told, windows_of
from fastlstm.workspace import Workspace

MOST_POOLED = 1 << 14
"""The largest window. No array bounds it, which a file would have to hold, too."""


class WindowPool(Layer, abstract=True):
    """Base of the layers from (N, T, F) to (N, T', F) that make one number of those in a window, for each feature.

    A subclass writes `forward`, which notes the shape of x as ``"shape"`` and the places of the windows as ``"seen"``,
    and `_share`.
    """

    input_shape = ("N", "T", "F")

    def __init__(
        self,
        kernel_size: int,
        stride: int | None = None,
        *,
        padding: Padding = "valid",
        dtype: Any = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(dtype, seed)
        _check.positive_int(kernel_size, "kernel_size", MOST_POOLED)
        self.windows = windows_of(kernel_size, kernel_size if stride is None else stride, 1, padding)
        self.padding = told(padding)

    def output_shape(self, shape: Shape) -> Shape:
        return self.windows.output_shape(shape, shape[-1], type(self).__name__)

    def output_lengths(self, lengths: Index) -> Index:
        return self.windows.output_lengths(lengths)

    def _share(self, dy: Array, k: int, out: Array, tape: Workspace) -> None:
        """Write what of dy (N·T', F) goes to step k of each window."""
        raise NotImplementedError(f"{type(self).__name__} must write share")

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        if not input_gradient:
            return None
        n, t, features = tape.notes["shape"]
        rows, size, dx = as_rows(dy), self.windows.size, tape.array("dx", (n * t + 1, features), dy.dtype)
        places = tape.notes["seen"].reshape(-1, size)
        places = np.where(places < 0, n * t, places)  # the last row is that of the padding
        own = tape.array("own", rows.shape, dy.dtype)
        for k in range(size):
            self._share(rows, k, own, tape)
            scatter_add(own, np.ascontiguousarray(places[:, k]), dx, k > 0)
        return dx[:-1].reshape(n, t, features)

    def start(self, batch: int, tape: Workspace) -> None:
        raise ValueError(f"{type(self).__name__} cannot stream: it does not give an output for each step as it comes")

    def config(self) -> dict[str, Any]:
        return {"kernel_size": self.windows.size, "stride": self.windows.stride, "padding": self.padding}
