from typing import Any

from numpy.typing import NDArray

def affine(x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any], y: NDArray[Any]) -> None: ...
def affine_backward(
    dy: NDArray[Any],
    x: NDArray[Any],
    weight: NDArray[Any],
    dweight: NDArray[Any],
    dbias: NDArray[Any],
    dx: NDArray[Any],
    add_weight: bool = True,
    add_bias: bool = True,
) -> None: ...
