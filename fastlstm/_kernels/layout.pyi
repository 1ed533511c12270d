import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

@disjoint_base
class RaggedOrder:
    N: int
    T: int
    longest: int
    given: NDArray[np.intp]
    index: NDArray[np.intp]
    lengths: NDArray[np.intp]
    alive: NDArray[np.intp]
    def __init__(self, N: int, T: int, given: NDArray[np.intp] | None = None) -> None: ...

@disjoint_base
class Layout:
    T: int
    N: int
    S: int
    I: int  # noqa: E741
    H: int
    x_size: int
    y_size: int
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

@disjoint_base
class RaggedLayout(Layout):
    def __init__(
        self,
        order: RaggedOrder,
        I: int,  # noqa: E741
        H: int,
        width: int,
        column: int,
        reverse: bool,
        plans: NDArray[np.intp],
        every: int,
    ) -> None: ...
