"""Which rows of a batch are whose, where a batch is trained on in parts."""

from __future__ import annotations

from dataclasses import dataclass

PIECES = 8
"""Parts of a batch whose gradients are added up in a fixed order, by default."""


@dataclass(frozen=True, slots=True)
class Share:
    """One of the equal parts of a batch.

    Attributes
    ----------
    index : int
        From 0.
    of : int
        How many parts there are.
    """

    index: int
    of: int

    def rows(self, n: int) -> slice:
        """The rows of a batch of n; none if there are fewer rows than parts."""
        return slice(n * self.index // self.of, n * (self.index + 1) // self.of)

    def cut(self, n: int) -> tuple[slice, bool]:
        """The rows, and whether there is none. Then it is the first row, which must not count: a pass needs one."""
        rows = self.rows(n)
        return (slice(0, 1), True) if rows.start == rows.stop else (rows, False)


WHOLE = (Share(0, 1),)
"""The only part of a batch that is not cut."""


def shares_of(rank: int, size: int, pieces: int | None) -> tuple[Share, ...]:
    """The parts of a batch that a rank works on, in order: one, or some of the `pieces` that each batch is cut into."""
    if pieces is None:
        return (Share(rank, size),)
    return tuple(Share(k, pieces) for k in range(pieces * rank // size, pieces * (rank + 1) // size))
