from typing import Any

from numpy.typing import NDArray

FUNCTIONS: tuple[str, ...]

class Options:
    gate: tuple[str, float, float]
    candidate: tuple[str, float, float]
    output: tuple[str, float, float]
    clip: float
    cell_clip: float
    def __init__(
        self,
        gate: tuple[str, float, float] = ...,
        candidate: tuple[str, float, float] = ...,
        output: tuple[str, float, float] = ...,
        clip: float = ...,
        cell_clip: float = ...,
    ) -> None: ...
    def gates(self, a: NDArray[Any]) -> NDArray[Any]: ...
    def candidates(self, a: NDArray[Any]) -> NDArray[Any]: ...

def applied(options: Options, gate: bool, a: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]: ...
