"""The progress bar on the terminal."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from fastlstm.callbacks.base import Callback, Progress

if TYPE_CHECKING:
    from tqdm import tqdm


def in_notebook() -> bool:
    """Whether this runs in a notebook, where standard error is no terminal, but shows a bar all the same."""
    ask = getattr(sys.modules.get("IPython"), "get_ipython", None)  # a part of it may be there alone
    shell = None if ask is None else ask()
    return shell is not None and hasattr(shell, "kernel")


def _tqdm() -> type[tqdm[Any]]:
    """The bar of tqdm: that of a notebook if there is one that can be drawn, which needs ipywidgets."""
    if in_notebook() and find_spec("ipywidgets") is not None:
        from tqdm.notebook import tqdm_notebook

        return tqdm_notebook
    from tqdm import tqdm

    return tqdm


class ProgressBar(Callback):
    """A progress bar with the loss and the speed, drawn by tqdm. Without tqdm there is none.

    The bar counts sequences or steps if their number in an epoch is known, otherwise batches. Between the batches it
    shows what is going on: the validation, or the text given to `note`.

    Parameters
    ----------
    always : bool, default False
        Whether the bar is shown even if standard error is neither a terminal nor that of a notebook.
    """

    alone: ClassVar[bool] = True

    def __init__(self, always: bool = False) -> None:
        self._always = always
        self._bar: tqdm[Any] | None = None
        self._epoch, self._in_batches = "", False

    def on_fit_begin(self, progress: Progress) -> None:
        if not self._always and not sys.stderr.isatty() and not in_notebook():
            return
        try:
            tqdm = _tqdm()
        except ImportError:
            return
        each, unit = progress.epoch_sequences, progress.unit
        self._in_batches = each is None and progress.batches is not None
        if self._in_batches:
            each, unit = progress.batches, "batches"
        total = None if each is None else progress.epochs * each
        # a resumed training starts the bar where it was
        done = 0 if each is None else int(each * max(0, progress.epoch - 1 + progress.batch / (progress.batches or 1)))
        self._bar = tqdm(total=total, initial=done, unit=" " + unit, unit_scale=True, dynamic_ncols=True)

    def on_epoch_begin(self, progress: Progress) -> None:
        self._epoch = f"epoch {progress.epoch}/{progress.epochs}"

    def on_batch_end(self, progress: Progress) -> None:
        if self._bar is None:
            return
        self._epoch = f"epoch {progress.epoch}/{progress.epochs}"  # also in the epoch that a resumed training starts in
        self._bar.set_description(self._epoch, refresh=False)
        self._bar.set_postfix(self._figures(progress), refresh=False)
        self._bar.update(1 if self._in_batches else progress.sequences)

    def on_validation_begin(self, progress: Progress) -> None:
        self.note("validation")

    def note(self, text: str) -> None:
        """Show beside the bar what is going on before the next batch.

        Parameters
        ----------
        text : str
            Such as "validation".
        """
        if self._bar is not None:
            self._bar.set_description(f"{self._epoch}, {text}" if self._epoch else text)

    def on_fit_end(self, progress: Progress) -> None:
        if self._bar is not None:
            self._bar.set_postfix(self._figures(progress))
            self._bar.close()
            self._bar = None

    @staticmethod
    def _figures(progress: Progress) -> dict[str, str]:
        figures = {"loss": progress.loss, **{k: v for k, v in progress.logs.items() if k != "loss"}}
        return {name: f"{value:.4g}" for name, value in figures.items()}
