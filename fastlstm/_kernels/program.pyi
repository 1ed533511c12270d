from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray
from typing_extensions import disjoint_base

from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.stage import Stage
from fastlstm.parameter import Parameter

@disjoint_base
class Turn:
    def __init__(self, name: str, advice: str) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *error: object) -> None: ...

@disjoint_base
class Seen:
    def __init__(self, parameters: Iterable[Parameter]) -> None: ...

@disjoint_base
class Program:
    def __init__(
        self,
        stages: list[Stage],
        x: NDArray[Any],
        y: NDArray[Any],
        seen: Seen,
        turn: Turn,
        shape: tuple[int, ...],
        least_ndim: int,
        given: tuple[int, ...],
        order: RaggedOrder | None = None,
        state: list[tuple[int, ...]] | None = None,
        copy: bool = False,
    ) -> None: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def y(self) -> NDArray[Any]: ...
    def run(
        self,
        x: Any,
        lengths: Any = None,
        out: NDArray[Any] | None = None,
        start: tuple[NDArray[Any], ...] | None = None,
    ) -> Any: ...

@disjoint_base
class Arguments:
    pass

@disjoint_base
class Kept:
    def __init__(self, most: int = 8, most_bytes: int = 67108864, drops: bool = True) -> None: ...
    def __len__(self) -> int: ...
    def run(
        self,
        x: Any,
        lengths: Any = None,
        most: int = -1,
        out: NDArray[Any] | None = None,
        start: tuple[NDArray[Any], ...] | None = None,
    ) -> Any: ...
    def add(self, program: Program, bytes: int) -> None: ...
