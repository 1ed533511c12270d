from typing import Any

from numpy.typing import NDArray

def drop(x: NDArray[Any], y: NDArray[Any], rate: float, key: int, call: int, first: int = 0) -> None: ...
