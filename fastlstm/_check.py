"""Checks of what a user passes in. Every message names the argument, what was expected and what was given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm._kernels import rows
from fastlstm.foreign import as_array as as_array
from fastlstm.foreign import is_table, kind_of

Shape = tuple[int | str, ...]
"""Sizes of an array. A name such as "N" stands for any size from 1."""


def dtype_of(dtype: Any) -> np.dtype[Any]:
    """float32 or float64, as a NumPy dtype."""
    try:
        found: np.dtype[Any] = np.dtype("V" if dtype is None else dtype)
    except TypeError:
        raise TypeError(f"dtype: expected 'float32' or 'float64', got {dtype!r}") from None
    if found not in (np.dtype("float32"), np.dtype("float64")):
        raise TypeError(f"dtype: expected 'float32' or 'float64', got {dtype if dtype is None else found.name!r}")
    return found


def positive_int(value: Any, name: str, most: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: expected a whole number, got {value!r}")
    if value < 1:
        raise ValueError(f"{name}: expected at least 1, got {value}")
    if most is not None and value > most:
        raise ValueError(f"{name}: expected at most {most}, got {value}")
    return int(value)


def number(value: Any, name: str, low: float, high: float = np.inf, *, open_high: bool = False) -> float:
    """A real number from low to high, or below high if open_high."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    if not low <= value <= high or (open_high and value == high):
        upper = "" if np.isinf(high) else f" and {'below' if open_high else 'at most'} {high:g}"
        raise ValueError(f"{name}: expected at least {low:g}{upper}, got {value}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name}: expected a number that a float can hold, got one that is larger") from None


def scalar(value: Any, name: str) -> float:
    """A real number that a function of the user has returned, NaN and infinities among them."""
    if type(value) is float:
        return value
    array = as_numbers(value, name, "fiub", "a number")
    if array.ndim:
        raise TypeError(f"{name}: expected a number, got an array of shape {describe(array.shape)}")
    return float(array)


def flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: expected True or False, got {value!r}")
    return bool(value)


def seed_of(seed: Any, name: str = "seed") -> int | None:
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"{name}: expected a whole number or None, got {seed!r}")
    if seed < 0:
        raise ValueError(f"{name}: expected at least 0, got {seed}")
    return int(seed)


def precision_of(value: Any, dtype: Any = np.float32) -> str | None:
    """How the training of a model of this dtype rounds what it multiplies: "bfloat16", or None for not at all."""
    if value is not None and not (isinstance(value, str) and value == "bfloat16"):
        raise ValueError(f"precision: expected 'bfloat16' or None, got {value!r:.80}")
    if value is not None and dtype == np.float64:
        raise ValueError(f"precision: expected None for a model in float64, got {value!r}")
    return value


def items(value: Any, name: str, what: str) -> list[Any]:
    """The items of a list or another iterable as a list. A str is refused."""
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise TypeError(f"{name}: expected a list of {what}, got {value!r}")
    return list(value)


def instance(value: Any, kind: type | tuple[type, ...], name: str, what: str) -> None:
    """Require an object of this class, or of one of these, which is called `what`."""
    if not isinstance(value, kind):
        raise TypeError(f"{name}: expected {what}, got {kind_of(value)}")


def describe(shape: Shape) -> str:
    return "(" + ", ".join(str(size) for size in shape) + ("," if len(shape) == 1 else "") + ")"


def shape_of(array: NDArray[Any], name: str, shape: Shape, given: Any = None) -> None:
    """Require this shape. The array is of what was `given`, by default of itself."""
    if array.shape == shape:
        return
    fits = array.ndim == len(shape)
    if fits:
        for got, want in zip(array.shape, shape, strict=True):
            fits = fits and (got == want if isinstance(want, int) else got > 0)
    if not fits:
        named = [size for size in shape if isinstance(size, str)]
        least = f" with {' and '.join(named)} at least 1" if named and 0 in array.shape else ""
        hint = "" if fits else _hint_of_axes(array.shape, f"{name}.to_numpy()" if is_table(given) else name, shape)
        raise ValueError(f"{name}: expected shape {describe(shape)}{least}, got {describe(array.shape)}{hint}")


def _hint_of_axes(got: tuple[int, ...], x: str, shape: Shape) -> str:
    """How (N, T) or (N, F, T) numbers, or a table of the steps (T, F) of one sequence, become (N, T, F)."""
    if len(shape) != 3 or shape[:2] != ("N", "T"):
        return ""
    if len(got) == 3 and got[1] == shape[2]:
        return f"; where features stand before steps, {x}.swapaxes(1, 2) turns them round"
    if len(got) != 2:
        return ""
    if got[1] == shape[2] or not isinstance(shape[2], int):
        return f"; one sequence of {got[0]} steps is {x}[None], and fastlstm.data.windows makes many of it"
    return f"; {got[0]} sequences of {got[1]} numbers are {x}[..., None]" if shape[2] == 1 else ""


def finite(array: NDArray[Any], name: str) -> None:
    """Raise ValueError with the position of the first NaN or infinity of a contiguous float array."""
    at = rows.first_nonfinite(array.reshape(-1))
    if at >= 0:
        position = ", ".join(str(int(k)) for k in np.unravel_index(at, array.shape))
        raise ValueError(f"{name}: expected finite numbers, got {array.reshape(-1)[at]} at [{position}]")


def real_array(value: Any, name: str, dtype: np.dtype[Any], shape: Shape) -> NDArray[Any]:
    """`value` as a contiguous, finite array of this dtype and shape. It is copied only if it has to be."""
    array = value if type(value) is np.ndarray else as_numbers(value, name, "fiub", "real numbers")
    if array.dtype != dtype:
        array = as_numbers(array, name, "fiub", "real numbers")
    shape_of(array, name, shape, value)
    if array.dtype != dtype or not (array.flags.c_contiguous and array.flags.aligned):
        with np.errstate(over="ignore"):  # numbers that overflow become infinite, and `finite` reports them
            array = np.require(array, dtype, ["C", "A"])  # contiguous and aligned, as the kernels need it
    finite(array, name)
    return array


def int_array(value: Any, name: str, shape: Shape, low: int, high: int) -> NDArray[np.intp]:
    """`value` as a contiguous array of whole numbers from low to high."""
    array = as_numbers(value, name, "iu", "whole numbers")
    shape_of(array, name, shape)
    outside = (array < low) | (array > high)
    if outside.any():
        at = np.unravel_index(int(outside.argmax()), array.shape)
        position = ", ".join(str(int(k)) for k in at)
        raise ValueError(f"{name}: expected {low} to {high}, got {array[at]} at [{position}]")
    return np.ascontiguousarray(array, np.intp)


def as_numbers(value: Any, name: str, kinds: str, what: str) -> NDArray[Any]:
    array = as_array(value, name)
    if array.dtype.kind not in kinds:
        missing = array.dtype.kind == "f" and type(value) is not np.ndarray and np.isnan(array).any()
        alone = array.ndim == 0 and array.dtype == object  # None, a dict, a generator, ...
        got = "a missing one" if missing else kind_of(value) if alone else f"dtype {array.dtype}"
        raise TypeError(f"{name}: expected {what}, got {got}")
    return array


def lengths_of(lengths: Any, n: int, t: int) -> NDArray[np.intp] | None:
    """Number of real steps of each sequence, (N,), from 0 to T; None if every sequence has T steps."""
    if lengths is None:
        return None
    array = int_array(lengths, "lengths", (n,), 0, t)
    return None if (array == t).all() else array


def mask_of(mask: Any, n: int, t: int) -> NDArray[np.bool_]:
    """Which steps are real, (N, T), from bools or the numbers 0 and 1."""
    array = as_numbers(mask, "mask", "biu", "True and False, or 1 and 0")
    if array.dtype != bool:
        array = int_array(array, "mask", (n, t), 0, 1) > 0
    shape_of(array, "mask", (n, t))
    return array


def arrays_like(value: Any, like: Sequence[NDArray[Any]], name: str) -> list[NDArray[Any]]:
    """A list of finite arrays with the shapes and dtypes of those in `like`, or an empty list."""
    found = items(value, name, "arrays")
    if found and len(found) != len(like):
        raise ValueError(f"{name}: expected {len(like)} arrays or none, got {len(found)}")
    for k, (array, other) in enumerate(zip(found, like, strict=False)):
        if not isinstance(array, np.ndarray) or array.dtype != other.dtype:
            got = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"{name}: expected arrays of {other.dtype}, got {got} at {k}")
        shape_of(array, f"{name} {k}", other.shape)
        finite(np.ascontiguousarray(array), f"{name} {k}")
    return found
