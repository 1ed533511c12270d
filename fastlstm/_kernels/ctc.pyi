from typing import Any

import numpy as np
from numpy.typing import NDArray

def room(n: int, t: int, s: int) -> tuple[int, int]: ...
def ctc(
    pred: NDArray[Any],
    target: NDArray[np.intp],
    weight: NDArray[Any],
    dpred: NDArray[Any],
    losses: NDArray[np.float64],
    room: NDArray[np.float64],
    divisor: float,
    per_label: bool,
    blank: int,
    zero_infinity: bool,
) -> float: ...
