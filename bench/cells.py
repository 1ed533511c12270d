"""The recurrent cells that are measured: all that differs between them, framework by framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Named:
    """A cell in a framework: its class or operator, its gates as indices of PyTorch's, and the options it takes."""

    name: str
    gates: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """What contenders must know of a cell.

    Attributes
    ----------
    title : str
        On a page of results.
    parts : tuple of str
        Of the state; the first is h, the output.
    torch, onnx, keras : Named
        The module of torch.nn, the operator of ONNX, the layer of Keras.
    one_bias : bool
        Whether PyTorch's two biases are added to the same sums, so that one can stand for both.
    smooth : bool
        Whether its gradient is continuous. That of relu jumps at 0: where rounding has moved a sum across, one number
        of the gradient is another, and so are those that follow from it.
    """

    title: str
    parts: tuple[str, ...]
    torch: Named
    onnx: Named
    keras: Named
    one_bias: bool = True
    smooth: bool = True

    @property
    def gates(self) -> int:
        """Blocks of hidden_size rows in PyTorch's weights."""
        return len(self.torch.gates)


def simple(activation: str, smooth: bool) -> Cell:
    return Cell(
        f"SimpleRNN with {activation}",
        parts=("h",),
        torch=Named("RNN", (0,), {"nonlinearity": activation}),
        onnx=Named("RNN", (0,), {"activations": [activation.capitalize()]}),
        keras=Named("SimpleRNN", (0,), {"activation": activation}),
        smooth=smooth,
    )


CELLS = {
    "lstm": Cell(  # PyTorch's gates: i, f, g, o
        "LSTM",
        parts=("h", "c"),
        torch=Named("LSTM", (0, 1, 2, 3)),
        onnx=Named("LSTM", (0, 3, 1, 2)),
        keras=Named("LSTM", (0, 1, 2, 3)),
    ),
    "gru": Cell(  # PyTorch's gates: r, z, n; all have the reset gate after the product
        "GRU",
        parts=("h",),
        torch=Named("GRU", (0, 1, 2)),
        onnx=Named("GRU", (1, 0, 2), {"linear_before_reset": 1}),
        keras=Named("GRU", (1, 0, 2), {"reset_after": True}),
        one_bias=False,
    ),
    "tanh": simple("tanh", smooth=True),
    "relu": simple("relu", smooth=False),
}
