from typing import Any, Self

from numpy.typing import NDArray
from typing_extensions import disjoint_base

SCALE: int
SGD: int
MOMENTUM: int
RMSPROP: int
ADAM: int

@disjoint_base
class Blocks:
    def __new__(cls, arrays: list[NDArray[Any]], each: int) -> Self: ...
    def holds(self, parameters: list[Any], state: list[dict[str, Any]]) -> bool: ...
    def norm(self) -> float: ...
    def update(self, rule: int, numbers: tuple[float, ...], scale: float) -> None: ...
