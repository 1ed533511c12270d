from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

def choose(isa: str) -> None: ...
def isa() -> str: ...
def lanes(dtype: Any) -> int: ...
def pack(panels: NDArray[Any], bias: NDArray[Any], w_ih: NDArray[Any], w_hh: NDArray[Any], b: NDArray[Any]) -> None: ...
def prepare(
    panels: NDArray[Any],
    bias: NDArray[Any],
    c: NDArray[Any],
    h: NDArray[Any],
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
class Pass:
    @property
    def slot(self) -> int: ...
    @property
    def c(self) -> NDArray[Any]: ...
    @property
    def h(self) -> NDArray[Any]: ...
    def clear(self) -> None: ...
    def run(self, x: NDArray[Any], y: NDArray[Any]) -> None: ...
