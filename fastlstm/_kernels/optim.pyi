from typing import Any

from numpy.typing import NDArray

def sum_squares(x: NDArray[Any]) -> float: ...
def scale(x: NDArray[Any], factor: float) -> None: ...
def sgd(value: NDArray[Any], grad: NDArray[Any], lr: float, weight_decay: float) -> None: ...
def momentum(
    value: NDArray[Any],
    grad: NDArray[Any],
    velocity: NDArray[Any],
    lr: float,
    mu: float,
    weight_decay: float,
    nesterov: bool,
) -> None: ...
def rmsprop(
    value: NDArray[Any], grad: NDArray[Any], square: NDArray[Any], lr: float, rho: float, eps: float
) -> None: ...
def adam(
    value: NDArray[Any],
    grad: NDArray[Any],
    mean: NDArray[Any],
    square: NDArray[Any],
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    step: int,
) -> None: ...
