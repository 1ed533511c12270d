from collections.abc import Callable
from typing import Any, Self

from numpy.typing import NDArray
from typing_extensions import disjoint_base

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

@disjoint_base
class Blocks(Stage):
    def __init__(
        self, stages: list[Stage], block_x: NDArray[Any], block_y: NDArray[Any], x: NDArray[Any], y: NDArray[Any]
    ) -> None: ...

class ShapeChanged(ValueError): ...

@disjoint_base
class Call(Stage):
    def __init__(
        self, function: Callable[[NDArray[Any]], NDArray[Any]], x: NDArray[Any], y: NDArray[Any], name: str
    ) -> None: ...
