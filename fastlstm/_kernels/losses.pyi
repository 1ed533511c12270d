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
