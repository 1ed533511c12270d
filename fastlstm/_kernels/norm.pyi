from typing import Any

from numpy.typing import NDArray
from typing_extensions import disjoint_base

from fastlstm._kernels.stage import Stage

BLOCKS: int

def forward(
    x: NDArray[Any],
    weight: NDArray[Any],
    bias: NDArray[Any],
    eps: float,
    y: NDArray[Any],
    mean: NDArray[Any],
    scale: NDArray[Any],
) -> Norm: ...
def backward(
    dy: NDArray[Any],
    x: NDArray[Any],
    weight: NDArray[Any],
    mean: NDArray[Any],
    scale: NDArray[Any],
    sums: NDArray[Any],
    dx: NDArray[Any],
    dweight: NDArray[Any],
    dbias: NDArray[Any],
    add_weight: bool = True,
    add_bias: bool = True,
) -> None: ...

@disjoint_base
class Norm(Stage): ...
