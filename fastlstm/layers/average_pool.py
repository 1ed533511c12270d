"""The mean of neighbouring steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm import _check
from fastlstm.layers.base import Array, Index
from fastlstm.layers.window_pool import WindowPool
from fastlstm.layers.windows import Padding
from fastlstm.workspace import Workspace


class AveragePool1d(WindowPool):
    """(N, T, F) to (N, T', F): of each feature the mean over some neighbouring steps.

    Each sequence of a batch with lengths is that sequence alone. What lies beyond the outputs of a sequence (see
    `Model.output_lengths`) is zeros. `MeanPool` takes the mean of all steps.

    Parameters
    ----------
    kernel_size : int
        K, the number of steps in a window, up to 16,384.
    stride : int, optional
        Steps from one window to the next; by default K.
    padding : "valid", "same", "causal", int or pair of ints, default "valid"
        Steps around each sequence, as in `Conv1d`.
    count_padding : bool, default False
        Whether steps of padding are zeros that count, so that each sum is divided by K, as PyTorch does by default.
        Otherwise it is divided by the number of real steps in the window, as in TensorFlow and by default in ONNX.
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
    >>> fl.AveragePool1d(2, padding="same")([[[1], [4], [3], [2], [9]]])
    array([[[2.5],
            [2.5],
            [9. ]]], dtype=float32)
    """

    def __init__(
        self,
        kernel_size: int,
        stride: int | None = None,
        *,
        padding: Padding = "valid",
        count_padding: bool = False,
        dtype: Any = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding=padding, dtype=dtype, seed=seed)
        self.count_padding = _check.flag(count_padding, "count_padding")

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        n, t, features = x.shape
        places = self.windows.kept(n, t, lengths, tape)
        rows = tape.array("rows", (n * t + 1, features), x.dtype)
        rows[:-1].reshape(x.shape)[...] = x
        rows[-1] = 0  # a place of padding is -1
        real = np.full(places.shape[:2], self.windows.size) if self.count_padding else (places >= 0).sum(-1)
        factor = (1 / np.maximum(real, 1)).astype(x.dtype).reshape(-1, 1)
        tape.notes["shape"], tape.notes["seen"], tape.notes["factor"] = x.shape, places, factor
        y = tape.zeros("y", (n, places.shape[1], features), x.dtype)
        total, step = y.reshape(-1, features), tape.array("step", (len(factor), features), x.dtype)
        for k in range(self.windows.size):
            total += np.take(rows, places[..., k].reshape(-1), axis=0, out=step, mode="wrap")
        total *= factor
        return y

    def _share(self, dy: Array, k: int, out: Array, tape: Workspace) -> None:
        if k == 0:  # each step of a window gets the same
            np.multiply(dy, tape.notes["factor"], out=out)

    def config(self) -> dict[str, Any]:
        return {**super().config(), **({"count_padding": True} if self.count_padding else {})}
