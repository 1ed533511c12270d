from typing import Any

from numpy.typing import NDArray
from typing_extensions import disjoint_base

FUNCTIONS: tuple[str, ...]
BEYOND: int

@disjoint_base
class Options:
    gate: tuple[str, float, float]
    candidate: tuple[str, float, float]
    output: tuple[str, float, float]
    clip: float
    cell_clip: float
    zone_h: float
    zone_c: float
    candidate_rate: float
    state_rate: float
    norm: float
    def __init__(
        self,
        gate: tuple[str, float, float] = ...,
        candidate: tuple[str, float, float] = ...,
        output: tuple[str, float, float] = ...,
        clip: float = ...,
        cell_clip: float = ...,
        zone_h: float = 0,
        zone_c: float = 0,
        candidate_rate: float = 0,
        state_rate: float = 0,
        norm: float = 0,
    ) -> None: ...
    @property
    def draws(self) -> bool: ...
    def gates(self, a: NDArray[Any]) -> NDArray[Any]: ...
    def candidates(self, a: NDArray[Any]) -> NDArray[Any]: ...

@disjoint_base
class Masks:
    zone_h: NDArray[Any] | None
    zone_c: NDArray[Any] | None
    candidate: NDArray[Any] | None
    state: NDArray[Any] | None
    def __init__(
        self,
        zone_h: NDArray[Any] | None,
        zone_c: NDArray[Any] | None,
        candidate: NDArray[Any] | None,
        state: NDArray[Any] | None,
    ) -> None: ...

def applied(options: Options, gate: bool, a: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]: ...
