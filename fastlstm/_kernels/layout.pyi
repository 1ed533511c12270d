import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

@disjoint_base
class Layout:
    T: int
    N: int
    S: int
    I: int  # noqa: E741
    H: int
    x_size: int
    y_size: int
    longest: int
    threads: int
    full: bool
    by_units: bool
    def __init__(
        self,
        N: int,
        I: int,  # noqa: E741
        H: int,
        alive: NDArray[np.intp],
        segments: NDArray[np.intp],
        x_size: int,
        x_row: NDArray[np.intp],
        x_step: int,
        y_size: int,
        y_row: NDArray[np.intp],
        y_step: int,
        threads: int,
    ) -> None: ...
