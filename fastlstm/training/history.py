"""The history of a training: its loss and metrics in each epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from fastlstm import hints, html

if TYPE_CHECKING:
    from pandas import DataFrame


@hints.told
class History(dict[str, list[float]]):
    """The figures of each epoch, such as loss and metrics. ``history["loss"]`` is a list with a float for each epoch.

    A dict, so that ``pandas.DataFrame(history)`` is a table; that of `to_frame` numbers the epochs from 1.

    Examples
    --------
    >>> from fastlstm import History
    >>> history = History.from_dict({"loss": [0.9, 0.5], "val_loss": [1.0, 0.75]})
    >>> history.epochs, history["val_loss"][-1]
    (2, 0.75)
    """

    def __init__(self) -> None:
        super().__init__()

    def add(self, logs: dict[str, float]) -> None:
        """Add the figures of an epoch, a number by each name."""
        for name, value in logs.items():
            self.setdefault(name, []).append(value)

    @property
    def epochs(self) -> int:
        """Number of epochs."""
        return len(self.get("loss", ()))

    @classmethod
    def from_dict(cls, figures: Mapping[str, Sequence[float]]) -> History:
        """A history from lists of numbers by name, such as `to_dict` returns.

        Raises
        ------
        TypeError, ValueError
            If a name is not a str, or its value is not a list of numbers.
        """
        if not isinstance(figures, Mapping):
            raise TypeError(f"figures: expected lists of numbers by name, got {type(figures).__name__}")
        history = cls()
        for name, values in figures.items():
            if not isinstance(name, str) or isinstance(values, str) or not hasattr(values, "__iter__"):
                raise TypeError(f"figures: expected lists of numbers by name, got {name!r}: {values!r}")
            try:
                history[name] = [float(value) for value in values]
            except (TypeError, ValueError):
                raise TypeError(f"figures: expected numbers of {name!r}, got {list(values)!r:.80}") from None
        return history

    def to_dict(self) -> dict[str, list[float]]:
        """Lists of floats by name, for JSON. A missing number is NaN."""
        return {name: list(values) for name, values in self.items()}

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
        longest = max(map(len, self.values()), default=0)
        columns = {name: Series(v, RangeIndex(1, len(v) + 1), float) for name, v in self.items()}
        return DataFrame(columns, index=RangeIndex(1, longest + 1, name="epoch"))

    def __missing__(self, name: str) -> NoReturn:
        raise KeyError(f"no figure {name!r}; there are {list(self)}")

    def _repr_html_(self) -> str:
        """A table and curves for a notebook; those of the training and of the validation are in one picture."""
        rows = [
            (name, values[0], values[-1], min(values), max(values)) for name, values in self.items() if len(values) > 0
        ]
        head = html.table(("figure", "first", "last", "lowest", "highest"), rows, f"History, {self.epochs} epochs")
        families: dict[str, dict[str, list[float]]] = {}
        for name, values in self.items():
            families.setdefault(name.removeprefix("val_"), {})[name] = values
        return head + "".join(html.line(curves, title=f"{name}:") for name, curves in families.items())

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self.items() if values)
        return f"History({self.epochs} epochs: {last})"
