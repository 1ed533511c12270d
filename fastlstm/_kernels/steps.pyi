from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from fastlstm._kernels.layout import RaggedOrder
from fastlstm._kernels.stage import Stage

def take_steps(source: NDArray[Any], index: NDArray[np.intp], out: NDArray[Any], alone: bool = False) -> TakeSteps: ...

@disjoint_base
class TakeSteps(Stage): ...

def largest_stage(
    source: NDArray[Any], index: NDArray[np.intp], out: NDArray[Any], at: NDArray[np.intp]
) -> Largest: ...

@disjoint_base
class Largest(Stage): ...

def last_steps(order: RaggedOrder, x: NDArray[Any], y: NDArray[Any]) -> LastSteps: ...

@disjoint_base
class LastSteps(Stage): ...

def to_last(dy: NDArray[Any], dx: NDArray[Any]) -> ToLastSteps: ...

@disjoint_base
class ToLastSteps(Stage): ...

def clear_stage(order: RaggedOrder, y: NDArray[Any]) -> ClearBeyond: ...

@disjoint_base
class ClearBeyond(Stage): ...
