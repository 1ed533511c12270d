from collections.abc import Callable
from typing import Any, Self

from numpy.typing import NDArray
from typing_extensions import disjoint_base

MOST_SIDE_BY_SIDE: int

@disjoint_base
class Stage:
    @property
    def threads(self) -> int: ...
    @property
    def x(self) -> Any: ...
    @property
    def y(self) -> Any: ...
    def begin(self, start: tuple[NDArray[Any], ...] | None) -> int: ...
    def end(self, final: tuple[NDArray[Any], ...]) -> int: ...
    def go(self) -> None: ...

@disjoint_base
class SideBySide(Stage):
    def __new__(cls, stages: list[Any], threads: int) -> Self: ...

class ShapeChanged(ValueError): ...

@disjoint_base
class Call(Stage):
    def __init__(
        self, function: Callable[[NDArray[Any]], NDArray[Any]], x: NDArray[Any], y: NDArray[Any], name: str
    ) -> None: ...
