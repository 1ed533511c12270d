"""Training, validation and test part of a series, in order of time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastlstm import _check


class Split(NamedTuple):
    """Three parts of a series in order of time: slices, or the pieces themselves."""

    train: Any
    validation: Any
    test: Any


def split(
    series: Any,
    *,
    train: float | None = None,
    validation: float = 0,
    test: float | None = None,
    gap: int = 0,
    overlap: int = 0,
) -> Split:
    """Cut a series into training, validation and test part, the oldest steps first.

    Windows that are cut from each part by itself share no step. For sequences without an order among themselves use
    ``sklearn.model_selection.train_test_split``, for several cuts of one series its ``TimeSeriesSplit``.

    Parameters
    ----------
    series : (T, ...) array, list or DataFrame, or int
        An int is only the number of steps.
    train, test : int or float, optional
        Number of steps, or a share if below 1, of all steps that no gap takes. One of the two may be left out and gets
        the rest. If the parts together take less than all, the oldest steps are left out.
    validation : int or float, default 0
        The same for the validation part.
    gap : int, default 0
        Steps left out before validation and before test, for series whose neighbouring values are alike.
    overlap : int, default 0
        Steps by which validation and test reach back. With the ``length`` of the windows, the first window forecasts
        the first steps of the part: its inputs lie before the part, its targets within.

    Returns
    -------
    Split
        Of three slices if series is an int, else of three pieces, which are views if slicing gives views. A part that
        is not asked for is empty.

    Raises
    ------
    TypeError
        If series has no length, or another argument is not a number.
    ValueError
        If neither train nor test is given, the parts take more steps than there are, or one that is asked for would be
        empty.

    Examples
    --------
    >>> from fastlstm.data import split
    >>> split(100, validation=0.1, test=0.2)
    Split(train=slice(0, 70, None), validation=slice(70, 80, None), test=slice(80, 100, None))
    >>> train, _, test = split(list(range(10)), test=3, overlap=2)
    >>> train, test
    ([0, 1, 2, 3, 4, 5, 6], [5, 6, 7, 8, 9])
    """
    counted = isinstance(series, int | np.integer)
    if isinstance(series, bool) or not (counted or hasattr(series, "__len__")):
        raise TypeError(f"series: expected a series or its number of steps, got {series!r}")
    total = int(series) if counted else len(series)
    gap, overlap = _at_least_0(gap, "gap"), _at_least_0(overlap, "overlap")
    if train is None and test is None:
        raise ValueError("split: expected train or test, got neither")
    usable = total - gap * (2 if validation else 1)
    counts = _counts({"train": train, "validation": validation, "test": test}, max(usable, 0))
    if sum(counts.values()) > usable:
        raise ValueError(f"split: expected parts of at most {max(usable, 0)} steps together, got {_listed(counts)}")
    for name, count in counts.items():
        if count < 1 and (name != "validation" or validation):
            raise ValueError(f"{name}: expected at least one step of {max(usable, 0)}, got {count}")
    start = total - counts["test"]
    parts = {"test": slice(start, total)}
    end = start - gap
    parts["validation"] = slice(end - counts["validation"], end)
    if validation:
        end -= counts["validation"] + gap
    parts["train"] = slice(end - counts["train"], end)
    for name in ("validation", "test") if validation else ("test",):
        if overlap > parts[name].start:
            raise ValueError(f"overlap: expected at most {parts[name].start}, the steps before {name}, got {overlap}")
        parts[name] = slice(parts[name].start - overlap, parts[name].stop)
    chosen = Split(**parts)
    if counted:
        return chosen
    rows = getattr(series, "iloc", series)
    return Split(*(rows[part] for part in chosen))


def _counts(parts: dict[str, float | None], usable: int) -> dict[str, int]:
    """Number of steps of each part. A part that is None gets the rest; so does train, if three shares add up to 1."""
    counts: dict[str, int] = {}
    shares = [value for value in parts.values() if value is not None and value < 1]
    rest = next((name for name, value in parts.items() if value is None), None)
    if len(shares) == len(parts) and abs(sum(shares) - 1) < 1e-9:
        rest = "train"  # rounding must not lose or add a step
    for name, value in parts.items():
        if name == rest:
            continue
        value = _check.number(value, name, 0)
        if value >= 1 and value != int(value):
            raise ValueError(f"{name}: expected a whole number of steps or a share below 1, got {value:g}")
        counts[name] = int(value) if value >= 1 else round(value * usable)
    if rest is not None:
        counts[rest] = usable - sum(counts.values())
    return counts


def _at_least_0(value: int, name: str) -> int:
    return _check.positive_int(value, name) if value else 0


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name}={count}" for name, count in counts.items())
