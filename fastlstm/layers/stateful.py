"""What a layer does with a state that lasts from one pass to the next, or in a stream."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm._check import Shape
from fastlstm.workspace import Workspace

Array = NDArray[Any]
Index = NDArray[np.intp]


class Stateful:
    """The part of a `Layer` that goes on from where it was. Here is what a layer without a state does."""

    def start(self, batch: int, tape: Workspace) -> None:
        """Prepare the tape for `step`.

        Parameters
        ----------
        batch : int
            Number of streams that run side by side.
        tape : Workspace
            Where the running state is kept.

        Raises
        ------
        ValueError
            If the layer cannot stream, because it needs what comes later.
        """

    def reset(self, rows: Any, tape: Workspace) -> None:
        """Let some streams begin anew.

        Parameters
        ----------
        rows : index
            Which: ints, bools, or a slice.
        tape : Workspace
            The same as in `start`.
        """

    def running_kinds(self, batch: int, shape: Shape) -> dict[str, tuple[Shape, Any]]:
        """The parts of the running state. A layer with a state writes this, `running` and `go_on`.

        Parameters
        ----------
        batch : int
            Number of streams.
        shape : tuple of int or str
            That of the layer's input.

        Returns
        -------
        dict
            The shape and dtype of each part by its name. The last axis but one is that of the streams.
        """
        if type(self).reset is not Stateful.reset:
            name = type(self).__name__
            raise ValueError(f"{name} does not tell its running state: it must write running_kinds, running and go_on")
        return {}

    def running(self, tape: Workspace) -> dict[str, Array]:
        """A copy of the running state.

        Parameters
        ----------
        tape : Workspace
            The same as in `start`.

        Returns
        -------
        dict
            An array for each of `running_kinds`.
        """
        return {}

    def go_on(self, state: dict[str, Array], tape: Workspace) -> None:
        """Go on from another running state, after `start`.

        Parameters
        ----------
        state : dict
            What `running` has returned.
        tape : Workspace
            The same as in `start`.
        """

    def carry(self, index: Index, tape: Workspace) -> None:
        """Say which sequences the next pass goes on with; see `Model.carry`.

        Parameters
        ----------
        index : (N,) ints
            Row k goes on from the state of row index[k]; from zeros for -1.
        tape : Workspace
            One that `carries`: a layer with a state keeps it there, in `lasting`, from pass to pass.

        Raises
        ------
        ValueError
            If the layer cannot carry a state on, because it begins at the end.
        """

    def _carried_shapes(self, n: int) -> list[tuple[int, ...]]:
        """The shapes of the parts of the state of n rows that a tape carries in ``lasting["running"]``."""
        return []
