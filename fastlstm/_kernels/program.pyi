from collections.abc import Iterable
from typing import Any, Self

from numpy.typing import NDArray
from typing_extensions import disjoint_base

from fastlstm.parameter import Parameter

MOST_SIDE_BY_SIDE: int

@disjoint_base
class Stage:
    @property
    def threads(self) -> int: ...
    @property
    def x(self) -> Any: ...
    @property
    def y(self) -> Any: ...
    def go(self) -> None: ...

@disjoint_base
class SideBySide(Stage):
    def __new__(cls, stages: list[Any], threads: int) -> Self: ...

@disjoint_base
class Program:
    def __new__(
        cls,
        stages: list[Stage],
        x: NDArray[Any],
        y: NDArray[Any],
        parameters: Iterable[Parameter],
        threads: int,
        shape: tuple[int, ...],
        least_ndim: int,
    ) -> Self: ...
    @property
    def y(self) -> NDArray[Any]: ...
    def go(self) -> NDArray[Any]: ...
    def run(self, x: Any, threads: int) -> NDArray[Any] | None: ...
