"""The parameters of one direction of one layer: what inference, training and the plain path read."""

from __future__ import annotations

from fastlstm.layers.base import Array
from fastlstm.layers.recurrent.cells import Cell
from fastlstm.parameter import Parameter


class Weights:
    """The parameters whose names end with a suffix, of all the parameters of a layer.

    Attributes
    ----------
    cell : Cell
    suffix : str
        Such as ``_l0`` for the first layer.
    reverse : bool
        Whether each sequence is read from its end.
    w_ih, w_hh : Parameter
        (G·H, I) and (G·H, H).
    bias : Parameter or None
        (S·H), if there is one.
    own : Parameter or None
        The weights that each unit has for itself, (V·H), if there are some.
    inputs, hidden : int
        I and H.
    parameters : list of Parameter
        Those that there are.
    """

    def __init__(self, cell: Cell, parameters: dict[str, Parameter], suffix: str, *, reverse: bool) -> None:
        self.cell, self.suffix, self.reverse = cell, suffix, reverse
        self.w_ih, self.w_hh = parameters["weight_ih" + suffix], parameters["weight_hh" + suffix]
        self.bias, self.own = parameters.get("bias" + suffix), parameters.get("peephole" + suffix)
        every = (self.w_ih, self.w_hh, self.bias, self.own)
        self.parameters = [parameter for parameter in every if parameter is not None]
        self.inputs, self.hidden = self.w_ih.shape[1], self.w_hh.shape[1]

    def read(self) -> tuple[Array, Array]:
        """The values of w_ih and w_hh, for a kernel."""
        return self.w_ih.read(), self.w_hh.read()
