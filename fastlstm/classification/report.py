"""Text that the command line prints about a classifier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def confusion(truth: Sequence[str], found: Sequence[str], classes: Sequence[str]) -> NDArray[np.intp]:
    """The number of texts of each true class (rows) that were taken for each class (columns).

    >>> from fastlstm.classification.report import confusion
    >>> confusion(["a", "a", "b"], ["a", "b", "b"], ["a", "b"]).tolist()
    [[1, 1], [0, 1]]
    """
    numbers = {name: k for k, name in enumerate(classes)}
    table = np.zeros((len(classes), len(classes)), np.intp)
    np.add.at(table, ([numbers[name] for name in truth], [numbers[name] for name in found]), 1)
    return table


def confusion_table(table: NDArray[np.intp], classes: Sequence[str]) -> str:
    """The confusion matrix as text, with a line for each class.

    >>> import numpy as np
    >>> from fastlstm.classification.report import confusion_table
    >>> print(confusion_table(np.array([[8, 2], [1, 9]]), ["bad", "good"]))
               bad  good   right
      bad        8     2    80 %
      good       1     9    90 %
    """
    short = [name if len(name) <= 16 else name[:15] + "…" for name in classes]
    first = max(map(len, short)) + 2
    width = max(6, *(len(name) + 2 for name in short), len(str(table.max())) + 2)
    lines = [f"  {'':{first}}" + "".join(f"{name:>{width}}" for name in short) + "   right"]
    for name, row, right in zip(short, table, table.diagonal(), strict=True):
        share = f"{right / row.sum():>6.0%}".replace("%", " %") if row.sum() else f"{'–':>8}"
        lines.append(f"  {name:{first}}" + "".join(f"{count:>{width}}" for count in row) + f"{share:>8}")
    return "\n".join(lines)


def summary(counts: dict[str, int]) -> str:
    """The numbers of texts and classes in words.

    >>> from fastlstm.classification.report import summary
    >>> summary({"bad": 10, "good": 12})
    '22 texts of 2 classes: bad (10), good (12)'
    """
    names = [f"{name} ({count})" for name, count in counts.items()]
    most = 10
    listed = ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
    return f"{sum(counts.values())} texts of {len(names)} classes: {listed}"
