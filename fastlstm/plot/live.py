"""Learning curves in a notebook, drawn while the training runs."""

from __future__ import annotations

import io
from typing import Any

from fastlstm import _check
from fastlstm.callbacks import Callback, Progress
from fastlstm.plot.training import learning_curves_figure


class LivePlot(Callback):
    """Draws the learning curves in a notebook, and replaces the picture after each epoch.

    Parameters
    ----------
    every : int, default 1
        Epochs from one picture to the next. There is also one at the end.
    log : bool, default False
        Whether the loss has a logarithmic axis.

    Raises
    ------
    TypeError
        If every is not a whole number, or log is not True or False.
    ValueError
        If every is below 1.
    ImportError
        At the beginning of a training, if IPython or matplotlib is not installed.

    Examples
    --------
    In a notebook::

        from fastlstm.plot import LivePlot

        trainer = fl.Trainer(model, "mse", callbacks=[LivePlot()])
        trainer.fit(x, y, epochs=50, validation=(xv, yv))
    """

    def __init__(self, every: int = 1, *, log: bool = False) -> None:
        self.every, self.log = _check.positive_int(every, "every"), _check.flag(log, "log")

    def on_fit_begin(self, progress: Progress) -> None:
        try:
            from IPython.display import display
        except ImportError:
            raise ImportError("LivePlot needs IPython: pip install ipython, or start it in a notebook") from None
        self._figures: dict[str, list[float]] = {}
        self._drawn = 0
        self._handle: Any = display(display_id=True)

    def on_epoch_end(self, progress: Progress) -> None:
        for name, value in progress.logs.items():
            self._figures.setdefault(name, []).append(value)
        if progress.epoch % self.every == 0:
            self._draw(progress.epoch)

    def on_fit_end(self, progress: Progress) -> None:
        if self._figures and self._drawn != progress.epoch:
            self._draw(progress.epoch)

    def _draw(self, epoch: int) -> None:
        from IPython.display import Image

        png = io.BytesIO()
        learning_curves_figure(self._figures, log=self.log).savefig(png, format="png", dpi=80)
        if self._handle is not None:  # None outside a notebook
            self._handle.update(Image(png.getvalue(), format="png"))
        self._drawn = epoch

    def state(self) -> dict[str, Any]:
        return {"figures": self._figures}

    def restore(self, state: dict[str, Any]) -> None:
        self._figures = state["figures"]
