"""MaxPool by the letter of ONNX. onnx's own gives other shapes for some paddings, and fails for others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.reference.ops.op_max_pool import MaxPool as Reference

from fastlstm.onnx.conv import padding, windows_of

Array = NDArray[Any]


class MaxPool(Reference):
    """The largest number in each window, (N, C, ...) to (N, C, ...). Where indices are asked for, it is onnx's own."""

    def _run(self, x: Array, **told: Any) -> tuple[Array, ...]:
        if len(self.onnx_node.output) > 1:
            found: tuple[Array, ...] = super()._run(x, **told)
            return found
        axes = x.ndim - 2
        size = told["kernel_shape"]
        if axes < 1 or len(size) != axes:
            raise ValueError(f"expected x (N, C, ...) with as many axes as the kernel, got {x.shape} and {size}")
        strides, dilations = told.get("strides") or [1] * axes, told.get("dilations") or [1] * axes
        reach = [(k - 1) * d + 1 for k, d in zip(size, dilations, strict=True)]
        sides = padding(x.shape[2:], reach, strides, told.get("auto_pad") or "NOTSET", told.get("pads"))
        if told.get("ceil_mode"):
            sides = [ceiled(*one) for one in zip(x.shape[2:], reach, strides, sides, strict=True)]
        least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        windows = windows_of(x, reach, strides, dilations, sides, least)
        return (windows.max(axis=tuple(range(2 + axes, windows.ndim))),)


def ceiled(steps: int, reach: int, stride: int, sides: tuple[int, int]) -> tuple[int, int]:
    """The padding of an axis with a last window that is not whole, unless it would begin behind the end."""
    count = -(-(steps + sum(sides) - reach) // stride) + 1
    if (count - 1) * stride >= steps + sides[0]:
        count -= 1
    return sides[0], max(sides[1], (count - 1) * stride + reach - steps - sides[0])
