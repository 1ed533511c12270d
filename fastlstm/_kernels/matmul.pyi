from typing import Any

from numpy.typing import NDArray
from typing_extensions import disjoint_base

from fastlstm._kernels.stage import Stage

def pack(
    panels: NDArray[Any], bias: NDArray[Any], weight: NDArray[Any], b: NDArray[Any], format: str = "exact"
) -> None: ...
def affine(
    x: NDArray[Any],
    panels: NDArray[Any],
    bias: NDArray[Any],
    y: NDArray[Any],
    threads: int,
    format: str = "exact",
    rounded: NDArray[Any] | None = None,
) -> Affine: ...
def multiply(a: NDArray[Any], b: NDArray[Any], c: NDArray[Any], add: bool, threads: int) -> None: ...

@disjoint_base
class Affine(Stage): ...
