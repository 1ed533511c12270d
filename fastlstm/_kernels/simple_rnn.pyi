from typing import Any

import numpy as np
from numpy.typing import NDArray

def forward(
    h: NDArray[Any],
    x: NDArray[Any],
    w_ih: NDArray[Any],
    w_hh: NDArray[Any],
    bias: NDArray[Any],
    alive: NDArray[np.intp],
    relu: bool,
) -> None: ...
def backward(
    dw_ih: NDArray[Any],
    dw_hh: NDArray[Any],
    dbias: NDArray[Any],
    dx: NDArray[Any],
    dh: NDArray[Any],
    da: NDArray[Any],
    dy: NDArray[Any],
    x: NDArray[Any],
    h: NDArray[Any],
    w_ih: NDArray[Any],
    w_hh: NDArray[Any],
    alive: NDArray[np.intp],
    relu: bool,
) -> None: ...
