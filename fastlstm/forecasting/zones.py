"""Time zones of dates that are written with an offset from UTC, such as 2024-03-31 03:00+02:00."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.dates import Dates

WRITTEN = re.compile(r":\d{2}(?:[.,]\d+)?\s*(Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)$")
HOURS = re.compile(r"([+-])(\d{2}):?(\d{2})?")


@dataclass(frozen=True)
class Zone:
    """The offset from UTC at every date of a series.

    Attributes
    ----------
    starts : (K,) datetime64[s]
        The dates, on the clock of the series, from which each offset holds.
    offsets : (K,) int64
        Seconds by which local clocks are ahead of UTC.
    local : bool
        Whether the series has the dates of local clocks; otherwise it has those of UTC.
    zulu : bool
        Whether UTC is written as Z.
    """

    starts: Dates
    offsets: NDArray[np.int64]
    local: bool
    zulu: bool = False

    def text(self, date: np.datetime64) -> str:
        """A date of the series as it was written: on local clocks, with the offset."""
        at = max(0, int(np.searchsorted(self.starts, date, side="right")) - 1)
        offset = int(self.offsets[at])
        clock = date if self.local else date + np.timedelta64(offset, "s")
        written = str(clock.astype("M8[s]")).replace("T", " ")
        written = written[:16] if written.endswith(":00") else written
        sign, minutes = "-" if offset < 0 else "+", abs(offset) // 60
        return written + ("Z" if self.zulu and not offset else f"{sign}{minutes // 60:02}:{minutes % 60:02}")


def offsets_of(cells: Sequence[str]) -> tuple[NDArray[np.int64], bool] | int | None:
    """Offsets from UTC in seconds, and whether UTC is written as Z; the first row without one; None if none has one."""
    found = [WRITTEN.search(cell) for cell in cells]
    written = [match[1] for match in found if match]
    if not written:
        return None
    if len(written) < len(cells):
        return next(i for i, match in enumerate(found) if (match is None) == (found[0] is not None))
    return np.array([_seconds(text) for text in written], np.int64), written[0].upper() == "Z"


def _seconds(text: str) -> int:
    match = HOURS.fullmatch(text)
    if match is None:
        return 0
    size = int(match[2]) * 3600 + int(match[3] or 0) * 60
    return -size if match[1] == "-" else size
