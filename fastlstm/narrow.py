"""Matrices with fewer bits a number, as files may hold them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

NUMBERS = {"bfloat16": np.dtype(np.uint16), "int8": np.dtype(np.int8)}
"""The dtype of the numbers of each kind."""


class Narrow:
    """A float32 matrix in fewer bits.

    Parameters
    ----------
    numbers : (rows, columns) uint16 or int8
        The upper halves of float32 numbers, rounded to nearest ("bfloat16"); or whole numbers, -127 to 127 ("int8").
    scale : (rows,) float32, optional
        What the whole numbers of each row are multiplied with.

    Raises
    ------
    ValueError
        If these are not such arrays, or stand for numbers that are not finite.
    """

    def __init__(self, numbers: Array, scale: Array | None = None) -> None:
        kinds = [kind for kind, dtype in NUMBERS.items() if dtype == numbers.dtype]
        if not kinds or numbers.ndim != 2:
            raise ValueError(f"expected a matrix of uint16 or int8, got {numbers.ndim} axes of {numbers.dtype}")
        self.kind, self.numbers, self.scale, self.shape = kinds[0], numbers, scale, numbers.shape
        if self.kind == "bfloat16":
            sound = scale is None and not ((numbers & 0x7F80) == 0x7F80).any()
        elif scale is None or scale.dtype != np.float32 or scale.shape != numbers.shape[:1]:
            got = "none" if scale is None else f"{scale.shape} of {scale.dtype}"
            raise ValueError(f"expected scales {numbers.shape[:1]} of float32 for a matrix of int8, got {got}")
        else:
            sound = bool(((scale >= 0) & (scale <= LARGEST_SCALE)).all() and (numbers >= -127).all())
        if not sound:
            raise ValueError(f"expected finite numbers in {self.kind}, got others")

    @classmethod
    def of(cls, kind: str, matrix: Array) -> Narrow:
        """A finite float32 matrix in the nearest numbers of this kind: those that inference has of it."""
        return cls(*rounded(kind, matrix))

    def widened(self) -> Array:
        """The numbers in float32, exactly."""
        if self.scale is None:
            return (self.numbers.astype(np.uint32) << 16).view(np.float32)
        return self.numbers * self.scale[:, None]


def rounded(kind: str, matrix: Array) -> tuple[Array, Array | None]:
    """The numbers of a float32 matrix in this kind, and their scales. NaN and infinity make the scale of a row such."""
    if kind == "bfloat16":
        bits = np.ascontiguousarray(matrix).view(np.uint32)
        upper = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        return np.where(np.isnan(matrix), bits >> 16 | 0x40, upper).astype(np.uint16), None
    scale = scales_of(matrix)
    sound = (scale > 0) & np.isfinite(scale)
    steps = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=sound)
    return np.rint(np.where(sound[:, None], matrix, 0) * steps[:, None]).astype(np.int8), scale


LARGEST_SCALE = np.float32(np.finfo(np.float32).max / 127)


def scales_of(matrix: Array) -> Array:
    """The scale of each row, with which its largest number becomes 127.

    It has 16 significant bits and is rounded up. Then whole numbers times it are exact, and have the same scale again.
    """
    most = np.abs(matrix).max(1)
    scale = np.where(most < np.float32(1e-30), np.float32(0), most / np.float32(127))
    rounded = ((scale.view(np.uint32) + 0xFF) & 0xFFFFFF00).view(np.float32)
    return np.where(np.isnan(scale), scale, rounded)
