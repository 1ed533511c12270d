from typing import Any

from numpy.typing import NDArray
from typing_extensions import disjoint_base

from fastlstm._kernels.layout import Layout
from fastlstm._kernels.options import Masks, Options
from fastlstm._kernels.stage import Stage

SCRATCH: tuple[str, ...]

def rooms(cell: str, rows: Layout, single: bool, format: str = "exact", seen: int = -1) -> tuple[int, ...]: ...
def prepare(
    cell: str,
    rows: Layout,
    strip: int,
    kept: NDArray[Any],
    kept_c: NDArray[Any],
    dh: NDArray[Any],
    dc: NDArray[Any],
    past: NDArray[Any],
    transposed: NDArray[Any],
    columns: NDArray[Any],
    panels: NDArray[Any],
    rounded: NDArray[Any],
    interleaved: NDArray[Any],
    format: str = "exact",
    bias: NDArray[Any] | None = None,
    options: Options | None = None,
    seen: int = -1,
) -> Backward: ...

@disjoint_base
class Backward(Stage):
    def bind(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        dy: NDArray[Any] | None,
        dx: NDArray[Any] | None,
        add_dx: bool,
        start: tuple[NDArray[Any], ...] | None,
        weights: tuple[NDArray[Any], NDArray[Any]],
        seen: NDArray[Any] | None = None,
    ) -> None: ...
    def then(self, earlier: Backward) -> None: ...
    def bind_gradients(
        self,
        dw: NDArray[Any],
        add_dw: bool,
        du: NDArray[Any],
        add_du: bool,
        db: NDArray[Any] | None,
        add_db: bool,
        dv: NDArray[Any] | None,
        add_dv: bool,
    ) -> None: ...
    def freeze(self, frozen: bool) -> None: ...
    def leave_out(self, masks: Masks) -> None: ...
    def go_on(self, initial: bool, later: bool) -> None: ...
