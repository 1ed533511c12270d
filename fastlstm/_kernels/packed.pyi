from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from fastlstm._kernels.program import Stage

def pack(panels: NDArray[Any], bias: NDArray[Any], w_ih: NDArray[Any], w_hh: NDArray[Any], b: NDArray[Any]) -> None: ...
def prepare(
    panels: NDArray[Any],
    bias: NDArray[Any],
    c: NDArray[Any],
    h: NDArray[Any],
    phase: NDArray[np.intc],
    I: int,  # noqa: E741
    H: int,
    alive: NDArray[np.intp],
    x_size: int,
    x_row: NDArray[np.intp],
    x_step: int,
    y_size: int,
    y_row: NDArray[np.intp],
    y_step: int,
    projected: NDArray[Any],
    chunk: int,
    by_units: bool,
    threads: int,
) -> Pass: ...

@disjoint_base
class Pass(Stage):
    fresh: bool
    def bind(self, x: NDArray[Any], y: NDArray[Any]) -> None: ...
    def after_each(self, below: Pass) -> None: ...
