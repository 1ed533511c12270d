from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm._kernels.options import Masks, Options

def describe(cell: str) -> tuple[int, int, tuple[int, ...], int, int]: ...
def forward(
    cell: str,
    state: tuple[NDArray[Any], ...],
    sums: NDArray[Any],
    x: NDArray[Any],
    w_ih: NDArray[Any],
    w_hh: NDArray[Any],
    bias: NDArray[Any],
    alive: NDArray[np.intp],
    own: NDArray[Any] | None = None,
    options: Options | None = None,
    masks: Masks | None = None,
    seen: NDArray[Any] | None = None,
) -> None: ...
def backward(
    cell: str,
    dw_ih: NDArray[Any],
    dw_hh: NDArray[Any],
    dbias: NDArray[Any],
    dx: NDArray[Any],
    dstate: tuple[NDArray[Any], ...],
    sums: NDArray[Any],
    dy: NDArray[Any],
    x: NDArray[Any],
    state: tuple[NDArray[Any], ...],
    w_ih: NDArray[Any],
    w_hh: NDArray[Any],
    alive: NDArray[np.intp],
    own: NDArray[Any] | None = None,
    d_own: NDArray[Any] | None = None,
    options: Options | None = None,
    masks: Masks | None = None,
    seen: NDArray[Any] | None = None,
    dseen: NDArray[Any] | None = None,
) -> None: ...
