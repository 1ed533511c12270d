from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

def mse(
    pred: NDArray[Any], target: NDArray[Any], weight: NDArray[Any], dpred: NDArray[Any], divisor: float
) -> float: ...
def mae(
    pred: NDArray[Any], target: NDArray[Any], weight: NDArray[Any], dpred: NDArray[Any], divisor: float
) -> float: ...
def huber(
    pred: NDArray[Any], target: NDArray[Any], weight: NDArray[Any], dpred: NDArray[Any], divisor: float, delta: float
) -> float: ...
def sigmoid_cross_entropy(
    pred: NDArray[Any], target: NDArray[Any], weight: NDArray[Any], dpred: NDArray[Any], divisor: float
) -> float: ...
def softmax_cross_entropy(
    pred: NDArray[Any], target: NDArray[np.intp], weight: NDArray[Any], dpred: NDArray[Any], divisor: float
) -> float: ...
def focal(
    pred: NDArray[Any],
    target: NDArray[np.intp],
    weight: NDArray[Any],
    dpred: NDArray[Any],
    divisor: float,
    gamma: float,
) -> float: ...
def quantile(
    pred: NDArray[Any],
    target: NDArray[Any],
    weight: NDArray[Any],
    dpred: NDArray[Any],
    divisor: float,
    levels: Sequence[float],
) -> float: ...
def gaussian_nll(
    pred: NDArray[Any], target: NDArray[Any], weight: NDArray[Any], dpred: NDArray[Any], divisor: float, floor: float
) -> float: ...
def student_t_nll(
    pred: NDArray[Any], target: NDArray[Any], weight: NDArray[Any], dpred: NDArray[Any], divisor: float, floor: float
) -> float: ...
