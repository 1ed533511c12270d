from typing import Any

from numpy.typing import NDArray
from typing_extensions import disjoint_base

from fastlstm._kernels.stage import Stage
from fastlstm.parameter import Parameter

def affine(
    x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any], y: NDArray[Any], format: str = "exact"
) -> None: ...
def affine_backward(
    dy: NDArray[Any],
    x: NDArray[Any],
    weight: NDArray[Any],
    dweight: NDArray[Any],
    dbias: NDArray[Any],
    dx: NDArray[Any],
    add_weight: bool = True,
    add_bias: bool = True,
    format: str = "exact",
) -> None: ...
def affine_stage(
    x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any] | None, y: NDArray[Any], format: str = "exact"
) -> Affine: ...
def affine_backward_stage(
    dy: NDArray[Any],
    x: NDArray[Any],
    weight: Parameter,
    bias: Parameter | None,
    dx: NDArray[Any] | None,
    format: str = "exact",
) -> AffineBackward: ...

@disjoint_base
class Affine(Stage): ...

@disjoint_base
class AffineBackward(Stage): ...
