from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from fastlstm._kernels.layout import Layout, RaggedOrder
from fastlstm._kernels.options import Masks, Options
from fastlstm._kernels.stage import Stage

def pack(
    cell: str,
    panels: NDArray[Any],
    bias: NDArray[Any],
    w_ih: NDArray[Any],
    w_hh: NDArray[Any],
    b: NDArray[Any],
    own: NDArray[Any] | None = None,
    threads: int = 1,
    format: str = "exact",
) -> None: ...
def pack_stage(
    cell: str,
    panels: NDArray[Any],
    bias: NDArray[Any],
    w_ih: NDArray[Any],
    w_hh: NDArray[Any],
    b: NDArray[Any],
    own: NDArray[Any] | None,
    threads: int,
    format: str = "exact",
) -> Pack: ...
def prepare(
    cell: str,
    rows: Layout,
    panels: NDArray[Any],
    bias: NDArray[Any],
    c: NDArray[Any],
    h: NDArray[Any],
    phase: NDArray[np.intc],
    projected: NDArray[Any],
    chunk: int,
    format: str = "exact",
    rounded: NDArray[Any] | None = None,
    options: Options | None = None,
    seen: int = -1,
) -> Pass: ...

@disjoint_base
class Pack(Stage):
    def reads(self, w_ih: NDArray[Any], w_hh: NDArray[Any], b: NDArray[Any], own: NDArray[Any] | None) -> bool: ...

@disjoint_base
class Pass(Stage):
    fresh: bool
    def set_place(self, place: int, order: RaggedOrder | None = None) -> None: ...
    def then(self, last: Pass) -> None: ...
    def closed(self) -> Pass: ...
    def bind(self, x: NDArray[Any], y: NDArray[Any]) -> None: ...
    def hand_on(self, y: NDArray[Any]) -> None: ...
    def keep(self, kept: NDArray[Any], kept_c: NDArray[Any]) -> None: ...
    def keep_step(self, kept: NDArray[Any], zeros: NDArray[np.intp]) -> None: ...
    def leave_out(self, masks: Masks, fed: NDArray[Any] | None) -> None: ...
    def single(self, w_ih: NDArray[Any], w_hh: NDArray[Any], b: NDArray[Any] | None) -> None: ...
    def after_each(self, below: Pass) -> None: ...
