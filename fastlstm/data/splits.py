"""Parts of a series to learn from, to choose by and to judge by, in order of time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastlstm import _check


class Split(NamedTuple):
    """Three parts of a series, in order of time: slices, or the pieces themselves."""

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
    """Cut a series into a part to learn from, one to choose by and one to judge by, the oldest first.

    Windows that are cut from each part by itself share no step. For sequences that have no order among themselves use
    ``sklearn.model_selection.train_test_split``, and for several cuts of one series its ``TimeSeriesSplit``.

    Parameters
    ----------
    series : (T, ...) array, list or DataFrame, or int
        Or only its number of steps.
    train, validation, test : int or float
        Steps, or, below 1, a share of those that no gap takes. One of train and test may be left out and has the rest.
        Where all are given and do not take all, the oldest steps are left out.
    gap : int, default 0
        Steps left out before validation and before test, for series whose values tell of those just before.
    overlap : int, default 0
        Steps that validation and test reach back to. With the ``length`` of the windows, their first window forecasts
        the part's first steps: its inputs lie before the part, its targets within.

    Returns
    -------
    Split of three slices where a number of steps was given, else of three pieces (views where slicing gives views); an
    empty one where a part is not asked for

    Raises
    ------
    ValueError
        If the parts take more than there is, or one that was asked for would be empty.

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
    """Steps of each part; the one that is None, or else the last share of a whole, has the rest."""
    counts: dict[str, int] = {}
    shares = [value for value in parts.values() if value is not None and value < 1]
    rest = next((name for name, value in parts.items() if value is None), None)
    if len(shares) == len(parts) and abs(sum(shares) - 1) < 1e-9:
        rest = "train"  # rounding must not lose or find a step
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
