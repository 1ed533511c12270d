"""Conv on our kernels: what the windows see as a matrix, and its product with the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx.reference.op_run import OpRun

from fastlstm.onnx.products import narrow, product

Array = NDArray[Any]


class Conv(OpRun):
    """A cross-correlation over any number of axes, (N, C, ...) to (N, O, ...)."""

    op_domain = ""

    def _run(self, x: Array, w: Array, b: Array | None = None, **told: Any) -> tuple[Array]:
        if narrow(x):
            wide = (None if a is None else a.astype(np.float32) for a in (x, w, b))
            return (self._run(*wide, **told)[0].astype(x.dtype),)  # type: ignore[arg-type]
        axes = x.ndim - 2
        if axes < 1 or w.ndim != x.ndim:
            raise ValueError(f"expected x (N, C, ...) and w (O, C/group, ...), got shapes {x.shape} and {w.shape}")
        group, size = told["group"], w.shape[2:]
        if group < 1 or x.shape[1] != w.shape[1] * group or w.shape[0] % group:
            raise ValueError(
                f"expected w (O, {x.shape[1]}/{group}, ...), and O in {group} groups, for x of {x.shape[1]} channels, "
                f"got shape {w.shape}"
            )
        if told["kernel_shape"] is not None and tuple(told["kernel_shape"]) != size:
            raise ValueError(f"kernel_shape: expected {size}, the axes of w, got {told['kernel_shape']}")
        strides, dilations = told["strides"] or [1] * axes, told["dilations"] or [1] * axes
        reach = [(k - 1) * d + 1 for k, d in zip(size, dilations, strict=True)]
        sides = padding(x.shape[2:], reach, strides, told["auto_pad"], told["pads"])
        windows = windows_of(x, reach, strides, dilations, sides)
        y = depthwise(windows, w) if w.shape[1] == 1 and group > 1 else grouped(windows, w, group)
        if b is not None:
            y += b.reshape(-1, *[1] * axes)
        return (y,)


def padding(
    shape: tuple[int, ...], reach: list[int], strides: list[int], auto: str, pads: list[int] | None
) -> list[tuple[int, int]]:
    """The zeros before and behind each axis."""
    axes = len(shape)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        counts = [-(-t // s) for t, s in zip(shape, strides, strict=True)]
        whole = [max(0, (n - 1) * s + k - t) for n, s, k, t in zip(counts, strides, reach, shape, strict=True)]
        first = [(p + (auto == "SAME_LOWER")) // 2 for p in whole]
        return [(f, p - f) for f, p in zip(first, whole, strict=True)]
    if auto not in ("NOTSET", "VALID"):
        raise ValueError(f"auto_pad: expected NOTSET, VALID, SAME_UPPER or SAME_LOWER, got {auto!r:.80}")
    if pads is None or auto == "VALID":
        return [(0, 0)] * axes
    if len(pads) != 2 * axes:
        raise ValueError(f"pads: expected {2 * axes} numbers, got {len(pads)}")
    return [*zip(pads[:axes], pads[axes:], strict=True)]


def windows_of(
    x: Array, reach: list[int], strides: list[int], dilations: list[int], sides: list[tuple[int, int]], fill: float = 0
) -> Array:
    """A view (N, C, ..., *k) of what each output sees; padding is this number."""
    if any(side != (0, 0) for side in sides):
        x = np.pad(x, [(0, 0), (0, 0), *sides], constant_values=fill)
    if any(t < k for t, k in zip(x.shape[2:], reach, strict=True)):
        raise ValueError(f"x: expected at least {reach} numbers on the axes of the kernel, got {list(x.shape[2:])}")
    axes = tuple(range(2, x.ndim))
    every = [slice(None)] * 2 + [slice(None, None, s) for s in strides] + [slice(None, None, d) for d in dilations]
    windows: Array = sliding_window_view(x, reach, axes)[tuple(every)]
    return windows


def grouped(windows: Array, w: Array, group: int) -> Array:
    """The product for each group of channels, (N, O, ...)."""
    n, axes = len(windows), w.ndim - 2
    out, inputs, outputs = windows.shape[2 : 2 + axes], w.shape[1], w.shape[0] // group
    y = np.empty((n, len(w), *out), windows.dtype)
    for g in range(group):
        own = windows[:, g * inputs : (g + 1) * inputs]
        kernels = w[g * outputs : (g + 1) * outputs].reshape(outputs, -1)
        # (N, C, ..., *k) to (N, C, *k, ...): the channels of y come first, as those of x
        columns = own.transpose(0, 1, *range(2 + axes, own.ndim), *range(2, 2 + axes))
        for row in range(n):
            seen = np.ascontiguousarray(columns[row]).reshape(kernels.shape[1], -1)
            y[row, g * outputs : (g + 1) * outputs] = product(kernels, seen).reshape(outputs, *out)
    return y


def depthwise(windows: Array, w: Array) -> Array:
    """Of groups of one channel each, (N, O, ...): a weighted sum of shifted inputs."""
    axes = w.ndim - 2
    times = len(w) // windows.shape[1]
    y = np.zeros((len(windows), len(w), *windows.shape[2 : 2 + axes]), windows.dtype)
    for at in np.ndindex(*w.shape[2:]):
        shifted = windows[(..., *at)]
        shifted = shifted if times == 1 else np.repeat(shifted, times, axis=1)
        y += w[(slice(None), 0, *at)].reshape(-1, *[1] * axes) * shifted
    return y
