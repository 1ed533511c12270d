"""The history of a training: its loss and metrics in each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame


class History(Mapping[str, list[float]]):
    """The figures of each epoch, such as loss and metrics. ``history["loss"]`` is a list with a float for each epoch.

    Examples
    --------
    >>> from fastlstm import History
    >>> history = History.from_dict({"loss": [0.9, 0.5], "val_loss": [1.0, 0.75]})
    >>> history.epochs, history["val_loss"][-1]
    (2, 0.75)
    """

    def __init__(self) -> None:
        self._figures: dict[str, list[float]] = {}

    def add(self, logs: dict[str, float]) -> None:
        for name, value in logs.items():
            self._figures.setdefault(name, []).append(value)

    @property
    def epochs(self) -> int:
        """Number of epochs."""
        return len(self._figures.get("loss", ()))

    @classmethod
    def from_dict(cls, figures: Mapping[str, Sequence[float]]) -> History:
        """A history from lists of numbers by name, such as `to_dict` returns.

        Raises
        ------
        TypeError, ValueError
            If a name is not a str, or its value is not a list of numbers.
        """
        history = cls()
        for name, values in figures.items():
            if not isinstance(name, str) or isinstance(values, str) or not hasattr(values, "__iter__"):
                raise TypeError(f"figures: expected lists of numbers by name, got {name!r}: {values!r}")
            history._figures[name] = [float(value) for value in values]
        return history

    def to_dict(self) -> dict[str, list[float]]:
        """Lists of floats by name, for JSON. A missing number is NaN."""
        return {name: list(values) for name, values in self._figures.items()}

    def to_frame(self) -> DataFrame:
        """A pandas DataFrame with a row for each epoch, from 1, and a column for each figure.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            from pandas import DataFrame, RangeIndex, Series
        except ImportError:
            raise ImportError("to_frame needs pandas: pip install pandas") from None
        longest = max(map(len, self._figures.values()), default=0)
        columns = {name: Series(v, RangeIndex(1, len(v) + 1), float) for name, v in self._figures.items()}
        return DataFrame(columns, index=RangeIndex(1, longest + 1, name="epoch"))

    def __getitem__(self, name: str) -> list[float]:
        if name not in self._figures:
            raise KeyError(f"no figure {name!r}; there are {list(self)}")
        return self._figures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._figures)

    def __len__(self) -> int:
        return len(self._figures)

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self._figures.items() if values)
        return f"History({self.epochs} epochs: {last})"
