"""Arrays and tables of other libraries, as NumPy's. None of these libraries is imported."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def is_table(value: Any) -> bool:
    """Whether this is a table with named columns, such as a DataFrame of pandas or polars."""
    return hasattr(value, "columns") and hasattr(value, "to_numpy")


def as_array(value: Any, name: str) -> Array:
    """`value` as an array of NumPy, without a copy where there can be one; errors name the argument.

    A missing value of a column of numbers becomes NaN. bfloat16 becomes float32.
    """
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name}: expected a plain array, got a masked one; fill it first, or use lengths, mask or weights"
        )
    library = type(value).__module__.partition(".")[0]
    if isinstance(value, list | tuple) and value and _is_tensor(value[0]):
        value = [as_array(one, f"{name} {k}") for k, one in enumerate(value)]
    elif _is_tensor(value):
        value = _of_tensor(value, name)
    elif library == "polars" and hasattr(value, "collect"):
        raise TypeError(f"{name}: expected an array or a table, got a polars LazyFrame; call collect() on it first")
    try:
        array = np.from_dlpack(value) if _only_dlpack(value) else np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"{name}: expected a regular array of numbers, got {kind_of(value)}: {error}") from None
    except (TypeError, RuntimeError, BufferError, AttributeError, LookupError) as error:  # e.g. on another device
        raise TypeError(f"{name}: expected an array on the CPU, got {kind_of(value)}: {error}") from error
    if array.dtype == object and is_table(value):
        return np.stack([_column(column, str(title), name) for title, column in _columns(value)], axis=1)
    if array.dtype == object and hasattr(value, "to_numpy"):
        return _column(value, None, name)
    if array.dtype.kind == "V" and array.dtype.names is None and "float" in array.dtype.name:  # those of ml_dtypes
        return array.astype(np.float32)
    return array


def kind_of(value: Any) -> str:
    """The type of a value with its library, such as "list" or "torch.Tensor"; None is None."""
    if value is None:
        return "None"
    library, name = type(value).__module__.partition(".")[0], type(value).__name__
    return name if library == "builtins" else f"{library}.{name}"


def _is_tensor(value: Any) -> bool:
    """Whether this is a tensor of PyTorch, also of a subclass, such as Parameter."""
    return any(kind.__module__ == "torch" and kind.__name__ == "Tensor" for kind in type(value).__mro__)


def _of_tensor(value: Any, name: str) -> Any:
    """A tensor of PyTorch as one that NumPy takes. What is computed of it has no gradient in PyTorch."""
    if value.device.type != "cpu":
        what = "without values" if value.device.type == "meta" else f"on {value.device}; pass it with .cpu()"
        raise TypeError(f"{name}: expected a tensor on the CPU, got one {what}")
    value = value.detach()
    if str(value.layout) != "torch.strided":
        value = value.to_dense()
    value = value.resolve_conj().resolve_neg()
    return value.float() if value.is_floating_point() and value.element_size() < 4 else value


def _only_dlpack(value: Any) -> bool:
    return hasattr(value, "__dlpack__") and not hasattr(value, "__array__")


def _columns(table: Any) -> Iterable[tuple[Any, Any]]:
    """The columns of a table with their names."""
    return table.items() if hasattr(table, "items") else ((one.name, one) for one in table.iter_columns())


def _column(column: Any, title: str | None, name: str) -> Array:
    """A column as an array, a missing number as NaN. A column of a table, which has a title, must hold numbers."""
    array = np.asarray(column)
    if array.dtype == object:
        values = [np.nan if one is None or type(one).__name__ == "NAType" else one for one in array]
        if all(isinstance(one, Real | Decimal | np.bool_) for one in values):
            return np.array(values, np.float64)
    if title is not None and array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected columns of numbers, got {title!r} of {column.dtype}")
    return array
